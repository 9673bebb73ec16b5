"""A psa_writer that is killed at a named step: `python -m tests.reliability.dying_writer STEP`.

The service is the real one, run by its own runner; it says each step of the protocol in its log, and the first line that
says the named one is its last.
"""

import eventlet

eventlet.monkey_patch()

import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

from deploy.run_service import main  # noqa: E402


class Death(logging.Handler):
    """SIGKILL at a step."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "step", "") == self._step:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    logging.getLogger("services.psa_writer").addHandler(Death(sys.argv[1]))
    sys.exit(main(["psa_writer"]))
