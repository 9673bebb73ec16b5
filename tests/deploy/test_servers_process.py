"""A process that outlives its starter: found again by its record, and never mistaken for another."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from deploy.servers.process import Detached, began
from tests.waiting import wait_for

_WAITS = "import time; time.sleep(600)"
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def _start(folder: Path, program: str) -> Detached:
    process = Detached(folder / "program.pid")
    process.start([sys.executable, "-c", program], folder / "program.log", dict(os.environ), folder)
    return process


def test_a_process_lives_on_when_its_starter_ends(tmp_path: Path) -> None:
    # given
    starter = (
        "import os, sys; from pathlib import Path; from deploy.servers.process import Detached; at = Path(sys.argv[1]);"
        f"Detached(at / 'program.pid').start([sys.executable, '-c', '{_WAITS}'], at / 'log', os.environ, at)"
    )

    # when
    subprocess.run([sys.executable, "-c", starter, str(tmp_path)], check=True)

    # then
    process = Detached(tmp_path / "program.pid")
    assert process.is_running()
    process.stop()
    assert not process.is_running()


def test_a_later_owner_of_the_process_id_is_not_stopped(tmp_path: Path) -> None:
    # given: the record of a process that ended, whose id a stranger has now
    stranger = _start(tmp_path, _WAITS)
    known = json.loads(stranger.record.read_text())
    stale = Detached(tmp_path / "stale.pid")
    stale.record.write_text(json.dumps({"pid": known["pid"], "began": known["began"] + "0"}))

    # when
    stale.stop()
    stale.kill()

    # then
    assert stranger.is_running()
    stranger.kill()


def test_a_process_that_ended_by_itself_is_not_running(tmp_path: Path) -> None:
    # given
    process = _start(tmp_path, "pass")

    # when / then
    wait_for(lambda: not process.is_running(), 10)


def test_a_process_that_does_not_listen_is_killed_after_the_given_seconds(tmp_path: Path) -> None:
    # given
    process = _start(tmp_path, _DEAF)
    wait_for(lambda: "deaf" in (tmp_path / "program.log").read_text(), 10)
    pid = process.pid

    # when
    process.stop(seconds=0.2)

    # then
    assert began(pid) is None


def test_a_kill_takes_the_children_along(tmp_path: Path) -> None:
    # given
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_WAITS!r}])"
    process = _start(tmp_path, parent)
    children = wait_for(lambda: psutil.Process(process.pid).children(), 10)

    # when
    process.kill()

    # then
    assert [began(child.pid) for child in children] == [None]


@pytest.mark.parametrize("text", ["", "not json", '{"pid": 1, "began": null}'])
def test_a_broken_record_is_a_process_that_does_not_run(tmp_path: Path, text: str) -> None:
    # given
    record = tmp_path / "program.pid"
    record.write_text(text)

    # when / then
    assert not Detached(record).is_running()
