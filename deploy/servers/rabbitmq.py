"""(URL or folder) -> a RabbitMQ server: the one given, else our own node, else a container, else one installed first."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from deploy.servers import ServerError
from deploy.servers.ports import answers
from deploy.servers.rabbitmq_docker import RabbitmqContainer, docker_problem
from deploy.servers.rabbitmq_install import install_problem, install_rabbitmq
from deploy.servers.rabbitmq_node import PrivateRabbitmq, find_scripts


class RabbitmqServer(Protocol):
    """A RabbitMQ server that Trueup uses; only one it started itself can be stopped."""

    @property
    def url(self) -> str:
        """amqp://user:password@host:port/vhost of an account that may configure, write and read there."""

    @property
    def management_url(self) -> str | None:
        """http://user:password@host:port of the management interface; None when it is not known."""

    def start(self) -> None:
        """Returns when the server accepts connections; does nothing when it does already."""

    def stop(self) -> None:
        """Stops the server in order when Trueup started it; else leaves it alone."""

    def is_running(self) -> bool:
        """Whether the server accepts connections."""


def find_rabbitmq(
    url: str | None,
    folder: Path,
    port: int | None = None,
    management_port: int | None = None,
    say: Callable[[str], None] = print,
) -> RabbitmqServer:
    """The server at the URL; else what the folder holds already; else our own node of an installed RabbitMQ; else a
    container; else RabbitMQ is installed by the system's package manager when that is permitted. Nothing is started yet.

    ServerError says what to do when no way is left."""
    if url:
        return GivenRabbitmq(url)
    container = RabbitmqContainer(folder, port, management_port)
    if container.was_started():
        return container
    if find_scripts() is None:
        no_docker = docker_problem()
        if no_docker is None:
            return container
        no_install = install_problem()
        if no_install is not None:
            raise ServerError(
                "no RabbitMQ on this machine, and no way to get one:\n"
                f"  - Docker: {no_docker}\n"
                f"  - package manager: {no_install}\n"
                "Install RabbitMQ (Debian and Ubuntu: `sudo apt-get install rabbitmq-server`; macOS: `brew install rabbitmq`), "
                "or start Docker, or give the URL of a server that runs elsewhere."
            )
        install_rabbitmq(say)
    return PrivateRabbitmq(folder, port, management_port)


def own_rabbitmq(folder: Path) -> PrivateRabbitmq | RabbitmqContainer | None:
    """The server of ours that the folder holds; None when it holds none."""
    servers = (RabbitmqContainer(folder), PrivateRabbitmq(folder))
    return next((server for server in servers if server.was_started()), None)


class GivenRabbitmq:
    """A server that somebody else runs."""

    def __init__(self, url: str, management_url: str | None = None) -> None:
        self.url = url
        self.management_url = management_url

    def start(self) -> None:
        """Checks that the server answers; ServerError when it does not."""
        if not self.is_running():
            where = urlsplit(self.url)
            raise ServerError(
                f"RabbitMQ does not answer at {where.hostname}:{where.port or 5672}. Start it or correct the URL, "
                "or leave the URL out to get a server of your own."
            )

    def stop(self) -> None:
        """Leaves the server alone: Trueup did not start it."""

    def is_running(self) -> bool:
        """Whether the server's port accepts connections; user and password are the client's to prove."""
        where = urlsplit(self.url)
        return answers(where.port or 5672, host=where.hostname or "127.0.0.1")
