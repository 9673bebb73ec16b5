"""`python -m deploy.up start|down|logs`: an installation on this machine, started, stopped or listened to."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import psycopg2

from deploy.servers import ServerError
from deploy.up.parts import Folder
from deploy.up.sandbox_msp import ADMIN
from deploy.up.site import DEFAULT_PORTS, Site, add_key, keep_newest_key, read_site
from deploy.up.starting import start_house, stop_house
from gateway.resealing import OPENERS


@click.group()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TRUEUP_UP_FOLDER",
    default=Path(".trueup"),
    show_default=True,
    help="Where data, logs, process ids and secrets are kept.",
)
@click.pass_context
def main(context: click.Context, folder: Path) -> None:
    """Run Trueup on this machine, with a sandbox marketplace and PSA."""
    context.obj = Folder(folder)


def _option(name: str, **more: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    wish = name.partition("/")[0].strip("-").replace("-", "_")
    return click.option(name, envvar=f"TRUEUP_UP_{wish.upper()}", show_envvar=True, **more)


def _ports(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, default in reversed(DEFAULT_PORTS.items()):
        said = f"Port of {name} [{default or 'any free one'}]."
        command = _option(f"--{name.replace('_', '-')}-port", type=click.IntRange(1, 65535), help=said)(command)
    return command


@main.command()
@_option("--database-url", help="A PostgreSQL database that is there already; its account may make roles.")
@_option("--rabbitmq-url", help="A RabbitMQ that is there already.")
@_option("--sandbox/--no-sandbox", default=None, help="Stand-in marketplace and PSA, with an MSP that uses them [yes].")
@_option("--seed", type=int, help="Which world the sandboxes hold, in a new folder [1].")
@_option("--companies", type=click.IntRange(1), help="How many companies it has, in a new folder [24].")
@_option("--changes-every", type=click.IntRange(0), help="Seconds between counts that change by themselves [20].")
@_ports
@click.pass_obj
def start(folder: Folder, /, **wishes: Any) -> None:
    """Start everything and return when it is ready; when it runs already, say where. A choice once made is kept."""
    ports = {name: wishes.pop(f"{name}_port") for name in DEFAULT_PORTS}
    try:
        with _alone(folder):
            site = start_house(folder, ports, wishes)
    except (ServerError, psycopg2.Error) as error:
        raise click.ClickException(str(error).strip()) from None
    _tell(folder, site)


@main.command()
@click.pass_obj
def down(folder: Folder) -> None:
    """Stop what start started, and nothing else. The data stay; the next start finds them."""
    with _alone(folder):
        stopped = stop_house(folder)
    click.echo(f"stopped: {', '.join(stopped)}" if stopped else "nothing ran here")


@main.command("new-key")
@click.argument("service", type=click.Choice(OPENERS))
@click.pass_obj
def new_key(folder: Folder, service: str) -> None:
    """Give SERVICE a new key beside the old one, from the next start on."""
    with _alone(folder):
        add_key(folder, _site(folder), service)
    click.echo(f"Next: make down up, load the settings anew, and trueup key rotate {service}")


@main.command("drop-old-keys")
@click.argument("service", type=click.Choice(OPENERS))
@click.pass_obj
def drop_old_keys(folder: Folder, service: str) -> None:
    """Take from SERVICE all keys but the newest, from the next start on: when `trueup key rotate` says that none is needed."""
    with _alone(folder):
        keep_newest_key(folder, _site(folder), service)
    click.echo("Next: make down up")


def _site(folder: Folder) -> Site:
    site = read_site(folder)
    if site is None:
        raise click.ClickException(f"there is no installation in {folder.path}")
    return site


@main.command()
@click.pass_obj
def logs(folder: Folder) -> None:
    """Follow the logs of all processes."""
    found = sorted(str(log) for log in (folder.path / "logs").glob("*.log"))
    if not found:
        raise click.ClickException(f"there are no logs in {folder.path}: nothing was ever started here")
    os.execvp("tail", ["tail", "-n", "20", "-F", *found])  # noqa: S606


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """Two starts at once would make two of everything: the second waits for the first."""
    # Others may pass through (PostgreSQL does, when root starts it), but not look around.
    folder.path.mkdir(mode=0o711, parents=True, exist_ok=True)
    with (folder.path / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            click.echo("another start or stop is at work here; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tell(folder: Folder, site: Site) -> None:
    lines = [
        "",
        "Trueup is ready.",
        f"  reports (GraphQL)   {site.address('gateway')}/graphql",
        f"  token               {site.secrets['token']}",
    ]
    if site.sandbox:
        lines += [
            f"  sign in             {ADMIN}  {site.secrets['admin_password']}",
            f"  sandbox ODIN        {site.address('odin')}/",
            f"  sandbox Autotask    {site.address('autotask')}/",
            f"  sandbox mailbox     {site.address('mailbox')}/",
        ]
    lines += [
        f"  operator's command  . {_short(folder.path)}/environment && .venv/bin/trueup --help",
        f"  logs                {_short(folder.path)}/logs, or make logs",
        "  stop                make down",
    ]
    click.echo("\n".join(lines))


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    main()
