"""(an account, a rhythm) -> plausible changes of count that keep coming, as customers hire and let go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.world import EXAMPLE_PRODUCT_ID, EXAMPLE_SUBSCRIPTION_ID

_STEPS = (1, 1, 1, 1, 2, 2, 3, -1, -1, -2)
_PROCESSING_SECONDS = 3.0


@contextmanager
def keep_changing(account: OdinAccount, every: float, seed: int = 1) -> Iterator[None]:
    """Let one count change each so many seconds while the block runs."""
    stop = threading.Event()
    random = Random(seed)

    def run() -> None:
        while not stop.wait(every):
            change_something(account, random, completes_in=min(_PROCESSING_SECONDS, every / 2))

    thread = threading.Thread(target=run, name="changes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def change_something(account: OdinAccount, random: Random, *, completes_in: float = 0) -> str | None:
    """The id of a change order for a resource drawn by chance; None when the account holds none that may change.

    Never the documentation's example, which waits for a person, and never what is ended, on hold or usage-based.
    """
    candidates = [
        (subscription.subscription_id, resource)
        for subscription in account.subscriptions
        for resource in subscription.resources
        if subscription.status == "active" and not subscription.usage_based
        if (subscription.subscription_id, resource.product_id) != (EXAMPLE_SUBSCRIPTION_ID, EXAMPLE_PRODUCT_ID)
    ]
    if not candidates:
        return None
    subscription_id, resource = random.choice(candidates)
    step = random.choice([each for each in _STEPS if resource.count + each > 0])
    return account.order_change(subscription_id, resource.product_id, step, completes_in=completes_in)
