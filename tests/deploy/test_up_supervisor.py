"""Scenario M14: a process of the house dies and is there again within 10 seconds; stopping ends them all."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import Response

from deploy.sandbox.serving import serving
from deploy.servers.process import began
from deploy.up.parts import Folder, Part, not_ready
from deploy.up.supervisor import LONGEST_PAUSE, Supervisor, Watched, turn
from tests.waiting import wait_for

_LIVES = (sys.executable, "-c", "import time; time.sleep(600)")
_DIES = (sys.executable, "-c", "pass")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(tmp_path)
    yield folder
    folder.process("supervisor").stop()
    for part in folder.parts():
        folder.process(part.name).kill()


def _supervise(folder: Folder, *commands: tuple[str, ...]) -> list[Part]:
    parts = [Part(f"part-{number}", command, {}, "http://127.0.0.1:1/") for number, command in enumerate(commands)]
    folder.save_parts(parts)
    command = [sys.executable, "-m", "deploy.up.supervisor", str(folder.path)]
    folder.process("supervisor").start(command, folder.path / "supervisor.log", dict(os.environ), folder.project)
    return parts


def test_m14_a_process_that_is_killed_runs_again_within_ten_seconds(folder: Folder) -> None:
    # given
    _supervise(folder, _LIVES)
    first = wait_for(lambda: folder.process("part-0").pid, 20)

    # when
    os.kill(first, signal.SIGKILL)

    # then
    wait_for(lambda: folder.process("part-0").pid not in (None, first), 10)
    assert '"died"' in (folder.path / "supervisor.log").read_text()


def test_stopping_the_supervisor_stops_every_part(folder: Folder) -> None:
    # given
    _supervise(folder, _LIVES, _LIVES)
    pids = [wait_for(lambda name=name: folder.process(name).pid, 20) for name in ("part-0", "part-1")]

    # when
    folder.process("supervisor").stop()

    # then
    assert [began(pid) for pid in pids] == [None, None]


def test_a_new_supervisor_takes_over_what_an_old_one_left_running(folder: Folder) -> None:
    # given: the supervisor itself was killed, alone
    _supervise(folder, _LIVES)
    part = wait_for(lambda: folder.process("part-0").pid, 20)
    os.kill(folder.process("supervisor").pid, signal.SIGKILL)
    wait_for(lambda: not folder.process("supervisor").is_running(), 10)

    # when
    _supervise(folder, _LIVES)
    wait_for(lambda: (folder.path / "supervisor.log").read_text().count('"watching"') == 2, 20)

    # then
    assert folder.process("part-0").pid == part
    folder.process("supervisor").stop()
    assert began(part) is None


def test_a_process_that_dies_again_and_again_is_started_ever_more_slowly_but_within_eight_seconds(
    tmp_path: Path,
) -> None:
    # given
    folder = Folder(tmp_path)
    each, now, pauses = Watched(Part("part", _DIES, {}, "")), time.monotonic(), []
    supervisor = Supervisor(folder)

    # when
    for _ in range(8):
        supervisor.look_at(each, now)
        wait_for(lambda: not folder.process("part").is_running(), 10)
        supervisor.look_at(each, now)
        pauses.append(each.not_before - now)
        now = each.not_before

    # then
    assert pauses == sorted(pauses)
    assert pauses[0] < 2
    assert pauses[-1] == LONGEST_PAUSE


def test_a_part_that_does_not_answer_is_not_ready(tmp_path: Path) -> None:
    assert not_ready(Part("part", _LIVES, {}, "http://127.0.0.1:1")) == "does not answer yet"


def test_a_proxy_that_the_user_has_set_is_not_asked_for_our_own_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(Response("ready")) as address:
        # when / then
        assert not_ready(Part("part", _LIVES, {}, address)) == ""


def test_what_shall_run_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    # given
    folder = Folder(tmp_path)

    # when
    folder.save_parts([Part("part", _LIVES, {"TRUEUP_PRIVATE_KEY": "secret"}, "")])

    # then
    assert (tmp_path / "parts.json").stat().st_mode & 0o077 == 0
    assert folder.parts()[0].environment == {"TRUEUP_PRIVATE_KEY": "secret"}


def test_a_large_log_is_kept_once_and_its_process_goes_on_writing_at_its_beginning(tmp_path: Path) -> None:
    # given
    log = tmp_path / "poller.log"
    with log.open("ab", buffering=0) as of_the_process:
        of_the_process.write(b"old\n" * 30)
        turn(log, largest=200)
        assert log.stat().st_size == 120

        # when
        of_the_process.write(b"more" * 30)
        turn(log, largest=200)
        of_the_process.write(b"new\n")

    # then
    assert log.read_bytes() == b"new\n"
    assert log.with_name("poller.log.1").read_bytes() == b"old\n" * 30 + b"more" * 30
