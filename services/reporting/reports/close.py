"""Acts at the close -> who accepted an exception, signed a month off, opened it again, invoiced it, when and why."""

from services.reporting.reports.columns import Kind, Order, Report, columns, living, named, of
from services.reporting.tables import close_acts

CLOSE_ACTS = Report(
    "close_acts",
    "CloseAct",
    "What was decided at the close of each month: exceptions accepted, months signed off, opened again and invoiced.",
    "close",
    close_acts,
    living(close_acts, "close"),
    columns(
        of(close_acts, "position", Kind.POSITION, "The place in the MSP's log where it stands."),
        named(close_acts, "psa_connection_id"),
        of(close_acts, "period", Kind.ID, "The month, such as 2018-07."),
        of(close_acts, "act", Kind.ID, "check_accepted, signed_off, reopened or invoiced."),
        of(close_acts, "acted_at", Kind.MOMENT, "When."),
        of(close_acts, "acted_by", Kind.TEXT, "Who."),
        of(close_acts, "check_key", Kind.ID, "The check that was accepted."),
        of(close_acts, "title", Kind.TEXT, "What that check is called."),
        of(close_acts, "rows", Kind.WHOLE, "How many things were accepted as they were."),
        of(close_acts, "exceptions", Kind.WHOLE, "The checks that were not green when it was signed off."),
        of(close_acts, "as_of_position", Kind.POSITION, "The place in the log as of which it was signed off."),
        of(close_acts, "reason", Kind.TEXT, "Why."),
    ),
    "position",
    (Order("position", descending=True),),
)
