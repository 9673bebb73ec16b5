"""Real servers on sockets that take what notification rules send: a webhook receiver and a mail server."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller

from deploy.servers.ports import free_port


@dataclass
class Call:
    """One POST."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """As Standard Webhooks says: HMAC-SHA256 over id, timestamp and body, by the key behind whsec_."""
        of = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        key = base64.b64decode(secret.removeprefix("whsec_"))
        wanted = "v1," + base64.b64encode(hmac.new(key, of, hashlib.sha256).digest()).decode()
        return hmac.compare_digest(wanted, self.headers["webhook-signature"])


@dataclass
class Receiver:
    """statuses: what it answers, in turn; 200 when there are none left. while_it_answers: called before each answer."""

    calls: list[Call] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    while_it_answers: Callable[[], None] = lambda: None
    url: str = ""

    def ids(self) -> list[str]:
        return [call.headers["webhook-id"] for call in self.calls]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A webhook receiver that listens."""
    received = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.calls.append(Call(self.path, dict(self.headers), body))
            received.while_it_answers()
            status = received.statuses.pop(0) if received.statuses else 200
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{received.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Mailbox:
    """What a mail server has taken. refuses: whether it takes nothing."""

    mails: list[Message] = field(default_factory=list)
    refuses: bool = False
    url: str = ""

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 aiosmtpd's name
        if self.refuses:
            return "451 not now"
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """A mail server that listens."""
    taken = Mailbox()
    controller = Controller(taken, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        taken.url = f"smtp://127.0.0.1:{controller.port}"
        yield taken
    finally:
        controller.stop()
