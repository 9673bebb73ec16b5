"""A bell, or the sweep for lost ones -> every read model brought up to the head of the log, and people told of it; a past
position -> a side."""

from typing import Any

from domain.keys import MspId
from plumbing import topology
from plumbing.answering import rpc
from plumbing.catch_up import Consumer, catch_up, sweep
from plumbing.event_log import UnknownMsp
from plumbing.hearing import hear
from plumbing.house import House, HouseProvider
from plumbing.resealing import OpensSecrets
from plumbing.sweeping import sweeping
from plumbing.together import catch_up_together
from services.reporting.notifying import deliveries, digests
from services.reporting.notifying.by_hand import resend, try_rule
from services.reporting.notifying.reactor import reactor
from services.reporting.notifying.sending import Sender
from services.reporting.notifying.settings import ReportingSettings
from services.reporting.notifying.timer import delivering
from services.reporting.projections import READ_MODELS, TYPES
from services.reporting.reports import REPORTS
from services.reporting.sides import NoSide, drop_unused, make_side, models_of
from services.reporting.watching.closes_due import tell_closes_due
from services.reporting.watching.late_polls import tell_late_polls

SETTINGS = ReportingSettings
WORKERS = 8
PROJECTIONS = [model.living() for model in READ_MODELS.values()]


def _consumers(house: House) -> list[Consumer]:
    """Those that a bell brings to the head; the reactor last, since it reads what the others have folded."""
    return [*PROJECTIONS, reactor(house.clock)]


class Service(OpensSecrets):
    """Keeps the living read models and tells people by their rules; it appends only what should have happened and has not."""

    name = "reporting"
    house = HouseProvider()

    @hear(topology.bell_queue("reporting", TYPES), _consumers)
    def on_bells(self, msp_id: MspId) -> None:
        """Something was appended: folds it, and whatever came before it."""
        catch_up_together(self.house.engine, PROJECTIONS, msp_id, self.house.clock)
        catch_up(self.house.engine, reactor(self.house.clock), msp_id, self.house.clock)

    @sweeping
    def look(self) -> None:
        """Catches up wherever a bell was lost, puts the digests of the day on their way, and tells what should have happened
        by now; drops old deliveries."""
        sweep(self.house.engine, _consumers(self.house), self.house.clock)
        digests.put_due(self.house.engine, self.house.clock)
        drop_unused(self.house.engine, self.house.clock)
        tell_late_polls(self.house.engine, self.house.clock)
        tell_closes_due(self.house.engine, self.house.clock)
        with self.house.engine.begin() as connection:
            deliveries.forget_old(connection, self.house.clock.now())

    @delivering
    def deliver(self) -> None:
        """Sends the webhooks and mails that are due."""
        Sender(self.house).send_due()

    @rpc
    def resend_deliveries(self, msp_id: str, delivery_ids: list[str]) -> dict[str, Any]:
        """{"results": [{"id", "ok", "refusal"}]}: each is sent once more under its id."""
        return {"results": resend(self.house, MspId(msp_id), delivery_ids)}

    @rpc
    def test_rule(self, msp_id: str, rule_id: str, operation_id: str, actor: str) -> dict[str, Any]:
        """{"results": [{"id", "ok", "refusal"}]}: a test is on its way by the rule."""
        return {"results": [try_rule(self.house, MspId(msp_id), rule_id, operation_id, actor)]}

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
