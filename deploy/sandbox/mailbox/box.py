"""Mails as a mail server takes them -> the newest of them, to be looked at."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

MOST_KEPT = 500


@dataclass(frozen=True)
class Taken:
    """One mail, with those it was for and when it came."""

    taken_at: datetime
    to: tuple[str, ...]
    mail: EmailMessage

    @property
    def text(self) -> str:
        """What stands in it, as plain text."""
        part = self.mail.get_body(("plain",))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


class Box:
    """The newest MOST_KEPT mails; older ones, and all of them at the end of the process, are forgotten."""

    def __init__(self) -> None:
        self._taken: deque[Taken] = deque(maxlen=MOST_KEPT)

    def newest(self) -> list[Taken]:
        """The newest first."""
        return list(self._taken)[::-1]

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 aiosmtpd's name
        """Takes a mail."""
        mail = message_from_bytes(envelope.content, policy=default)
        self._taken.append(Taken(datetime.now(UTC), tuple(envelope.rcpt_tos), mail))
        return "250 taken, and delivered to nobody"

    @contextmanager
    def taking(self, host: str, port: int) -> Iterator[None]:
        """Listens as a mail server until the block ends. OSError when the port is taken."""
        controller = Controller(self, hostname=host, port=port, ident="Trueup sandbox")
        controller.start()
        try:
            yield
        finally:
            controller.stop()
