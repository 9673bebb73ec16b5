"""`trueup`: what an operator does with an installation; each command says what it did, or what is wrong and what to do."""

import sys
from functools import partial
from uuid import uuid4

import click
from sqlalchemy import text

from deploy.cli.doctor import doctor
from deploy.cli.export import export
from deploy.cli.failures import failures
from deploy.cli.held import held
from deploy.cli.installation import Installation, told
from deploy.cli.keys import key
from deploy.cli.policies import policy
from deploy.cli.relations import relations
from deploy.cli.replay import replay
from deploy.cli.users import user
from deploy.migrate import migrate as migrate_database
from domain.keys import ConnectionId, MspId
from gateway.connection_kinds import KINDS
from gateway.connections import Connections
from gateway.draft_connection import Given


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def main(context: click.Context) -> None:
    """Operate a Trueup installation. Settings come from TRUEUP_DATABASE_URL (the owner's), TRUEUP_RABBITMQ_URL and the
    public keys TRUEUP_POLLER_PUBLIC_KEY, TRUEUP_PSA_WRITER_PUBLIC_KEY and TRUEUP_REPORTING_PUBLIC_KEY; after `make up`,
    load them with `. .trueup/environment`."""
    context.obj = Installation()


@main.command()
@click.option("--role-password", envvar="TRUEUP_ROLE_PASSWORD", default="", help="Password of the processes' roles.")
@click.pass_obj
@told
def migrate(house: Installation, role_password: str) -> None:
    """Bring the database to today's tables, rights and roles."""
    migrate_database(house.settings.database_url, role_password)
    click.echo("The database is up to date.")


@main.group()
def msp() -> None:
    """MSPs of this installation."""


@msp.command("add")
@click.argument("msp_id")
@click.option("--name", required=True, help="The MSP's name.")
@click.option("--time-zone", required=True, help="Its billing days are days here, such as Europe/Berlin.")
@click.pass_obj
@told
def msp_add(house: Installation, msp_id: str, name: str, time_zone: str) -> None:
    """Add an MSP."""
    house.set_up.add_msp(msp_id, name, time_zone)
    click.echo(
        f"MSP {msp_id} added. Next: trueup user add {msp_id} --help, and "
        f"trueup connection set {msp_id} odin --kind odin --help"
    )


@msp.command("list")
@click.pass_obj
@told
def msp_list(house: Installation) -> None:
    """List the MSPs of this installation."""
    with house.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT msp_id, name, time_zone, added_at FROM setup.msps ORDER BY msp_id")
        ).all()
    for row in rows:
        click.echo(f"{row.msp_id:<20} {row.name:<30} {row.time_zone:<20} since {row.added_at:%Y-%m-%d}")
    if not rows:
        click.echo("There is no MSP yet: trueup msp add --help")


@main.group()
def connection() -> None:
    """Marketplace and PSA connections."""


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if any(not separator for _, separator, _ in pairs):
        raise click.UsageError("give settings as NAME=VALUE")
    return {name: value for name, _, value in pairs}


@connection.command("set")
@click.argument("msp_id")
@click.argument("connection_id")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True)
@click.option("--set", "given", multiple=True, metavar="NAME=VALUE", help="A setting; may be given many times.")
@click.option("--secret-file", multiple=True, metavar="NAME=FILE", help="A secret from a file; - asks for it instead.")
@click.pass_obj
@told
def connection_set(
    house: Installation,
    msp_id: str,
    connection_id: str,
    kind: str,
    given: tuple[str, ...],
    secret_file: tuple[str, ...],
) -> None:
    """Make or change a connection; what is not given stays as it is. Secrets never stand on the command line.

    \b
    odin:     gateway_url user marketplace account_number subscription calls_per_minute calls_per_day poll_seconds
              reread_hours licence_customer; secrets password, secret, licence_key
    autotask: address user company_id currency calls_per_hour catalogue_seconds longest_execution_seconds
              mid_period_rows; secrets password, tracking_identifier
    """
    secrets = {name: _secret(name, source) for name, source in _pairs(secret_file).items()}
    version = house.set_up.save_connection(
        MspId(msp_id), connection_id, kind, _pairs(given), secrets, house.settings.public_keys()
    )
    click.echo(
        f"Connection {connection_id} saved as version {version}. Next: trueup connection test {msp_id} {connection_id}"
    )


def _secret(name: str, source: str) -> str:
    if source == "-":
        return str(click.prompt(name, hide_input=True))
    try:
        with open(source, encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except OSError as error:
        raise click.ClickException(f"the file for {name} cannot be read: {error}") from None


@connection.command("test")
@click.argument("msp_id")
@click.argument("connection_id")
@click.pass_obj
@told
def connection_test(house: Installation, msp_id: str, connection_id: str) -> None:
    """Try a connection step by step; a wrong password is tried exactly once. What came of it is kept."""
    kind = house.connections(MspId(msp_id)).get(ConnectionId(connection_id))
    if kind is None:
        raise click.ClickException(f"MSP {msp_id} has no connection {connection_id!r}")
    # Where it leads is judged by the service that calls it.
    door = Connections(house.engine, house.clock, "operator", {}, private_addresses=True, hosts={})
    ask = partial(house.ask, seconds=120)
    _, steps = door.test(MspId(msp_id), Given(connection_id, kind, {}, {}), uuid4().hex, ask)
    for step in steps:
        mark = "ok  " if step["ok"] else "FAIL"
        click.echo(f"{mark} {step['step']:<24} {step['milliseconds']:>6} ms  {step['message']}")
        if step["fix"]:
            click.echo(f"     {step['fix']}")
    if not all(step["ok"] for step in steps):
        sys.exit(1)


@main.command()
@click.argument("msp_id")
@click.pass_obj
@told
def poll(house: Installation, msp_id: str) -> None:
    """Poll the MSP's marketplaces now."""
    put = house.put_work(MspId(msp_id), "odin", "poller.polls")
    click.echo(f"{put} polls asked for. The reports show what they find; `trueup doctor` says why if nothing comes.")


@main.command()
@click.argument("msp_id")
@click.pass_obj
@told
def catalogue(house: Installation, msp_id: str) -> None:
    """Read the catalogue of the MSP's PSAs now."""
    put = house.put_work(MspId(msp_id), "autotask", "psa_writer.catalogue")
    click.echo(f"{put} catalogue reads asked for; `trueup doctor` says why if nothing comes.")


for command in (user, key, policy, relations, failures, held, export, replay, doctor):
    main.add_command(command)
