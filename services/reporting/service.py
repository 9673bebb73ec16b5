"""A bell, or the sweep for lost ones -> every read model brought up to the head of the log."""

from typing import Any

from domain.keys import MspId
from plumbing import topology
from plumbing.broker import Bell, consume
from plumbing.catch_up import catch_up, sweep
from plumbing.house import HouseProvider
from plumbing.settings import Settings
from plumbing.sweeping import sweeping
from services.reporting.projections import READ_MODELS, TYPES

SETTINGS = Settings
WORKERS = 8
PROJECTIONS = [model.living() for model in READ_MODELS.values()]


class Service:
    """Keeps the living read models; it appends nothing and calls nobody."""

    name = "reporting"
    house = HouseProvider()

    @consume(topology.bell_queue("reporting", TYPES))
    def hear(self, body: Any, message_id: str) -> None:
        """Something was appended: folds it, and whatever came before it."""
        self._catch_up(Bell.parse(body).msp_id)

    @sweeping
    def look(self) -> None:
        """Catches up wherever a bell was lost."""
        sweep(self.house.engine, PROJECTIONS, self.house.clock)

    def _catch_up(self, msp_id: MspId) -> None:
        for projection in PROJECTIONS:
            catch_up(self.house.engine, projection, msp_id, self.house.clock)
