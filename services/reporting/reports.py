"""Tables of the read models -> the reports an MSP asks for: their columns, where the rows come from, and what is summed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    FromClause,
    LargeBinary,
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

from services.reporting.tables import (
    adjustments,
    failures,
    generations,
    psa_agreements,
    psa_customers,
    psa_products,
    relations,
    requests,
    resources,
    subscriptions,
)


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
_setup = MetaData(schema="setup")
msps = Table("msps", _setup, TableColumn("msp_id", Text), TableColumn("time_zone", Text))
dead_letters = Table(
    "dead_letters",
    MetaData(schema="queue"),
    TableColumn("number", BigInteger),
    TableColumn("message_id", Text),
    TableColumn("queue", Text),
    TableColumn("cause", Text),
    TableColumn("body", LargeBinary),
    TableColumn("attempts", BigInteger),
    TableColumn("correlation_id", Text),
    TableColumn("died_at", DateTime(timezone=True)),
    TableColumn("returned_at", DateTime(timezone=True)),
)
events = Table(
    "events",
    MetaData(schema="log"),
    TableColumn("msp_id", Text),
    TableColumn("position", BigInteger),
    TableColumn("recorded_at", DateTime(timezone=True)),
)
TIME_ZONE = select(msps.c.time_zone).where(msps.c.msp_id == MSP).scalar_subquery()


def living(table: Table, model: str) -> ColumnElement[bool]:
    """The rows of the MSP in the generation that is read now."""
    generation = select(generations.c.generation).where(generations.c.model == model, generations.c.msp_id == MSP)
    return and_(table.c.msp_id == MSP, table.c.generation == func.coalesce(generation.scalar_subquery(), literal(0)))


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
ODIN = (
    "connection_id",
    "company_id",
    "company_name",
    "subscription_id",
    "subscription_name",
    "resource_id",
    "resource_name",
)
PSA = (
    "psa_connection_id",
    "psa_customer_id",
    "psa_customer_name",
    "psa_agreement_id",
    "psa_agreement_name",
    "psa_product_id",
    "psa_product_name",
)


def _named(table: Table, *names: str, nullable: bool = False) -> list[Column]:
    return [Column(n, Kind.TEXT if n.endswith("_name") else Kind.ID, table.c[n], nullable, HELP[n]) for n in names]


def _of(
    table: Table,
    name: str,
    kind: Kind,
    says: str,
    *,
    as_name: str = "",
    nullable: bool | None = None,
) -> Column:
    column = table.c[name]
    empty = bool(column.nullable) if nullable is None else nullable
    currency = table.c[f"{name}_currency"] if kind is Kind.MONEY else None
    return Column(as_name or name, kind, column, empty, says, currency)


def _columns(*columns: Column | list[Column]) -> dict[str, Column]:
    flat = [c for part in columns for c in (part if isinstance(part, list) else [part])]
    return {column.name: column for column in flat}


def _per_month(name: str, of: str, says: str) -> Column:
    """Count times the money of one unit, brought to one month by the subscription's billing period."""
    amount = func.round(resources.c.count * resources.c[of] / subscriptions.c.billing_months, 2)
    # Without a sum there is no currency either.
    currency = case((amount.is_not(None), resources.c[f"{of}_currency"]))
    return Column(name, Kind.MONEY, amount, nullable=True, help=says, currency=currency)


def _psa_key(table: Table, of: str) -> Column:
    parts = [func.reporting.key_part(part) for part in (table.c.msp_id, table.c.psa_connection_id, table.c[f"{of}_id"])]
    text = parts[0].op("||")(literal("/")).op("||")(parts[1]).op("||")(literal("/")).op("||")(parts[2])
    return Column(f"{of}_key", Kind.ID, text.collate("C"), nullable=False, help="What tells it from all others.")


