"""Whatever went wrong -> what a person may know of it: a code, a message, a fix and an id that leads to the log."""

import logging
import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from graphql import GraphQLError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from plumbing.rpc import ServiceSilent
from services.reporting.queries import BadQuestion

log = logging.getLogger(__name__)
_SUGGESTION = re.compile(r" Did you mean .*$", re.DOTALL)


@dataclass
class Refusal(Exception):
    """A request that is refused. code: for programs; message and fix: for people."""

    code: str
    message: str
    fix: str

    def __str__(self) -> str:
        return self.message


class BadSetup(ValueError):
    """What was given cannot be set up; the message says why and what to give instead."""


def told(error: GraphQLError) -> dict[str, Any]:
    """A GraphQL error as it is answered. What we did not foresee is logged whole and answered by its id only."""
    answer: dict[str, Any] = {"message": _SUGGESTION.sub("", error.message)}
    if error.locations:
        answer["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        answer["path"] = list(error.path)
    error_id = uuid4().hex
    if error.original_error is None:
        refusal = Refusal("BAD_REQUEST", answer["message"], "Compare the request with gateway/schema.graphql.")
    else:
        refusal = _refusal(error.original_error)
        if refusal.code in ("INTERNAL", "UNAVAILABLE"):
            log.error(
                "request failed", extra={"error_id": error_id, "code": refusal.code}, exc_info=error.original_error
            )
    answer["message"] = refusal.message
    answer["extensions"] = {"code": refusal.code, "fix": refusal.fix, "id": error_id}
    return answer


def _refusal(error: BaseException) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if isinstance(error, GraphQLError):
        return Refusal("BAD_REQUEST", _SUGGESTION.sub("", error.message), "Compare it with gateway/schema.graphql.")
    if isinstance(error, BadQuestion):
        return Refusal("BAD_QUESTION", str(error), "Change the filter, order or page that was asked for.")
    return _fault(error)


def _fault(error: BaseException) -> Refusal:
    if isinstance(error, ServiceSilent):
        said = str(error).split(":", maxsplit=1)[0]
        return Refusal(
            "UNAVAILABLE",
            f"{said[:1].upper()}{said[1:]}.",
            "Reports can be read meanwhile. Look at `trueup doctor`, then send the request again with the same operationId.",
        )
    if isinstance(error, OperationalError | InterfaceError | PoolExhausted):
        return Refusal("UNAVAILABLE", "The database does not answer in time.", "Try again soon; look at /healthz.")
    return Refusal("INTERNAL", "Something went wrong here.", "Give the id to the operator: it leads to the log.")
