"""(an MSP, a few letters) -> what is called so: companies, subscriptions, resources, and the PSA's customers, agreements, products.

What has exactly this id, else names that begin with the letters, then names that contain them. Names are walked in an index
from one to the next different one, so a name that stands on a hundred thousand resources costs as much as one that stands on
one. A walk ends when enough is found, and after MOST_NAMES different names in any case; no further kind is walked through once
SECONDS have passed. No extension of PostgreSQL is needed for that: the embedded one has none.

It walks views of the MSP that is named (plumbing/row_security.py): under row security no index on lower(name) is entered.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId
from services.reporting.question import BadQuestion

MOST_FOUND = 50
LONGEST_TEXT = 100
MOST_NAMES = 20_000
SECONDS = 0.5
# Behind every text that begins with what it is put after.
_END = "\U0010ffff"


@dataclass(frozen=True)
class _Kind:
    """How one kind of thing is found. id, name, detail, key: SQL over its view; shared: the view has many rows of one."""

    view: str
    model: str
    connection: str
    id: str
    name: str
    detail: str
    key: str
    shared: bool = False

    @property
    def living(self) -> str:
        """The rows that are read."""
        return f"msp_id = :msp_id AND generation = (SELECT reporting.living_generation('{self.model}', :msp_id))"

    @property
    def lower(self) -> str:
        """The name as it is walked."""
        return f'lower({self.name}) COLLATE "C"'


def _key(*columns: str) -> str:
    return " || '/' || ".join(f"reporting.key_part({column})" for column in ("msp_id", *columns))


FOUND_KINDS: dict[str, _Kind] = {
    "company": _Kind(
        "named_resources",
        "resources",
        "connection_id",
        "company_id",
        "company_name",
        "company_id",
        _key("connection_id", "company_id"),
        shared=True,
    ),
    "psa_customer": _Kind(
        "named_psa_customers",
        "psa",
        "psa_connection_id",
        "psa_customer_id",
        "psa_customer_name",
        "psa_customer_id",
        _key("psa_connection_id", "psa_customer_id"),
    ),
    "subscription": _Kind(
        "named_resources",
        "resources",
        "connection_id",
        "subscription_id",
        "subscription_name",
        "company_name",
        _key("connection_id", "company_id", "subscription_id"),
        shared=True,
    ),
    "psa_agreement": _Kind(
        "named_psa_agreements",
        "psa",
        "psa_connection_id",
        "psa_agreement_id",
        "psa_agreement_name",
        "psa_customer_name",
        _key("psa_connection_id", "psa_agreement_id"),
    ),
    "resource": _Kind(
        "named_resources",
        "resources",
        "connection_id",
        "resource_id",
        "resource_name",
        "company_name || ' › ' || subscription_name",
        "resource_key",
    ),
    "psa_product": _Kind(
        "named_psa_products",
        "psa",
        "psa_connection_id",
        "psa_product_id",
        "psa_product_name",
        "psa_customer_name || ' › ' || psa_agreement_name",
        _key("psa_connection_id", "psa_product_id"),
    ),
}


def find(connection: Connection, msp_id: MspId, wanted: str, first: int) -> list[dict[str, Any]]:
    """At most so many (1 to 50) of {kind, label, detail, id, key}, the nearest first. BadQuestion."""
    wanted = wanted.strip()
    if not 1 <= len(wanted) <= LONGEST_TEXT or "\x00" in wanted:
        raise BadQuestion(f"look for 1 to {LONGEST_TEXT} characters")
    if not 1 <= first <= MOST_FOUND:
        raise BadQuestion(f"ask for 1 to {MOST_FOUND}, not {first}")
    values = {"msp_id": msp_id, "wanted": wanted, "first": first, "end": _END, "most": MOST_NAMES}
    if found := _rows(connection, _WITH_ID, values):
        return found
    found, began = _rows(connection, _BEGINNING, values), time.monotonic()
    for statement in _CONTAINING:
        if len(found) >= first or time.monotonic() - began > SECONDS:
            break
        found += _rows(connection, statement, values)
    nearest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in found:
        # What has another name on some of its rows, such as on one that has ended, is found by both.
        nearest.setdefault((row["kind"], row["key"]), row)
    return list(nearest.values())[:first]


def _rows(connection: Connection, statement: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(text(statement), values).mappings()]


def _together(parts: Iterable[str]) -> str:
    numbered = (f"(SELECT {n} AS place, part.* FROM ({part}) part)" for n, part in enumerate(parts))
    return f"SELECT kind, label, detail, id, key FROM ({' UNION ALL '.join(numbered)}) found ORDER BY place, nth LIMIT :first"


def _shown(name: str, kind: _Kind, nth: str) -> str:
    return f"""'{name}' AS kind, {kind.name} AS label, {kind.detail} AS detail, {kind.id} AS id, {kind.key} AS key,
        {nth} AS nth"""


def _with_id(name: str, kind: _Kind) -> str:
    """Rows with exactly this id. A company's are a stretch of the resources' keys, a subscription's have an index."""
    shown = _shown(name, kind, "1")
    rows = f"FROM reporting.{kind.view} WHERE {kind.living}"
    if name == "resource":
        return f"SELECT {shown} {rows} AND resource_id = :wanted LIMIT :first"
    outside = "autotask" if kind.model == "psa" else "odin"
    here = f"{kind.connection} = c.connection_id AND {kind.id} = :wanted"
    if name == "company":
        begin = " || ".join(f"reporting.key_part({part}) || '/'" for part in (":msp_id", "c.connection_id", ":wanted"))
        here = f"resource_key >= {begin} AND resource_key < {begin} || :end"
    return f"""SELECT its.* FROM setup.connections c CROSS JOIN LATERAL (SELECT {shown} {rows} AND {here} LIMIT 1) its
        WHERE c.msp_id = :msp_id AND c.kind = '{outside}'"""


