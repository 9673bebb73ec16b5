"""Log records -> one JSON line each, with the correlation id of the work in hand."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import uuid4

import orjson

_correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def correlation_id() -> str:
    """The correlation id of the work in hand; a new one when there is none."""
    return _correlation_id.get() or uuid4().hex


@contextmanager
def correlated(given: str | None) -> Iterator[str]:
    """Everything logged and appended inside carries this correlation id (a new one when none is given)."""
    current = given or uuid4().hex
    token = _correlation_id.set(current)
    try:
        yield current
    finally:
        _correlation_id.reset(token)


class JsonLines(logging.Formatter):
    """A record as one line of JSON: at, level, logger, action (the message), correlation_id and the extra fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break inside."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "action": record.getMessage(),
            "correlation_id": _correlation_id.get(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def start_logging(service: str, level: str) -> None:
    """Sends all logs of this process to standard output as JSON lines. Libraries that would log requests with their
    credentials stay at WARNING whatever the level."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("zeep", "urllib3", "requests", "amqp", "kombu", "nameko", "sqlalchemy", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelName(level)))
