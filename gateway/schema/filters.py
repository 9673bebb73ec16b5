"""The columns of a report -> the filter that a request may carry; and the filter it carries -> what the read side is asked."""

from typing import Any

import graphene

from gateway.errors import Refusal
from gateway.schema.scalars import Date, DateTime, Decimal, Position
from services.reporting.queries import QUESTIONS, Kind, Report

MOST_LISTED = 200
_WORDS = {
    "in": ("in_", "Is one of these."),
    "not_in": ("not_in", "Is none of these; what has no value is not."),
    "contains": ("contains", "Contains this text, in capitals or not."),
    "gte": ("gte", "Is at least this."),
    "lte": ("lte", "Is at most this."),
    "from": ("from_", "Is this or later."),
    "to": ("to", "Is this or earlier."),
    "is_empty": ("is_empty", "Has no value (true) or has one (false)."),
}
_ATTRIBUTE_WORDS = {attribute: word for word, (attribute, _) in _WORDS.items()}


def filter_of(report: Report) -> Any:
    """The input type that filters the report by any of its columns."""
    fields = {c.name: graphene.InputField(_FILTERS[c.kind], description=c.help) for c in report.columns.values()}
    says = "Which rows; all that is given must hold."
    return type(f"{report.row}Filter", (graphene.InputObjectType,), {"__doc__": says, **fields})


def asked(given: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Column -> question -> value of a filter as it was given. Refusal BAD_QUESTION."""
    found: dict[str, dict[str, Any]] = {}
    for name, questions in (given or {}).items():
        found[name] = {_ATTRIBUTE_WORDS[attribute]: value for attribute, value in (questions or {}).items()}
        if max(len(found[name].get(word) or ()) for word in ("in", "not_in")) > MOST_LISTED:
            raise Refusal("BAD_QUESTION", f"A filter lists at most {MOST_LISTED} values.", "Ask in several requests.")
    return found


def _filter_type(name: str, scalar: Any, words: tuple[str, ...], says: str) -> Any:
    fields: dict[str, Any] = {}
    for word in words:
        attribute, meaning = _WORDS[word]
        kind = (
            graphene.Boolean
            if word == "is_empty"
            else graphene.List(graphene.NonNull(scalar))
            if word in ("in", "not_in")
            else scalar
        )
        fields[attribute] = graphene.InputField(
            kind, name=word if attribute.endswith("_") else None, description=meaning
        )
    return type(name, (graphene.InputObjectType,), {"__doc__": says, **fields})


_FILTERS: dict[Kind, Any] = {}
for _kinds, _name, _scalar, _says in (
    ((Kind.ID, Kind.TEXT), "TextFilter", graphene.String, "Which texts; all that is given must hold."),
    ((Kind.NUMBER, Kind.MONEY), "NumberFilter", Decimal, "Which numbers or amounts; all that is given must hold."),
    ((Kind.WHOLE,), "WholeFilter", graphene.Int, "Which whole numbers; all that is given must hold."),
    ((Kind.POSITION,), "PositionFilter", Position, "Which positions; all that is given must hold."),
    ((Kind.DATE, Kind.DAY), "DateFilter", Date, "Which days; all that is given must hold."),
    ((Kind.MOMENT,), "MomentFilter", DateTime, "Which moments; all that is given must hold."),
    ((Kind.FLAG,), "FlagFilter", graphene.Boolean, "Which of yes and no; all that is given must hold."),
):
    _made = _filter_type(_name, _scalar, QUESTIONS[_kinds[0]], _says)
    _FILTERS.update(dict.fromkeys(_kinds, _made))
