"""`make up` and `make down`: a house that runs, found again, in a folder of its own; nothing else is touched."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
import requests

from deploy.servers.ports import free_port
from deploy.servers.process import Detached, began
from deploy.up.parts import Folder, not_ready
from deploy.up.site import DEFAULT_PORTS, read_site
from deploy.up.supervisor import own_servers
from tests.waiting import wait_for

_PROJECT = Path(__file__).parents[2]


def _up(folder: Folder, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "deploy.up", "--folder", str(folder.path), *words]
    environment = {name: os.environ[name] for name in ("HOME", "PATH")}
    return subprocess.run(
        command, cwd=_PROJECT, env=environment, capture_output=True, text=True, timeout=280, check=False
    )


def _everything(folder: Folder) -> dict[str, int | None]:
    """The process id of each part and server; None for what does not run."""
    found = {part.name: folder.process(part.name).pid for part in folder.parts()}
    found["supervisor"] = folder.process("supervisor").pid
    return found | {name: server.process.pid for name, server in own_servers(folder).items()}


def _posted(folder: Folder) -> int:
    url = re.search(r"TRUEUP_DATABASE_URL=(\S+)", (folder.path / "environment").read_text())[1]
    with psycopg2.connect(url.strip("'")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM log.events WHERE type = 'AdjustmentPosted'")
        return cursor.fetchone()[0]


@pytest.fixture
def folder(own_folder: Path) -> Iterator[Folder]:
    folder = Folder(own_folder / "site")
    yield folder
    _up(folder, "down")
    for server in own_servers(folder).values():
        server.destroy()


@pytest.mark.flow
@pytest.mark.timeout(600)
def test_the_house_starts_posts_is_left_alone_by_a_second_start_and_ends_alone(
    folder: Folder, own_folder: Path
) -> None:
    # given: the usual ports are taken or not, and a stranger whose process id stands in a stale record
    stranger = Detached(own_folder / "stranger.pid")
    stranger.start([sys.executable, "-c", "import time; time.sleep(600)"], own_folder / "log", os.environ, own_folder)

    # when: first start
    first = _up(folder, "start", "--companies", "3", "--changes-every", "2")

    # then: everything is ready, and the sandbox Autotask got adjustments
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Trueup is ready." in first.stdout
    running = _everything(folder)
    assert None not in running.values()
    assert {not_ready(part) for part in folder.parts()} == {""}
    site = read_site(folder)
    wait_for(lambda: requests.get(f"{site.address('autotask')}/control/ledger", timeout=10).json(), 60)
    wait_for(lambda: _posted(folder), 60)

    # when: second start
    second = _up(folder, "start")

    # then: the same processes run
    assert second.returncode == 0, second.stdout + second.stderr
    assert site.secrets["token"] in second.stdout
    assert _everything(folder) == running

    # when: the supervisor and a service die, and a record names a stranger
    os.kill(running["supervisor"], signal.SIGKILL)
    os.kill(running["mapping"], signal.SIGKILL)
    known = json.loads(stranger.record.read_text())
    folder.process("mapping").record.write_text(json.dumps(known | {"began": "another boot/1"}))
    down = _up(folder, "down")

    # then: all of ours ended, the stranger lives, the data stay
    assert down.returncode == 0, down.stdout + down.stderr
    assert {began(pid) for pid in running.values()} == {None}
    assert stranger.is_running()
    stranger.kill()
    assert (folder.path / "sandbox" / "odin.json").exists()

    # when / then: the next start goes on where it was
    again = _up(folder, "start")
    assert again.returncode == 0, again.stdout + again.stderr
    assert _posted(folder) > 0
    assert read_site(folder).secrets == site.secrets


def test_a_port_that_is_wished_for_and_taken_is_named(folder: Folder, own_folder: Path) -> None:
    # given
    taken = free_port()
    listener = Detached(own_folder / "listener.pid")
    command = [sys.executable, "-m", "http.server", str(taken), "--bind", "127.0.0.1"]
    listener.start(command, own_folder / "log", os.environ, own_folder)
    wait_for(lambda: requests_ok(taken), 20)

    # when
    refused = _up(folder, "start", "--gateway-port", str(taken))
    listener.kill()

    # then
    assert refused.returncode == 1
    assert f"port {taken}, wished for gateway, is taken" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_given_broker_that_does_not_answer_is_told_in_one_line(folder: Folder) -> None:
    # when
    refused = _up(folder, "start", "--rabbitmq-url", "amqp://guest:guest@127.0.0.1:1/")

    # then
    assert refused.returncode == 1
    assert "RabbitMQ does not answer at 127.0.0.1:1" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_down_without_a_start_says_that_nothing_ran(folder: Folder) -> None:
    # when
    said = _up(folder, "down")

    # then
    assert said.returncode == 0
    assert "nothing ran here" in said.stdout


def test_every_part_has_a_port_of_its_own() -> None:
    given = [port for port in DEFAULT_PORTS.values() if port]
    assert len(set(given)) == len(given)


def requests_ok(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/", timeout=2).ok
    except requests.RequestException:
        return False
