"""(entity, conditions, last id read) -> QueryXML, the text in which Autotask is asked for records."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from lxml import etree

#: Rows in one answer, and values in one condition, that Autotask allows ("QueryXML", "query()" in its help).
PAGE_ROWS = 500
MOST_VALUES = 500

#: Account 0 is a real one: the MSP's own.
BEFORE_ALL_IDS = -1


@dataclass(frozen=True)
class Condition:
    """A field that holds against one of the values, at most 500. op: a word of QueryXML such as "equals"."""

    field: str
    op: str
    values: tuple[str, ...]


def one_of(field: str, values: Sequence[str]) -> Condition:
    """The field equals one of the values."""
    return Condition(field, "equals", tuple(values))


def after(field: str, day: date) -> Condition:
    """The date field lies behind the day's beginning, in whatever zone the server reads it."""
    return Condition(field, "greaterthan", (f"{day.isoformat()}T00:00:00",))


def before(field: str, day: date) -> Condition:
    """The date field lies before the day's beginning, in whatever zone the server reads it."""
    return Condition(field, "lessthan", (f"{day.isoformat()}T00:00:00",))


def query_xml(entity: str, conditions: Sequence[Condition], last_id: int = BEFORE_ALL_IDS) -> str:
    """The query for the records of an entity for which all conditions hold and whose id is greater than last_id.

    The values of one condition stand inside a condition of their own, because an AND after bare ORs may bind to the
    last of them only.
    """
    root = etree.Element("queryxml", version="1.0")
    etree.SubElement(root, "entity").text = entity
    query = etree.SubElement(root, "query")
    for number, condition in enumerate([*conditions, Condition("id", "greaterthan", (str(last_id),))]):
        outer = etree.SubElement(query, "condition", {"operator": "AND"} if number else {})
        _any_of(outer, condition)
    return etree.tostring(root, encoding="unicode")


def _any_of(outer: etree._Element, condition: Condition) -> None:
    if not 0 < len(condition.values) <= MOST_VALUES:
        raise ValueError(f"a condition takes 1 to {MOST_VALUES} values, not {len(condition.values)}")
    alone = len(condition.values) == 1
    for number, value in enumerate(condition.values):
        place = outer if alone else etree.SubElement(outer, "condition", {"operator": "OR"} if number else {})
        field = etree.SubElement(place, "field")
        field.text = condition.field
        etree.SubElement(field, "expression", op=condition.op).text = value
