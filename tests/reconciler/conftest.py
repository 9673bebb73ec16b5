"""reconciler on a real database: one company with two resources, one PSA product, nothing linked yet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from domain.events import AdjustmentRequested, AdjustmentSuperseded, PlanRefused
from plumbing.catch_up import catch_up
from plumbing.clock import FrozenClock
from plumbing.database import make_engine
from services.reconciler.reactor import reactor
from tests.msps import add_msp
from tests.world import MORNING, ODIN, World, discovered, odin, psa_product, subscription

TEAMS = odin(resource_id="100300", resource_name="Teams Phone")


@dataclass
class Reconciler(World):
    """reconciler with a frozen clock."""

    clock: FrozenClock = field(default_factory=lambda: FrozenClock(MORNING))

    def happens(self, *given: tuple[str, Any], correlation_id: str = "of-a-test") -> None:
        """Appends the events and lets reconciler read them as one slice."""
        self.append(*given, correlation_id=correlation_id)
        self.catch_up()

    def catch_up(self, batch: int = 2_000) -> None:
        """Reads the log up to its head."""
        catch_up(self.engine, reactor(self.clock, batch), self.msp_id, self.clock)

    def requests(self) -> list[AdjustmentRequested]:
        """All requests, in order."""
        return self.happened(AdjustmentRequested)

    def open_request(self) -> AdjustmentRequested | None:
        """The request that no other gave way to, as the log tells; at most one."""
        still = {request.request_id: request for request in self.requests()}
        for superseded in self.happened(AdjustmentSuperseded):
            del still[superseded.request_id]
        assert len(still) <= 1
        return next(iter(still.values()), None)

    def decided(self) -> list[Any]:
        """Everything reconciler has appended, in order."""
        return self.happened(AdjustmentRequested, AdjustmentSuperseded, PlanRefused)


@pytest.fixture
def reconciler(database: str) -> Iterator[Reconciler]:
    """An MSP with 8 licences of one resource and 3 of another, and a product that could bill them."""
    engine = make_engine(database, "test")
    world = Reconciler(engine, add_msp(engine))
    world.happens(subscription(), discovered(ODIN, "8"), discovered(TEAMS, "3"), psa_product())
    yield world
    engine.dispose()
