"""A report or the close -> the read models it shows and the events they come from; a stretch of the log -> what came in it."""

from collections.abc import Mapping
from functools import cache

from sqlalchemy import Connection, text

from domain.keys import MspId
from services.reporting.closing.checks import CHECKS
from services.reporting.projections import READ_MODELS
from services.reporting.reports import REPORTS
from services.reporting.sides import models_of

#: The checklist of a month: no report, but it may be watched like one.
CLOSE = "close"
WATCHED = (*REPORTS, CLOSE)


@cache
def feeds(watched: str) -> Mapping[str, frozenset[str]]:
    """Read model -> types of event, of all that the rows of the report come from. Empty: it does not come from the log."""
    if watched == CLOSE:
        shown = {model for check in CHECKS.values() for model in models_of(REPORTS[check.report])}
        models = [*shown, READ_MODELS["close"], READ_MODELS["readings"]]
    else:
        models = [*models_of(REPORTS[watched])]
    return {model.name: frozenset(model.types) for model in models}


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
