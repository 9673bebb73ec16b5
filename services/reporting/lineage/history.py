"""A resource -> all that happened to it and to the product it fed, newest first, page by page by position."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from domain.envelope import Envelope
from domain.events import (
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceExcluded,
    ResourceIncluded,
    ResourceRenamed,
    SubscriptionRenewalSettled,
    SubscriptionRenewalUnclear,
    SubscriptionRenewed,
)
from domain.keys import PsaProductKey, ResourceKey
from plumbing.event_log import COLUMNS, envelope
from services.reporting.lineage.payloads import payload_ids
from services.reporting.lineage.streams import (
    LAST,
    OF_PRODUCT,
    Log,
    exclusion_stream,
    relation_stream,
    resource_stream,
    subscription_stream,
)
from services.reporting.lineage.telling import tell

#: Links that the resource ever had: a history shows the adjustments of the newest so many.
MOST_LINKS = 100
_TYPES = (
    ResourceDiscovered.type,
    ResourceCountChanged.type,
    ResourceCostChanged.type,
    ResourceRenamed.type,
    ResourceDisappeared.type,
    RelationSet.type,
    RelationCleared.type,
    RelationSettingsSaved.type,
    RelationFrozen.type,
    RelationUnfrozen.type,
    ResourceExcluded.type,
    ResourceIncluded.type,
    SubscriptionRenewed.type,
    SubscriptionRenewalUnclear.type,
    SubscriptionRenewalSettled.type,
)
# What happened to a product while the resource fed it; its links stand in the streams of the resources.
_ADJUSTMENTS = tuple(name for name in OF_PRODUCT if name not in (RelationSet.type, RelationCleared.type))


@dataclass(frozen=True)
class Happened:
    """One row of a history. Counts are ODIN's, units the PSA's; None: not spoken of, or unknown."""

    at: datetime
    kind: str
    text: str
    count_before: Decimal | None
    count_after: Decimal | None
    units_before: int | None
    units_after: int | None
    by: str
    event_id: str
    position: int
    payload_id: str | None


@dataclass(frozen=True)
class HistoryPage:
    """Rows, newest first; has_next: older ones stand after them."""

    rows: tuple[Happened, ...]
    has_next: bool


@dataclass(frozen=True)
class _Link:
    """A product, and the positions between which the resource fed it."""

    product: PsaProductKey
    since: int
    until: int


def resource_history(
    log: Log, key: ResourceKey, time_zone: str, first: int, before: int | None = None
) -> HistoryPage | None:
    """What happened to the resource, under whatever subscription id it went by, at positions below `before`. None when the
    resource was never seen. first: 1 to 100."""
    keys = [replace(key, subscription_id=each) for each in log.chain(key)]
    streams = [
        stream for each in keys for stream in (resource_stream(each), relation_stream(each), exclusion_stream(each))
    ]
    streams += [subscription_stream(key.connection_id, each.subscription_id) for each in keys]
    if not log.latest(streams, _TYPES):
        return None
    found = _below(log, streams, _links(log, keys), LAST if before is None else before - 1, first + 1)
    page = found[:first]
    kept = payload_ids(log, page)
    return HistoryPage(tuple(_row(each, kept.get(each.position), time_zone) for each in page), len(found) > first)


_BELOW = f"""
SELECT {COLUMNS} FROM (
    SELECT e.* FROM unnest(CAST(:streams AS text[])) AS s (stream) CROSS JOIN LATERAL (
        SELECT * FROM log.named_events e WHERE e.msp_id = :msp_id AND e.stream = s.stream
        AND e.position <= :below AND e.type = ANY(:types) ORDER BY e.stream_version DESC LIMIT :most) AS e
    UNION ALL
    SELECT e.* FROM unnest(CAST(:connections AS text[]), CAST(:products AS text[]), CAST(:since AS bigint[]),
                           CAST(:until AS bigint[])) AS l (connection_id, product_id, since, until)
    CROSS JOIN LATERAL (
        SELECT * FROM log.named_events e WHERE e.msp_id = :msp_id AND e.type IN ({", ".join(f"'{t}'" for t in OF_PRODUCT)})
        AND e.payload ->> 'psa_connection_id' = l.connection_id AND e.payload ->> 'psa_product_id' = l.product_id
        AND e.position >= l.since AND e.position <= least(l.until, :below) AND e.type = ANY(:adjustments)
        ORDER BY (e.payload ->> 'psa_connection_id'), (e.payload ->> 'psa_product_id'), e.position DESC
        LIMIT :most) AS e
) AS e ORDER BY position DESC LIMIT :most
"""


def _below(log: Log, streams: Sequence[str], links: Sequence[_Link], below: int, most: int) -> list[Envelope]:
    rows = log.connection.execute(
        text(_BELOW),
        {
            "msp_id": log.msp_id,
            "streams": list(streams),
            "types": list(_TYPES),
            "adjustments": list(_ADJUSTMENTS),
            "connections": [link.product.connection_id for link in links],
            "products": [link.product.psa_product_id for link in links],
            "since": [link.since for link in links],
            "until": [link.until for link in links],
            "below": min(below, log.upto),
            "most": most,
        },
    )
    return [envelope(row) for row in rows]


def _links(log: Log, keys: Sequence[ResourceKey]) -> list[_Link]:
    """When the resource fed which product. A renewal ends one link and begins the next: nothing is told twice."""
    rows = log.connection.execute(
        text(
            f"""SELECT {COLUMNS} FROM log.events e WHERE msp_id = :msp_id AND stream = ANY(:streams) AND position <= :upto
               ORDER BY position DESC LIMIT :most"""
        ),
        {
            "msp_id": log.msp_id,
            "streams": [relation_stream(key) for key in keys],
            "upto": log.upto,
            "most": 2 * MOST_LINKS,
        },
    )
    links: dict[str, _Link] = {}
    for each in reversed([envelope(row) for row in rows]):
        if isinstance(each.event, RelationSet):
            product = each.event.product_key(log.msp_id)
            links[each.event.relation_id] = _Link(product, each.position, LAST)
        elif isinstance(each.event, RelationCleared) and each.event.relation_id in links:
            links[each.event.relation_id] = replace(links[each.event.relation_id], until=each.position)
    return list(links.values())


def _row(envelope: Envelope, payload_id: str | None, time_zone: str) -> Happened:
    told = tell(envelope, time_zone)
    return Happened(
        envelope.occurred_at,
        told.kind,
        told.text,
        told.count_before,
        told.count_after,
        told.units_before,
        told.units_after,
        envelope.actor,
        envelope.event_id,
        envelope.position,
        payload_id,
    )
