"""PostgreSQL and RabbitMQ for the tests: one of each for all workers of a run, and servers of a test's own to kill.

Where they come from, for each of the two: the URL in TRUEUP_TEST_DATABASE_URL or TRUEUP_TEST_RABBITMQ_URL (then
TRUEUP_TEST_RABBITMQ_MANAGEMENT_URL too); else testcontainers where a Docker engine answers; else the embedded PostgreSQL and a
private RabbitMQ node. TRUEUP_TEST_SERVERS=url, docker or private settles it. A server that cannot be had skips the test at home,
with the reason, and fails it in CI (CI=true).

Real servers, never stand-ins: each test has a database and a vhost of its own."""

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import docker
import psutil
import psycopg2
import pytest
import requests
from filelock import FileLock
from psycopg2 import sql
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from deploy.servers import ServerError
from deploy.servers.postgres import EmbeddedPostgres, connection_problem, create_database
from deploy.servers.process import Detached
from deploy.servers.rabbitmq import PrivateRabbitmq, RabbitmqContainer, find_rabbitmq
from deploy.servers.rabbitmq import own_rabbitmq as own_rabbitmq_of
from deploy.servers.rabbitmq_docker import docker_problem

#: The roles of the services sign in with this word on every server that asks for one.
ROLE_PASSWORD = "role-of-a-test"
_RUN = "TRUEUP_TEST_RUN"
_LABEL = "trueup-tests"
_PREFIX = "trueup-tests-"
_CONTAINER_SECONDS = 180
# Nothing in a test's database must survive the machine: no write waits for the disk, and where the machine has memory to
# spare none goes there: cloning a database takes a tenth of the time.
_MEMORY = Path("/dev/shm")
_SPARE_BYTES = 8 * 2**30
_FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True)
class Postgres:
    """A server in which a test may make databases; the URL is a superuser's."""

    url: str

    def execute(self, statement: str, *names: str) -> None:
        """Runs one statement outside a transaction; {} in it stand for the names, quoted."""
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            connection.cursor().execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def database_url(self, name: str) -> str:
        """The URL of one of its databases, for the same superuser."""
        return with_path(self.url, name)


@dataclass(frozen=True)
class Rabbitmq:
    """A broker in which a test may make vhosts."""

    url: str
    management_url: str

    def api(self, method: str, path: str, **body: object) -> requests.Response:
        """The answer of the management interface at /api/<path>; raises when it refuses."""
        answer = requests.request(method, f"{self.management_url}/api/{path}", json=body or None, timeout=60)
        answer.raise_for_status()
        return answer

    def vhost_url(self, name: str) -> str:
        """The URL of one of its vhosts, for the same user."""
        return with_path(self.url, quote(name, safe=""))


@pytest.fixture(scope="session")
def postgres() -> Postgres:
    """The run's PostgreSQL."""
    return Postgres(**_once("postgres", _start_postgres))


@pytest.fixture(scope="session")
def rabbitmq() -> Rabbitmq:
    """The run's RabbitMQ, its management interface included."""
    return Rabbitmq(**_once("rabbitmq", _start_rabbitmq))


@pytest.fixture
def vhost(rabbitmq: Rabbitmq) -> Iterator[str]:
    """The amqp URL of a fresh vhost, gone after the test with everything in it."""
    with fresh_vhost(rabbitmq) as url:
        yield url


@contextmanager
def fresh_vhost(rabbitmq: Rabbitmq) -> Iterator[str]:
    """The amqp URL of a vhost for as long as the block runs: for fixtures of a wider scope than a test."""
    name = _fresh_name()
    user = urlsplit(rabbitmq.url).username or "guest"
    rabbitmq.api("PUT", f"vhosts/{name}")
    rabbitmq.api("PUT", f"permissions/{name}/{user}", configure=".*", write=".*", read=".*")
    yield rabbitmq.vhost_url(name)
    rabbitmq.api("DELETE", f"vhosts/{name}")


@contextmanager
def fresh_database(postgres: Postgres, template: str) -> Iterator[str]:
    """The URL of a clone of the template for as long as the block runs: for fixtures of a wider scope than a test."""
    name = _fresh_name()
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, template)
    yield postgres.database_url(name)
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh database without a table, gone after the test."""
    name = _fresh_name()
    yield create_database(postgres.url, name)
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database with all tables and roles, made once a run, to be cloned."""

    def migrated() -> dict[str, str]:
        from deploy.migrate import migrate

        name = f"{_fresh_name()}_template"
        migrate(create_database(postgres.url, name), ROLE_PASSWORD)
        return {"name": name}

    return _once("template", migrated)["name"]


