"""A connection whose turn it is -> all that one round of posting needs to know about it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from domain.keys import ConnectionId, MspId
from domain.policies import Policies
from plumbing import setup
from plumbing.setup import Msp, OutsideConnection
from services.psa_writer import standing
from services.psa_writer.as_read import Calibration
from services.psa_writer.decide_post import PostPolicies
from services.psa_writer.leases import Lease
from services.psa_writer.psa.port import Psa
from services.psa_writer.standing import Standing
from services.psa_writer.writer import OpenPsa, Writer


@dataclass(frozen=True)
class Round:
    """One round. policies: on dates and costs; decided: all that the MSP has decided. turn: the lease on the connection's
    posts, which keeps other writers from doing the same reads."""

    writer: Writer
    msp: Msp
    outside: OutsideConnection
    standing: Standing
    policies: PostPolicies
    decided: Policies
    opened: OpenPsa
    turn: Lease

    @property
    def msp_id(self) -> MspId:
        """Whose posts they are."""
        return self.msp.msp_id

    @property
    def connection_id(self) -> ConnectionId:
        """The PSA connection."""
        return self.outside.connection_id

    @property
    def psa(self) -> Psa:
        """The PSA."""
        return self.opened.psa

    @property
    def now(self) -> datetime:
        """This moment, UTC."""
        return self.writer.clock.now()

    @property
    def today(self) -> date:
        """The billing day in the MSP's time zone."""
        return self.writer.clock.today(self.msp.time_zone)

    @property
    def undecided(self) -> timedelta:
        """How long after its mark a create may still take effect."""
        return self.writer.decided_after(self.psa.longest_execution)

    @property
    def is_probing(self) -> bool:
        """Whether the last try failed: one request tries the way before all others."""
        return self.standing.failures > 0

    def calibration(self, connection: Connection) -> Calibration:
        """What is known of rows inside a period: a person's setting first, then what an adjustment has shown."""
        given = self.outside.settings.get("mid_period_rows", "unknown")
        if given in ("total", "change"):
            known: Calibration = "total" if given == "total" else "change"
            return known
        return standing.standing(connection, self.msp_id, self.connection_id).calibration


def post_policies(connection: Connection, msp_id: MspId) -> PostPolicies:
    """The MSP's policies on dates and costs."""
    names = ("increase_effective", "decrease_effective", "posted_period", "unit_cost")
    return PostPolicies(**{name: setup.policy(connection, msp_id, name) for name in names})
