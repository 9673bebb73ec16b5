"""A failure of the marketplace -> its kind, what happened and what a person should do, in words."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from plumbing.budget import BudgetSpent
from plumbing.http import OutsideFailure

# A pause longer than this is not the throttle of a minute.
_LONG_PAUSE = timedelta(minutes=15)

_FIXES = {
    "unreachable": "Check the gateway URL, and whether the marketplace is up; the poll is tried again by itself.",
    "address": "Correct the gateway URL; the poll is tried again by itself.",
    "rate_limited": "Nothing: polling goes on by itself. If it happens often, lower calls_per_minute of the connection.",
    "quota": "Nothing: polling goes on when the day is over. If it happens often, ask for a larger quota or poll less often.",
    "unauthorised": "Check user, password, secret (subscription key) and that the API user is active, then save the connection.",
    "forbidden": "Give the API user the right to read customers, subscriptions and orders.",
    "malformed": "The poll is tried again by itself. If it stays so, check that the gateway URL is that of the API.",
    "rejected": "Check the gateway URL with its region and the marketplace code.",
    "set_up": "Set the connection's settings and secrets anew with `trueup connection set`.",
}


@dataclass(frozen=True, slots=True)
class Explained:
    """A failure as events, logs and people get it."""

    kind: str
    message: str
    fix: str


def explain_failure(failure: OutsideFailure) -> Explained:
    """The failure of a call."""
    return Explained(failure.kind, failure.message, _FIXES.get(failure.kind, _FIXES["rejected"]))


def explain_spent(spent: BudgetSpent, now: datetime) -> Explained:
    """Calls that may not be made before a moment."""
    kind = "quota" if spent.until - now > _LONG_PAUSE else "rate_limited"
    until = spent.until.isoformat(timespec="seconds")
    return Explained(kind, f"{spent.reason}; the next call may be made at {until}", _FIXES[kind])


def explain_set_up(fault: Exception) -> Explained:
    """Settings or secrets with which no call can be made."""
    return Explained("set_up", str(fault), _FIXES["set_up"])
