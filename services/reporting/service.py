"""A bell, or the sweep for lost ones -> every read model brought up to the head of the log."""

from domain.keys import MspId
from plumbing import topology
from plumbing.catch_up import catch_up, sweep
from plumbing.hearing import hear
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

    @hear(topology.bell_queue("reporting", TYPES), lambda _house: PROJECTIONS)
    def on_bells(self, msp_id: MspId) -> None:
        """Something was appended: folds it, and whatever came before it."""
        for projection in PROJECTIONS:
            catch_up(self.house.engine, projection, msp_id, self.house.clock)

    @sweeping
    def look(self) -> None:
        """Catches up wherever a bell was lost."""
        sweep(self.house.engine, PROJECTIONS, self.house.clock)
