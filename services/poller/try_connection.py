"""A marketplace connection -> what happens when one signs in and reads, step by step: for the person who sets it up."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from domain.keys import ConnectionId, MspId
from plumbing import setup
from plumbing.budget import BudgetSpent
from plumbing.clock import Clock
from plumbing.http import OutsideFailure
from plumbing.secrets import NotForUs
from plumbing.settings import OutsideSettings
from services.poller import schedule
from services.poller.explain import Explained, explain_failure, explain_set_up, explain_spent
from services.poller.opening import budget_of, opened

# A person waits for the answer; a wrong password is tried once.
LONGEST_SECONDS = 60


def try_connection(
    engine: Engine, settings: OutsideSettings, clock: Clock, msp_id: MspId, connection_id: ConnectionId
) -> dict[str, Any]:
    """{"steps": [{"name", "ok", "ms", "message", "fix"}]}: set-up, sign-in, read; it ends at the first that fails. When all
    went well a connection that was stopped is polled again."""
    steps = _Steps(clock)
    try:
        with engine.connect() as connection:
            target = setup.connection_of(connection, msp_id, connection_id)
        with opened(
            target, settings, budget_of(engine, target, clock), clock, time.monotonic() + LONGEST_SECONDS
        ) as api:
            steps.done("set-up", "the settings are there and the secrets open")
            steps.take("sign-in", lambda: api.token() or "the marketplace gave a token")
            steps.take("read", lambda: f"there are {api.first_subscription_page()} subscriptions")
    except (KeyError, NotForUs) as fault:
        steps.failed("set-up", explain_set_up(fault))
    if steps.all_went_well:
        schedule.resume(engine, schedule.place_of(target), clock)
    return {"steps": steps.rows}


class _Steps:
    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, time.monotonic()
        self.rows: list[dict[str, Any]] = []

    @property
    def all_went_well(self) -> bool:
        return all(row["ok"] for row in self.rows)

    def take(self, name: str, act: Callable[[], str]) -> None:
        if not self.all_went_well:
            return
        try:
            self.done(name, act())
        except OutsideFailure as failure:
            self.failed(name, explain_failure(failure))
        except BudgetSpent as spent:
            self.failed(name, explain_spent(spent, self._clock.now()))

    def done(self, name: str, message: str) -> None:
        self._add(name, ok=True, message=message, fix="")

    def failed(self, name: str, why: Explained) -> None:
        self._add(name, ok=False, message=f"{why.kind}: {why.message}", fix=why.fix)

    def _add(self, name: str, *, ok: bool, message: str, fix: str) -> None:
        now = time.monotonic()
        self.rows.append(
            {"name": name, "ok": ok, "ms": round((now - self._began) * 1000), "message": message, "fix": fix}
        )
        self._began = now
