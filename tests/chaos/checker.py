"""The log, the read models and the ledgers of both sandboxes -> what is broken of the invariants; nothing, when all hold."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from domain.keys import CompanyId, ConnectionId, ResourceId, ResourceKey, SubscriptionId
from services.reporting.replay import replay
from tests.house import MspHouse
from tests.waiting import wait_for

CONSUMERS = ("mapping", "reconciler", "psa_writer", "reporting")
# A second adjustment on the first day of a period is a choice of the writer's plan, not a doubled post.
TOLERATED = ("same_date_at_period_start",)
# All contracts of the tests run to the end of next year, and every change has taken effect by then.
_FAR_AHEAD = (12, 31)


def breaches(msp: MspHouse, consumers: tuple[str, ...] = CONSUMERS) -> list[str]:
    """Everything that is broken, each with the number of its invariant. To be asked when all is quiet."""
    found = [*_ordered(msp), *_complete(msp, consumers), *_told_once(msp)]
    for line, resources in live_relations(msp).items():
        found += [*_posted_once(msp, line), *_level(msp, line, resources)]
    return found + [f"I4 {each}" for each in msp.psa.oracle() if each.kind not in TOLERATED]


def counts_told(msp: MspHouse) -> dict[str, list[Decimal]]:
    """The counts that the log tells of each resource, in order."""
    told: dict[str, list[Decimal]] = {}
    for _, event in _events(msp, "ResourceDiscovered", "ResourceCountChanged"):
        if event["count"] is not None:
            told.setdefault(_resource(msp, event), []).append(Decimal(event["count"]))
    return told


def true_counts(msp: MspHouse) -> dict[str, list[Decimal]]:
    """The counts that each resource had in the marketplace since the account was opened, in order; of those resources
    that have changed at all."""
    true: dict[str, list[Decimal]] = {}
    for change in msp.odin.ledger:
        if change.product_id and change.field in ("appeared", "count"):
            company, subscription, product = change.key
            key = _key(msp, company, subscription, product)
            true.setdefault(key, [] if change.field == "appeared" else [Decimal(change.old)]).append(
                Decimal(change.new)
            )
    return true


def live_relations(msp: MspHouse) -> dict[int, list[tuple[str, str]]]:
    """The (subscription, resource) pairs that feed each line of the PSA."""
    live: dict[str, tuple[int, tuple[str, str]]] = {}
    for event_type, event in _events(msp, "RelationSet", "RelationCleared"):
        key = _resource(msp, event)
        live.pop(key, None)
        if event_type == "RelationSet":
            live[key] = (int(event["psa_product_id"]), (event["subscription_id"], event["resource_id"]))
    lines: dict[int, list[tuple[str, str]]] = {}
    for line, resource in live.values():
        lines.setdefault(line, []).append(resource)
    return lines


def _ordered(msp: MspHouse) -> Iterator[str]:
    """I2: positions without gaps, and the versions of every stream rise by one in their order."""
    with msp.house.engine.connect() as connection:
        key = {"m": msp.msp_id}
        events, last, head = connection.execute(
            text(
                """SELECT count(*), coalesce(max(e.position), 0), (SELECT position FROM log.heads WHERE msp_id = :m)
                   FROM log.events e WHERE msp_id = :m"""
            ),
            key,
        ).one()
        if not events == last == head:
            yield f"I2 {events} events up to position {last}, and the head is {head}"
        turned = connection.scalars(
            text(
                """SELECT stream FROM (SELECT stream, stream_version, row_number() OVER (PARTITION BY stream
                   ORDER BY position) AS number FROM log.events WHERE msp_id = :m) e WHERE stream_version <> number"""
            ),
            key,
        )
        yield from (f"I2 the versions of {stream} do not rise by one" for stream in turned)


def _complete(msp: MspHouse, consumers: tuple[str, ...]) -> Iterator[str]:
    """I1 and I3: every consumer passes every position (polls go on meanwhile), and the living rows are those of a rebuild."""
    with msp.house.engine.connect() as connection:
        head = connection.scalar(text("SELECT position FROM log.heads WHERE msp_id = :m"), {"m": msp.msp_id})

    def behind() -> list[str]:
        with msp.house.engine.connect() as connection:
            return [
                f"I1 {row.consumer} stands at {row.position} of {head}: {row.stopped_reason}"
                for schema in consumers
                for row in connection.execute(
                    text(
                        f"""SELECT consumer, position, stopped_reason FROM {schema}.positions
                            WHERE msp_id = :m AND (position < :head OR stopped_at IS NOT NULL)"""
                    ),
                    {"m": msp.msp_id, "head": head},
                )
            ]

    with suppress(AssertionError):
        wait_for(lambda: not behind(), 20)
    yield from behind()
    for rebuilt in replay(msp.house.engine, ["all"], msp.msp_id, swap=False):
        if not rebuilt.equal:
            yield f"I1 the rows of {rebuilt.model} are not those of a rebuild"


def _told_once(msp: MspHouse) -> Iterator[str]:
    """Each event follows from the one before it, tells what was once true, in the order in which it was; the last is true
    now. Counts that came and went between two polls are told by nobody."""
    known: dict[str, Decimal | None] = {}
    for event_type, event in _events(msp, "ResourceDiscovered", "ResourceCountChanged"):
        key, count = _resource(msp, event), _decimal(event["count"])
        if event_type == "ResourceDiscovered" and key in known:
            yield f"I1 {key} was discovered twice"
        if event_type == "ResourceCountChanged" and (
            known.get(key) != _decimal(event["previous_count"]) or known[key] == count
        ):
            yield f"I1 {key} had {known.get(key)}, and was told to go from {event['previous_count']} to {count}"
        known[key] = count
    told = counts_told(msp)
    for key, true in true_counts(msp).items():
        if told.get(key, [None])[-1] != true[-1] or not _in_order(told[key], true):
            yield f"I5 {key} had {true}, and the log tells {told.get(key)}"


def _posted_once(msp: MspHouse, line: int) -> Iterator[str]:
    """I4: what Autotask applied is what the log says was posted, each once."""
    applied = Counter((each.effective_date.isoformat(), each.unit_change) for each in msp.ledger(line))
    told = Counter(
        (event["effective_date"], event["unit_change"])
        for event in msp.events("AdjustmentPosted", psa_product_id=str(line))
    )
    if applied != told:
        yield f"I4 line {line}: Autotask applied {dict(applied)}, the log tells {dict(told)}"


def _level(msp: MspHouse, line: int, resources: list[tuple[str, str]]) -> Iterator[str]:
    """I5 and I6: the units are the counts, and they are what they were at first and all that was posted since."""
    units = msp.units(line, date(msp.psa.clock.today().year + 1, *_FAR_AHEAD))
    counts = sum(msp.odin.count(*resource) for resource in resources)
    if units != counts:
        yield f"I5 line {line} has {units} units, and the counts are {counts}"
    first = msp.psa.database.engine.line(line).first_units
    posted = sum(each.unit_change for each in msp.ledger(line))
    if first + posted != units:
        yield f"I6 line {line} had {first} units, was posted {posted} and has {units}"


def _in_order(part: list[Decimal], whole: list[Decimal]) -> bool:
    rest = iter(whole)
    return all(value in rest for value in part)


def _events(msp: MspHouse, *types: str) -> list[tuple[str, dict[str, Any]]]:
    with msp.house.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT type, payload FROM log.events WHERE msp_id = :m AND type = ANY(:t) ORDER BY position"),
            {"m": msp.msp_id, "t": list(types)},
        )
        return [(row.type, row.payload) for row in rows]


def _resource(msp: MspHouse, event: dict[str, Any]) -> str:
    return _key(msp, event["company_id"], event["subscription_id"], event["resource_id"])


def _key(msp: MspHouse, company: str, subscription: str, resource: str) -> str:
    return str(
        ResourceKey(
            msp.msp_id, ConnectionId("odin"), CompanyId(company), SubscriptionId(subscription), ResourceId(resource)
        )
    )


def _decimal(value: str | None) -> Decimal | None:
    return None if value is None else Decimal(value)
