"""(folder) -> a RabbitMQ server of our own in a container, for a machine with Docker and no RabbitMQ."""

import hashlib
import json
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import requests

from deploy.servers import ServerError, loopback
from deploy.servers.ports import free_port
from deploy.servers.process import write_private

IMAGE = "rabbitmq:4.0-management"
_USER = "trueup"


class RabbitmqContainer:
    """Our own container; its name is made from the folder, its data live in a volume of the same name."""

    def __init__(self, folder: Path, port: int | None = None, management_port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.name = f"trueup-rabbitmq-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}"
        self._wanted = {"port": port, "management_port": management_port}

    @property
    def url(self) -> str:
        """amqp://trueup:password@127.0.0.1:port/ (the vhost "/"); ServerError before the first start."""
        known = self._known()
        return f"amqp://{_USER}:{known['password']}@127.0.0.1:{known['port']}/"

    @property
    def management_url(self) -> str:
        """http://trueup:password@127.0.0.1:port of the management interface; ServerError before the first start."""
        known = self._known()
        return f"http://{_USER}:{known['password']}@127.0.0.1:{known['management_port']}"

    def start(self, seconds: float = 180) -> None:
        """Makes the container at the first start; returns when the server answers. ServerError when it does not in time."""
        if self._state() is None:
            self._create()
        _docker("start", self.name)
        deadline = time.monotonic() + seconds
        while not self.is_running():
            if self._state() != "running" or time.monotonic() > deadline:
                raise ServerError(
                    f"RabbitMQ's container did not come up; its log:\n{_docker('logs', '--tail', '15', self.name)}"
                )
            time.sleep(0.2)

    def stop(self) -> None:
        """Stops the container in order; its data stay."""
        if self._state() == "running":
            _docker("stop", self.name)

    def flush(self) -> None:
        """Writes the node's register of quorum queues to disk now; see `PrivateRabbitmq.flush`."""
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def kill(self) -> None:
        """Ends the server at once, as a power cut would."""
        if self._state() == "running":
            _docker("kill", self.name)

    def restart(self) -> None:
        """Stops in order and starts again on the same ports."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Whether our server answers for itself."""
        try:
            answer = loopback.get(f"{self.management_url}/api/health/checks/virtual-hosts", 10)
        except (ServerError, requests.RequestException):
            return False
        return bool(answer.status_code == requests.codes.ok)

    def is_alive(self) -> bool:
        """Whether our container runs, ready or not."""
        return self._state() == "running"

    def was_started(self) -> bool:
        """Whether this folder ever held a container of ours."""
        return (self.folder / "container.json").exists()

    def destroy(self) -> None:
        """Removes the container and everything it kept."""
        if self._state() is not None:
            _docker("rm", "--force", "--volumes", self.name)
        _docker("volume", "rm", "--force", self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ctl(self, *words: str) -> str:
        """What `rabbitmqctl` with these words prints; ServerError with its complaint when it fails."""
        return _docker("exec", self.name, "rabbitmqctl", "--quiet", *words)

    def _create(self) -> None:
        known = {
            "password": secrets.token_urlsafe(18),
            "port": str(free_port(self._wanted["port"])),
            "management_port": str(free_port(self._wanted["management_port"])),
        }
        _docker(
            "create",
            "--name",
            self.name,
            # The node's name, and with it the place of its data, comes from the host's name.
            "--hostname",
            "trueup",
            "--volume",
            f"{self.name}:/var/lib/rabbitmq",
            "--publish",
            f"127.0.0.1:{known['port']}:5672",
            "--publish",
            f"127.0.0.1:{known['management_port']}:15672",
            "--env",
            f"RABBITMQ_DEFAULT_USER={_USER}",
            "--env",
            f"RABBITMQ_DEFAULT_PASS={known['password']}",
            IMAGE,
        )
        write_private(self.folder / "container.json", json.dumps(known))

    def _known(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads((self.folder / "container.json").read_text())
        except FileNotFoundError:
            raise ServerError(f"RabbitMQ's container for {self.folder} was never started: start it first") from None
        return known

    def _state(self) -> str | None:
        found = _docker("ps", "--all", "--filter", f"name=^/?{self.name}$", "--format", "{{.State}}").strip()
        return found or None


def docker_problem() -> str | None:
    """Why no container can be run here; None when a Docker engine answers."""
    if shutil.which("docker") is None:
        return "the docker command is not installed"
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer"
    return None if asked.returncode == 0 else (asked.stderr.strip().splitlines() or ["no Docker engine runs"])[-1]


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"docker {words[0]} failed: {done.stderr.strip()}")
    return done.stdout
