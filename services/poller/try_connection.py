"""A marketplace connection -> what happens when one signs in and reads, step by step: for the person who sets it up."""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from domain.keys import ConnectionId, MspId
from plumbing import setup
from plumbing.budget import BudgetSpent
from plumbing.calls import Counting, uncounted
from plumbing.clock import Clock
from plumbing.http import OutsideFailure
from plumbing.settings import OutsideSettings
from plumbing.setup import OutsideConnection
from services.poller import schedule
from services.poller.explain import Explained, explain_failure, explain_set_up, explain_spent
from services.poller.opening import BadSetUp, budget_of, opened
from services.poller.sources.simple_api import SimpleApi

# A person waits for the answer; a wrong password is tried once.
LONGEST_SECONDS = 60
_ADD_IT = "Add it with `trueup connection set`, or check its name."


def try_connection(
    engine: Engine,
    settings: OutsideSettings,
    clock: Clock,
    msp_id: MspId,
    connection_id: ConnectionId,
    counting: Counting = uncounted,
    unsaved: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """{"steps": [{"step", "ok", "milliseconds", "message", "fix"}]}: set-up, sign-in, read; it ends at the
    first that fails. When all went well a connection that was stopped is polled again. unsaved: {kind, settings, sealed}
    that are tried instead of what is saved, and change nothing."""
    steps = _Steps(clock)
    target = _found(engine, msp_id, connection_id, unsaved)
    if target is None:
        steps.failed("set-up", Explained("set_up", f"there is no connection {connection_id}", _ADD_IT))
        return {"steps": steps.rows}
    try:
        budget, deadline = budget_of(engine, target, clock), time.monotonic() + LONGEST_SECONDS
        with opened(target, settings, budget, clock, deadline, counting) as api:
            steps.done("set-up", "the settings are there and the secrets open")
            steps.take("sign-in", lambda: _sign_in(api))
            steps.take("read", lambda: f"there are {api.first_subscription_page()} subscriptions")
    except BadSetUp as fault:
        steps.failed("set-up", explain_set_up(fault))
    if steps.all_went_well and unsaved is None:
        schedule.resume(engine, schedule.place_of(target), clock)
    return {"steps": steps.rows}


def _found(
    engine: Engine, msp_id: MspId, connection_id: ConnectionId, unsaved: dict[str, Any] | None
) -> OutsideConnection | None:
    with engine.connect() as connection:
        try:
            return setup.to_be_tried(connection, msp_id, connection_id, unsaved)
        except KeyError:
            return None


def _sign_in(api: SimpleApi) -> str:
    api.token()
    return "the marketplace gave a token"


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
            {"step": name, "ok": ok, "milliseconds": round((now - self._began) * 1000), "message": message, "fix": fix}
        )
        self._began = now
