"""A slice of events -> what the units should be now: rows first, then one plan for each product that was touched."""

from sqlalchemy import Connection

from domain.envelope import Envelope
from domain.events import (
    AdjustmentPosted,
    PolicyChanged,
    PsaProductObserved,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
    SubscriptionRenewed,
    UnitsFoundEqual,
)
from domain.keys import MspId
from plumbing import outbox
from plumbing.catch_up import Reactor
from plumbing.clock import Clock
from services.reconciler import facts, plans
from services.reconciler.touches import touched

TYPES = tuple(
    event.type
    for event in (
        ResourceDiscovered,
        ResourceCountChanged,
        ResourceCostChanged,
        ResourceRenamed,
        ResourceDisappeared,
        SubscriptionObserved,
        SubscriptionRenewed,
        RelationSet,
        RelationCleared,
        RelationSettingsSaved,
        RelationFrozen,
        RelationUnfrozen,
        PsaProductObserved,
        AdjustmentPosted,
        UnitsFoundEqual,
        PolicyChanged,
    )
)
REPLANS = "reconciler.replans"


def reactor(clock: Clock, batch: int = 2_000) -> Reactor:
    """The consumer that keeps reconciler's rows and asks for units. batch: positions read at a time; a count that goes to
    and fro within them asks for nothing."""

    def react(connection: Connection, msp_id: MspId, envelopes: list[Envelope]) -> None:
        plans.lock(connection, msp_id)
        facts.keep(connection, msp_id, envelopes)
        found = touched(msp_id, envelopes)
        if found.everything:
            # Work of its own: planning all products inside a slice would hold up the log for as long.
            outbox.put(
                connection,
                REPLANS,
                [{"msp_id": msp_id}],
                correlation_id=found.everything.correlation_id,
                put_at=clock.now(),
            )
        causes = plans.causes_of_products(connection, msp_id, found)
        plans.plan(connection, msp_id, causes, clock.now())

    return Reactor("reconciler.plans", "reconciler", TYPES, react, batch=batch)
