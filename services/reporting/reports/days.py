"""Days -> how much was posted and how much changed, by day or, grouped, by week and month."""

from sqlalchemy import case, func, literal

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, of
from services.reporting.tables import days

_CURRENCY = case((days.c.currency != "", days.c.currency))


def _money(name: str, says: str) -> Column:
    return Column(name, Kind.MONEY, days.c[name], nullable=True, help=says, currency=_CURRENCY)


DAYS = Report(
    "days",
    "DaySums",
    "What was posted and what changed in ODIN, summed by day of the MSP's time zone, connection and currency; grouped by day "
    "with the step MONTH, by month.",
    "days",
    days,
    living(days, "days"),
    columns(
        Column(
            "day_key",
            Kind.ID,
            days.c.connection_id.op("||")(literal("/"))
            .op("||")(func.to_char(days.c.day, "YYYY-MM-DD"))
            .op("||")(literal("/"))
            .op("||")(days.c.currency)
            .collate("C"),
            nullable=False,
            help="What tells the row from all others.",
        ),
        of(days, "day", Kind.DATE, "The day it happened, in the MSP's time zone."),
        of(days, "connection_id", Kind.ID, "Where: a PSA connection for posts, a marketplace connection for changes."),
        Column("currency", Kind.ID, _CURRENCY, nullable=True, help="Of its money; null where no money is known."),
        of(days, "adjustments", Kind.NUMBER, "Adjustments posted; each counts once, in the currency of its price."),
        of(days, "units_up", Kind.NUMBER, "Units added by them."),
        of(days, "units_down", Kind.NUMBER, "Units taken away by them."),
        Column(
            "unit_change",
            Kind.NUMBER,
            days.c.units_up - days.c.units_down,
            nullable=False,
            help="Units added less units taken away.",
        ),
        _money("prorated_cost", "Our reckoning of their cost for the rest of their billing periods."),
        _money("prorated_price", "Our reckoning of what is billed for them for the rest of their billing periods."),
        of(days, "count_changes", Kind.NUMBER, "Changes of counts in ODIN."),
        of(days, "resources_found", Kind.NUMBER, "Resources that were found in ODIN, anew or again."),
        of(days, "resources_gone", Kind.NUMBER, "Resources that were found ended."),
    ),
    "day_key",
    (Order("day", descending=True), Order("connection_id")),
    (
        "adjustments",
        "units_up",
        "units_down",
        "unit_change",
        "prorated_cost",
        "prorated_price",
        "count_changes",
        "resources_found",
        "resources_gone",
    ),
)
