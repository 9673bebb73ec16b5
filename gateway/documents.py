"""The text of a request -> a parsed, measured and validated document, kept by its hash so that the work is done once."""

import hashlib
from collections import OrderedDict
from threading import Lock

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    NoSchemaIntrospectionCustomRule,
    parse,
    specified_rules,
    validate,
)

from gateway.errors import Refusal
from gateway.letters import refuse_nul_in_document
from gateway.limits import DEEPEST, MOST_TOKENS, refuse_immodest, refuse_long

KEPT = 500


class Invalid(Exception):
    """The text is no GraphQL, or does not fit the schema."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class Documents:
    """Validated documents, the latest used ones kept. May be shared by threads."""

    def __init__(self, schema: GraphQLSchema, *, introspection: bool) -> None:
        self._schema = schema
        self._rules = [*specified_rules] if introspection else [*specified_rules, NoSchemaIntrospectionCustomRule]
        self._kept: OrderedDict[bytes, DocumentNode] = OrderedDict()
        self._lock = Lock()

    def get(self, text: str) -> DocumentNode:
        """The document; Invalid, or Refusal when it asks for too much."""
        key = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        document = self._validated(text)
        with self._lock:
            self._kept[key] = document
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return document

    def _validated(self, text: str) -> DocumentNode:
        refuse_long(text)
        try:
            document = parse(text, max_tokens=MOST_TOKENS)
        except GraphQLError as error:
            raise Invalid([error]) from error
        except RecursionError:
            raise Refusal(
                "TOO_COMPLEX", f"A request has at most {DEEPEST} levels.", "Ask in several requests."
            ) from None
        refuse_immodest(document)
        refuse_nul_in_document(document)
        errors = validate(self._schema, document, self._rules, max_errors=5)
        if errors:
            raise Invalid(errors)
        return document
