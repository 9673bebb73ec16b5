"""What may be linked, in mapping's rows -> what to link it with, in the tables that reports read; never linked by itself.

Suggestions are derived: whatever may change them marks the MSP, and the next sweep weighs all of it anew. A sweep that is
disturbed, or done twice, leaves the same rows.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Row, Table, text

from domain.keys import MspId
from plumbing.clock import Clock
from plumbing.upsert import upsert
from services.mapping import tables
from services.mapping.compare_names import Comparing
from services.mapping.suggest_customers import Choice, suggest_customers
from services.mapping.suggest_products import Bought, Customer, Habits, Line, read_offer, suggest_products
from services.mapping.weigh_evidence import ALL

Rows = list[dict[str, Any]]
Company = tuple[str, str]

#: So much of a name is looked at.
LETTERS = 300
_RESOURCES = """
SELECT r.resource_key, r.connection_id, r.company_id, left(r.company_name, :letters) AS company_name, r.subscription_id,
    left(r.subscription_name, :letters) AS subscription_name, r.resource_id,
    left(r.resource_name, :letters) AS resource_name, r.mpn, r.currency,
    NOT r.gone AND NOT r.usage_based AND NOT coalesce(l.live, false) AS is_open,
    max(r.billing_period) OVER (PARTITION BY r.connection_id, r.subscription_id) AS billing_period,
    l.psa_connection_id, l.psa_product_id, l.live
FROM mapping.resources r LEFT JOIN mapping.relations l USING (msp_id, resource_key)
WHERE r.msp_id = :msp_id AND (NOT r.gone OR l.relation_id IS NOT NULL)
ORDER BY r.resource_key
"""
_PRODUCTS = """
SELECT p.psa_connection_id, p.psa_product_id, p.psa_product_name, p.psa_customer_id, p.psa_customer_name, p.psa_agreement_id,
    p.psa_agreement_name, p.period_type, p.currency, p.gone,
    p.active AND coalesce(a.active AND a.recurring AND NOT a.gone AND :today BETWEEN a.start_date AND a.end_date, false) AS runs,
    (SELECT count(*) FROM mapping.relations l WHERE l.msp_id = p.msp_id AND l.psa_connection_id = p.psa_connection_id
        AND l.psa_product_id = p.psa_product_id AND l.live) AS fed_by
FROM mapping.psa_products p LEFT JOIN mapping.psa_agreements a USING (msp_id, psa_connection_id, psa_agreement_id)
WHERE p.msp_id = :msp_id ORDER BY p.psa_connection_id, p.psa_product_id
"""
_CUSTOMERS = """
SELECT psa_connection_id, psa_customer_id, psa_customer_name FROM mapping.psa_customers
WHERE msp_id = :msp_id AND NOT gone ORDER BY psa_connection_id, psa_customer_id
"""


def mark(connection: Connection, msp_id: MspId) -> None:
    """What is suggested to the MSP may be another from now on."""
    connection.execute(
        text(
            """INSERT INTO suggested.weighed AS kept (msp_id, version) VALUES (:msp_id, 1)
               ON CONFLICT (msp_id) DO UPDATE SET version = kept.version + 1"""
        ),
        {"msp_id": msp_id},
    )


_WEIGHED = """
SELECT w.msp_id, w.version, w.weighed_version, w.weighed_on, m.time_zone FROM suggested.weighed w JOIN setup.msps m USING (msp_id)
ORDER BY w.msp_id
"""
_NOTE = "UPDATE suggested.weighed SET weighed_version = :version, weighed_on = :today WHERE msp_id = :msp_id"


def refresh_due(engine: Engine, clock: Clock) -> None:
    """Weighs anew for each MSP that was marked, or for which another day has begun: agreements begin and end. What is marked
    meanwhile stays marked, and the next sweep does it again."""
    with engine.connect() as connection:
        weighed = connection.execute(text(_WEIGHED)).all()
    for row in weighed:
        today = clock.today(row.time_zone)
        if (row.weighed_version, row.weighed_on) == (row.version, today):
            continue
        with engine.begin() as connection:
            values = {"msp_id": row.msp_id, "version": row.version, "today": today}
            # Another replica may be at it: it is done once.
            lock = text("SELECT pg_try_advisory_xact_lock(hashtextextended('suggested/' || :msp_id, 7426))")
            if connection.scalar(lock, values):
                refresh(connection, MspId(row.msp_id), today)
                connection.execute(text(_NOTE), values)


def refresh(connection: Connection, msp_id: MspId, today: date) -> None:
    """Leaves in the tables just what is suggested now. today: the billing day in the MSP's time zone."""
    customers: dict[str, dict[str, str]] = defaultdict(dict)
    for row in connection.execute(text(_CUSTOMERS), {"msp_id": msp_id}):
        customers[row.psa_connection_id][row.psa_customer_id] = row.psa_customer_name
    rows: dict[Table, Rows] = {table: [] for table in _TABLES}
    # Before a PSA was read there is nothing to suggest, however much was bought.
    given = {"msp_id": msp_id, "letters": LETTERS}
    resources = connection.execute(text(_RESOURCES), given).all() if customers else []
    products = connection.execute(text(_PRODUCTS), {"msp_id": msp_id, "today": today}).all() if customers else []
    for psa_connection_id, of_psa in customers.items():
        lines = [row for row in products if row.psa_connection_id == psa_connection_id]
        for table, suggested in _suggested(resources, lines, of_psa).items():
            rows[table] += [{"msp_id": msp_id, "psa_connection_id": psa_connection_id} | row for row in suggested]
    for table, suggested in rows.items():
        upsert(connection, table, suggested)
        _forget_others(connection, table, msp_id, suggested)


