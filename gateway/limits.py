"""A parsed document -> nothing when it is modest, else a refusal: depth, fields, aliases, repeats, groupings, fragments and their
rounds.

This runs before validation, because the rules of GraphQL itself take time that grows with the square of some of these.
Fragments are measured once each, so a document costs what it is long, not what it unfolds to.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from gateway.errors import Refusal

MOST_TOKENS = 1_000
DEEPEST = 8
MOST_FIELDS = 300
MOST_ALIASES = 20
MOST_LISTS = 5
MOST_REPEATS = 4
MOST_FRAGMENTS = 30
# Each is a pass over all rows of its filter.
MOST_GROUPINGS = 4
_INTROSPECTION = ("__schema", "__type")


# What GraphQL's grammar calls tokens (section 2.1.6 of its specification); a comment is none. A text that does not end is one
# too, so that no place is looked at twice.
_TOKENS = re.compile(
    r'''#[^\n\r]*|("""(?:[^"\\]|\\"""|\\|"(?!""))*(?:""")?|"(?:[^"\\\n\r]|\\.)*"?|[_A-Za-z]\w*|-?\d[\d.eE+-]*|\.\.\.|[^\s,\ufeff])''',
    re.DOTALL | re.ASCII,
)


@dataclass(frozen=True)
class _Size:
    depth: int = 0
    fields: int = 0
    aliases: int = 0
    top: int = 0
    fragments: int = 0
    groupings: int = 0


def refuse_long(text: str) -> None:
    """Refusal TOO_COMPLEX when the text has too many tokens: parsing a thousand of them takes the time of everybody who asks
    for something meanwhile, counting them does not."""
    tokens = sum(1 for token in _TOKENS.findall(text) if token)
    _at_most(MOST_TOKENS, tokens, "tokens")


def refuse_immodest(document: DocumentNode) -> None:
    """Refusal TOO_COMPLEX with the limit that is passed."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    measure = _Measure(fragments)
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) > 1:
        raise _refused("one operation a request", len(operations))
    for operation in operations:
        size = measure.selection(operation.selection_set, ())
        _at_most(DEEPEST, size.depth, "levels")
        _at_most(MOST_FIELDS, size.fields, "fields")
        _at_most(MOST_ALIASES, size.aliases, "aliases")
        _at_most(MOST_LISTS, size.top, "top-level fields")
        _at_most(MOST_GROUPINGS, size.groupings, "groups fields")
        _at_most(MOST_FRAGMENTS, size.fragments, "fragments, each time that one is used")


class _Measure:
    def __init__(self, fragments: dict[str, FragmentDefinitionNode]) -> None:
        self._fragments, self._known = fragments, dict[str, _Size]()

    def selection(self, chosen: SelectionSetNode | None, inside: tuple[str, ...]) -> _Size:
        """The size of a selection with all its fragments unfolded."""
        if chosen is None:
            return _Size()
        names = Counter(s.name.value for s in chosen.selections if isinstance(s, FieldNode) and s.alias is None)
        _at_most(MOST_REPEATS, max(names.values(), default=0), "repeats of one field")
        sizes = [self._one(part, inside) for part in chosen.selections]
        return _Size(
            max((s.depth for s in sizes), default=0),
            sum(s.fields for s in sizes),
            sum(s.aliases for s in sizes),
            sum(s.top for s in sizes),
            sum(s.fragments for s in sizes),
            sum(s.groupings for s in sizes),
        )

    def _one(self, part: object, inside: tuple[str, ...]) -> _Size:
        if isinstance(part, FieldNode):
            if part.name.value in _INTROSPECTION:
                return _Size(1, 1, 0, 1)
            if len(inside) + 1 > 4 * DEEPEST:
                raise _refused(f"{DEEPEST} levels", len(inside))
            below = self.selection(part.selection_set, (*inside, ""))
            return _Size(
                below.depth + 1,
                below.fields + 1,
                below.aliases + (part.alias is not None),
                1,
                below.fragments,
                below.groupings + (part.name.value == "groups"),
            )
        if isinstance(part, InlineFragmentNode):
            return _used(self.selection(part.selection_set, (*inside, "")))
        assert isinstance(part, FragmentSpreadNode)  # noqa: S101 the grammar has no fourth kind
        return self._fragment(part.name.value, inside)

    def _fragment(self, name: str, inside: tuple[str, ...]) -> _Size:
        if name in inside:
            raise Refusal("TOO_COMPLEX", f"The fragment {name} goes round in a circle.", "Take the circle out.")
        if name not in self._fragments:
            return _used(_Size())
        if name not in self._known:
            self._known[name] = self.selection(self._fragments[name].selection_set, (*inside, name))
        return _used(self._known[name])


def _used(size: _Size) -> _Size:
    return replace(size, fragments=size.fragments + 1)


def _at_most(limit: int, found: int, what: str) -> None:
    if found > limit:
        raise _refused(f"{limit} {what}", found)


def _refused(limit: str, found: int) -> Refusal:
    return Refusal("TOO_COMPLEX", f"A request has at most {limit}; this one has {found}.", "Ask in several requests.")
