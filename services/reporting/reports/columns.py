"""What a report is: columns over the tables of read models, where its rows come from, and what is summed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    FromClause,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy import Column as TableColumn
from sqlalchemy.types import Date

from services.reporting.tables import generations, sides


class Kind(StrEnum):
    """What a column holds: says how it is filtered, ordered and written."""

    ID = "id"
    TEXT = "text"
    NUMBER = "number"
    WHOLE = "whole"
    POSITION = "position"  # a whole number that may pass 32 bits
    MONEY = "money"
    DATE = "date"
    MOMENT = "moment"
    DAY = "day"  # a moment, shown and filtered as the day it was in the MSP's time zone
    FLAG = "flag"


@dataclass(frozen=True)
class Column:
    """One column of a report. expression: an amount for money, a moment for a day; help: what it says, for the schema."""

    name: str
    kind: Kind
    expression: ColumnElement[Any]
    nullable: bool
    help: str
    currency: ColumnElement[Any] | None = None


@dataclass(frozen=True)
class Order:
    """One key of an order."""

    name: str
    descending: bool = False


@dataclass(frozen=True)
class Report:
    """Rows of one kind. identity: the column that tells rows apart and ends every order; model: the read model whose
    position says how new the rows are ("": none); summed: columns that totals may add up."""

    name: str
    row: str
    help: str
    model: str
    source: FromClause
    condition: ColumnElement[bool]
    columns: Mapping[str, Column]
    identity: str
    order: tuple[Order, ...]
    summed: tuple[str, ...] = field(default=())


MSP: ColumnElement[Any] = bindparam("msp_id", type_=String)
# The position that a report is asked as of; null: as it is now.
AT: ColumnElement[Any] = cast(bindparam("at", value=None, type_=BigInteger), BigInteger)
_setup = MetaData(schema="setup")
msps = Table("msps", _setup, TableColumn("msp_id", Text), TableColumn("time_zone", Text))
events = Table(
    "events",
    MetaData(schema="log"),
    TableColumn("msp_id", Text),
    TableColumn("position", BigInteger),
    TableColumn("recorded_at", DateTime(timezone=True)),
)
TIME_ZONE = select(msps.c.time_zone).where(msps.c.msp_id == MSP).scalar_subquery()


def living(table: FromClause, model: str) -> ColumnElement[bool]:
    """The rows of the MSP in the generation that is read: the living one, or the side at the position asked for. It is asked
    for in a query of its own: under row security no index is entered by what may call a function, and coalesce may."""
    now = select(generations.c.generation).where(generations.c.model == model, generations.c.msp_id == MSP)
    then = select(sides.c.generation).where(
        sides.c.model == model, sides.c.msp_id == MSP, sides.c.position == AT, sides.c.folded == sides.c.position
    )
    generation = case((AT.is_(None), func.coalesce(now.scalar_subquery(), literal(0))), else_=then.scalar_subquery())
    return and_(table.c.msp_id == MSP, table.c.generation == select(generation).scalar_subquery())


HELP = {
    "connection_id": "The marketplace connection it was read through.",
    "company_id": "The company's id in ODIN (ODIN Account ID).",
    "company_name": "The company's name in ODIN.",
    "subscription_id": "The subscription's id in ODIN.",
    "subscription_name": "The subscription's name in ODIN.",
    "resource_id": "The resource's id in ODIN; the same id stands on many subscriptions.",
    "resource_name": "The resource's name in ODIN.",
    "resource_key": "What tells this resource from all others: MSP, connection, company, subscription and resource id.",
    "psa_connection_id": "The PSA connection.",
    "psa_customer_id": "The customer's id in the PSA.",
    "psa_customer_name": "The customer's name in the PSA.",
    "psa_agreement_id": "The agreement's id in the PSA (Autotask: contract).",
    "psa_agreement_name": "The agreement's name in the PSA.",
    "psa_product_id": "The product's id in the PSA (Autotask: contract service).",
    "psa_product_name": "The product's name in the PSA.",
    "relation_id": "The relation between resource and PSA product.",
    "request_id": "The request that it belongs to.",
}


def named(table: Table, *names: str, nullable: bool = False) -> list[Column]:
    """Ids and names that many reports show, with the words that all of them use."""
    return [Column(n, Kind.TEXT if n.endswith("_name") else Kind.ID, table.c[n], nullable, HELP[n]) for n in names]


def of(
    table: Table,
    name: str,
    kind: Kind,
    says: str,
    *,
    as_name: str = "",
    nullable: bool | None = None,
) -> Column:
    """A column of the table as it is; nullable unless said otherwise when the table's is."""
    column = table.c[name]
    empty = bool(column.nullable) if nullable is None else nullable
    currency = table.c[f"{name}_currency"] if kind is Kind.MONEY else None
    return Column(as_name or name, kind, column, empty, says, currency)


def columns(*columns: Column | list[Column]) -> dict[str, Column]:
    """By name, in the order in which they are shown."""
    flat = [c for part in columns for c in (part if isinstance(part, list) else [part])]
    return {column.name: column for column in flat}


def psa_key(table: Table, of: str) -> Column:
    """The key of a PSA record, such as psa_customer: MSP, connection and id."""
    parts = [func.reporting.key_part(part) for part in (table.c.msp_id, table.c.psa_connection_id, table.c[f"{of}_id"])]
    text = parts[0].op("||")(literal("/")).op("||")(parts[1]).op("||")(literal("/")).op("||")(parts[2])
    return Column(f"{of}_key", Kind.ID, text.collate("C"), nullable=False, help="What tells it from all others.")


def shown(column: Column) -> ColumnElement[Any]:
    """The expression of a column as it is shown."""
    if column.kind is Kind.DAY:
        return cast(func.timezone(TIME_ZONE, column.expression), Date)
    return column.expression
