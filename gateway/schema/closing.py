"""The close of a month -> GraphQL: its checklist or record, and what can be decided on it."""

from collections.abc import Callable, Sequence
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.events import CloseCheck as Told
from domain.keys import ConnectionId, MspId
from gateway.closing import NO_SUCH_CONNECTION, Close, Closing
from gateway.errors import Refusal
from gateway.exports.urls import page_of
from gateway.schema.context import Context
from gateway.schema.making import many, value_of
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked
from gateway.schema.psa import Psa, psa_connections
from gateway.schema.scalars import Date, DateTime, Money, Position
from services.reporting.queries import Act, Checklist, State, door_of, read_checklist

_STATES = {
    "open": "Not signed off: the checks are those of now.",
    "signed_off": "The checks are those of its record.",
    "invoiced": "The same, and its invoices were sent.",
}
_CHECK_STATES = {
    State.GREEN: "There are no rows.",
    State.AMBER: "It can be signed off with a reason.",
    State.RED: "It stands in the way of signing off, unless it is accepted with a reason.",
    State.ACCEPTED: "A person accepts it, for as many rows as there were then.",
    State.OPEN: "To be done by hand; stands in the way of nothing.",
}
CloseState = graphene.Enum(
    "CloseState",
    [(name.upper(), name) for name in _STATES],
    description=lambda value: _STATES[value_of(value)] if value else "How a month's close stands.",
)
CheckState = graphene.Enum(
    "CheckState",
    [(state.name, state.value) for state in State],
    description=lambda value: _CHECK_STATES[value_of(value)] if value else "How a check stands.",
)


class CheckLink(graphene.ObjectType):
    """The report that shows the rows of a check."""

    report = graphene.String(required=True, description="The report as it is called in URLs, such as psa-agreements.")
    query = graphene.String(
        required=True, description="Its filter as a page and an export take it, such as f.usageBased=false."
    )


class CloseCheck(graphene.ObjectType):
    """One check of a close, as of now or as it was signed off."""

    key = graphene.String(required=True, description="Its name for programs, such as unlinked.")
    title = graphene.String(required=True, description="What it counts.")
    step = graphene.Int(required=True, description="1 review, 2 add in the PSA, 3 link and confirm, 4 invoice.")
    state = CheckState(required=True, description="How it stands.")
    rows = graphene.Int(required=True, description="How many things are not as they should be.")
    money = graphene.Field(many(Money), description="What they are worth, for the report's period: one a currency.")
    oldest_at = DateTime(description="Since when the oldest is so.")
    next_try_at = DateTime(description="When the next is tried again by itself.")
    names = graphene.Field(many(graphene.String), description="Of companies, agreements and sides: the first 200.")
    read_at = DateTime(description="When the side it speaks of was last read; null: never.")
    link = graphene.Field(
        CheckLink, description="Where its rows are shown, as of the record's position when signed off."
    )
    accepted_by = graphene.String(description="Who accepted it.")
    accepted_at = DateTime(description="When.")
    reason = graphene.String(description="Why.")


class SignedOff(graphene.ObjectType):
    """The sign-off of a month."""

    by = graphene.String(required=True, description="Who signed it off.")
    at = DateTime(required=True, description="When.")
    position = Position(required=True, description="The place in the MSP's log up to which its numbers were folded.")
    exceptions = graphene.Int(required=True, description="The checks that were not green.")
    reason = graphene.String(description="Why it was signed off though some were not.")


class CloseDecision(graphene.ObjectType):
    """Something that a person decided on the whole month."""

    by = graphene.String(required=True, description="Who.")
    at = DateTime(required=True, description="When.")
    reason = graphene.String(description="Why.")


