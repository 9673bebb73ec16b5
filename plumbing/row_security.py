"""An engine, an MSP -> the same engine, through which PostgreSQL shows and takes the rows of that MSP alone.

The policies (migration 0020) compare each row's MSP with the one that is named for the transaction; nothing named, no row. It is
named in the message of each statement, so it costs no round trip, also where a statement is its own transaction.
"""

from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.engine.interfaces import ExecutionContext

from domain.keys import MspId

#: What the gateway becomes to see rows of all MSPs: it may read little else than whose they are.
ALL_MSPS = "trueup_gateway_all"
_SEES = "trueup_sees"


def of_msp(engine: Engine, msp_id: MspId | str) -> Engine:
    """Rows of this MSP alone, whatever a statement asks for; "": of none."""
    return engine.execution_options(**{_SEES: ("trueup.msp_id", msp_id)})


def of_all_msps(engine: Engine) -> Engine:
    """The gateway's few looks at the rows of all MSPs, with the rights of another role. A test lists who may call this."""
    return engine.execution_options(**{_SEES: ("role", ALL_MSPS)})


def name_msp(
    connection: Connection,
    cursor: Any,
    statement: str,
    parameters: Any,
    context: ExecutionContext | None,
    _executemany: bool,  # noqa: FBT001 as SQLAlchemy calls it
) -> tuple[str, Any]:
    """SQLAlchemy's before_cursor_execute: the statement, behind one that names the MSP until its transaction ends. A cursor of
    the server's own takes one statement: whoever opens one has sent another before it."""
    sees = connection.get_execution_options().get(_SEES)
    if sees is None or (context is not None and context.execution_options.get("stream_results")):
        return statement, parameters
    named = cursor.mogrify("SELECT set_config(%s, %s, true); ", sees).decode().replace("%", "%%")
    return named + statement, parameters