@pytest.fixture
def database(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL, for a superuser, of a fresh database with all tables; see `role_url` for the services' own. Gone after the test."""
    with fresh_database(postgres, migrated_template) as url:
        yield url


@pytest.fixture
def own_postgres(own_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own, started: it may be killed and restarted, and keeps what was committed."""
    server = EmbeddedPostgres(own_folder / "postgres")
    _or_reason(server.start)
    yield server
    server.destroy()


@pytest.fixture
def own_rabbitmq(own_folder: Path) -> Iterator[PrivateRabbitmq | RabbitmqContainer]:
    """A RabbitMQ of the test's own, started: it may be killed, restarted and put under a memory alarm."""
    server = _or_reason(lambda: find_rabbitmq(None, own_folder / "rabbitmq"))
    _or_reason(server.start)
    yield server
    server.destroy()


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder that servers may use when the tests run as root: pytest's own lets nobody else in."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=_run()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def role_url(url: str, role: str) -> str:
    """The URL of the same database for one of the services' roles."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{ROLE_PASSWORD}@{parts.hostname}:{parts.port or 5432}"))


def with_path(url: str, path: str) -> str:
    """The same URL with another database or vhost."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def begin_run() -> None:
    """Makes the run's folder and clears away what a run that was killed has left."""
    places = {Path(tempfile.gettempdir()), _MEMORY}
    for old in chain.from_iterable(place.glob(f"{_PREFIX}*") for place in places):
        with suppress(FileNotFoundError):  # another run that begins now clears it as well
            if old.stat().st_uid == os.getuid() and not Detached(old / "run.pid").is_running():
                _clear(old)
    made = Path(tempfile.mkdtemp(prefix="making-", dir=_MEMORY if _memory_to_spare() else None))
    made.chmod(0o711)
    Detached(made / "run.pid").adopt(os.getpid())
    # The name comes last: a folder of that name without a living process is cleared away by whoever sees it.
    folder = made.rename(made.with_name(_PREFIX + made.name.removeprefix("making-")))
    os.environ[_RUN] = str(folder)


def end_run() -> None:
    """Stops the run's servers and removes all that they kept."""
    folder = os.environ.pop(_RUN, None)
    if folder:
        _clear(Path(folder))


def _memory_to_spare() -> bool:
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        return False
    return min(shutil.disk_usage(_MEMORY).free, psutil.virtual_memory().available) > _SPARE_BYTES


def _run() -> Path:
    return Path(os.environ[_RUN])


def _fresh_name() -> str:
    return f"t_{_run().name.removeprefix(_PREFIX)}_{uuid.uuid4().hex[:12]}"


def _once(name: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What the first worker made under this name; the others wait for it and meet the same failure."""
    result = _run() / f"{name}.json"
    with FileLock(_run() / f"{name}.lock"):
        if not result.exists():
            try:
                made = make()
            except ServerError as error:
                made = {"error": str(error)}
            result.write_text(json.dumps(made))
    known: dict[str, str] = json.loads(result.read_text())
    if "error" in known:
        _give_up(known["error"])
    return known


def _or_reason(start: Callable):
    try:
        return start()
    except ServerError as error:
        return _give_up(str(error))


def _give_up(reason: str) -> None:
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def _given(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        raise ServerError(f"the tests shall use given servers, but {variable} is not set")
    return value


def _first_way(variable: str, ways: dict[str, Callable[[], dict[str, str]]]) -> dict[str, str]:
    """What the first way that works gives: the forced one; else the given URL; else Docker, then our own programs."""
    forced = os.environ.get("TRUEUP_TEST_SERVERS") or ("url" if os.environ.get(variable) else "")
    if forced and forced not in ways:
        raise ServerError(f"TRUEUP_TEST_SERVERS={forced}: it must be one of {', '.join(ways)}")
    if forced:
        return ways[forced]()
    if not docker_problem():
        # An engine without the image, on a machine that cannot fetch it, is no reason not to test.
        with suppress(ServerError):
            return ways["docker"]()
    return ways["private"]()


def _start_postgres() -> dict[str, str]:
    def given() -> dict[str, str]:
        url = _given("TRUEUP_TEST_DATABASE_URL")
        _wait(lambda: connection_problem(url), 0)
        return {"url": url}

    def container() -> dict[str, str]:
        password = uuid.uuid4().hex
        settings = " ".join(f"-c {name}={value}" for name, value in {**_FAST, "max_connections": "300"}.items())
        address = _start_container("postgres:17", f"postgres {settings}", {"POSTGRES_PASSWORD": password}, 5432)
        url = f"postgresql://postgres:{password}@{address[5432]}/postgres"
        _wait(lambda: connection_problem(url), _CONTAINER_SECONDS)
        return {"url": url}

    def private() -> dict[str, str]:
        server = EmbeddedPostgres(_run() / "postgres", settings=_FAST)
        server.start()
        return {"url": server.url}

    return _first_way("TRUEUP_TEST_DATABASE_URL", {"url": given, "docker": container, "private": private})


def _start_rabbitmq() -> dict[str, str]:
    def given() -> dict[str, str]:
        url, management_url = _given("TRUEUP_TEST_RABBITMQ_URL"), _given("TRUEUP_TEST_RABBITMQ_MANAGEMENT_URL")
        _wait(lambda: _management_problem(management_url), 0)
        return {"url": url, "management_url": management_url}

    def container() -> dict[str, str]:
        password = uuid.uuid4().hex
        account = {"RABBITMQ_DEFAULT_USER": "trueup", "RABBITMQ_DEFAULT_PASS": password}
        address = _start_container("rabbitmq:4.0-management", None, account, 5672, 15672)
        management_url = f"http://trueup:{password}@{address[15672]}"
        _wait(lambda: _management_problem(management_url), _CONTAINER_SECONDS)
        return {"url": f"amqp://trueup:{password}@{address[5672]}/", "management_url": management_url}

    def private() -> dict[str, str]:
        server = find_rabbitmq(None, _run() / "rabbitmq")
        server.start()
        return {"url": server.url, "management_url": server.management_url or ""}

    return _first_way("TRUEUP_TEST_RABBITMQ_URL", {"url": given, "docker": container, "private": private})


def _start_container(image: str, command: str | None, env: dict[str, str], *ports: int) -> dict[int, str]:
    # The reaper of testcontainers watches over one process and would take the server from under the other workers; the run
    # itself removes its containers, and the next run those of a run that was killed.
    testcontainers_config.ryuk_disabled = True
    try:
        container = DockerContainer(image, command=command, env=env, ports=list(ports), labels={_LABEL: _run().name})
        container.start()
    except docker.errors.DockerException as error:
        raise ServerError(
            f"no container of {image}: {error}. TRUEUP_TEST_SERVERS=private does without Docker."
        ) from error
    host = container.get_container_host_ip()
    host = "127.0.0.1" if host == "localhost" else host
    return {port: f"{host}:{container.get_exposed_port(port)}" for port in ports}


def _management_problem(url: str) -> str | None:
    try:
        answer = requests.get(f"{url}/api/health/checks/virtual-hosts", timeout=10)
    except requests.RequestException as error:
        return f"the management interface does not answer ({type(error).__name__})"
    return None if answer.ok else f"the management interface answers {answer.status_code}: {answer.text[:200]}"


def _wait(problem: Callable[[], str | None], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (left := problem()) is not None:
        if time.monotonic() > deadline:
            raise ServerError(left)
        time.sleep(0.1)


def _clear(folder: Path) -> None:
    """Removes what a run made: databases and vhosts on given servers, containers, private servers, its folder."""
    if (folder / "postgres").exists():
        EmbeddedPostgres(folder / "postgres").destroy()
    for node in [folder / "rabbitmq", *folder.glob("own-*/rabbitmq*")]:
        server = own_rabbitmq_of(node)
        if server is not None:
            server.destroy()
    for own in folder.glob("own-*/postgres"):
        EmbeddedPostgres(own).destroy()
    _drop_template(folder)
    if not docker_problem():
        with closing(docker.from_env()) as engine:
            for container in engine.containers.list(all=True, filters={"label": f"{_LABEL}={folder.name}"}):
                with suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)
    shutil.rmtree(folder, ignore_errors=True)


def _drop_template(folder: Path) -> None:
    """On a server that was given the template would stay for ever."""
    if (folder / "template.json").exists() and not (folder / "postgres").exists():
        name = json.loads((folder / "template.json").read_text()).get("name")
        url = json.loads((folder / "postgres.json").read_text()).get("url")
        if name and url and connection_problem(url) is None:
            Postgres(url).execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
