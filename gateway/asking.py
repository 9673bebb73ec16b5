"""{query, variables, operationName} -> its answer, or its stream of answers. HTTP and WebSocket both ask here."""

import math
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.to_thread
from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    execute_sync,
    get_operation_ast,
    subscribe,
)

from gateway.documents import Documents
from gateway.door import Visit, unauthenticated
from gateway.errors import Refusal, told
from gateway.in_time import ANSWER_SECONDS, answered_by
from gateway.letters import refuse_nul
from gateway.people.callers import NOBODY, Caller
from gateway.people.permissions import OPEN, OWN
from gateway.plain_rows import PlainRows
from gateway.schema import build
from gateway.schema.context import Context
from plumbing.logs import correlated, correlation_id

# Who tries a connection, or has its PSA read, waits for a host that somebody has set, however slow it is: nobody else shall wait
# for it too.
READERS, WRITERS, TESTERS = 12, 4, 4
_TESTS = frozenset({"Mutation.testConnection", "Query.previewPolicies"})
# They change nothing, but ask the services, and the writer the PSA.
_PREVIEWS = {"Query.previewRelations", "Query.previewClear", "Query.previewUndo", "Query.previewDrift"}
# The past may have to be folded first, by a service that may be silent: such a question waits with the writers.
_OF_THE_PAST = re.compile(r"\basOf\s*:")


@dataclass(frozen=True)
class Asked:
    """A request that passed the door. waits: its answer may need another service; tries: or a host that somebody has set."""

    document: DocumentNode
    kind: OperationType
    waits: bool
    tries: bool
    variables: dict[str, Any]
    operation: str | None


class Asking:
    """The schema, its documents and the threads that answer. house: a context without caller and correlation."""

    def __init__(self, house: Context, *, introspection: bool) -> None:
        self._house = house
        self._schema = build()
        self._documents = Documents(self._schema, introspection=introspection)
        self._readers, self._writers = anyio.CapacityLimiter(READERS), anyio.CapacityLimiter(WRITERS)
        self._testers = anyio.CapacityLimiter(TESTERS)

    async def answer(self, body: dict[str, Any], by: Visit) -> dict[str, Any]:
        """The answer to a query or a mutation. Invalid, Refusal."""
        ends_at = time.monotonic() + ANSWER_SECONDS
        asked = await self._taken(body, by.caller)
        if asked.kind is OperationType.SUBSCRIPTION:
            raise Refusal(
                "BAD_REQUEST", "Subscriptions are answered over a WebSocket.", "Connect to this address by one."
            )
        limiter = self._testers if asked.tries else self._writers if asked.waits else self._readers
        with answered_by(math.inf if asked.waits else ends_at):
            return await anyio.to_thread.run_sync(self._executed, asked, self._context(by), limiter=limiter)

    async def stream(self, body: dict[str, Any], by: Visit) -> AsyncIterator[ExecutionResult] | ExecutionResult:
        """The answers to a subscription as they come, or one that says why there are none. Invalid, Refusal."""
        asked = await self._taken(body, by.caller)
        if asked.kind is not OperationType.SUBSCRIPTION:
            raise Refusal("BAD_REQUEST", "Only subscriptions are answered over a WebSocket.", "Send the rest by POST.")
        return await subscribe(
            self._schema,
            asked.document,
            context_value=self._context(by),
            variable_values=asked.variables,
            operation_name=asked.operation,
        )

    def _context(self, by: Visit) -> Context:
        return replace(self._house, caller=by.caller, visit=by, correlation_id=correlation_id())

    async def _taken(self, body: dict[str, Any], by: Caller) -> Asked:
        # Parsing and validating take milliseconds at most (limits.py), but not on the loop that serves everybody.
        return await anyio.to_thread.run_sync(self._asked, body, by, limiter=self._readers)

    def _asked(self, body: dict[str, Any], by: Caller) -> Asked:
        document = self._documents.get(body["query"])
        refuse_nul(body["variables"])
        operation = get_operation_ast(document, body["operationName"])
        if operation is None:
            raise Refusal("BAD_REQUEST", "There is no such operation in the query.", "Correct operationName.")
        names = root_fields(document, operation)
        refuse_strangers(names, by)
        tries, changes = bool(_TESTS & names), operation.operation is OperationType.MUTATION
        waits = changes or tries or bool(names & _PREVIEWS) or bool(_OF_THE_PAST.search(body["query"]))
        return Asked(document, operation.operation, waits, tries, body["variables"], body["operationName"])

    def _executed(self, asked: Asked, context: Context) -> dict[str, Any]:
        with correlated(context.correlation_id):
            result = execute_sync(
                self._schema,
                asked.document,
                context_value=context,
                variable_values=asked.variables,
                operation_name=asked.operation,
                execution_context_class=PlainRows,
            )
            answer: dict[str, Any] = {"data": result.data}
            if result.errors:
                answer["errors"] = [told(error) for error in result.errors]
            return answer


def refuse_strangers(asked: set[str], by: Caller) -> None:
    """Refusal UNAUTHENTICATED when nobody is signed in and something is asked that is not open to all; MUST_CHANGE_PASSWORD
    while the user must choose one. What may be asked of which MSP is judged field by field (schema/guard.py)."""
    if by is not NOBODY and not by.must_change:
        return
    if by is NOBODY and asked - OPEN:
        raise unauthenticated()
    if by.must_change and asked - OPEN - OWN:
        said = "Choose a password of your own first."
        raise Refusal("MUST_CHANGE_PASSWORD", said, "Send changePassword.")


def root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """The root fields that an operation asks for, such as Query.pulse, whatever fragments they stand in."""
    kind = operation.operation.value.capitalize()
    fragments = {each.name.value: each for each in document.definitions if isinstance(each, FragmentDefinitionNode)}
    names: set[str] = set()
    waiting: list[SelectionNode] = list(operation.selection_set.selections)
    seen: set[str] = set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, FieldNode):
            names.add(f"{kind}.{part.name.value}")
        elif isinstance(part, InlineFragmentNode):
            waiting.extend(part.selection_set.selections)
        elif isinstance(part, FragmentSpreadNode) and part.name.value not in seen:
            seen.add(part.name.value)
            waiting.extend(fragments[part.name.value].selection_set.selections)
    return names


def body_of(given: Any) -> dict[str, Any]:
    """{query, variables, operationName} of a request's JSON. Refusal BAD_REQUEST for any other shape."""
    match given:
        case {"query": str(query)} if query.strip():
            variables, operation = given.get("variables"), given.get("operationName")
            if (variables is None or isinstance(variables, dict)) and (operation is None or isinstance(operation, str)):
                return {"query": query, "variables": variables or {}, "operationName": operation}
    raise Refusal("BAD_REQUEST", "A request is one object with query, variables and operationName.", "Send that.")
