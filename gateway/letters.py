"""(a document, variables) -> nothing, or a refusal when a text in them has NUL: PostgreSQL can hold every letter but that one."""

from typing import Any

from graphql import DocumentNode, StringValueNode, Visitor, visit

from gateway.errors import Refusal

NUL = "\0"


def refuse_nul_in_document(document: DocumentNode) -> None:
    """Refusal BAD_REQUEST."""
    visit(document, _Texts())


def refuse_nul(given: Any) -> None:
    """Refusal BAD_REQUEST. given: what JSON can hold, as deep as it pleases."""
    waiting = [given]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str) and NUL in one:
            raise Refusal("BAD_REQUEST", "A text has the letter NUL, which cannot be kept.", "Take it out.")


class _Texts(Visitor):
    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        refuse_nul(node.value)