_TABLES = (tables.suggested_companies, tables.suggested_subscriptions, tables.suggested_resources)


def _suggested(
    resources: Sequence[Row[Any]], products: Sequence[Row[Any]], names: Mapping[str, str]
) -> dict[Table, Rows]:
    """The rows of each table for one PSA connection."""
    by_product = {row.psa_product_id: row for row in products}
    habits, linked = _learnt(resources, by_product)
    open_of: dict[Company, list[Row[Any]]] = defaultdict(list)
    for row in resources:
        if row.is_open:
            open_of[row.connection_id, row.company_id].append(row)
    lines_of: dict[str, list[Line]] = defaultdict(list)
    for row in products:
        if not row.gone:
            lines_of[row.psa_customer_id].append(_line(row))
    comparing = Comparing(
        {read_offer(r.resource_name) for r in resources} | {read_offer(p.psa_product_name) for p in products}
    )
    found = _companies(open_of, linked, names)
    rows: dict[Table, Rows] = {table: [] for table in _TABLES}
    for company, choice in found.items():
        key = {"connection_id": company[0], "company_id": company[1]}
        chosen = {"psa_customer_id": choice.id, "psa_customer_name": names[choice.id]}
        rows[_TABLES[0]].append(key | chosen | _weighed(choice))
    for company, bought in open_of.items():
        _rest()
        customer_id = linked.get(company) or (found[company].id if company in found else None)
        if customer_id is None or customer_id not in names:
            continue
        score = ALL if company in linked else found[company].score
        customer = Customer(names[customer_id], lines_of[customer_id], score)
        suggested = suggest_products(map(_bought, bought), customer, habits, comparing, _rest)
        agreements = {line.agreement_id: line.agreement_name for line in customer.lines}
        key = {"connection_id": company[0], "company_id": company[1]}
        for subscription_id, choice in suggested.agreements.items():
            chosen = {"psa_agreement_id": choice.id, "psa_agreement_name": agreements[choice.id]}
            rows[_TABLES[1]].append(key | {"subscription_id": subscription_id} | chosen | _weighed(choice))
        for resource_key, choice in suggested.products.items():
            names_of = {name: getattr(by_product[choice.id], name) for name in _PSA_NAMES}
            rows[_TABLES[2]].append({"resource_key": resource_key} | names_of | _weighed(choice))
    return rows


_PSA_NAMES = (
    "psa_customer_id",
    "psa_customer_name",
    "psa_agreement_id",
    "psa_agreement_name",
    "psa_product_id",
    "psa_product_name",
)


def _learnt(resources: Iterable[Row[Any]], products: Mapping[str, Row[Any]]) -> tuple[Habits, dict[Company, str]]:
    """What the relations of this PSA connection teach, and the PSA customer of each company that has one."""
    habits, linked = Habits(), dict[Company, str]()
    for row in resources:
        product = products.get(row.psa_product_id) if row.psa_product_id else None
        if product is None or product.psa_connection_id != row.psa_connection_id:
            continue
        if row.live:
            habits.linked(_bought(row), _line(product))
            linked[row.connection_id, row.company_id] = product.psa_customer_id
        else:
            habits.was_linked(_bought(row), _line(product))
    return habits, linked


def _companies(
    open_of: Mapping[Company, Sequence[Row[Any]]], linked: Mapping[Company, str], customers: Mapping[str, str]
) -> dict[Company, Choice]:
    """A customer belongs to one company of each marketplace connection, so those that are taken there are left out."""
    found: dict[Company, Choice] = {}
    for connection_id in sorted({connection_id for connection_id, _ in open_of}):
        taken = {customer for (connection, _), customer in linked.items() if connection == connection_id}
        free = {customer_id: name for customer_id, name in customers.items() if customer_id not in taken}
        asked = {
            company_id: rows[0].company_name
            for (connection, company_id), rows in open_of.items()
            if connection == connection_id and (connection, company_id) not in linked
        }
        choices = suggest_customers(asked, free, _rest)
        found |= {(connection_id, company_id): choice for company_id, choice in choices.items()}
    return found


def _rest() -> None:
    """Lets the process do what waits meanwhile: answer calls, keep its link to the broker."""
    time.sleep(0)


def _bought(row: Row[Any]) -> Bought:
    return Bought(**{name: row._mapping[name] for name in Bought.__dataclass_fields__})


def _line(row: Row[Any]) -> Line:
    return Line(
        row.psa_product_id,
        row.psa_product_name,
        row.psa_agreement_id,
        row.psa_agreement_name,
        row.period_type,
        row.currency,
        row.runs,
        row.fed_by,
    )


def _weighed(choice: Choice) -> dict[str, Any]:
    evidence = [asdict(one) | {"weight": str(one.weight)} for one in choice.evidence]
    return {"score": choice.score, "evidence": orjson.dumps(evidence).decode()}


def _forget_others(connection: Connection, table: Table, msp_id: MspId, rows: Rows) -> None:
    keys = [column.name for column in table.primary_key if column.name != "msp_id"]
    these = ", ".join(f"CAST(:{name} AS text[])" for name in keys)
    connection.execute(
        text(
            f"""DELETE FROM {table.fullname} WHERE msp_id = :msp_id AND ({", ".join(keys)}) NOT IN (
                SELECT * FROM unnest({these}))"""
        ),
        {"msp_id": msp_id} | {name: [row[name] for row in rows] for name in keys},
    )
