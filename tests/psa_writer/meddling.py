"""A writer's way to the PSA -> the same, with something that happens right before or after a create or a read of units."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from plumbing.setup import OutsideConnection
from services.psa_writer.psa.port import AdjustmentOrder, Outcome
from services.psa_writer.writer import OpenPsa

Opener = Callable[[OutsideConnection], OpenPsa]


def nothing() -> None:
    """Happens."""


def unseen(_orders: Sequence[AdjustmentOrder]) -> None:
    """Nobody looks at them."""


def meddling(
    opener: Opener,
    before_create: Callable[[], None] = nothing,
    after_create: Callable[[], None] = nothing,
    after_units: Callable[[], None] = nothing,
    on_orders: Callable[[Sequence[AdjustmentOrder]], None] = unseen,
) -> Opener:
    """The opener of a PSA with these happenings, each time. on_orders: looks at what a create is about to send."""

    class Meddled:
        def __init__(self, psa: Any) -> None:
            self._psa = psa

        def __getattr__(self, name: str) -> Any:
            return getattr(self._psa, name)

        def units(self, *args: Any) -> Iterator[list]:
            yield from self._psa.units(*args)
            after_units()

        def create_adjustments(self, orders: Sequence[AdjustmentOrder]) -> Outcome:
            before_create()
            on_orders(orders)
            outcome = self._psa.create_adjustments(orders)
            after_create()
            return outcome

    class Opened:
        def __init__(self, opened: OpenPsa) -> None:
            self._opened = opened
            self.psa = Meddled(opened.psa)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._opened, name)

    return lambda outside: Opened(opener(outside))  # type: ignore[return-value]


def once(act: Callable[[], None]) -> Callable[[], None]:
    """The happening, the first time only."""
    left = [act]
    return lambda: left.pop()() if left else None
