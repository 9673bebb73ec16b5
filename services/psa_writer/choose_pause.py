"""(failures in a row) -> how long nothing is tried: short at first, and never so long that a cure goes unnoticed."""

FIRST_SECONDS = 10.0
#: What failed goes out within five minutes of the cure (user guide): a probe every four leaves one for the rest.
LONGEST_SECONDS = 240.0
#: Refusals of one cause in a row after which the connection's posts rest.
BREAKER = 5


def choose_pause(failures: int, asked: float | None = None) -> float:
    """Seconds to the next probe after so many failures in a row (at least 1); at least what the PSA asked for."""
    chosen = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 10))
    return chosen if asked is None else max(chosen, asked)
