"""A report -> the read models it shows and the events they are folded from; a stretch of the log -> what came in it."""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Connection, text

from domain.keys import MspId
from services.reporting.reports import REPORTS
from services.reporting.sides import models_of


@cache
def feeds(report: str) -> Mapping[str, frozenset[str]]:
    """Read model -> types of event, of all that the rows of the report come from. Empty: it does not come from the log."""
    return {model.name: frozenset(model.types) for model in models_of(REPORTS[report])}


def newest_of_types(connection: Connection, msp_id: MspId, after: int, upto: int) -> dict[str, int]:
    """Type -> its newest position among the events of the MSP at (after, upto]."""
    rows = connection.execute(
        text(
            """SELECT type, max(position) FROM log.events
               WHERE msp_id = :msp_id AND position > :after AND position <= :upto GROUP BY type"""
        ),
        {"msp_id": msp_id, "after": after, "upto": upto},
    )
    return {row[0]: row[1] for row in rows}
