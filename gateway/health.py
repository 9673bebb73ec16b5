"""The gateway's own state -> /healthz (can it read, is work carried away, are the reports up to date) and gauges."""

from datetime import timedelta

from prometheus_client import Gauge
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from plumbing.catch_up import stopped
from plumbing.clock import Clock
from plumbing.health import database_check
from plumbing.row_security import of_all_msps

# Work that waits longer than this to be carried to the broker is told.
LONGEST_WAIT = timedelta(seconds=60)
report_lag = Gauge("trueup_report_lag_positions", "Events that a read model has yet to fold", ["consumer"])
outbox_age = Gauge("trueup_outbox_oldest_seconds", "Age of the oldest work that is not yet with the broker")

_OLDEST = "SELECT min(put_at) FROM queue.outbox WHERE sent_at IS NULL"
_LAGS = """SELECT p.consumer, sum(h.position - p.position) FROM reporting.positions p JOIN log.heads h USING (msp_id)
           WHERE position('@' IN p.consumer) = 0 GROUP BY p.consumer"""


def report(engine: Engine, clock: Clock) -> tuple[bool, dict[str, str]]:
    """Whether reports can be read, and what each check says ("ready" when it passes)."""
    fault = database_check(engine)
    if fault:
        return False, {"database": fault}
    try:
        return True, {"database": "ready", "broker": _waiting(engine, clock), "reports": _stopped(engine)}
    except SQLAlchemyError as error:
        return False, {"database": str(error).splitlines()[0]}


def measure(engine: Engine, clock: Clock) -> None:
    """Sets the gauges; leaves them when the database does not answer."""
    try:
        with of_all_msps(engine).connect() as connection:
            for consumer, lag in connection.execute(text(_LAGS)):
                report_lag.labels(consumer).set(float(lag))
        with engine.connect() as connection:
            oldest = connection.scalar(text(_OLDEST))
    except SQLAlchemyError:
        return
    outbox_age.set(0 if oldest is None else (clock.now() - oldest).total_seconds())


def _waiting(engine: Engine, clock: Clock) -> str:
    with engine.connect() as connection:
        oldest = connection.scalar(text(_OLDEST))
    if oldest is None or clock.now() - oldest < LONGEST_WAIT:
        return "ready"
    age = int((clock.now() - oldest).total_seconds())
    return f"work has waited {age} s to be carried to RabbitMQ: are RabbitMQ and the relay running?"


def _stopped(engine: Engine) -> str:
    halted = stopped(of_all_msps(engine), "reporting")
    return "; ".join(f"{s.consumer} stopped for MSP {s.msp_id}: {s.reason}" for s in halted) or "ready"
