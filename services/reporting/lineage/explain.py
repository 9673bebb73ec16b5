"""A PSA product, or a resource that feeds it -> why it has the units it has, step by step, back to what ODIN said."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from domain.envelope import Envelope
from domain.events import (
    AdjustmentApproved,
    AdjustmentDropped,
    AdjustmentFailed,
    AdjustmentHeld,
    AdjustmentMoved,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentRefused,
    AdjustmentReleased,
    AdjustmentRequested,
    AdjustmentRetried,
    AdjustmentShadowed,
    AdjustmentSuperseded,
    DriftAdopted,
    PlanRefused,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    UnitsFoundEqual,
)
from domain.keys import PsaProductKey, ResourceKey
from domain.unit_rule import AS_IS, UnitRule
from domain.units import NotWholeUnits
from services.reporting.lineage.payloads import payload_ids
from services.reporting.lineage.streams import Log, relation_stream, resource_stream, units_in
from services.reporting.lineage.telling import number, tell
from services.reporting.question import BadQuestion

_COUNTS = (ResourceDiscovered.type, ResourceCountChanged.type, ResourceDisappeared.type)
_OUTCOMES = (
    AdjustmentPosted.type,
    UnitsFoundEqual.type,
    AdjustmentFailed.type,
    AdjustmentParked.type,
    AdjustmentReleased.type,
    AdjustmentRetried.type,
    AdjustmentHeld.type,
    AdjustmentApproved.type,
    AdjustmentRefused.type,
    AdjustmentShadowed.type,
    AdjustmentMoved.type,
    AdjustmentDropped.type,
    AdjustmentSuperseded.type,
    PlanRefused.type,
)
#: Links to one product that are looked at, and resources that are explained one by one.
MOST_LINKS = 1_000
MOST_TOLD = 50
# A request is done with two posts at most: one for each date.
_POSTS_OF_A_REQUEST = 2
_RECENT_REQUESTS = 20


@dataclass(frozen=True)
class Step:
    """One step of an explanation. Without an event (position None) it is a remark of ours."""

    kind: str
    text: str
    at: datetime | None = None
    by: str | None = None
    event_id: str | None = None
    position: int | None = None
    payload_id: str | None = None


@dataclass(frozen=True)
class Explanation:
    """units: the PSA's, as last read; count: what ODIN says, summed over all that feeds the product; None: unknown. equal: None
    when one of the two is. steps lead from the PSA line back to ODIN."""

    units: int | None
    count: Decimal | None
    equal: bool | None
    steps: tuple[Step, ...]


@dataclass
class _Feed:
    """A linked resource: how it was linked, what was settled for it, how its subscription was renewed, and what ODIN said."""

    key: ResourceKey
    rule: UnitRule = AS_IS
    count: Decimal | None = None
    evidence: list[Envelope] = field(default_factory=list)


def explain_product(log: Log, product: PsaProductKey, time_zone: str) -> Explanation | None:
    """Why the product has its units; None when neither the PSA nor a link ever showed it. BadQuestion when it
    was linked more than MOST_LINKS times."""
    read = log.units_read(product)
    feeds = _feeds(log, product)
    if read is None and not feeds and not log.of_product(product, (RelationSet.type,), 1):
        return None
    units = units_in(read)
    count = _sum(feeds)
    head = [*([read] if read else []), *_adopted(log, product)]
    head += [each for each in _adjustments(log, product) if each != read]
    steps = [_step(each, time_zone) for each in head]
    for feed in feeds[:MOST_TOLD]:
        steps += [_step(each, time_zone) for each in feed.evidence]
    told = [each for feed in feeds[:MOST_TOLD] for each in feed.evidence]
    return Explanation(
        units,
        count if feeds else None,
        None if units is None or count is None or not feeds else units == _wanted(feeds),
        (*_with_payloads(log, steps, [*head, *told]), *_remarks(feeds)),
    )


def explain_resource(log: Log, key: ResourceKey, time_zone: str) -> Explanation | None:
    """Why the product that the resource feeds has its units; without a link, what ODIN says of the resource. None when the
    resource was never seen. BadQuestion as above."""
    relation = log.relations([key]).get(key)
    if relation is not None:
        return explain_product(log, relation.product_key(log.msp_id), time_zone)
    feed = _with_counts(log, [_Feed(key)])[0]
    if not feed.evidence:
        return None
    cleared = log.latest([relation_stream(key)], (RelationCleared.type,))
    told = [*cleared.values(), *feed.evidence]
    remark = Step("not_linked", "It feeds no product of the PSA, so nothing is posted for it.")
    steps = _with_payloads(log, [_step(each, time_zone) for each in told], told)
    return Explanation(None, feed.count, None, (remark, *steps))


def _adopted(log: Log, product: PsaProductKey) -> list[Envelope]:
    """A person's word that the PSA's units are right, while nothing was asked for since."""
    newest = log.of_product(product, (DriftAdopted.type, AdjustmentRequested.type), 1)
    return [each for each in newest if isinstance(each.event, DriftAdopted)]


def _feeds(log: Log, product: PsaProductKey) -> list[_Feed]:
    """What feeds the product: of all resources that were ever linked to it those whose newest relation still says so."""
    ever = log.of_product(product, (RelationSet.type,), MOST_LINKS + 1)
    if len(ever) > MOST_LINKS:
        raise BadQuestion(f"the product was linked more than {MOST_LINKS} times: ask for one of its resources' history")
    keys = dict.fromkeys(each.event.resource_key(log.msp_id) for each in ever if isinstance(each.event, RelationSet))
    streams = {relation_stream(key): key for key in keys}
    newest = log.latest(list(streams), (RelationSet.type, RelationCleared.type))
    living = {
        streams[stream]: each
        for stream, each in newest.items()
        if isinstance(each.event, RelationSet) and each.event.product_key(log.msp_id) == product
    }
    settled = log.latest(list(streams), (RelationSettingsSaved.type,))
    stopped = log.latest(list(streams), (RelationFrozen.type, RelationUnfrozen.type))
    return _with_counts(log, [_feed(key, living[key], [settled, stopped]) for key in sorted(living)])


def _feed(key: ResourceKey, linked: Envelope, told: Sequence[Mapping[str, Envelope]]) -> _Feed:
    """The feed with what was settled for this very relation."""
    found = [each for by_stream in told if (each := by_stream.get(relation_stream(key))) and _is_of(each, linked)]
    saved = [each.event for each in found if isinstance(each.event, RelationSettingsSaved)]
    shown = [each for each in found if not isinstance(each.event, RelationUnfrozen)]
    return _Feed(key, saved[0].settings.rule if saved else AS_IS, evidence=[*shown, linked])


def _is_of(told: Envelope, linked: Envelope) -> bool:
    return getattr(told.event, "relation_id", None) == getattr(linked.event, "relation_id", None)


def _with_counts(log: Log, feeds: list[_Feed]) -> list[_Feed]:
    """The feeds with what ODIN said last of each. A count that ODIN did not give leaves the last one known: unknown is not
    0. A resource whose subscription is a renewal and that was not counted yet has the count of its predecessor."""
    streams = {resource_stream(feed.key): feed for feed in feeds}
    for stream, said in log.latest(list(streams), _COUNTS).items():
        streams[stream].evidence.append(said)
        streams[stream].count = _count(said)
    for feed in feeds:
        if feed.count is None:
            _look_behind(log, feed)
    return feeds


def _look_behind(log: Log, feed: _Feed) -> None:
    """The last count that was known of the resource or, renewal by renewal, of what it continues."""
    ids = log.chain(feed.key)
    for subscription_id in reversed(ids[: ids.index(feed.key.subscription_id) + 1]):
        key = replace(feed.key, subscription_id=subscription_id)
        if subscription_id != feed.key.subscription_id:
            renewal = log.renewal_of(key.connection_id, subscription_id)
            feed.evidence += [renewal] if renewal else []
        said = log.last_count(resource_stream(key), _COUNTS)
        if said is not None:
            feed.evidence += [said] if said not in feed.evidence else []
            feed.count = _count(said)
            return


def _count(said: Envelope) -> Decimal | None:
    match said.event:
        case ResourceDiscovered(count=count) | ResourceCountChanged(count=count):
            return count
        case ResourceDisappeared():
            return Decimal(0)
    return None


def _sum(feeds: Sequence[_Feed]) -> Decimal | None:
    counts = [feed.count for feed in feeds]
    known = [count for count in counts if count is not None]
    return sum(known, Decimal(0)) if len(known) == len(counts) else None


def _wanted(feeds: Sequence[_Feed]) -> Decimal | None:
    """The units that the counts come to by the rules of their relations; None when one of them is not whole."""
    try:
        return Decimal(sum(feed.rule.units(feed.count or Decimal(0)) for feed in feeds))
    except NotWholeUnits:
        return None


def _adjustments(log: Log, product: PsaProductKey) -> list[Envelope]:
    """What was done last, the posts that last changed the units, and the wishes behind them: newest first."""
    requests = log.of_product(product, (AdjustmentRequested.type,), _RECENT_REQUESTS)
    last = log.of_product(product, _OUTCOMES, 1)
    posts = log.of_product(product, (AdjustmentPosted.type,), _POSTS_OF_A_REQUEST)
    posts = [each for each in posts if _request_id(each) == _request_id(posts[0])]
    wanted = {_request_id(each) for each in (*last, *posts, *requests[:1])}
    asked = [each for each in requests if _request_id(each) in wanted]
    by_position = {each.position: each for each in (*last, *posts, *asked)}
    return [by_position[position] for position in sorted(by_position, reverse=True)]


def _request_id(envelope: Envelope) -> str | None:
    return getattr(envelope.event, "request_id", None)


def _step(envelope: Envelope, time_zone: str) -> Step:
    told = tell(envelope, time_zone)
    return Step(told.kind, told.text, envelope.occurred_at, envelope.actor, envelope.event_id, envelope.position)


def _with_payloads(log: Log, steps: Iterable[Step], envelopes: Sequence[Envelope]) -> list[Step]:
    ids: Mapping[int, str] = payload_ids(log, envelopes)
    return [replace(step, payload_id=ids.get(step.position or 0)) for step in steps]


def _remarks(feeds: Sequence[_Feed]) -> list[Step]:
    if not feeds:
        return [Step("not_linked", "Nothing feeds this product, so Trueup leaves its units alone.")]
    rest = feeds[MOST_TOLD:]
    if not rest:
        return []
    counted = _sum(rest)
    together = "one of unknown count" if counted is None else f"{number(counted)} together"
    return [Step("more", f"{len(rest)} more resources feed this product: {together}.")]
