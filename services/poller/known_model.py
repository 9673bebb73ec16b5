"""A whole read -> what is known of a subscription and its resources from then on: the other half of every comparison."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from domain.keys import CompanyId, ResourceId, SubscriptionId
from services.poller.sources.port import Resource, Snapshot, SubscriptionRow


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


def known_after(known: KnownSubscription | None, snapshot: Snapshot, read_at: datetime) -> KnownSubscription:
    """What is known once the subscription has been read whole. What the read did not show stays as it was, alive, until it
    disappears by confirmation."""
    row = snapshot.row
    before = {each.key: each for each in known.resources} if known else {}
    if row.ended:
        return _ended(replace(known, row=row) if known else _new(row, read_at), read_at)
    shown = {
        (row.company_id, each.resource_id): KnownResource(row.company_id, each, row.usage_based)
        for each in snapshot.resources or ()
    }
    told = snapshot.resources is not None
    waits = (told and any(not each.ended for key, each in before.items() if key not in shown)) or (
        not told and known is not None and known.state is State.CONFIRMING
    )
    return replace(
        known or _new(row, read_at),
        row=row,
        state=State.CONFIRMING if waits else State.LIVE,
        read_at=read_at,
        resources=tuple((before | shown).values()),
        ended_on=None,
        continued_by=None,
    )


def known_after_gone(known: KnownSubscription, read_at: datetime) -> KnownSubscription:
    """What is known once a direct read has found no subscription of this id."""
    return _ended(known, read_at)


def _new(row: SubscriptionRow, read_at: datetime) -> KnownSubscription:
    return KnownSubscription(row, State.LIVE, read_at, ())


def _ended(known: KnownSubscription, read_at: datetime) -> KnownSubscription:
    waits = State.HELD if known.state is State.HELD else State.CONFIRMING
    return replace(
        known,
        state=waits if known.live_resources else State.ENDED,
        read_at=read_at,
        ended_on=known.ended_on or read_at.date(),
    )
