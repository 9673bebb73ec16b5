"""What the house does for an MSP, how far everything is, what waits -> its pulse, for a question and for whoever listens."""

from typing import Any

import anyio.to_thread
import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from gateway.beating import beat
from gateway.schema.context import Context
from gateway.schema.making import chosen, made_type, value_of
from gateway.schema.scalars import DateTime, Position
from services.reporting.queries import Phase, unread

_PHASES = {
    Phase.PAUSED: "A person has paused posting.",
    Phase.FAILING: "A side cannot be reached or read, or a read model has stopped: see failingSince and the report failures.",
    Phase.SYNCING: "ODIN is being polled.",
    Phase.POSTING: "Adjustments are on their way to the PSA.",
    Phase.IDLE: "All is done; the next poll is waited for.",
    Phase.SHADOW: "All is done as in IDLE, and adjustments are planned and shown but not posted.",
}
PulsePhase = graphene.Enum(
    "PulsePhase",
    [(phase.name, phase.value) for phase in _PHASES],
    description=lambda value: (
        _PHASES[Phase(value_of(value))] if value else "What the house does; of several the first that holds."
    ),
)
_MODES = {
    "unattended": "By themselves, but for those that the brake holds.",
    "approve": "Each when a person has approved it.",
    "shadow": "Not at all: they are planned and shown.",
}
PostingMode = graphene.Enum(
    "PostingMode",
    [(mode.upper(), mode) for mode in _MODES],
    description=lambda value: (
        _MODES[value_of(value)] if value else "How adjustments go out where there is no exception."
    ),
)


class ConsumerPulse(graphene.ObjectType):
    """How far one read model is."""

    name = graphene.String(required=True, description="The read model.")
    position = Position(required=True, description="The place in the log up to which it is folded.")
    lag = graphene.Int(required=True, description="How many events it has yet to fold.")
    stopped_at = DateTime(description="Since when it cannot go on.")
    stopped_reason = graphene.String(description="The event that it cannot fold, and why.")


LastPoll = made_type(
    "LastPoll",
    "The poll of ODIN that came to its end last.",
    {
        "completed_at": DateTime(required=True, description="When it ended."),
        "complete": graphene.Boolean(required=True, description="Whether all that it had chosen was read."),
        "subscriptions": graphene.Int(required=True, description="Subscriptions that there were."),
        "changes": graphene.Int(required=True, description="Changes that it found."),
    },
)
CallsLeft = made_type(
    "CallsLeft",
    "Calls left in the longest window of each side: the day of ODIN, the hour of Autotask. Of several connections the fewest.",
    {
        "odin_left": graphene.Int(description="To ODIN; null: there is no such connection."),
        "psa_left": graphene.Int(description="To the PSA; null: there is no such connection."),
    },
)
PostingPause = made_type(
    "PostingPause",
    "The pause of an MSP's posts.",
    {
        "by": graphene.String(required=True, description="Who paused them."),
        "at": DateTime(required=True, description="When."),
        "reason": graphene.String(required=True, description="Why."),
    },
)


class Pulse(graphene.ObjectType):
    """The live state of the house for one MSP."""

    phase = PulsePhase(required=True, description="What it does.")
    done = graphene.Int(description="SYNCING: subscriptions read whole so far by the polls that run; null: not begun.")
    of = graphene.Int(
        description="SYNCING: subscriptions that these polls have chosen to read whole; null: still choosing. "
        "POSTING: adjustments on their way."
    )
    next_poll_at = DateTime(
        description="When the next poll is due; when that is past, it is late. Null: there is no marketplace connection, or "
        "the marketplace refused each."
    )
    last_poll = graphene.Field(LastPoll, description="The poll that ended last; null: there was none.")
    psa_read_at = DateTime(
        description="When the PSA was last read; of several connections the one read longest ago. Null: one never was."
    )
    open = graphene.Int(required=True, description="Requests that are not posted yet, held and failed ones among them.")
    held = graphene.Int(required=True, description="Adjustments that wait to be approved: report heldAdjustments.")
    failed = graphene.Int(required=True, description="What failed: report failures, states open and parked.")
    failing_since = DateTime(description="Since when a side cannot be reached or read; null: both can.")
    unread = graphene.Int(required=True, description="Notifications that whoever asks has not read.")
    calls = graphene.Field(graphene.NonNull(CallsLeft), description="How many calls are left to each side.")
    mode = PostingMode(required=True, description="How adjustments go out.")
    paused = graphene.Field(PostingPause, description="Who paused posting; null: it is not paused.")
    position = Position(required=True, description="The newest place in the MSP's log.")
    recorded_at = DateTime(description="When the newest event was recorded.")
    time_zone = graphene.String(required=True, description="The MSP's time zone, in which its billing days are days.")
    consumers = graphene.Field(
        graphene.NonNull(graphene.List(graphene.NonNull(ConsumerPulse))), description="Every read model."
    )


def pulse_field() -> tuple[Any, Any]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        graphene.NonNull(Pulse),
        msp_id=graphene.String(required=True, description="Whose."),
        description="What the house does, how far it is, what waits, what has stopped.",
    )
    return field, _resolve


async def as_told(found: dict[str, Any], info: GraphQLResolveInfo, msp_id: MspId) -> dict[str, Any]:
    """A pulse for one of those who listen: what they have not read is their own, and looked up only when asked for."""
    context: Context = info.context
    count = await anyio.to_thread.run_sync(_unread, context, msp_id) if "unread" in chosen(info) else 0
    return _answered(found, count)


def _resolve(_root: object, info: GraphQLResolveInfo, msp_id: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        found = beat(connection, MspId(msp_id), context.clock.now())
        if found is None:
            context.refuse_unknown(connection, msp_id)
    assert found is not None  # noqa: S101 refused above
    return _answered(found, _unread(context, MspId(msp_id)) if "unread" in chosen(info) else 0)


def _unread(context: Context, msp_id: MspId) -> int:
    with context.reading(msp_id) as connection:
        return unread(connection, msp_id, context.caller.name).count


def _answered(found: dict[str, Any], unread_count: int) -> dict[str, Any]:
    """In the words of the schema."""
    return {**found, "position": found["head"], "unread": unread_count}