_BOUGHT = resources.outerjoin(
    subscriptions,
    and_(
        subscriptions.c.msp_id == resources.c.msp_id,
        subscriptions.c.generation == resources.c.generation,
        subscriptions.c.connection_id == resources.c.connection_id,
        subscriptions.c.subscription_id == resources.c.subscription_id,
    ),
)
_RESOURCE = _columns(
    _of(resources, "resource_key", Kind.ID, HELP["resource_key"]),
    _named(resources, *ODIN),
    _of(resources, "status", Kind.ID, "active, or ended when ODIN has it no more."),
    _of(resources, "count", Kind.NUMBER, "Licences. Null when ODIN gives no count, which is not 0."),
    _of(resources, "unit", Kind.TEXT, "What is counted, such as licence or GB."),
    _of(resources, "unit_cost", Kind.MONEY, "What ODIN bills the MSP for one unit and billing period."),
    _of(resources, "unit_price", Kind.MONEY, "What ODIN advises to bill for one unit and billing period."),
    _per_month("cost_per_month", "unit_cost", "Count times unit cost, for one month. Null when a part is unknown."),
    _per_month("price_per_month", "unit_price", "Count times unit price, for one month. Null when a part is unknown."),
    _of(resources, "usage_based", Kind.FLAG, "Billed by use: there is no count to bill, do not link."),
    _of(resources, "mpn", Kind.TEXT, "The manufacturer's part number."),
    _of(resources, "vendor", Kind.TEXT, "Who makes it."),
    _of(subscriptions, "subscription_status", Kind.ID, "The subscription's status in ODIN.", nullable=True),
    _of(subscriptions, "billing_period", Kind.TEXT, "How often ODIN bills it, such as 1 month.", nullable=True),
    _of(subscriptions, "renewal_date", Kind.DATE, "When the subscription renews or ends.", nullable=True),
    _of(subscriptions, "renews", Kind.FLAG, "Whether it renews by itself.", nullable=True),
    _of(resources, "first_seen_at", Kind.MOMENT, "When it was first seen in ODIN."),
    _of(
        resources,
        "read_at",
        Kind.MOMENT,
        "The last reading of ODIN that said something new of it; readings that found nothing new leave no trace here.",
    ),
    _of(resources, "ended_at", Kind.MOMENT, "When it was found ended."),
)
_LINK = _columns(
    _named(resources, "relation_id", *PSA, nullable=True),
    _of(resources, "linked_at", Kind.MOMENT, "When it was linked."),
    _of(resources, "linked_by", Kind.TEXT, "Who linked it."),
)
_LINKED_PRODUCT = and_(
    living(psa_products, "psa"),
    psa_products.c.psa_connection_id == resources.c.psa_connection_id,
    psa_products.c.psa_product_id == resources.c.psa_product_id,
)


def _psa_now(name: str) -> Column:
    """The name as the PSA has it now; until the catalogue was read, as it was when the relation was set."""
    return Column(
        name, Kind.TEXT, func.coalesce(psa_products.c[name], resources.c[name]), nullable=True, help=HELP[name]
    )


_BY_COMPANY = (Order("company_name"), Order("subscription_name"), Order("resource_name"))
_SUMS = ("count", "cost_per_month", "price_per_month")

