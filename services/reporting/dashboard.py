"""An MSP -> the cards of its first page: how much is unlinked, held, failed, drifting and posted, and which first steps are done.

A card is what its report says of itself under the card's filter, read by the report's own code: there is no second truth.
psa: the PSA connections whose cards they are; None: of all.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import ConnectionId, MspId
from domain.months import Month
from services.reporting.closing.checklist import Checklist, read_checklist
from services.reporting.groups import Grouping, read_groups
from services.reporting.paging import Page, read_page
from services.reporting.question import Question
from services.reporting.reports import REPORTS
from services.reporting.reports.columns import Order

#: Units in the PSA that nobody of us caused. The other kinds are on their way, or not known now.
DRIFTING = ("edited_by_hand", "both", "probable_double_post")
Filter = Mapping[str, Mapping[str, Any]]
Psa = Sequence[str] | None
_ALL: Filter = {}
_STUCK: Filter = {"state": {"in": ["open", "parked"]}}


def unlinked(connection: Connection, msp_id: MspId) -> dict[str, Any]:
    """{rows, price_per_month}: what is bought and billed to nobody."""
    return _totals(connection, "unlinked", msp_id, _ALL)


def held(connection: Connection, msp_id: MspId, psa: Psa) -> dict[str, Any]:
    """{rows, unit_change}: adjustments that wait to be approved."""
    return _totals(connection, "held_adjustments", msp_id, _of(psa))


def failed(connection: Connection, msp_id: MspId, psa: Psa) -> dict[str, Any]:
    """{rows, oldest_at, top_kind}: what failed and is tried again by itself or waits for a person; both are null when nothing
    did. Of one PSA, polls of ODIN are left out."""
    wanted = {**_STUCK, **_of(psa)}
    oldest = Question(wanted, order=[Order("first_failed_at")], first=1, wanted=frozenset({"total_count"}))
    page = read_page(connection, REPORTS["failures"], msp_id, oldest)
    kinds = read_groups(connection, REPORTS["failures"], msp_id, Grouping("kind", wanted, first=1))
    return {
        "rows": page.total_count,
        "oldest_at": page.rows[0]["first_failed_at"] if page.rows else None,
        "top_kind": kinds[0]["key"] if kinds else None,
    }


def drift(connection: Connection, msp_id: MspId, psa: Psa) -> dict[str, Any]:
    """{rows, money_per_month}: products whose units in the PSA nobody of us caused."""
    return _totals(connection, "drift", msp_id, {"kind": {"in": [*DRIFTING]}, **_of(psa)})


def posted(connection: Connection, msp_id: MspId, since: date, psa: Psa) -> dict[str, Any]:
    """{rows, unit_change, prorated_price}: what was posted since a day in the MSP's time zone, that day included. Read from the
    sums of days: as many rows as days, however many adjustments there are."""
    totals = _totals(connection, "days", msp_id, {"day": {"from": since}, **_of(psa, "connection_id")})
    return {
        "rows": int(totals["adjustments"] or 0),
        "unit_change": totals["unit_change"] or 0,
        "prorated_price": totals["prorated_price"],
    }


def close_now(
    connection: Connection, msp_id: MspId, psa_connection_id: ConnectionId, today: date, now: datetime
) -> Checklist | None:
    """The close that is at hand: the month that has ended, while nobody has signed it off and the running one still has days
    to go before it should stand still; else the running one. None: no such PSA connection."""
    running = Month(today.replace(day=1))
    found = read_checklist(connection, msp_id, psa_connection_id, running, now)
    if found is None or found.frozen or _added_on(connection, msp_id, found.time_zone) >= running.first_day:
        return found
    ended = read_checklist(connection, msp_id, psa_connection_id, running.before, now)
    return found if ended is None or ended.standing.signed_off is not None else ended


def first_steps(connection: Connection, msp_id: MspId) -> dict[str, bool]:
    """configure, map, follow: whether both sides are connected, something was ever linked, something was ever posted."""
    kinds = text("SELECT count(DISTINCT kind) FROM setup.connections WHERE msp_id = :msp_id")
    return {
        "configure": (connection.scalar(kinds, {"msp_id": msp_id}) or 0) > 1,
        "map": bool(_page(connection, "relations", msp_id, _ALL).rows),
        "follow": bool(_page(connection, "adjustments", msp_id, _ALL).rows),
    }


def _added_on(connection: Connection, msp_id: MspId, time_zone: str) -> date:
    """The day on which the MSP joined: what was before is not ours to close."""
    found = connection.scalar(
        text("SELECT (added_at AT TIME ZONE :zone)::date FROM setup.msps WHERE msp_id = :msp_id"),
        {"zone": time_zone, "msp_id": msp_id},
    )
    assert isinstance(found, date)  # noqa: S101 the MSP has a close
    return found


def _of(psa: Psa, column: str = "psa_connection_id") -> Filter:
    return {} if psa is None else {column: {"in": [*psa]}}


def _totals(connection: Connection, report: str, msp_id: MspId, wanted: Filter) -> dict[str, Any]:
    totals = _page(connection, report, msp_id, wanted, "totals").totals
    assert totals is not None  # noqa: S101 they were asked for
    return totals


def _page(connection: Connection, name: str, msp_id: MspId, wanted: Filter, *about: str) -> Page:
    report = REPORTS[name]
    question = Question(
        wanted, order=[Order(report.identity)], first=1, columns=(report.identity,), wanted=frozenset(about)
    )
    return read_page(connection, report, msp_id, question)
