"""A checklist or record -> the lines of its file, all of it text: what the CSV and the PDF have in common.

Days and moments are ISO 8601, moments in the MSP's time zone. What is unknown is empty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from domain.events import CloseCheck
from services.reporting.queries import Act, Checklist

COLUMNS = (
    "Step",
    "Check",
    "State",
    "Rows",
    "Money",
    "Oldest",
    "Next Try",
    "Read At",
    "By",
    "At",
    "Reason",
    "Names",
)


@dataclass(frozen=True)
class Sheet:
    """about: what is true of the month as a whole; rows: one a check with the cells of COLUMNS, then what was decided."""

    title: str
    about: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


def sheet_of(found: Checklist) -> Sheet:
    """The lines of the file."""
    zone = ZoneInfo(found.time_zone)
    signed = found.standing.signed_off
    about = (
        ("Month", str(found.month)),
        ("MSP", f"{found.msp_name} ({found.msp_id})"),
        ("PSA connection", found.psa_connection_id),
        ("Close state", found.state.replace("_", " ")),
        ("Due on", found.due_on.isoformat()),
        ("Freeze from", _moment(found.freeze_from, zone)),
        ("Signed off" if signed else "Checked", _moment(found.checked_at, zone)),
        ("Log position", str(found.position)),
        ("Exceptions", str(found.exceptions)),
        ("Time zone", found.time_zone),
    )
    checks = tuple(_check(one, zone) for one in found.checks)
    return Sheet(f"Close {found.month}", about, (*checks, *_decisions(found, zone)))


def _check(told: CloseCheck, zone: ZoneInfo) -> tuple[str, ...]:
    return (
        str(told.step),
        told.title,
        str(told.state),
        str(told.rows),
        "; ".join(f"{one.amount:f} {one.currency}" for one in told.money),
        _moment(told.oldest_at, zone),
        _moment(told.next_try_at, zone),
        _moment(told.read_at, zone),
        told.accepted_by or "",
        _moment(told.accepted_at, zone),
        told.reason or "",
        "; ".join(told.names),
    )


def _decisions(found: Checklist, zone: ZoneInfo) -> Iterator[tuple[str, ...]]:
    standing = found.standing
    for title, act in (
        ("Opened again", standing.reopened),
        ("Signed off", standing.signed_off),
        ("Invoiced", standing.invoiced),
    ):
        if act is not None:
            yield "", title, "", "", "", "", "", "", act.by, _moment(act.at, zone), _reason(act), ""


def _reason(act: Act) -> str:
    return getattr(act.event, "reason", None) or ""


def _moment(moment: datetime | None, zone: ZoneInfo) -> str:
    return "" if moment is None else moment.astimezone(zone).isoformat(timespec="seconds")
