"""(our way, the limit's way) -> figures of both, taken in turns, so that a busy moment of the machine falls on both."""

import json
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
Take = Callable[[], float]


def in_turns(rounds: int, ours: Take, limit: Take) -> tuple[list[float], list[float]]:
    """The figures of so many rounds; who goes first changes with every round."""
    taken: dict[Take, list[float]] = {ours: [], limit: []}
    for number in range(rounds):
        for take in (ours, limit) if number % 2 == 0 else (limit, ours):
            taken[take].append(take())
    return taken[ours], taken[limit]


class Child:
    """A process of our own that does what it is told, one JSON line a command, and answers with one JSON line.

    What cannot be measured in this process: code under eventlet's patch, and several writers at once."""

    def __init__(self, module: str, *arguments: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
        self._popen = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, **command: Any) -> None:
        """Gives it something to do and does not wait."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(command) + "\n")
        self._popen.stdin.flush()

    def answer(self) -> Mapping[str, Any]:
        """What it answers; waits for it. RuntimeError when it died."""
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self._popen.args[3:]))} ended with status {self._popen.wait()}")
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def has_answered(self) -> bool:
        """Whether its answer is there, or it has died."""
        return bool(select.select([self._popen.stdout], [], [], 0)[0])

    def ask(self, **command: Any) -> Mapping[str, Any]:
        """Its answer to a command."""
        self.tell(**command)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()


def serve(do: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """The child's side: answers each command line until there are no more."""
    for line in sys.stdin:
        print(json.dumps(do(json.loads(line))), flush=True)
