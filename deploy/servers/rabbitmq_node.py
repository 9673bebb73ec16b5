"""(folder) -> a RabbitMQ node of our own, run from the programs installed on the machine.

It shares nothing with the machine's own node: its name, cookie, ports, port mapper (epmd), settings, plugins and data
are all its own, so neither can disturb, stop or join the other."""

import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import requests

from deploy.servers import ServerError, loopback
from deploy.servers.ports import answers, free_port
from deploy.servers.postgres import last_lines
from deploy.servers.process import Detached, write_private

_USER = "trueup"
_SCRIPT_FOLDERS = (
    "/usr/lib/rabbitmq/bin",  # Debian, Ubuntu, Fedora
    "/opt/rabbitmq/sbin",  # the official image
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)


class PrivateRabbitmq:
    """Our own node, everything it keeps in one folder."""

    def __init__(self, folder: Path, port: int | None = None, management_port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.process = Detached(self.folder / "rabbitmq.pid")
        self._port_mapper = Detached(self.folder / "epmd.pid")
        self._wanted = {"port": port, "management_port": management_port}

    @property
    def url(self) -> str:
        """amqp://trueup:password@127.0.0.1:port/ (the vhost "/"); ServerError before the first start."""
        return f"amqp://{self._credentials}@127.0.0.1:{self._known()['port']}/"

    @property
    def management_url(self) -> str:
        """http://trueup:password@127.0.0.1:port of the management interface; ServerError before the first start."""
        return f"http://{self._credentials}@127.0.0.1:{self._known()['management_port']}"

    @property
    def log(self) -> Path:
        """The node's own log."""
        return self.folder / "rabbitmq.log"

    def start(self, seconds: float = 90) -> None:
        """Makes user, cookie and settings at the first start; returns when the node takes part in everything.

        ServerError with the end of the node's log when it does not within the given seconds."""
        if not self.process.is_running():
            scripts = _scripts()
            self._prepare()
            self._start_port_mapper(scripts)
            self.process.start(
                [str(scripts / "rabbitmq-server")],
                log=self.folder / "startup.log",
                env=self._environment(),
                cwd=self.folder,
            )
        self._wait_until_ready(seconds)

    def stop(self) -> None:
        """Stops the node in order, and its port mapper."""
        self.process.stop()
        self._port_mapper.stop()

    def flush(self) -> None:
        """Writes the node's register of quorum queues to disk now.

        RabbitMQ writes it about a second late: a queue declared just before a kill comes back without a leader and never
        works again until it is deleted and declared anew (seen on 3.10.8)."""
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")

    def kill(self) -> None:
        """Ends the node at once, as a power cut would; its port mapper goes with it."""
        self.process.kill()
        self._port_mapper.kill()

    def restart(self) -> None:
        """Stops in order and starts again on the same ports."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Whether our node lives and answers for itself."""
        return self.process.is_running() and self._health_problem() is None

    def is_alive(self) -> bool:
        """Whether our node's process lives, ready or not."""
        return self.process.is_running()

    def was_started(self) -> bool:
        """Whether this folder ever held a node of ours."""
        return self._state.exists()

    def destroy(self) -> None:
        """Kills the node and removes everything it kept."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ctl(self, *words: str, seconds: float = 60) -> str:
        """What `rabbitmqctl` with these words prints; ServerError with its complaint when it fails.

        `ctl("set_vm_memory_high_watermark", "0.0001")` raises the memory alarm, `"0.4"` ends it."""
        command = [str(_scripts() / "rabbitmqctl"), "--quiet", "--node", self._known()["node"], *words]
        done = subprocess.run(
            command,
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"rabbitmqctl {' '.join(words)} failed: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    @property
    def _credentials(self) -> str:
        return f"{_USER}:{self._known()['password']}"

    @property
    def _state(self) -> Path:
        return self.folder / "server.json"

    def _known(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self._state.read_text())
        except FileNotFoundError:
            raise ServerError(f"RabbitMQ in {self.folder} was never started: start it first") from None
        return known

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._state.exists():
            mark = hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]
            first = {"node": f"trueup-{mark}@localhost", "password": secrets.token_urlsafe(18)}
            write_private(self._state, json.dumps(first))
            self._write_cookie()
            (self.folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
            # The machine's own settings in /etc/rabbitmq are kept out by naming an empty file and an empty folder.
            (self.folder / "env.conf").touch()
            (self.folder / "conf.d").mkdir(exist_ok=True)
        known = self._known()
        for name in ("port", "management_port", "dist_port", "epmd_port"):
            known[name] = str(free_port(int(known.get(name, 0)) or self._wanted.get(name)))
        write_private(self._state, json.dumps(known))
        write_private(self.folder / "rabbitmq.conf", _settings(known))

    def _write_cookie(self) -> None:
        cookie = self.folder / ".erlang.cookie"
        write_private(cookie, secrets.token_hex(20))
        cookie.chmod(0o400)

    def _start_port_mapper(self, scripts: Path) -> None:
        if not self._port_mapper.is_running():
            command = [_port_mapper_program(scripts), "-port", self._known()["epmd_port"], "-address", "127.0.0.1"]
            self._port_mapper.start(command, self.folder / "epmd.log", self._environment(), self.folder)

    def _environment(self) -> dict[str, str]:
        """Everything a node or `rabbitmqctl` asks for; nothing of the caller's environment but the search path."""
        known, at = self._known(), str(self.folder)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": at,
            "ERL_EPMD_PORT": known["epmd_port"],
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": known["node"],
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": known["port"],
            "RABBITMQ_DIST_PORT": known["dist_port"],
            "RABBITMQ_CONF_ENV_FILE": f"{at}/env.conf",
            "RABBITMQ_CONFIG_FILE": f"{at}/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": f"{at}/conf.d",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{at}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{at}/enabled_plugins",
            "RABBITMQ_PLUGINS_EXPAND_DIR": f"{at}/plugins",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{at}/generated",
            "RABBITMQ_SCHEMA_DIR": f"{at}/schema",
            "RABBITMQ_BASE": at,
            "RABBITMQ_MNESIA_BASE": f"{at}/data",
            "RABBITMQ_LOG_BASE": at,
            "RABBITMQ_LOGS": str(self.log),
            "RABBITMQ_PID_FILE": f"{at}/node.pid",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            # With this the start script becomes the node instead of watching over it: one process, whose end is its end.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _health_problem(self) -> str | None:
        try:
            answer = loopback.get(f"{self.management_url}/api/health/checks/virtual-hosts", 10)
        except requests.RequestException as error:
            return type(error).__name__
        if answer.status_code != requests.codes.ok:
            return f"the management interface answers {answer.status_code}"
        return None if answers(int(self._known()["port"])) else "its port does not answer"

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        problem: str | None = "it ended at once"
        while problem and time.monotonic() < deadline and self.process.is_running():
            problem = self._health_problem()
            time.sleep(0.1 if problem else 0)
        if problem:
            log = self.log if self.log.exists() else self.folder / "startup.log"
            raise ServerError(f"RabbitMQ did not come up ({problem}). The end of {log}:\n{last_lines(log)}")


def find_scripts() -> Path | None:
    """The folder of the installed RabbitMQ's own start scripts; None when none is installed.

    Debian's `rabbitmq-server` on the search path is passed over: that one starts the machine's node and no other."""
    candidates = [Path(folder) for folder in _SCRIPT_FOLDERS]
    on_path = shutil.which("rabbitmq-server")
    candidates += [Path(on_path).resolve().parent] if on_path else []
    for folder in candidates:
        if (folder / "rabbitmq-server").exists() and (folder / "rabbitmq-env").exists():
            return folder
    return None


def _scripts() -> Path:
    found = find_scripts()
    if found is None:
        raise ServerError("RabbitMQ is not installed (any more): install it, or give the URL of a server")
    return found


def _port_mapper_program(scripts: Path) -> str:
    beside_erl = [Path(found).resolve().parent for found in [shutil.which("erl")] if found]
    for folder in [*beside_erl, scripts]:
        if (folder / "epmd").exists():
            return str(folder / "epmd")
    found = shutil.which("epmd")
    if found is None:
        raise ServerError(
            "Erlang's epmd is not on the search path, though RabbitMQ is installed: repair the Erlang installation"
        )
    return found


def _settings(known: dict[str, str]) -> str:
    return "\n".join(
        [
            f"listeners.tcp.1 = 127.0.0.1:{known['port']}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {known['management_port']}",
            f"default_user = {_USER}",
            f"default_pass = {known['password']}",
            "disk_free_limit.absolute = 50MB",
            # The write-ahead log of quorum queues is kept in memory too; half a gigabyte of it suits a server, not a laptop.
            "raft.wal_max_size_bytes = 33554432",
            "log.console = false",
            "log.file.level = info",
            "",
        ]
    )
