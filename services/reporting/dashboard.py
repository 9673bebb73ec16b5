"""An MSP -> the cards of its first page: how much is unlinked, held, failed, drifting and posted, and which first steps are done.

A card is what its report says of itself under the card's filter, read by the report's own code: there is no second truth.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy import Connection, text

from domain.keys import MspId
from services.reporting.groups import Grouping, read_groups
from services.reporting.paging import Page, read_page
from services.reporting.question import Question
from services.reporting.reports import REPORTS
from services.reporting.reports.columns import Order

#: Units in the PSA that nobody of us caused. The other kinds are on their way, or not known now.
DRIFTING = ("edited_by_hand", "both", "probable_double_post")
Filter = Mapping[str, Mapping[str, Any]]
_ALL: Filter = {}
_TRIED_AGAIN: Filter = {"state": {"in": ["open"]}}


def unlinked(connection: Connection, msp_id: MspId) -> dict[str, Any]:
    """{rows, price_per_month}: what is bought and billed to nobody."""
    return _totals(connection, "unlinked", msp_id, _ALL)


def held(connection: Connection, msp_id: MspId) -> dict[str, Any]:
    """{rows, unit_change}: adjustments that wait for a person."""
    return _totals(connection, "held_adjustments", msp_id, _ALL)


def failed(connection: Connection, msp_id: MspId) -> dict[str, Any]:
    """{rows, oldest_at, top_kind}: what failed and is tried again by itself; both are null when nothing did."""
    oldest = Question(_TRIED_AGAIN, order=[Order("first_failed_at")], first=1, wanted=frozenset({"total_count"}))
    page = read_page(connection, REPORTS["failures"], msp_id, oldest)
    kinds = read_groups(connection, REPORTS["failures"], msp_id, Grouping("kind", _TRIED_AGAIN, first=1))
    return {
        "rows": page.total_count,
        "oldest_at": page.rows[0]["first_failed_at"] if page.rows else None,
        "top_kind": kinds[0]["key"] if kinds else None,
    }


def drift(connection: Connection, msp_id: MspId) -> dict[str, Any]:
    """{rows, money_per_month}: products whose units in the PSA nobody of us caused."""
    return _totals(connection, "drift", msp_id, {"kind": {"in": [*DRIFTING]}})


def posted(connection: Connection, msp_id: MspId, since: date) -> dict[str, Any]:
    """{rows, unit_change, prorated_price}: what was posted since a day in the MSP's time zone, that day included."""
    return _totals(connection, "adjustments", msp_id, {"adjustment_date": {"from": since}})


def first_steps(connection: Connection, msp_id: MspId) -> dict[str, bool]:
    """configure, map, follow: whether both sides are connected, something was ever linked, something was ever posted."""
    kinds = text("SELECT count(DISTINCT kind) FROM setup.connections WHERE msp_id = :msp_id")
    return {
        "configure": (connection.scalar(kinds, {"msp_id": msp_id}) or 0) > 1,
        "map": bool(_page(connection, "relations", msp_id, _ALL).rows),
        "follow": bool(_page(connection, "adjustments", msp_id, _ALL).rows),
    }


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
