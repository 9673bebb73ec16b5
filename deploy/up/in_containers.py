"""`python -m deploy.up.in_containers prepare|fill|new-key|drop-old-keys`: what `docker compose up` needs done beside starting
containers.

prepare: tables, roles, keys and token. Each key goes into the volume of the one service that may hold it, so that no
other container can open the secrets sealed for it. fill: the sandbox's MSP, polled, read and linked. The others change
the keys of a service; it takes them up when it is started again."""

import secrets
import shlex
from pathlib import Path

import click

from deploy.migrate import migrate
from deploy.servers import ServerError
from deploy.servers.postgres import connection_problem, create_database
from deploy.servers.process import write_private
from deploy.up.sandbox_msp import Sandboxes, fill, write_links
from deploy.up.screen import step, wait_until
from gateway.resealing import OPENERS
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.secrets import each_key, new_key_pair, public_key_of
from plumbing.settings import BadSettings, OperatorSettings, read_settings


@click.group()
def main() -> None:
    """Set up an installation that runs in containers."""


@main.command()
@click.option("--role-password", envvar="TRUEUP_ROLE_PASSWORD", required=True, help="Password of the processes' roles.")
@click.option("--secrets", "folder", type=click.Path(path_type=Path), required=True, help="Holds a folder a service.")
@click.option("--links", type=click.Path(path_type=Path), required=True, help="Where to keep the sandbox's relations.")
@click.option("--seed", default=1, show_default=True)
@click.option("--companies", default=24, show_default=True)
def prepare(role_password: str, folder: Path, links: Path, seed: int, companies: int) -> None:
    """Make database, tables, roles, keys and the token; what is there already stays."""
    server, _, database = _settings().database_url.rpartition("/")
    try:
        wait_until(lambda: connection_problem(f"{server}/postgres") or "", "PostgreSQL", 60)
    except ServerError as error:
        raise click.ClickException(str(error)) from None
    with step("tables and roles"):
        migrate(create_database(f"{server}/postgres", database), role_password)
    _make_keys(folder)
    write_links(Sandboxes("", "", seed, companies), links)


@main.command("fill")
@click.option("--odin", required=True, help="Address of the sandbox marketplace.")
@click.option("--autotask", required=True, help="Address of the sandbox PSA.")
@click.option("--links", type=click.Path(path_type=Path), required=True, help="The relations that prepare has kept.")
def fill_sandbox(odin: str, autotask: str, links: Path) -> None:
    """Set up the sandbox's MSP; return when it is polled, read and linked."""
    settings = _settings()
    engine = make_engine(settings.database_url, "trueup fill")
    try:
        fill(Sandboxes(odin, autotask, 0, 0), links, engine, Clock(settings.clock_file), {}, settings.public_keys())
    except (ServerError, BadSettings) as error:
        raise click.ClickException(str(error)) from None
    finally:
        engine.dispose()


@main.command("new-key")
@click.argument("service", type=click.Choice(OPENERS))
@click.option(
    "--secrets", "folder", type=click.Path(path_type=Path), default="/secrets", help="Holds a folder a service."
)
def new_key(service: str, folder: Path) -> None:
    """Give SERVICE a new key beside the old one."""
    private, public = new_key_pair()
    _write_keys(folder, service, f"{private},{_read(folder / service)['TRUEUP_PRIVATE_KEY']}", public)
    click.echo(f"Next: start {service} and gateway again, and run: key rotate {service}")


@main.command("drop-old-keys")
@click.argument("service", type=click.Choice(OPENERS))
@click.option(
    "--secrets", "folder", type=click.Path(path_type=Path), default="/secrets", help="Holds a folder a service."
)
def drop_old_keys(service: str, folder: Path) -> None:
    """Take from SERVICE all keys but the newest: when `key rotate` says that none is needed."""
    newest = each_key(_read(folder / service)["TRUEUP_PRIVATE_KEY"])[0]
    _write_keys(folder, service, newest, public_key_of(newest))
    click.echo(f"Next: start {service} again")


def _write_keys(folder: Path, service: str, private: str, public: str) -> None:
    """The private half first: when this is ended between the two, secrets are still sealed with a key that opens."""
    write_private(folder / service / "environment", _setting("TRUEUP_PRIVATE_KEY", private))
    known = _read(folder / "public") | {f"TRUEUP_{service.upper()}_PUBLIC_KEY": public}
    write_private(folder / "public" / "environment", "".join(_setting(name, value) for name, value in known.items()))


def _read(folder: Path) -> dict[str, str]:
    words = shlex.split((folder / "environment").read_text())
    return dict(word.split("=", 1) for word in words if word != "export")


def _settings() -> OperatorSettings:
    try:
        return read_settings(OperatorSettings)
    except BadSettings as error:
        raise click.ClickException(str(error)) from None


def _make_keys(folder: Path) -> None:
    public, token = folder / "public" / "environment", folder / "gateway" / "environment"
    known = public.read_text() if public.exists() else ""
    for service in OPENERS:
        name = f"TRUEUP_{service.upper()}_PUBLIC_KEY"
        if name not in known:
            private, key = new_key_pair()
            write_private(folder / service / "environment", _setting("TRUEUP_PRIVATE_KEY", private))
            known += _setting(name, key)
    own = token.read_text() if token.exists() else _setting("TRUEUP_GATEWAY_TOKEN", secrets.token_urlsafe(24))
    # It also opens the secrets of one-time codes; nobody but the gateway seals for it.
    if "TRUEUP_PRIVATE_KEY" not in own:
        own += _setting("TRUEUP_PRIVATE_KEY", new_key_pair()[0])
        write_private(token, own)
    # Last: a key that is not known publicly is made anew by the next start, both halves.
    write_private(public, known)


def _setting(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}\n"


if __name__ == "__main__":
    main()