def _called(name: str, kind: _Kind, *, beginning: bool) -> str:
    """Rows whose name begins with the letters, or contains them further on; names rise."""
    rows = f"FROM reporting.{kind.view} WHERE {kind.living}"
    low, high = ("lower(:wanted)", f"AND {kind.lower} < lower(:wanted) || :end") if beginning else ("''", "")
    return f"""
    WITH RECURSIVE names (name, nth) AS (
        (SELECT {kind.lower}, 1 {rows} AND {kind.lower} >= {low} {high} ORDER BY 1 LIMIT 1)
        UNION ALL
        SELECT next.name, nth + 1 FROM names CROSS JOIN LATERAL
            (SELECT {kind.lower} AS name {rows} AND {kind.lower} > names.name {high} ORDER BY 1 LIMIT 1) next
        WHERE nth < :most
    )
    SELECT its.* FROM (
        SELECT name, nth FROM names {"" if beginning else "WHERE strpos(name, lower(:wanted)) > 1"} LIMIT :first
    ) near CROSS JOIN LATERAL ({_of_one_name(name, kind)}) its LIMIT :first"""


def _of_one_name(name: str, kind: _Kind) -> str:
    shown = _shown(name, kind, "near.nth")
    rows = f"FROM reporting.{kind.view} WHERE {kind.living} AND {kind.lower} = near.name"
    if not kind.shared:
        return f"SELECT {shown} {rows} LIMIT :first"
    its, order = f"{kind.connection}, {kind.id}", "ORDER BY 1, 2 LIMIT 1"
    return f"""
        WITH RECURSIVE each (c, i, kind, label, detail, id, key, nth) AS (
            (SELECT {its}, {shown} {rows} {order})
            UNION ALL
            SELECT next.* FROM each CROSS JOIN LATERAL
                (SELECT {its}, {shown} {rows} AND ({its}) > (each.c, each.i) {order}) next
        ) SELECT kind, label, detail, id, key, nth FROM each LIMIT :first"""


_WITH_ID = _together(_with_id(*each) for each in FOUND_KINDS.items())
_BEGINNING = _together(_called(*each, beginning=True) for each in FOUND_KINDS.items())
# Those with few different names first: their walks are short.
_WALKED = ("subscription", "resource", "company", "psa_customer", "psa_agreement", "psa_product")
_CONTAINING = [_together([_called(name, FOUND_KINDS[name], beginning=False)]) for name in _WALKED]
