"""A command -> a real process of the test's own, its output kept for the failure message, never left behind."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parent.parent


class Process:
    """`python -m module arguments`, from the project's root. May be killed and started again."""

    def __init__(self, module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self._command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        self._environment = {**os.environ, **(environment or {}), "PYTHONUNBUFFERED": "1"}
        # Appending, since the process shares our place in the file: a look at it must not move where it writes.
        self._log = tempfile.TemporaryFile("a+")  # noqa: SIM115 it lives as long as the object
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        self.popen = subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stdout=self._log, stderr=subprocess.STDOUT
        )
        return self

    @property
    def output(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read()

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.popen is not None and self.running:
            self.popen.kill()
            self.popen.wait(30)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM; answers the exit status."""
        assert self.popen is not None
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)

    def wait(self, seconds: float = 60) -> int:
        assert self.popen is not None
        return self.popen.wait(seconds)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        if fault is not None:
            sys.stderr.write(f"--- {' '.join(self._command[3:])}\n{self.output[-6000:]}\n")
        self._log.close()
