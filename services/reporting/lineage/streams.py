"""Keys -> events of an MSP's log, found by stream or by product: never by walking through the log.

By what stands in a payload they are found in a view of the MSP that is named (plumbing/row_security.py): under row security no
index on an expression is entered.

upto is the position as of which is read; None: now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.envelope import Envelope
from domain.events import (
    PsaRecordGone,
    PsaUnitsObserved,
    RelationCleared,
    RelationSet,
    SubscriptionRenewed,
    UnitsFoundEqual,
)
from domain.keys import ConnectionId, MspId, PsaProductKey, ResourceKey, SubscriptionId
from plumbing.event_log import COLUMNS, envelope

#: The events that the index events_of_product leads to; a query that names others would not use it.
OF_PRODUCT = (
    "RelationSet",
    "RelationCleared",
    "AdjustmentRequested",
    "AdjustmentSuperseded",
    "PlanRefused",
    "AdjustmentPosted",
    "AdjustmentFailed",
    "AdjustmentParked",
    "AdjustmentReleased",
    "AdjustmentRetried",
    "UnitsFoundEqual",
    "AdjustmentHeld",
    "AdjustmentApproved",
    "AdjustmentRefused",
    "AdjustmentShadowed",
    "AdjustmentMoved",
    "AdjustmentDropped",
    "DriftAdopted",
    "DriftOverwritten",
)
_INDEXED = ", ".join(f"'{name}'" for name in OF_PRODUCT)
#: The largest position that there can be.
LAST = 2**63 - 1
#: So often may a subscription have been renewed.
_MOST_RENEWALS = 100


@dataclass(frozen=True)
class Log:
    """One MSP's log, as it stood at a position."""

    connection: Connection
    msp_id: MspId
    upto: int = LAST

    def latest(self, streams: Sequence[str], types: Sequence[str]) -> dict[str, Envelope]:
        """Of each stream the newest event of these types; a stream without one is missing."""
        rows = self.connection.execute(
            text(
                f"""SELECT {COLUMNS} FROM unnest(CAST(:streams AS text[])) AS s (stream) CROSS JOIN LATERAL (
                       SELECT * FROM log.events e WHERE e.msp_id = :msp_id AND e.stream = s.stream
                       AND e.position <= :upto AND e.type = ANY(:types) ORDER BY e.stream_version DESC LIMIT 1) AS e"""
            ),
            self._values(streams=list(streams), types=list(types)),
        )
        return {row.stream: envelope(row) for row in rows}

    def last_count(self, stream: str, types: Sequence[str]) -> Envelope | None:
        """The newest event of a resource's stream that tells a count; a disappearance tells that it is none."""
        row = self.connection.execute(
            text(
                f"""SELECT {COLUMNS} FROM log.events e WHERE msp_id = :msp_id AND stream = :stream AND position <= :upto
                   AND type = ANY(:types) AND (payload ->> 'count' IS NOT NULL OR type = 'ResourceDisappeared')
                   ORDER BY stream_version DESC LIMIT 1"""
            ),
            self._values(stream=stream, types=list(types)),
        ).first()
        return None if row is None else envelope(row)

    def of_product(self, product: PsaProductKey, types: Sequence[str], most: int) -> list[Envelope]:
        """The newest events of the types (of OF_PRODUCT) that name the product, newest first."""
        rows = self.connection.execute(
            text(
                f"""SELECT {COLUMNS} FROM log.named_events e WHERE msp_id = :msp_id AND type IN ({_INDEXED}) AND type = ANY(:types)
                    AND payload ->> 'psa_connection_id' = :connection_id AND payload ->> 'psa_product_id' = :product_id
                    AND position <= :upto
                    ORDER BY (payload ->> 'psa_connection_id'), (payload ->> 'psa_product_id'), position DESC
                    LIMIT :most"""
            ),
            self._values(
                types=list(types),
                connection_id=product.connection_id,
                product_id=product.psa_product_id,
                most=most,
            ),
        )
        return [envelope(row) for row in rows]

    def units_read(self, product: PsaProductKey) -> Envelope | None:
        """The newest event that tells the product's units on its day, or that the product is gone. A reading before a post
        that finds nothing to do tells them too."""
        stream = product_stream(product)
        seen = self.latest([stream], (PsaUnitsObserved.type, PsaRecordGone.type))
        equal = self.of_product(product, (UnitsFoundEqual.type,), 1)
        return max([*seen.values(), *equal], key=lambda each: each.position, default=None)

    def at(self, position: int) -> Envelope | None:
        """The event at the position."""
        row = self.connection.execute(
            text(
                f"SELECT {COLUMNS} FROM log.events e WHERE msp_id = :msp_id AND position = :position AND position <= :upto"
            ),
            self._values(position=position),
        ).first()
        return None if row is None else envelope(row)

    def relations(self, keys: Sequence[ResourceKey]) -> dict[ResourceKey, RelationSet]:
        """The living relation of each resource that has one."""
        newest = self.latest([relation_stream(key) for key in keys], (RelationSet.type, RelationCleared.type))
        found = [each.event for each in newest.values()]
        return {event.resource_key(self.msp_id): event for event in found if isinstance(event, RelationSet)}

    def renewal_to(self, connection_id: ConnectionId, subscription_id: SubscriptionId) -> Envelope | None:
        """How the subscription came to continue another."""
        stream = subscription_stream(connection_id, subscription_id)
        return self.latest([stream], (SubscriptionRenewed.type,)).get(stream)

    def renewal_of(self, connection_id: ConnectionId, subscription_id: SubscriptionId) -> Envelope | None:
        """How the subscription came to be continued by another."""
        row = self.connection.execute(
            text(
                f"""SELECT {COLUMNS} FROM log.named_events e WHERE msp_id = :msp_id AND type = 'SubscriptionRenewed'
                   AND payload ->> 'connection_id' = :connection_id
                   AND payload ->> 'previous_subscription_id' = :subscription_id AND position <= :upto
                   ORDER BY position DESC LIMIT 1"""
            ),
            self._values(connection_id=connection_id, subscription_id=subscription_id),
        ).first()
        return None if row is None else envelope(row)

    def chain(self, key: ResourceKey) -> list[SubscriptionId]:
        """The subscriptions of which the resource's one is a renewal, itself, and those that renewed it: oldest first."""
        ids = [key.subscription_id]
        while len(ids) < _MOST_RENEWALS and (found := self.renewal_to(key.connection_id, ids[0])):
            event = found.event
            assert isinstance(event, SubscriptionRenewed)  # noqa: S101 the query asks for nothing else
            if event.previous_subscription_id in ids:
                break
            ids.insert(0, event.previous_subscription_id)
        while len(ids) < _MOST_RENEWALS and (found := self.renewal_of(key.connection_id, ids[-1])):
            event = found.event
            assert isinstance(event, SubscriptionRenewed)  # noqa: S101 the query asks for nothing else
            if event.subscription_id in ids:
                break
            ids.append(event.subscription_id)
        return ids

    def _values(self, **more: Any) -> dict[str, Any]:
        return {"msp_id": self.msp_id, "upto": self.upto, **more}


def units_in(read: Envelope | None) -> int | None:
    """The units that an event of units_read tells; None: unknown, or the product is gone."""
    event = read.event if read else None
    return event.units if isinstance(event, PsaUnitsObserved | UnitsFoundEqual) else None


def resource_stream(key: ResourceKey) -> str:
    """The stream of a resource."""
    return f"resource/{_within_msp(key)}"


def relation_stream(key: ResourceKey) -> str:
    """The stream of a resource's relations."""
    return f"relation/{_within_msp(key)}"


def exclusion_stream(key: ResourceKey) -> str:
    """The stream of a resource's exclusions."""
    return f"exclusion/{_within_msp(key)}"


def subscription_stream(connection_id: ConnectionId, subscription_id: SubscriptionId) -> str:
    """The stream of a subscription."""
    return f"subscription/{_escaped(connection_id)}/{_escaped(subscription_id)}"


def product_stream(product: PsaProductKey) -> str:
    """The stream of a PSA product. Its writer escapes nothing in it."""
    return f"psa-product/{product.connection_id}/{product.psa_product_id}"


def _within_msp(key: ResourceKey) -> str:
    return str(key).partition("/")[2]


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("/", "%2F")
