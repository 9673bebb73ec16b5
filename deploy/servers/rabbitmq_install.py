"""A machine without RabbitMQ -> one with it, by Debian's package manager, when that is permitted.

Debian starts every server it installs. Trueup runs a node of its own, so the start is refused for the length of the
installation, the way Debian provides for it (/usr/sbin/policy-rc.d)."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.servers import ServerError

_POLICY = Path("/usr/sbin/policy-rc.d")


def install_problem() -> str | None:
    """Why RabbitMQ cannot be installed from here; None when it can."""
    if shutil.which("apt-get") is None:
        return "only Debian's and Ubuntu's apt-get is known to Trueup, and it is not here"
    return None if _as_root() is not None else "it takes root, or sudo without a password"


def install_rabbitmq(say: Callable[[str], None]) -> None:
    """Installs Debian's package rabbitmq-server without starting its service; ServerError with apt's words when it fails."""
    say("installing RabbitMQ with apt-get (about a minute) ...")
    with _no_service_starts():
        _run("apt-get", "update", "-q")
        _run("apt-get", "install", "-y", "-q", "--no-install-recommends", "rabbitmq-server")


def _as_root() -> list[str] | None:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def _run(*words: str) -> None:
    command = [*(_as_root() or []), "env", "DEBIAN_FRONTEND=noninteractive", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{' '.join(words)} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Debian asks this file before it starts a service; 101 means "not permitted". One that is there already stays."""
    if _POLICY.exists():
        yield
        return
    _run("sh", "-c", f"printf '#!/bin/sh\\nexit 101\\n' >{_POLICY} && chmod 755 {_POLICY}")
    try:
        yield
    finally:
        _run("rm", "-f", str(_POLICY))
