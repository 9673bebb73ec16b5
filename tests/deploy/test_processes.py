"""Every process of the house, wrongly set up or without its servers: one clear answer, and it mends itself after the cure."""

import socket
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from deploy.migrations.rights import SERVICES
from deploy.servers.ports import free_port
from plumbing.secrets import new_key_pair
from tests.fault_proxy import FaultProxy
from tests.processes import Process
from tests.servers import Rabbitmq, role_url
from tests.waiting import wait_for

PROCESSES = [("deploy.run_relay", ()), ("gateway", ()), *(("deploy.run_service", (name,)) for name in SERVICES)]
NAMES = [module if not arguments else arguments[0] for module, arguments in PROCESSES]


def run(module: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, str]:
    with Process(module, *arguments, environment=environment) as process:
        status = process.wait(60)
        return status, process.output


def settings(database_url: str, rabbitmq_url: str, port: int = 0) -> dict[str, str]:
    return {
        "TRUEUP_DATABASE_URL": database_url,
        "TRUEUP_RABBITMQ_URL": rabbitmq_url,
        "TRUEUP_PRIVATE_KEY": new_key_pair()[0],
        "TRUEUP_GATEWAY_TOKEN": "a-token-of-the-test-0123456789abcdef",
        "TRUEUP_PORT": str(port),
    }


@pytest.mark.parametrize(("module", "arguments"), PROCESSES, ids=NAMES)
def test_a_process_without_settings_names_each_one_and_ends(module: str, arguments: tuple[str, ...]) -> None:
    status, output = run(module, arguments, {"TRUEUP_DATABASE_URL": "", "TRUEUP_RABBITMQ_URL": ""})
    assert status == 2
    assert "TRUEUP_DATABASE_URL is not set: postgresql://role:password@host:port/database" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("module", "arguments"), PROCESSES, ids=NAMES)
def test_a_process_without_its_database_says_where_it_looked_and_what_to_do(
    module: str, arguments: tuple[str, ...]
) -> None:
    url = f"postgresql://someone:canary@127.0.0.1:{free_port()}/nowhere"
    status, output = run(module, arguments, settings(url, "amqp://guest:canary@127.0.0.1:1/"))
    assert status == 1
    assert "Is it running, and is TRUEUP_DATABASE_URL right?" in output
    assert "canary" not in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "nonsense"),
        ("RABBITMQ_URL", "http://canary@host/"),
        ("LOG_LEVEL", "LOUD"),
        ("PORT", "70000"),
        ("RETRY_SECONDS", "soon"),
        ("SWEEP_SECONDS", "0"),
    ],
)
@pytest.mark.parametrize(("module", "arguments"), [PROCESSES[0], PROCESSES[2]], ids=["relay", "poller"])
def test_a_setting_that_makes_no_sense_is_named_with_what_it_should_be(
    module: str, arguments: tuple[str, ...], name: str, value: str
) -> None:
    given = settings("postgresql://a:canary@127.0.0.1:1/b", "amqp://guest:canary@127.0.0.1:1/")
    status, output = run(module, arguments, given | {f"TRUEUP_{name}": value})
    assert status == 2
    assert f"TRUEUP_{name} is " in output
    assert "Traceback" not in output
    assert "canary" not in output


@pytest.mark.postgres
def test_a_port_that_is_taken_is_told_with_the_setting_to_change(database: str, vhost: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = settings(database, vhost, taken.getsockname()[1])
        for module, arguments in (PROCESSES[0], PROCESSES[2]):
            status, output = run(module, arguments, environment)
            assert status == 1
            assert "set another TRUEUP_PORT" in output
            assert "Traceback" not in output


def test_an_unknown_service_is_told_with_those_there_are() -> None:
    status, output = run("deploy.run_service", ("biller",), {})
    assert status == 2
    assert "usage: python -m deploy.run_service {poller|mapping|reconciler|psa_writer|reporting}" in output


@pytest.fixture
def broker_link(rabbitmq: Rabbitmq, vhost: str) -> Iterator[tuple[FaultProxy, str]]:
    """A way to the broker that can be cut, and the URL that takes it."""
    host, port = vhost.rsplit("@", 1)[1].split("/", maxsplit=1)[0].split(":")
    with FaultProxy(host, int(port)) as proxy:
        yield proxy, vhost.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}")


def health(port: int) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).json()
    except requests.RequestException:
        return {"ready": False, "checks": {}}
    return answer


@pytest.mark.postgres
@pytest.mark.rabbitmq
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_starts_without_its_broker_says_so_and_is_ready_when_it_comes(
    database: str, broker_link: tuple[FaultProxy, str], service: str
) -> None:
    # given: a way to the broker that leads nowhere yet
    proxy, url = broker_link
    proxy.faults.refused = True
    port = free_port()

    # when
    environment = settings(role_url(database, f"trueup_{service}"), url, port)
    with Process("deploy.run_service", service, environment=environment) as process:
        wait_for(lambda: "is TRUEUP_RABBITMQ_URL right?" in str(health(port)), 60, what="the health to say so")
        proxy.faults.refused = False

        # then
        wait_for(lambda: health(port)["ready"], 60, what="the service to be ready")
        assert process.running
        assert process.stop() == 0


@pytest.mark.postgres
@pytest.mark.rabbitmq
def test_metrics_are_served_beside_health(database: str, vhost: str) -> None:
    port = free_port()
    with Process(
        "deploy.run_service", "mapping", environment=settings(role_url(database, "trueup_mapping"), vhost, port)
    ):
        wait_for(lambda: health(port)["ready"], 60)
        metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        assert "trueup_messages_handled_total" in metrics
        assert requests.get(f"http://127.0.0.1:{port}/else", timeout=5).status_code == 404