class CloseChecklist(graphene.ObjectType):
    """What must be so before a month may be invoiced, and whether it is; once signed off, what was signed."""

    period = graphene.String(required=True, description="The month, such as 2018-07.")
    psa_connection_id = graphene.String(required=True, description="The PSA connection it is invoiced in.")
    state = CloseState(required=True, description="How it stands.")
    due_on = Date(required=True, description="The first day after the month.")
    freeze_from = DateTime(required=True, description="From when on its numbers should stand still.")
    frozen = graphene.Boolean(required=True, description="Whether that is so now, until it is invoiced.")
    time_zone = graphene.String(required=True, description="The MSP's time zone, in which the month is a month.")
    position = Position(required=True, description="The place in the log up to which its numbers are folded at least.")
    checked_at = DateTime(required=True, description="When its numbers were so.")
    green = graphene.Int(required=True, description="How many checks of steps 1 to 3 are green.")
    amber = graphene.Int(required=True, description="How many are amber.")
    red = graphene.Int(required=True, description="How many are red.")
    accepted = graphene.Int(required=True, description="How many are accepted.")
    checks = graphene.Field(many(CloseCheck), description="The checks, by step.")
    signed_off = graphene.Field(SignedOff, description="Its sign-off; null while it is open.")
    invoiced = graphene.Field(CloseDecision, description="When its invoices were sent; null: not yet.")
    reopened = graphene.Field(CloseDecision, description="When it was last opened again; null: never.")


def _check(told: Told, found: Checklist) -> dict[str, Any]:
    signed = found.standing.signed_off is not None
    door = door_of(told, found.psa_connection_id, found.position if signed else None)
    return {
        "key": told.check,
        **{name: getattr(told, name) for name in ("title", "step", "rows", "oldest_at", "next_try_at", "names")},
        **{name: getattr(told, name) for name in ("read_at", "accepted_by", "accepted_at", "reason")},
        "state": str(told.state),
        "money": [{"amount": one.amount, "currency": one.currency} for one in told.money],
        "link": door and dict(zip(("report", "query"), page_of(door), strict=True)),
    }


def _act(act: Act | None) -> dict[str, Any] | None:
    return {"by": act.by, "at": act.at, "reason": getattr(act.event, "reason", None)} if act else None


def _answer(found: Checklist) -> dict[str, Any]:
    checks = found.checks[:-1]
    signed = _act(found.standing.signed_off)
    return {
        "period": str(found.month),
        "state": found.state,
        **{name: getattr(found, name) for name in ("psa_connection_id", "due_on", "freeze_from", "frozen")},
        **{name: getattr(found, name) for name in ("time_zone", "position", "checked_at")},
        **{
            state.value: sum(one.state == state for one in checks)
            for state in (State.GREEN, State.AMBER, State.RED, State.ACCEPTED)
        },
        "checks": [_check(one, found) for one in found.checks],
        "signed_off": signed and {**signed, "position": found.position, "exceptions": found.exceptions},
        "invoiced": _act(found.standing.invoiced),
        "reopened": _act(found.standing.reopened),
    }


def _resolve(
    _root: object,
    info: GraphQLResolveInfo,
    msp_id: str,
    period: str,
    psa_connection_id: str | None = None,
    context: Any = None,
) -> dict[str, Any]:
    house: Context = info.context
    with house.reading(msp_id) as connection:
        house.refuse_unknown(connection, msp_id)
        if psa_connection_id is None:
            psa_connection_id = _the_only(psa_connections(connection, MspId(msp_id), value_of(context)))
        close = Close.named(msp_id, psa_connection_id, period)
        found = read_checklist(connection, close.msp_id, close.psa_connection_id, close.month, house.clock.now())
    if found is None:
        raise NO_SUCH_CONNECTION
    return _answer(found)


def _the_only(found: Sequence[ConnectionId]) -> ConnectionId:
    if not found:
        raise NO_SUCH_CONNECTION
    if len(found) > 1:
        raise Refusal(
            "WHICH_CONNECTION", f"There are several PSA connections: {', '.join(found)}.", "Say psaConnectionId."
        )
    return found[0]


