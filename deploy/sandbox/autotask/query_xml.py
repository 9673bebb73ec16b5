"""QueryXML text -> a query: the entity type, a test for its records, and what the test says about ids.

AND binds closer than OR, as in the SQL that Autotask makes of it. A refusal carries the text a client sees.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lxml import etree

from deploy.sandbox.autotask.contracts import Refused
from deploy.sandbox.autotask.entities import EntityType, Field, by_name
from deploy.sandbox.autotask.values import comparable, read_value

MOST_ORS = 500
TOO_MANY_ORS = "Invalid query syntax. Queries are limited to 500 or fewer 'OR' conditions."
NOT_QUERYABLE = "This entity type does not support the query action."
Values = Callable[[Field], Any]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": lambda left, right: left == right,
    "notequal": lambda left, right: left != right,
    "lessthan": lambda left, right: left < right,
    "lessthanorequals": lambda left, right: left <= right,
    "greaterthan": lambda left, right: left > right,
    "greaterthanorequals": lambda left, right: left >= right,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "beginswith": str.startswith,
    "endswith": str.endswith,
    "contains": lambda left, right: right in left,
    "soundslike": lambda left, right: left == right,
    "like": lambda left, right: bool(_like(right).fullmatch(left)),
    "notlike": lambda left, right: not _like(right).fullmatch(left),
}


@dataclass(frozen=True)
class Expression:
    """One expression: field, operator in lower case, value as compared (None for IsNull, IsNotNull and IsThisDay)."""

    field: Field
    operator: str
    value: Any

    def holds(self, values: Values, today: datetime) -> bool:
        """Whether a record with these values passes; a null passes IsNull alone."""
        value = comparable(values(self.field))
        if self.operator in {"isnull", "isnotnull"}:
            return (value is None) == (self.operator == "isnull")
        if value is None:
            return False
        if self.operator == "isthisday":
            return bool(value.date() == today.date())
        return bool((_COMPARE | _TEXT)[self.operator](value, self.value))


@dataclass(frozen=True)
class AnyOf:
    """field equals one of the values: what a long row of ORs comes down to."""

    field: Field
    allowed: frozenset[Any]

    def holds(self, values: Values, _today: datetime) -> bool:
        """Whether a record with these values passes."""
        return comparable(values(self.field)) in self.allowed


@dataclass(frozen=True)
class Either:
    """Alternatives, each of which asks for all of its parts."""

    alternatives: tuple[tuple["Part", ...], ...]

    def holds(self, values: Values, today: datetime) -> bool:
        """Whether a record with these values passes."""
        return any(all(part.holds(values, today) for part in parts) for parts in self.alternatives)


Part = Expression | AnyOf | Either


@dataclass(frozen=True)
class Query:
    """A query on one entity type."""

    entity: EntityType
    test: Part

    def ids_above(self) -> int | None:
        """The greatest n of which the whole query says `id > n`."""
        tests = [each for each in _needed(self.test) if isinstance(each, Expression)]
        return max(
            (each.value for each in tests if each.field.name == "id" and each.operator == "greaterthan"), default=None
        )

    def only(self, field_name: str) -> frozenset[int] | None:
        """The values to which the whole query holds this field; None when it does not."""
        for part in _needed(self.test):
            if isinstance(part, AnyOf) and part.field.name == field_name:
                return part.allowed
            if isinstance(part, Expression) and part.operator == "equals" and part.field.name == field_name:
                return frozenset({part.value})
        return None


def parse_query(text: str) -> Query:
    """The query of this QueryXML; Refused with Autotask's text when it is none."""
    root = _root(text)
    entity_name = (root.findtext("entity") or "").strip()
    entity = by_name(entity_name)
    if entity is None:
        raise Refused(f"The entity type {entity_name or '(none)'} is not valid.")
    if not entity.can_query:
        raise Refused(NOT_QUERYABLE)
    query = root.find("query")
    if query is None:
        raise Refused("Invalid query syntax. The query element is missing.")
    if sum(1 for each in root.iter("condition") if _joins_by_or(each)) > MOST_ORS:
        raise Refused(TOO_MANY_ORS)
    return Query(entity, _group(query, entity))


def entity_name(text: str) -> str:
    """The entity that a QueryXML text names, for limits and counts; empty when it is unreadable."""
    try:
        return (_root(text).findtext("entity") or "").strip()
    except Refused:
        return ""


def _root(text: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True)
    try:
        root = etree.fromstring(text.strip().encode(), parser)
    except etree.XMLSyntaxError as broken:
        raise Refused(f"Invalid query syntax. {broken}") from None
    if root.tag != "queryxml":
        raise Refused("Invalid query syntax. The queryxml element is missing.")
    return root


def _joins_by_or(element: etree._Element) -> bool:
    return (element.get("operator") or "").upper() == "OR"


def _group(element: etree._Element, entity: EntityType) -> Part:
    alternatives: list[list[Part]] = [[]]
    for child in element:
        if alternatives[-1] and _joins_by_or(child):
            alternatives.append([])
        alternatives[-1].append(_part(child, entity))
    return _simplest(alternatives)


def _part(element: etree._Element, entity: EntityType) -> Part:
    if element.tag == "condition":
        return _group(element, entity)
    if element.tag != "field":
        raise Refused(f"Invalid query syntax. {element.tag} is not allowed here.")
    name = (element.text or "").strip()
    field = entity.field(name)
    if field is None or element.get("udf", "").lower() == "true":
        raise Refused(f"Invalid query syntax. {entity.name} has no field {name}.")
    return _simplest([list(_tests(element, field))])


def _tests(element: etree._Element, field: Field) -> Iterator[Part]:
    for expression in element.findall("expression"):
        operator = (expression.get("op") or "").lower()
        if operator in {"isnull", "isnotnull"} or (operator == "isthisday" and field.type == "datetime"):
            yield Expression(field, operator, None)
        elif not _fits(operator, field):
            raise Refused(f"Invalid query syntax. The operator {expression.get('op')} does not fit {field.name}.")
        else:
            yield Expression(field, operator, _value(expression.text or "", field))


def _fits(operator: str, field: Field) -> bool:
    if field.type == "boolean":
        return operator in {"equals", "notequal"}
    return operator in _COMPARE or (operator in _TEXT and field.type == "string")


def _value(text: str, field: Field) -> Any:
    try:
        return comparable(read_value(text, field.type))
    except ValueError as unfit:
        raise Refused(f"Invalid query syntax. {field.name}: {unfit}.") from None


def _simplest(alternatives: list[list[Part]]) -> Part:
    """The same test with fewer parts: 500 ORs of one field are one look into a set."""
    single = [parts[0] for parts in alternatives if len(parts) == 1]
    if len(alternatives) == len(single) == 1:
        return single[0]
    equal = [part for part in single if isinstance(part, Expression) and part.operator == "equals"]
    if len(equal) == len(alternatives) and len({part.field.name for part in equal}) == 1:
        return AnyOf(equal[0].field, frozenset(part.value for part in equal))
    return Either(tuple(tuple(parts) for parts in alternatives))


def _needed(part: Part) -> Iterator[Part]:
    """The parts without which the whole cannot hold."""
    if not isinstance(part, Either):
        yield part
    elif len(part.alternatives) == 1:
        for each in part.alternatives[0]:
            yield from _needed(each)


def _like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE: % is any text, _ any character."""
    return re.compile("".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in pattern), re.DOTALL)
