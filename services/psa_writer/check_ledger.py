"""(units as read, our posts so far) -> whether the PSA lost some of our last posts, or holds one twice.

A PSA restored from an older backup looks as if our last posts had never been; posting them again would be right only if
nobody else does, so a person decides. Units that someone edited by hand differ by some other number, and are planned on.
"""

from collections.abc import Sequence
from itertools import accumulate

from services.psa_writer.hindrance import Hindrance


def check_ledger(expected: int, found: int, last_changes: Sequence[int]) -> Hindrance | None:
    """A Hindrance when the units found differ from those we proved last by exactly our last post taken twice, or by exactly
    our last one, two, three ... posts. last_changes: unit changes of our proven posts up to that day, the newest first."""
    missing = expected - found
    if missing == 0 or not last_changes:
        return None
    if -missing == last_changes[0]:
        return Hindrance(
            "post_doubled",
            f"The PSA shows {found} units where {expected} were proven: as if our last change of {last_changes[0]:+d} had been "
            "applied twice.",
            "Look at the product's prorated transactions in the PSA. Correct the units there, then release the adjustment.",
        )
    sums = list(accumulate(last_changes))
    if missing not in sums:
        return None
    lost = sums.index(missing) + 1
    return Hindrance(
        "posts_lost",
        f"The PSA shows {found} units where {expected} were proven: our last {lost} posted change(s) of together {missing:+d} "
        "are gone, as after the restore of a backup.",
        "Find out whether the PSA was restored or someone took the units back. If they shall be posted again, release the "
        "adjustment.",
    )
