"""What the poller knows of a subscription and its resources: the other half of every comparison with a snapshot."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from domain.keys import CompanyId, ResourceId, SubscriptionId
from services.poller.sources.port import Resource, SubscriptionRow


class State(StrEnum):
    """Where a subscription stands. confirming: something of it was missing and must be seen missing again. held: it ended
    and its renewal is unclear, a person decides. ended: nothing of it is alive."""

    LIVE = "live"
    CONFIRMING = "confirming"
    HELD = "held"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class KnownResource:
    """A resource as it was last seen, under the company it belonged to then. missing_polls: in how many whole polls in a
    row it was missing; ended: it disappeared or a renewal took it over."""

    company_id: CompanyId
    resource: Resource
    usage_based: bool
    missing_polls: int = 0
    ended: bool = False

    @property
    def key(self) -> tuple[CompanyId, ResourceId]:
        """What it is known by within its subscription: one that moved to another company is another resource."""
        return self.company_id, self.resource.resource_id


@dataclass(frozen=True, slots=True)
class KnownSubscription:
    """A subscription as it was last read whole. ended_on: the day on which we first saw it ended. continues: the
    subscription it renewed, continued_by: the one that renewed it."""

    row: SubscriptionRow
    state: State
    read_at: datetime
    resources: tuple[KnownResource, ...]
    ended_on: date | None = None
    continues: SubscriptionId | None = None
    continued_by: SubscriptionId | None = None

    @property
    def live_resources(self) -> tuple[KnownResource, ...]:
        """Those that have not ended."""
        return tuple(each for each in self.resources if not each.ended)
