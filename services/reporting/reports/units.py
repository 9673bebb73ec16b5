"""The ledger of a PSA product -> its units on a day: as they were last read, and as we left them."""

from typing import Any, cast

from sqlalchemy import ColumnElement, Date, FromClause, ScalarSelect, Table, and_, case, func, or_, select
from sqlalchemy import cast as sql_cast

from services.reporting.reports.columns import TIME_ZONE, Kind, Order, Report, columns, living, named, of
from services.reporting.tables import ledger, psa_products


def _entries(name: str, product: tuple[ColumnElement[Any], ColumnElement[Any]]) -> tuple[Table, ColumnElement[bool]]:
    """The ledger under another name, and what holds of a product's rows in it. product: connection and product id."""
    named = cast(Table, ledger.alias(name))
    ids = zip((named.c.psa_connection_id, named.c.psa_product_id), product, strict=True)
    return named, and_(living(named, "ledger"), *(here == given for here, given in ids))


def last_read(product: tuple[ColumnElement[Any], ColumnElement[Any]], name: str = "last_read") -> FromClause:
    """units, read_at and day of the newest word on the product's units: a reading, or a post of ours in force by then, which was
    read back. No row until there is one."""
    entry, its = _entries(f"{name}_entry", product)
    told_on = sql_cast(func.timezone(TIME_ZONE, entry.c.told_at), Date)
    day = case((entry.c.kind == "read", entry.c.on_date), else_=told_on)
    newest = (
        select(entry.c.units, entry.c.told_at.label("read_at"), day.label("day"))
        .where(its, or_(entry.c.kind == "read", entry.c.on_date <= told_on))
        .order_by(entry.c.position.desc())
        .limit(1)
    )
    return newest.lateral(name)


def units_left(
    product: tuple[ColumnElement[Any], ColumnElement[Any]], name: str, day: ColumnElement[Any] | None = None
) -> FromClause:
    """units that we know we left on the product on a day (None: once all that we posted is in force), and since, when we last
    said so. The newest word of ours up to that day holds from its own day on; what we had posted before it for days in
    between comes on top. No row while we have said nothing."""
    entry, its = _entries(f"{name}_entry", product)
    by_then = [entry.c.on_date <= day] if day is not None else []
    newest = (
        select(
            (entry.c.units + _posted_for_later(entry, f"{name}_later", day)).label("units"),
            entry.c.told_at.label("since"),
        )
        .where(its, entry.c.kind != "read", *by_then)
        .order_by(entry.c.position.desc())
        .limit(1)
    )
    return newest.lateral(name)


def _posted_for_later(entry: Table, name: str, day: ColumnElement[Any] | None) -> ScalarSelect[Any]:
    """The sum of changes posted before the entry that count from a day after its own, up to the given one."""
    later, its = _entries(name, (entry.c.psa_connection_id, entry.c.psa_product_id))
    by_then = [later.c.on_date <= day] if day is not None else []
    return (
        select(func.coalesce(func.sum(later.c.unit_change), 0))
        .where(its, later.c.position < entry.c.position, later.c.on_date > entry.c.on_date, *by_then)
        .correlate_except(later)
        .scalar_subquery()
    )


_PRODUCT = and_(
    living(psa_products, "psa"),
    psa_products.c.psa_connection_id == ledger.c.psa_connection_id,
    psa_products.c.psa_product_id == ledger.c.psa_product_id,
)
LEDGER = Report(
    "ledger",
    "LedgerEntry",
    "What was said of a PSA product's units, by us and by the PSA: one row for each post, finding and new reading.",
    "ledger",
    ledger.outerjoin(psa_products, _PRODUCT),
    living(ledger, "ledger"),
    columns(
        of(ledger, "position", Kind.POSITION, "The place in the MSP's log where it was said."),
        named(ledger, "psa_connection_id", "psa_product_id"),
        named(
            psa_products,
            "psa_customer_id",
            "psa_customer_name",
            "psa_agreement_id",
            "psa_agreement_name",
            "psa_product_name",
            nullable=True,
        ),
        of(ledger, "kind", Kind.ID, "posted or found_equal by us, or read: what the PSA had."),
        of(ledger, "on_date", Kind.DATE, "The billing day from which (read: on which) the units are those."),
        of(ledger, "units", Kind.WHOLE, "The units."),
        of(ledger, "unit_change", Kind.WHOLE, "By how many a post changed them."),
        of(ledger, "told_at", Kind.MOMENT, "When it was said."),
        of(ledger, "request_id", Kind.ID, "The request of a post or finding."),
    ),
    "position",
    (Order("told_at", descending=True),),
)