SUBSCRIPTIONS = Report(
    "subscriptions",
    "Resource",
    "What is bought, for whom, how many: every resource that ODIN has or had, linked or not.",
    "resources",
    _BOUGHT,
    living(resources, "resources"),
    _RESOURCE | _LINK,
    "resource_key",
    _BY_COMPANY,
    _SUMS,
)
UNLINKED = Report(
    "unlinked",
    "UnlinkedResource",
    "What is bought and billed to nobody: active resources without a relation.",
    "resources",
    _BOUGHT,
    and_(living(resources, "resources"), resources.c.relation_id.is_(None), resources.c.status == "active"),
    _RESOURCE,
    "resource_key",
    _BY_COMPANY,
    _SUMS,
)
LINKED = Report(
    "linked",
    "LinkedResource",
    "Resources whose changes post by themselves, with the PSA product they feed.",
    "resources",
    _BOUGHT.outerjoin(psa_products, _LINKED_PRODUCT),
    and_(living(resources, "resources"), resources.c.relation_id.is_not(None)),
    _RESOURCE
    | _LINK
    | _columns(
        *(_psa_now(name) for name in PSA if name.endswith("_name")),
        _of(psa_products, "units", Kind.WHOLE, "The product's units when the PSA was last read.", nullable=True),
        _of(psa_products, "units_read_at", Kind.MOMENT, "When the units were read.", nullable=True),
        _of(psa_products, "period_type", Kind.ID, "The product's billing period in the PSA.", nullable=True),
        _of(
            psa_products,
            "unit_cost",
            Kind.MONEY,
            "The product's unit cost in the PSA.",
            as_name="psa_unit_cost",
            nullable=True,
        ),
        _of(
            psa_products,
            "unit_price",
            Kind.MONEY,
            "The product's unit price in the PSA.",
            as_name="psa_unit_price",
            nullable=True,
        ),
    ),
    "resource_key",
    (Order("psa_customer_name"), Order("psa_agreement_name"), Order("psa_product_name"), Order("resource_name")),
    _SUMS,
)
RELATIONS = Report(
    "relations",
    "Relation",
    "Who linked what to what, when, and when it was cleared: one row for each time a relation was set.",
    "relations",
    relations,
    living(relations, "relations"),
    _columns(
        _of(
            relations, "set_position", Kind.POSITION, "The place in the MSP's log where it was set.", as_name="position"
        ),
        _named(relations, "relation_id", "resource_key", *ODIN, *PSA),
        _of(relations, "state", Kind.ID, "live or cleared."),
        _of(relations, "set_at", Kind.MOMENT, "When it was set."),
        _of(relations, "set_by", Kind.TEXT, "Who set it."),
        _of(relations, "followed_from", Kind.ID, "The subscription whose renewal it followed."),
        _of(relations, "cleared_at", Kind.MOMENT, "When it was cleared."),
        _of(relations, "cleared_by", Kind.TEXT, "Who cleared it."),
        _of(relations, "cleared_reason", Kind.TEXT, "Why it was cleared."),
        _of(relations, "followed_to", Kind.ID, "The subscription that it followed a renewal to."),
    ),
    "position",
    (Order("set_at", descending=True),),
)
ADJUSTMENTS = Report(
    "adjustments",
    "Adjustment",
    "The adjustment log: what was posted to the PSA, proved by reading back.",
    "adjustments",
    adjustments,
    living(adjustments, "adjustments"),
    _columns(
        _of(adjustments, "position", Kind.POSITION, "The place in the MSP's log where it is recorded."),
        _named(adjustments, "request_id", *ODIN, *PSA),
        _of(adjustments, "operation_id", Kind.ID, "The writer's name for this post."),
        _of(
            adjustments,
            "posted_at",
            Kind.DAY,
            "The day it was posted (Adjustment Date), in the MSP's time zone.",
            as_name="adjustment_date",
        ),
        _of(adjustments, "posted_at", Kind.MOMENT, "The moment it was posted."),
        _of(adjustments, "effective_date", Kind.DATE, "The billing day that the PSA counts from."),
        _of(adjustments, "unit_change", Kind.WHOLE, "Units added or, below zero, taken away (Adjustment Amount)."),
        _of(adjustments, "units_before", Kind.WHOLE, "Units on the effective date before it."),
        _of(adjustments, "units_after", Kind.WHOLE, "Units on the effective date after it."),
        _of(adjustments, "unit_cost_before", Kind.MONEY, "The product's unit cost before it."),
        _of(adjustments, "unit_cost_after", Kind.MONEY, "The product's unit cost after it."),
        _of(adjustments, "prorated_cost", Kind.MONEY, "Our reckoning of its cost for the rest of that period."),
        _of(adjustments, "prorated_price", Kind.MONEY, "Our reckoning of what is billed for the rest of that period."),
        _of(adjustments, "proof", Kind.ID, "How it was proved."),
        _of(adjustments, "attempt", Kind.WHOLE, "The try that went through."),
        _of(adjustments, "completes_request", Kind.FLAG, "Whether the request was done with it."),
    ),
    "position",
    (Order("adjustment_date", descending=True),),
    ("unit_change", "prorated_cost", "prorated_price"),
)
REQUESTS = Report(
    "requests",
    "Request",
    "What was asked of the PSA's units and how far each request has come.",
    "adjustments",
    requests,
    living(requests, "adjustments"),
    _columns(
        _of(requests, "request_id", Kind.ID, "The request."),
        _named(requests, *ODIN, *PSA),
        _of(requests, "target_units", Kind.WHOLE, "The units the product shall have."),
        _of(requests, "target_unit_cost", Kind.MONEY, "The unit cost it shall have; null: as it is."),
        _of(requests, "reason", Kind.TEXT, "Why it was asked."),
        _of(requests, "requested_at", Kind.MOMENT, "When it was asked."),
        _of(requests, "state", Kind.ID, "open, posted, found_equal or superseded."),
        _of(requests, "posted_at", Kind.MOMENT, "When its last adjustment was posted."),
        _of(requests, "found_equal_at", Kind.MOMENT, "When the PSA was found to have the units already."),
        _of(requests, "superseded_at", Kind.MOMENT, "When it gave way to another, or to none."),
        _of(requests, "superseded_by", Kind.ID, "The request it gave way to."),
    ),
    "request_id",
    (Order("requested_at", descending=True),),
)
FAILURES = Report(
    "failures",
    "Failure",
    "The failure log: what did not work, why, what to do, and how it ended.",
    "failures",
    failures,
    and_(living(failures, "failures"), failures.c.attempts > 0),
    _columns(
        _of(failures, "failure_id", Kind.ID, "The failure."),
        _of(failures, "subject", Kind.ID, "adjustment, or poll/…, catalogue/…, plan/… with what failed."),
        _of(failures, "request_id", Kind.ID, "The request of an adjustment that failed."),
        _named(failures, *ODIN, *PSA, nullable=True),
        _of(failures, "target_units", Kind.WHOLE, "The units the product shall have."),
        _of(
            failures,
            "kind",
            Kind.ID,
            "unreachable, rate_limited, unauthorised, rejected, outcome_unknown, ...",
            nullable=False,
        ),
        _of(failures, "message", Kind.TEXT, "What went wrong (Error Message).", nullable=False),
        _of(failures, "fix", Kind.TEXT, "What to do.", nullable=False),
        _of(failures, "attempts", Kind.WHOLE, "How often it failed."),
        _of(failures, "first_failed_at", Kind.MOMENT, "When it failed first.", nullable=False),
        _of(failures, "last_failed_at", Kind.MOMENT, "When it failed last.", nullable=False),
        _of(failures, "next_try_at", Kind.MOMENT, "When it is tried again by itself."),
        _of(failures, "state", Kind.ID, "open (tried again by itself), parked (waits for a person) or closed."),
        _of(failures, "closed_at", Kind.MOMENT, "When it ended."),
        _of(failures, "closed_by", Kind.ID, "posted, found_equal, superseded, withdrawn or went well."),
    ),
    "failure_id",
    (Order("first_failed_at", descending=True),),
)
PSA_CUSTOMERS = Report(
    "psa_customers",
    "PsaCustomer",
    "The PSA's customers as last seen.",
    "psa",
    psa_customers,
    living(psa_customers, "psa"),
    _columns(
        _psa_key(psa_customers, "psa_customer"),
        _named(psa_customers, "psa_customer_id", "psa_connection_id", "psa_customer_name"),
        _of(psa_customers, "contact", Kind.TEXT, "Whom to ask there."),
        _of(psa_customers, "active", Kind.FLAG, "Whether the PSA has it as active."),
        _of(psa_customers, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        _of(psa_customers, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
    ),
    "psa_customer_key",
    (Order("psa_customer_name"),),
)
PSA_AGREEMENTS = Report(
    "psa_agreements",
    "PsaAgreement",
    "The PSA's agreements as last seen (Autotask: contracts).",
    "psa",
    psa_agreements,
    living(psa_agreements, "psa"),
    _columns(
        _psa_key(psa_agreements, "psa_agreement"),
        _named(
            psa_agreements,
            "psa_agreement_id",
            "psa_connection_id",
            "psa_agreement_name",
            "psa_customer_id",
            "psa_customer_name",
        ),
        _of(psa_agreements, "description", Kind.TEXT, "What the PSA says of it."),
        _of(psa_agreements, "active", Kind.FLAG, "Whether the PSA has it as active."),
        _of(psa_agreements, "recurring", Kind.FLAG, "Only a recurring one can carry counted products."),
        _of(psa_agreements, "start_date", Kind.DATE, "Its first day."),
        _of(psa_agreements, "end_date", Kind.DATE, "Its last day."),
        _of(psa_agreements, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        _of(psa_agreements, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
    ),
    "psa_agreement_key",
    (Order("psa_customer_name"), Order("psa_agreement_name")),
)
PSA_PRODUCTS = Report(
    "psa_products",
    "PsaProduct",
    "The PSA's products as last seen (Autotask: contract services), with units, cost and price.",
    "psa",
    psa_products,
    living(psa_products, "psa"),
    _columns(
        _psa_key(psa_products, "psa_product"),
        _named(psa_products, *PSA),
        _of(psa_products, "vendor", Kind.TEXT, "Who makes it."),
        _of(psa_products, "period_type", Kind.ID, "Its billing period."),
        _of(psa_products, "active", Kind.FLAG, "Whether the PSA has it as active."),
        _of(psa_products, "unit_cost", Kind.MONEY, "Cost of one unit and billing period."),
        _of(psa_products, "unit_price", Kind.MONEY, "Price of one unit and billing period."),
        _of(psa_products, "units", Kind.WHOLE, "Its units when they were last read."),
        _of(psa_products, "units_on_date", Kind.DATE, "The day that the units are those of."),
        _of(psa_products, "units_read_at", Kind.MOMENT, "When the units were read."),
        _of(psa_products, "gone", Kind.FLAG, "Whether it is no longer in the PSA."),
        _of(psa_products, "observed_at", Kind.MOMENT, "When it was last seen with a change."),
    ),
    "psa_product_key",
    (Order("psa_customer_name"), Order("psa_agreement_name"), Order("psa_product_name")),
)
DEAD_LETTERS = Report(
    "dead_letters",
    "DeadLetter",
    "Messages that were given up, of the whole installation: a broken one may not even say whose it is.",
    "",
    dead_letters,
    literal(value=True).is_(True),
    _columns(
        _of(dead_letters, "number", Kind.POSITION, "Its number.", nullable=False),
        _of(dead_letters, "message_id", Kind.ID, "The message."),
        _of(dead_letters, "queue", Kind.ID, "The queue it came from.", nullable=False),
        _of(dead_letters, "cause", Kind.TEXT, "Why it was given up.", nullable=False),
        Column(
            "body",
            Kind.TEXT,
            func.encode(func.substring(dead_letters.c.body, 1, 2000), "escape"),
            nullable=False,
            help="Its first 2,000 bytes; what is not plain text is written as \\ooo.",
        ),
        _of(dead_letters, "attempts", Kind.WHOLE, "How often it was tried.", nullable=False),
        _of(dead_letters, "correlation_id", Kind.ID, "Where it stands in the logs."),
        _of(dead_letters, "died_at", Kind.MOMENT, "When it was given up.", nullable=False),
        _of(dead_letters, "returned_at", Kind.MOMENT, "When a person sent it back to its queue."),
    ),
    "number",
    (Order("died_at", descending=True),),
)
REPORTS: dict[str, Report] = {
    report.name: report
    for report in (
        SUBSCRIPTIONS,
        LINKED,
        UNLINKED,
        ADJUSTMENTS,
        REQUESTS,
        FAILURES,
        RELATIONS,
        PSA_CUSTOMERS,
        PSA_AGREEMENTS,
        PSA_PRODUCTS,
        DEAD_LETTERS,
    )
}


def shown(column: Column) -> ColumnElement[Any]:
    """The expression of a column as it is shown."""
    if column.kind is Kind.DAY:
        return cast(func.timezone(TIME_ZONE, column.expression), Date)
    return column.expression
