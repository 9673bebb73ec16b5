"""A bell, or the sweep for lost ones -> every read model brought up to the head of the log; a past position -> a side."""

from domain.keys import MspId
from plumbing import topology
from plumbing.answering import rpc
from plumbing.catch_up import sweep
from plumbing.event_log import UnknownMsp
from plumbing.hearing import hear
from plumbing.house import HouseProvider
from plumbing.settings import Settings
from plumbing.sweeping import sweeping
from plumbing.together import catch_up_together
from services.reporting.projections import READ_MODELS, TYPES
from services.reporting.reports import REPORTS
from services.reporting.sides import NoSide, drop_unused, make_side, models_of

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
        catch_up_together(self.house.engine, PROJECTIONS, msp_id, self.house.clock)

    @sweeping
    def look(self) -> None:
        """Catches up wherever a bell was lost."""
        sweep(self.house.engine, PROJECTIONS, self.house.clock)
        drop_unused(self.house.engine, self.house.clock)

    @rpc
    def side(self, msp_id: str, report: str, position: int) -> dict[str, object]:
        """{"position": where the report can be asked now, or null, "refusal": "" or why not}. Makes the side when there is
        none: seconds for a million events."""
        if report not in REPORTS or type(position) is not int:
            return {"position": None, "refusal": f"no report {report!r}, or no position {position!r}"}
        try:
            make_side(self.house.engine, models_of(REPORTS[report]), MspId(msp_id), position, self.house.clock)
        except NoSide as fault:
            return {"position": None, "refusal": str(fault)}
        except UnknownMsp:
            return {"position": None, "refusal": f"there is no MSP {msp_id!r}"}
        return {"position": position, "refusal": ""}
