"""(command, record file) -> a process that outlives its starter, is found again later and is never mistaken for another.

The record holds the process id and the moment the process began. An id alone is not enough: ids are given out again,
and a stop that trusts a stale file kills a stranger."""

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import psutil

# Children of this very process must be reaped when they end, or they stay as zombies that look alive.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


class RunAs(TypedDict, total=False):
    """How `subprocess` is told to run a command as another account."""

    user: int
    group: int
    extra_groups: list[int]


class Detached:
    """One process in a session of its own, known by its record file."""

    def __init__(self, record: Path) -> None:
        self.record = record

    def start(
        self,
        command: Sequence[str],
        log: Path,
        env: Mapping[str, str],
        cwd: Path,
        account: pwd.struct_passwd | None = None,
    ) -> int:
        """The id of the process just started; its output is appended to the log. With an account, it runs as that one."""
        with log.open("ab") as output:
            child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
                **run_as(account),
            )
        _children[child.pid] = child
        self.adopt(child.pid)
        return child.pid

    def adopt(self, pid: int) -> None:
        """Records a process that runs already, so that it is known again."""
        write_private(self.record, json.dumps({"pid": pid, "began": began(pid)}))

    @property
    def pid(self) -> int | None:
        """The process id while that very process lives, else None."""
        try:
            known = json.loads(self.record.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return known["pid"] if known["began"] is not None and known["began"] == began(known["pid"]) else None

    def is_running(self) -> bool:
        """Whether the recorded process lives: itself, not a later owner of its id."""
        return self.pid is not None

    def stop(self, seconds: float = 30, ask: signal.Signals = signal.SIGTERM) -> None:
        """Asks the process to end, kills it with its children when it still lives after these seconds, forgets it."""
        self._end(ask, seconds)

    def kill(self) -> None:
        """Ends the process and its children at once, without a word to them (SIGKILL), and forgets it."""
        self._end(signal.SIGKILL, 0)

    def _end(self, first: signal.Signals, seconds: float) -> None:
        pid = self.pid
        if pid is not None:
            family = _family(pid)
            _signal({pid: family[pid]}, first)
            _wait_for_end({pid: family[pid]}, seconds)
            if first == signal.SIGKILL or began(pid) == family[pid]:
                _signal(family, signal.SIGKILL)
                _wait_for_end(family, 10)
        self.record.unlink(missing_ok=True)


def began(pid: int) -> str | None:
    """A mark of the moment this process began, different for every process that ever has this id; None when there is
    no such process, or when it has ended and only waits for its parent to notice."""
    mark = _began_by_ticks(pid) if Path("/proc/self/stat").exists() else _began_by_clock(pid)
    if mark is None and pid in _children:
        _children.pop(pid).wait()
    return mark


def run_as(account: pwd.struct_passwd | None) -> RunAs:
    """The arguments that make `subprocess` run a command as this account, with none of the caller's groups."""
    return RunAs() if account is None else RunAs(user=account.pw_uid, group=account.pw_gid, extra_groups=[])


def write_private(path: Path, text: str) -> None:
    """Writes the file whole or not at all, readable for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def _began_by_ticks(pid: int) -> str | None:
    # Ticks since boot and the boot's own id: unlike a wall-clock time, both survive a clock that is set.
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _began_by_clock(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return None


def _family(pid: int) -> dict[int, str | None]:
    members = [pid]
    with suppress(psutil.NoSuchProcess):
        members += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return {member: began(member) for member in members}


def _signal(family: Mapping[int, str | None], what: signal.Signals) -> None:
    for pid, mark in family.items():
        if mark is not None and began(pid) == mark:
            with suppress(ProcessLookupError):
                os.kill(pid, what)


def _wait_for_end(family: Mapping[int, str | None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(mark is not None and began(pid) == mark for pid, mark in family.items()) and time.monotonic() < deadline:
        time.sleep(0.02)
