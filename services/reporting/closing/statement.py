"""The checks -> one SQL statement: for each check how many rows, for how much money and since when, beside how the close stands."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    DateTime,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal,
    null,
    or_,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import JSONB, aggregate_order_by

from services.reporting.closing.checks import AGREEMENTS, CHECKS, COMPANIES, FRESH, Check
from services.reporting.question import questions
from services.reporting.reports import REPORTS
from services.reporting.reports.columns import living
from services.reporting.sides import models_of
from services.reporting.statements import holds
from services.reporting.tables import exclusions, psa_agreements, resources

# So many ids and names of one check are told.
MOST_TOLD = 200
# A marketplace that was last read whole longer ago is not up to date; by default each subscription is read again so often.
FRESH_HOURS = 24
_PSA: ColumnElement[Any] = bindparam("psa_connection_id", type_=Text)
_NOTHING = sql_cast([], ARRAY(Text))

# How a close stands. psa_kind NULL: the MSP has no such PSA connection. The PSA says nothing when it is read and nothing is new;
# that it answered is known from the calls that were counted.
_ABOUT = text(
    """
SELECT m.name AS msp_name, m.time_zone, c.kind AS psa_kind,
    (SELECT p.value FROM setup.policies p WHERE p.msp_id = m.msp_id AND p.policy = 'freeze_hours') AS freeze_hours,
    (SELECT min(coalesce(p.position, 0)) FROM unnest(CAST(:consumers AS text[])) AS asked (consumer)
        LEFT JOIN reporting.positions p ON p.consumer = asked.consumer AND p.msp_id = m.msp_id) AS position,
    (SELECT CASE WHEN count(*) = count(r.read_at) THEN min(r.read_at) END FROM setup.connections o
        LEFT JOIN reporting.readings r ON r.msp_id = o.msp_id AND r.connection_id = o.connection_id
            AND r.generation = (SELECT reporting.living_generation('readings', :msp_id))
        WHERE o.msp_id = m.msp_id AND o.kind = 'odin') AS odin_read_at,
    greatest(
        (SELECT r.read_at FROM reporting.readings r WHERE r.msp_id = m.msp_id AND r.connection_id = :psa_connection_id
            AND r.generation = (SELECT reporting.living_generation('readings', :msp_id))),
        (SELECT a.since + make_interval(secs => a.seconds) FROM reporting.api_calls a
            WHERE a.msp_id = m.msp_id AND a.generation = (SELECT reporting.living_generation('calls', :msp_id))
                AND a.connection_id = :psa_connection_id AND a.calls > a.failed
            ORDER BY a.position DESC LIMIT 1)) AS psa_read_at,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('type', e.type, 'version', e.version, 'payload', e.payload,
            'at', e.occurred_at, 'by', e.actor, 'position', e.position) ORDER BY e.stream_version), '[]')
        FROM log.events e WHERE e.msp_id = m.msp_id AND e.stream = :stream) AS acts
FROM setup.msps m
LEFT JOIN setup.connections c
    ON c.msp_id = m.msp_id AND c.connection_id = :psa_connection_id AND c.kind <> 'odin'
WHERE m.msp_id = :msp_id
"""
).columns(
    msp_name=Text(),
    time_zone=Text(),
    psa_kind=Text(),
    freeze_hours=Text(),
    position=BigInteger(),
    odin_read_at=DateTime(timezone=True),
    psa_read_at=DateTime(timezone=True),
    acts=JSONB(),
)
_NOT_FRESH = text(
    f"""
SELECT c.connection_id AS name FROM setup.connections c
LEFT JOIN reporting.readings r ON r.msp_id = c.msp_id AND r.connection_id = c.connection_id
    AND r.generation = (SELECT reporting.living_generation('readings', :msp_id))
WHERE c.msp_id = :msp_id AND (c.kind = 'odin' OR c.connection_id = :psa_connection_id) AND (
    r.read_at IS NULL
    OR (c.kind = 'odin' AND r.read_at < CAST(:now AS timestamptz) - interval '{FRESH_HOURS} hours')
    OR EXISTS (SELECT FROM reporting.failures f WHERE f.msp_id = c.msp_id
        AND f.generation = (SELECT reporting.living_generation('failures', :msp_id)) AND f.state <> 'closed' AND f.attempts > 0
        AND f.subject = CASE c.kind WHEN 'odin' THEN 'poll/' ELSE 'catalogue/' END || reporting.key_part(c.connection_id)))
