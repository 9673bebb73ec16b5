"""What must be so before a month may be invoiced: each check is a question to a report, and rows that answer it are trouble."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.events import CloseCheck
from domain.keys import ConnectionId

Filter = Mapping[str, Mapping[str, Any]]


class State(StrEnum):
    """How a check stands. open: to be done by hand, and stands in the way of nothing."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    ACCEPTED = "accepted"
    OPEN = "open"


class Side(StrEnum):
    """What a check speaks of, and so how old it is. ours: what we did ourselves, always as new as the read models."""

    ODIN = "odin"
    PSA = "psa"
    BOTH = "both"
    OURS = "ours"


@dataclass(frozen=True)
class Check:
    """One check. worst: its state while there are rows; report and filter: its rows (of_psa: those of the close's PSA
    connection); listed: the column by which they are found when the filter alone does not say it; money, since, next_try:
    columns that are summed up, by currency, and whose earliest is told."""

    key: str
    step: int
    title: str
    worst: State
    side: Side
    report: str
    filter: Filter = field(default_factory=dict)
    of_psa: bool = False
    listed: str | None = None
    money: str | None = None
    since: str | None = None
    next_try: str | None = None


@dataclass(frozen=True)
class Door:
    """Where the rows of a check are shown: a report, its filter, and the position as of which (None: now)."""

    report: str
    filter: Filter
    at: int | None


UNLINKED = Check(
    "unlinked",
    1,
    "Unlinked resources",
    State.RED,
    Side.ODIN,
    "unlinked",
    # What is billed by use has no count, so it can never be linked.
    {"usage_based": {"in": [False]}},
    money="price_per_month",
    since="first_seen_at",
)
FRESH = Check(
    "fresh",
    1,
    "Sides that are not read or not up to date",
    State.RED,
    Side.BOTH,
    "failures",
    {"request_id": {"is_empty": True}, "psa_product_id": {"is_empty": True}, "state": {"in": ["open", "parked"]}},
)
COMPANIES = Check(
    "companies",
    2,
    "Companies without a PSA agreement",
    State.RED,
    Side.ODIN,
    "unlinked",
    {"usage_based": {"in": [False]}},
    listed="company_id",
)
AGREEMENTS = Check(
    "agreements",
    2,
    "Linked agreements that end before the month does",
    State.RED,
    Side.PSA,
    "psa_agreements",
    of_psa=True,
    listed="psa_agreement_id",
)
RECONCILED = Check(
    "reconciled",
    3,
    "Adjustments on their way or given up",
    State.AMBER,
    Side.BOTH,
    "drift",
    {"request_state": {"in": ["open", "refused", "dropped"]}, "failure_kind": {"is_empty": True}},
    of_psa=True,
    money="money_per_month",
    since="since",
)
FAILED = Check(
    "failed",
    3,
    "Adjustments that failed",
    State.AMBER,
    Side.OURS,
    "failures",
    {"psa_product_id": {"is_empty": False}, "state": {"in": ["open"]}},
    of_psa=True,
    since="first_failed_at",
    next_try="next_try_at",
)
PARKED = Check(
    "parked",
    3,
    "Adjustments that were refused or contradict",
    State.RED,
    Side.OURS,
    "failures",
    {"psa_product_id": {"is_empty": False}, "state": {"in": ["parked"]}},
    of_psa=True,
    since="first_failed_at",
    next_try="next_try_at",
)
HELD = Check(
    "held",
    3,
    "Adjustments that wait to be approved",
    State.RED,
    Side.OURS,
    "held_adjustments",
    of_psa=True,
    money="price_per_month",
    since="held_since",
)
DRIFTED = Check(
    "drifted",
    3,
    "Products whose units are not ours or not known",
    State.AMBER,
    Side.BOTH,
    "drift",
    {"kind": {"in": ["edited_by_hand", "both", "probable_double_post", "not_read"]}},
    of_psa=True,
    money="money_per_month",
    since="since",
)
UNPRICED = Check(
    "unpriced",
    3,
    "Linked resources without cost or price",
    State.AMBER,
    Side.BOTH,
    "linked",
    {"status": {"in": ["active"]}, "unpriced": {"in": [True]}},
    of_psa=True,
)
FROZEN = Check(
    "frozen",
    3,
    "Linked resources that are frozen",
    State.AMBER,
    Side.OURS,
    "linked",
    {"frozen": {"in": [True]}},
    of_psa=True,
    since="frozen_at",
)
CHECKS: dict[str, Check] = {
    check.key: check
    for check in (UNLINKED, FRESH, COMPANIES, AGREEMENTS, RECONCILED, FAILED, PARKED, HELD, DRIFTED, UNPRICED, FROZEN)
}
INVOICED = "invoiced"


def door_of(told: CloseCheck, psa_connection_id: ConnectionId, at: int | None) -> Door | None:
    """Where the rows of a check are shown as they were told; None when there is nothing to show."""
    check = CHECKS.get(told.check)
    if check is None or (check.listed and not told.ids):
        return None
    listed: Filter = {check.listed: {"in": list(told.ids)}} if check.listed else {}
    of_psa: Filter = {"psa_connection_id": {"in": [psa_connection_id]}} if check.of_psa else {}
    return Door(check.report, {**check.filter, **listed, **of_psa}, at)
