"""A link for a user -> a mail that is sent beside the answer, so that the answer is the same, and as quick, for whoever asks."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import BoundedSemaphore
from uuid import uuid4

from plumbing import mail

log = logging.getLogger(__name__)
WAITING_AT_MOST = 100


@dataclass(frozen=True)
class Post:
    """Mails of the gateway. public_url: what links begin with; never what a request says of itself."""

    smtp_url: str
    sender: str
    public_url: str
    _threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2, "post"))
    _room: BoundedSemaphore = field(default_factory=lambda: BoundedSemaphore(WAITING_AT_MOST))

    @property
    def is_set_up(self) -> bool:
        """Whether mails with links can be sent."""
        return bool(self.smtp_url and self.public_url)

    def link(self, page: str, token: str) -> str:
        """The address of a page with a token in its fragment, which browsers send to nobody."""
        return f"{self.public_url.rstrip('/')}/{page}#token={token}"

    def send(self, to: str, subject: str, body: str) -> None:
        """Puts a mail on its way."""
        self.beside(partial(self.deliver, to, subject, body))

    def send_if_set_up(self, to: str, subject: str, body: str) -> None:
        """A mail that is good to have: without a mail server there is none."""
        if self.is_set_up:
            self.send(to, subject, body)

    def beside(self, work: Callable[[], None]) -> None:
        """Does it beside the answer. What fails is told in the log; when too much waits, it is dropped."""
        if not self._room.acquire(blocking=False):
            log.error("a mail was dropped: too many wait for the mail server")
            return
        self._threads.submit(self._done, work)

    def deliver(self, to: str, subject: str, body: str) -> None:
        """Sends the mail now. Undelivered."""
        mail.send(self.smtp_url, self.sender, uuid4().hex, to, subject, body)

    def _done(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as fault:  # noqa: BLE001 nobody waits for it any more
            log.error("a mail was not sent", extra={"reason": f"{type(fault).__name__}: {fault}"[:300]})
        finally:
            self._room.release()