UNION ALL
SELECT 'no marketplace connection'
WHERE NOT EXISTS (SELECT FROM setup.connections c WHERE c.msp_id = :msp_id AND c.kind = 'odin')
UNION ALL
SELECT p.consumer FROM reporting.positions p
WHERE p.msp_id = :msp_id AND p.stopped_at IS NOT NULL AND p.consumer = ANY(CAST(:consumers AS text[]))
"""
).columns(name=Text())


@dataclass(frozen=True)
class Asking:
    """The statement, and the values that are the same for every close."""

    statement: Select[Any]
    values: dict[str, Any]


@cache
def asking() -> Asking:
    """One row a check, each with all that is true of the close as a whole."""
    values: dict[str, Any] = {"at": None, "consumers": _consumers()}
    numbers = count()
    found: list[Select[Any]] = [_not_fresh(), _companies(), _agreements()]
    plain = [check for check in CHECKS.values() if check not in (FRESH, COMPANIES, AGREEMENTS)]
    for name in dict.fromkeys(check.report for check in plain):
        checks = [check for check in plain if check.report == name]
        rows = _rows_of(checks)
        for check in checks:
            asked = [(next(numbers), *question) for question in questions(REPORTS[name], check.filter)]
            values |= {f"is_{number}": value for number, _, _, value in asked}
            found.append(_counted(check, rows, [(number, column, word) for number, column, word, _ in asked]))
    about, checks_found = _ABOUT.subquery("about"), union_all(*found).subquery("checks")
    return Asking(select(about, checks_found).select_from(about.join(checks_found, true())), values)


def _consumers() -> list[str]:
    """The read models that the checks are read from, as their positions are named."""
    models = {model.consumer for check in CHECKS.values() for model in models_of(REPORTS[check.report])}
    return sorted(models | {"reporting.readings"})


def _rows_of(checks: Sequence[Check]) -> CTE:
    """The rows of a report that some checks ask, read once, with the columns that they ask for."""
    report = REPORTS[checks[0].report]
    names = {name for c in checks for name in (*c.filter, c.money, c.since, c.next_try) if name}
    shown: list[ColumnElement[Any]] = [literal(1).label("one")]
    for name in sorted(names):
        shown.append(report.columns[name].expression.label(name))
        currency = report.columns[name].currency
        if currency is not None:
            shown.append(currency.label(f"{name}_currency"))
    wanted = report.columns["psa_connection_id"].expression == _PSA if checks[0].of_psa else true()
    return select(*shown).select_from(report.source).where(report.condition, wanted).cte(f"rows_of_{report.name}")


def _counted(check: Check, rows: CTE, asked: Sequence[tuple[int, str, str]]) -> Select[Any]:
    columns = REPORTS[check.report].columns
    conditions = and_(
        true(), *(holds(replace(columns[name], expression=rows.c[name]), word, n) for n, name, word in asked)
    )
    money: ColumnElement[Any] = sql_cast(null(), JSONB)
    if check.money:
        amount, currency = rows.c[check.money], rows.c[f"{check.money}_currency"]
        each = (
            select(currency.label("currency"), func.sum(amount).label("amount"))
            .where(conditions, amount.is_not(None), currency.is_not(None))
            .group_by(currency)
            .subquery()
        )
        money = select(func.jsonb_object_agg(each.c.currency, sql_cast(each.c.amount, Text))).scalar_subquery()
    earliest = [func.min(rows.c[name]) if name else None for name in (check.since, check.next_try)]
    return _told(check, func.count(rows.c.one), money, earliest[0], earliest[1]).select_from(rows).where(conditions)


def _not_fresh() -> Select[Any]:
    sides = _NOT_FRESH.subquery("not_fresh")
    return _listed(FRESH, sides.c.name, sides.c.name, None).select_from(sides)


_TO_BILL = and_(resources.c.usage_based.is_(False), exclusions.c.resource_key.is_(None))


def _companies() -> Select[Any]:
    """Companies that have something to bill, and nothing of all they have is linked. What is excluded is not to be billed."""
    found = (
        select(
            resources.c.company_id.label("id"),
            func.min(resources.c.company_name).label("name"),
            func.min(resources.c.first_seen_at).label("since"),
        )
        .select_from(
            resources.outerjoin(
                exclusions,
                and_(living(exclusions, "resources"), exclusions.c.resource_key == resources.c.resource_key),
            )
        )
        .where(living(resources, "resources"), resources.c.status == "active")
        .group_by(resources.c.connection_id, resources.c.company_id)
        .having(and_(func.count(resources.c.relation_id) == 0, func.bool_or(_TO_BILL)))
        .subquery("companies")
    )
    return _listed(COMPANIES, found.c.id, found.c.name, func.min(found.c.since)).select_from(found)


def _agreements() -> Select[Any]:
    """Agreements that a living resource feeds, and that do not carry it to the month's last day."""
    fed = select(resources.c.psa_agreement_id).where(
        living(resources, "resources"),
        resources.c.status == "active",
        resources.c.psa_connection_id == _PSA,
        resources.c.psa_agreement_id.is_not(None),
    )
    found = (
        select(psa_agreements.c.psa_agreement_id.label("id"), psa_agreements.c.psa_agreement_name.label("name"))
        .where(
            living(psa_agreements, "psa"),
            psa_agreements.c.psa_connection_id == _PSA,
            or_(psa_agreements.c.end_date < bindparam("last_day"), psa_agreements.c.gone),
            psa_agreements.c.psa_agreement_id.in_(fed),
        )
        .subquery("agreements")
    )
    return _listed(AGREEMENTS, found.c.id, found.c.name, None).select_from(found)


def _listed(
    check: Check, ids: ColumnElement[Any], names: ColumnElement[Any], since: ColumnElement[Any] | None
) -> Select[Any]:
    order = func.lower(names).collate("C"), ids
    by_name = [func.array_agg(aggregate_order_by(one, *order), type_=ARRAY(Text))[1:MOST_TOLD] for one in (ids, names)]
    return _told(check, func.count(), sql_cast(null(), JSONB), since, None, *by_name)


def _told(
    check: Check,
    rows: ColumnElement[Any],
    money: ColumnElement[Any],
    oldest_at: ColumnElement[Any] | None,
    next_try_at: ColumnElement[Any] | None,
    *ids_and_names: ColumnElement[Any],
) -> Select[Any]:
    never = sql_cast(null(), DateTime(timezone=True))
    listed: list[ColumnElement[Any]] = [func.coalesce(one, _NOTHING) for one in ids_and_names] or [_NOTHING, _NOTHING]
    return select(
        literal(check.key).label("check"),
        rows.label("rows"),
        money.label("money"),
        (never if oldest_at is None else oldest_at).label("oldest_at"),
        (never if next_try_at is None else next_try_at).label("next_try_at"),
        *(one.label(name) for name, one in zip(("ids", "names"), listed, strict=True)),
    )
