"""Relations -> who linked what to what, and when."""

from services.reporting.reports.columns import Kind, Order, Report, columns, living, named, of
from services.reporting.tables import ODIN_NAMES, PSA_NAMES, relations

RELATIONS = Report(
    "relations",
    "Relation",
    "Who linked what to what, when, and when it was cleared: one row for each time a relation was set.",
    "relations",
    relations,
    living(relations, "relations"),
    columns(
        of(
            relations, "set_position", Kind.POSITION, "The place in the MSP's log where it was set.", as_name="position"
        ),
        named(relations, "relation_id", "resource_key", *ODIN_NAMES, *PSA_NAMES),
        of(relations, "state", Kind.ID, "live or cleared."),
        of(relations, "set_at", Kind.MOMENT, "When it was set."),
        of(relations, "set_by", Kind.TEXT, "Who set it."),
        of(relations, "followed_from", Kind.ID, "The subscription whose renewal it followed."),
        of(relations, "cleared_at", Kind.MOMENT, "When it was cleared."),
        of(relations, "cleared_by", Kind.TEXT, "Who cleared it."),
        of(relations, "cleared_reason", Kind.TEXT, "Why it was cleared."),
        of(relations, "followed_to", Kind.ID, "The subscription that it followed a renewal to."),
    ),
    "position",
    (Order("set_at", descending=True),),
)