_CLOSE = {
    **MSP,
    "psa_connection_id": graphene.String(required=True, description="The PSA connection it is invoiced in."),
    "period": graphene.String(required=True, description="The month, such as 2018-07."),
}


def checklist_field() -> tuple[Any, Callable[..., Any]]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        graphene.NonNull(CloseChecklist),
        **_CLOSE
        | {
            "psa_connection_id": graphene.String(description="The PSA connection; by default the only one there is."),
            "context": graphene.Argument(Psa, description="Of which PSA the only one is meant; by default of any."),
        },
        description="May a month be invoiced? What stands in the way, or the record of its sign-off.",
    )
    return field, _resolve


def _done(
    info: GraphQLResolveInfo, given: dict[str, str], row_id: str, act: Callable[[Closing, Close], None]
) -> dict[str, Any]:
    """The outcome of one act; what forbids it is told with the row."""
    operation_id = given["operation_id"]
    _, context = checked(info, given["msp_id"], operation_id, 1)
    close = Close.named(given["msp_id"], given["psa_connection_id"], given["period"])
    try:
        act(Closing(context.engine, context.clock, context.caller.name), close)
    except Refusal as refusal:
        said = {"code": refusal.code, "message": refusal.message, "fix": refusal.fix}
        return {"operation_id": operation_id, "results": [{"id": row_id, "ok": False, "refusal": said}]}
    return {"operation_id": operation_id, "results": [{"id": row_id, "ok": True}]}


def _reason(says: str) -> Any:
    return graphene.String(required=True, description=f"{says} At most 1,000 characters.")


class CloseMutations:
    """What can be decided on a month: four more fields of the root mutation, each answered with one row."""

    accept_check = graphene.Field(
        graphene.NonNull(Outcome),
        **_CLOSE,
        check=graphene.String(required=True, description="The check's key."),
        reason=_reason("Why it is taken as it is."),
        description="Accept a check for this month, for as many rows as it has now; with more it stands as before.",
        **OPERATION,
    )
    sign_off_close = graphene.Field(
        graphene.NonNull(Outcome),
        **_CLOSE,
        reason=graphene.String(default_value="", description="Needed when a check is amber. At most 1,000 characters."),
        description="Sign the month off: its checks as they are now become its record. Red ones stand in the way.",
        **OPERATION,
    )
    reopen_close = graphene.Field(
        graphene.NonNull(Outcome),
        **_CLOSE,
        reason=_reason("Why."),
        description="Open a month again that was signed off; the record stays in the log.",
        **OPERATION,
    )
    mark_invoiced = graphene.Field(
        graphene.NonNull(Outcome),
        **_CLOSE,
        description="Note that the month's invoices were calculated and sent in the PSA.",
        **OPERATION,
    )

    @staticmethod
    def resolve_accept_check(_root: object, info: GraphQLResolveInfo, check: str, reason: str, **given: str) -> Any:
        """Decided on the checklist of now."""
        operation = given["operation_id"]
        return _done(info, given, check, lambda door, close: door.accept_check(close, operation, check, reason))

    @staticmethod
    def resolve_sign_off_close(_root: object, info: GraphQLResolveInfo, reason: str, **given: str) -> Any:
        """Decided on the checklist of now; of two who sign at once one succeeds."""
        operation = given["operation_id"]
        return _done(info, given, given["period"], lambda door, close: door.sign_off(close, operation, reason))

    @staticmethod
    def resolve_reopen_close(_root: object, info: GraphQLResolveInfo, reason: str, **given: str) -> Any:
        """Decided on the month's stream."""
        operation = given["operation_id"]
        return _done(info, given, given["period"], lambda door, close: door.reopen(close, operation, reason))

    @staticmethod
    def resolve_mark_invoiced(_root: object, info: GraphQLResolveInfo, **given: str) -> Any:
        """Decided on the month's stream."""
        operation = given["operation_id"]
        return _done(info, given, given["period"], lambda door, close: door.mark_invoiced(close, operation))
