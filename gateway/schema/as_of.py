"""The argument asOf, a past day or a place in the log -> the position up to which is read."""

from datetime import date
from typing import Any

import graphene
from graphql import GraphQLError
from sqlalchemy import Connection

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.schema.context import Context
from gateway.schema.scalars import Text
from services.reporting.queries import has_side, position_at_end_of


class Past(Text):
    """A past day such as "2018-07-24", meant at its end in the MSP's time zone, or a place in the MSP's log such as "1041"."""

    @staticmethod
    def serialize(value: Any) -> str:
        """As it is written."""
        return str(value)

    @staticmethod
    def parse_value(value: Any) -> date | int:
        """The day or the position in a string."""
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 18:
            return int(value)
        try:
            return date.fromisoformat(value)
        except (ValueError, TypeError):
            raise GraphQLError('asOf is a day such as "2018-07-24" or a place in the log such as "1041"') from None


def as_of_argument() -> Any:
    """The argument, for every field that reads one MSP."""
    return graphene.Argument(
        Past, description="As of the end of a past day, or of a place in the log; by default as of now."
    )


def position_of(connection: Connection, msp_id: MspId, wanted: date | int | None) -> int | None:
    """The position that is meant; None: now. UnknownMsp."""
    return position_at_end_of(connection, msp_id, wanted) if isinstance(wanted, date) else wanted


def past_position(context: Context, msp_id: str, report: str, wanted: date | int | None) -> int | None:
    """The position as of which the report can be read from now on, its side made where there was none; None: now. Refusal
    NO_SUCH_MSP, or BAD_QUESTION when it has no such past; ServiceSilent."""
    if wanted is None:
        return None
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        at = position_of(connection, MspId(msp_id), wanted)
        assert at is not None  # noqa: S101 something was wanted
        there = has_side(connection, MspId(msp_id), report, at)
    if not there:
        answer = context.ask("reporting", "side", msp_id=msp_id, report=report, position=at)
        if answer["refusal"]:
            raise Refusal("BAD_QUESTION", answer["refusal"], "Ask as of another day or place in the log.")
    return at
