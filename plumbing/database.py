"""A database URL -> an engine whose calls end: time limits on statements, locks and forgotten transactions.

Under eventlet psycopg2 waits by callback and its connect_timeout is ignored (a silent server would hold the greenthread
for ever), so connecting has a limit of its own there. COPY is refused under that callback: see event_log.py.
"""

from typing import Any

import eventlet.patcher
import orjson
import psycopg2
from eventlet.timeout import Timeout
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url

from plumbing.row_security import name_msp

CONNECT_SECONDS = 5


def make_engine(url: str, application: str, statement_seconds: int = 60, pool_size: int = 5) -> Engine:
    """An engine on the database; application shows in pg_stat_activity. A statement is ended after statement_seconds,
    waiting for a lock after 5 s, a transaction left open after 60 s. Statements are not compiled to machine code: for those
    of a fold that took 12 s to save nothing."""
    parsed = make_url(url).set(drivername="postgresql+psycopg2")
    engine = create_engine(
        parsed,
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=30,
        json_deserializer=orjson.loads,
        connect_args={
            "application_name": application,
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "options": f"-c statement_timeout={statement_seconds}s -c lock_timeout=5s"
            " -c idle_in_transaction_session_timeout=60s -c TimeZone=UTC -c jit=off",
        },
    )
    event.listen(engine, "before_cursor_execute", name_msp, retval=True)
    if eventlet.patcher.is_monkey_patched("socket"):
        event.listen(engine, "do_connect", _connect_in_time)
    return engine


def _connect_in_time(_dialect: Any, _record: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    limit = Timeout(CONNECT_SECONDS, psycopg2.OperationalError("the database did not answer in time"))
    try:
        return psycopg2.connect(*args, **kwargs)
    finally:
        limit.cancel()


def explain(error: Exception, url: str) -> str:
    """What a person should do about a database that cannot be reached."""
    where = make_url(url).render_as_string(hide_password=True)
    return f"The database at {where} cannot be used: {str(error).splitlines()[0]}. Is it running, and is TRUEUP_DATABASE_URL right?"
