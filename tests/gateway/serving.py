"""A real gateway process on a real database -> answers over HTTP."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import requests

from deploy.servers.ports import free_port
from plumbing.secrets import new_key_pair
from tests.waiting import wait_for

TOKEN = "a-token-of-the-tests"
KEY = new_key_pair()[0]
NOWHERE = "amqp://guest:guest@127.0.0.1:1/"


@dataclass
class Answering:
    """A gateway that answers at an address. log: the file to which it logs; output: all of it, after
    the with block."""

    url: str
    process: subprocess.Popen
    log: IO[str]
    output: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def post(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> requests.Response:
        headers = {"authorization": f"Bearer {TOKEN}"} | more.pop("headers", {})
        body = {"query": query, "variables": variables or {}}
        timeout = more.pop("timeout", 60)
        return self.session.post(f"{self.url}/graphql", json=body, headers=headers, timeout=timeout, **more)

    def data(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = self.post(query, variables)
        assert answer.status_code == 200, answer.text
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def refusal(self, query: str, **variables: Any) -> dict[str, Any]:
        """The first error's extensions, with its message."""
        error = self.post(query, variables).json()["errors"][0]
        return error["extensions"] | {"message": error["message"]}

    def ended(self) -> str:
        """All that it has logged, after ending it."""
        end(self.process)
        self.log.seek(0)
        return self.log.read()

    def metric(self, name: str) -> float:
        lines = requests.get(f"{self.url}/metrics", timeout=10).text.splitlines()
        (value,) = (line.split()[1] for line in lines if line.split()[0] == name)
        return float(value)


def environment(database: str, rabbitmq: str = NOWHERE, **more: str) -> dict[str, str]:
    given = {"DATABASE_URL": database, "RABBITMQ_URL": rabbitmq, "GATEWAY_TOKEN": TOKEN, "PRIVATE_KEY": KEY} | more
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUEUP_")}
    return kept | {f"TRUEUP_{name}": value for name, value in given.items()}


@contextmanager
def gateway(database: str, rabbitmq: str = NOWHERE, **more: str) -> Iterator[Answering]:
    port = free_port()
    # A file takes whatever is logged: a pipe that nobody reads is full after 64 kB, and the gateway would stand still.
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "gateway"],
            env=environment(database, rabbitmq, PORT=str(port), **more),
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        answering = Answering(f"http://127.0.0.1:{port}", process, log)
        try:
            wait_for(lambda: is_up(answering), 90, what="the gateway")
            yield answering
        finally:
            answering.session.close()
            answering.output = answering.ended()
            sys.stderr.write(answering.output[-6000:])


def end(process: subprocess.Popen) -> None:
    """Ends it, whatever state it is in."""
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)
        raise


def is_up(answering: Answering) -> bool:
    assert answering.process.poll() is None, "the gateway has ended"
    try:
        return requests.get(f"{answering.url}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False
