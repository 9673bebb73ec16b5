"""(folder, wishes) -> a house that runs: servers, tables, processes, the sandbox's MSP with its resources linked."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from deploy.migrate import migrate
from deploy.servers import ServerError
from deploy.servers.postgres import create_database, find_postgres, last_lines
from deploy.servers.rabbitmq import find_rabbitmq
from deploy.up.house import house_parts, operator_settings, write_environment
from deploy.up.parts import Folder, Part, not_ready
from deploy.up.sandbox_msp import Sandboxes, add_sandbox_admin, fill, write_links
from deploy.up.screen import done, step, wait_until
from deploy.up.site import Site, open_site, read_site
from deploy.up.supervisor import own_servers, stop_parts
from plumbing.clock import Clock
from plumbing.database import make_engine

_DATABASE = "trueup"
_READY_SECONDS = 120
_MOST_LIVES = 3


def start_house(folder: Folder, ports: Mapping[str, int | None], wishes: Mapping[str, Any]) -> Site:
    """The installation, everything ready. When it runs already nothing is changed. ServerError says what is wrong."""
    site = read_site(folder)
    if site is not None and folder.process("supervisor").is_running():
        click.echo("Trueup runs already; `make down` stops it.")
        _wait_until_ready(folder)
        return site
    # What a supervisor that was killed has left must not keep the ports.
    stop_parts(folder, folder.parts())
    for server in own_servers(folder).values():
        server.stop()
    site = open_site(folder, ports, wishes)
    database_url, rabbitmq_url = _start_servers(folder, site)
    with step("tables and roles"):
        migrate(database_url, site.secrets["role_password"])
    write_environment(folder, site, database_url, rabbitmq_url)
    if site.sandbox:
        write_links(_sandboxes(site), _links(folder))
    folder.save_parts(house_parts(folder, site, database_url, rabbitmq_url))
    _start_supervisor(folder)
    _wait_until_ready(folder)
    if site.sandbox:
        _fill(folder, site, database_url, rabbitmq_url)
    return site


def stop_house(folder: Folder) -> list[str]:
    """The names of what ran and was stopped: the processes first, then our own servers."""
    names = ["supervisor", *(part.name for part in folder.parts())]
    stopped = [name for name in names if folder.process(name).is_running()]
    folder.process("supervisor").stop(60)
    stop_parts(folder, folder.parts())
    for name, server in own_servers(folder).items():
        if server.is_alive():
            server.stop()
            stopped.append(name)
    return stopped


def _start_servers(folder: Folder, site: Site) -> tuple[str, str]:
    with step("PostgreSQL"):
        postgres = find_postgres(site.database_url or None, folder.path / "postgres", site.ports["postgres"])
        postgres.start()
        database_url = site.database_url or create_database(postgres.url, _DATABASE)
    with step("RabbitMQ"):
        broker = find_rabbitmq(
            site.rabbitmq_url or None,
            folder.path / "rabbitmq",
            site.ports["rabbitmq"],
            site.ports["rabbitmq_management"],
            say=lambda line: click.echo(f"    {line}"),
        )
        broker.start()
    return database_url, broker.url


def _start_supervisor(folder: Folder) -> None:
    log = folder.log("supervisor")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deploy.up.supervisor", str(folder.path)]
    folder.process("supervisor").start(command, log, dict(os.environ), folder.project)


def _wait_until_ready(folder: Folder) -> None:
    began, waiting = time.monotonic(), {part.name: part for part in folder.parts()}
    lives: dict[str, set[int]] = {name: set() for name in waiting}

    def reason() -> str:
        reasons = {name: not_ready(part) for name, part in waiting.items()}
        for name in [name for name, why in reasons.items() if not why]:
            done(name, began, waiting.pop(name).address)
        for name in waiting:
            lives[name] |= {pid for pid in [folder.process(name).pid] if pid}
            if len(lives[name]) > _MOST_LIVES:
                raise ServerError(f"{name} dies again and again")
        return "; ".join(f"{name}: {why}" for name, why in reasons.items() if why)

    try:
        wait_until(reason, "everything", _READY_SECONDS)
    except ServerError as error:
        raise ServerError("\n".join([str(error), *(_end_of_log(folder, part) for part in waiting.values())])) from None


def _end_of_log(folder: Folder, part: Part) -> str:
    log = folder.log(part.name)
    return f"The end of {log}:\n{last_lines(log, 6)}"


def _fill(folder: Folder, site: Site, database_url: str, rabbitmq_url: str) -> None:
    engine = make_engine(database_url, "trueup up")
    operator = operator_settings(folder, site, database_url, rabbitmq_url)
    keys = {service: site.secrets[f"{service}_public_key"] for service in ("poller", "psa_writer")}
    try:
        clock = Clock(str(folder.path / "clock"))
        fill(_sandboxes(site), _links(folder), engine, clock, operator, keys)
        add_sandbox_admin(engine, clock, site.secrets["admin_password"])
    finally:
        engine.dispose()


def _sandboxes(site: Site) -> Sandboxes:
    return Sandboxes(site.address("odin"), site.address("autotask"), site.seed, site.companies)


def _links(folder: Folder) -> Path:
    return folder.path / "sandbox" / "links.csv"
