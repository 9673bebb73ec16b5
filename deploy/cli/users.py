"""`trueup user ...`: the first users of an MSP, and links for those whose mail cannot be sent."""

from pathlib import Path

import click
from sqlalchemy import Connection, text

from deploy.cli.installation import Installation, told
from domain.keys import MspId
from gateway.errors import Refusal
from gateway.people import links, single_sign_on
from gateway.people.first_password import set_first_password
from gateway.people.permissions import Role
from gateway.people.sign_in import address_of
from gateway.people.users import Users, users_of
from gateway.set_up import setup_msp

_ROLES = [role.name.lower() for role in Role]


@click.group()
def user() -> None:
    """Users who sign in to the gateway."""


@user.command("add")
@click.argument("msp_id")
@click.argument("email")
@click.option("--name", required=True, help="What the user is called.")
@click.option("--role", type=click.Choice(_ROLES), default="admin", show_default=True)
@click.option(
    "--first-password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Holds a password that is good for one sign-in, such as the gateway password of ODIN; another must be chosen then. "
    "Safer is the link that is printed without it.",
)
@click.pass_obj
@told
def add(house: Installation, msp_id: str, email: str, name: str, role: str, first_password_file: Path | None) -> None:
    """Let EMAIL come in to an MSP. The first one is the administrative contact of the ODIN account (Account > Account
    Profile > Edit Account Settings)."""
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
    invited = Users(house.engine, house.clock, "operator").invite(MspId(msp_id), email, name, Role[role.upper()])
    click.echo(f"{address_of(email)} is {role} of {msp_id}.")
    if not invited.link:
        click.echo("It has a password already and signs in with it.")
    elif first_password_file:
        set_first_password(house.engine, invited.user_id, first_password_file.read_text("utf-8").rstrip("\n"))
        click.echo("The password of the file is good for one sign-in; another must be chosen then.")
    else:
        _tell_link("first-sign-in", invited.link, "24 hours")


@user.command("link")
@click.argument("email")
@click.pass_obj
@told
def link(house: Installation, email: str) -> None:
    """Print a link by which EMAIL chooses a new password, as the mail for a forgotten one has it."""
    with house.engine.begin() as connection:
        token = links.new_link(connection, _user_id(connection, email), links.RESET_LASTS, house.clock.now())
    _tell_link("reset-password", token, "30 minutes")


@user.command("reset-codes")
@click.argument("msp_id")
@click.argument("email")
@click.pass_obj
@told
def reset_codes(house: Installation, msp_id: str, email: str) -> None:
    """Let EMAIL, a user of an MSP who lost app and recovery codes, sign in without one-time codes."""
    users = Users(house.engine, house.clock, "operator")
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
        found = [row["user_id"] for row in users_of(connection, msp_id) if row["email"] == address_of(email)]
    if not found:
        raise click.ClickException(f"there is no user {address_of(email)}: see `trueup user list {msp_id}`")
    try:
        users.reset_codes(MspId(msp_id), found[0], other_msps=True)
    except Refusal as refusal:
        raise click.ClickException(str(refusal)) from None
    click.echo(f"{address_of(email)} signs in by its password alone, and is signed out everywhere.")


@user.command("unlink")
@click.argument("email")
@click.pass_obj
@told
def unlink(house: Installation, email: str) -> None:
    """Forget whom the single sign-on provider says EMAIL is: its next sign-in there begins anew."""
    with house.engine.begin() as connection:
        if not single_sign_on.unlink(connection, _user_id(connection, email)):
            raise click.ClickException(f"{address_of(email)} has never signed in by single sign-on")
    click.echo(f"{address_of(email)} is unlinked, and signed out everywhere.")


@user.command("list")
@click.argument("msp_id")
@click.pass_obj
@told
def listed(house: Installation, msp_id: str) -> None:
    """Print the users of an MSP."""
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
        found = users_of(connection, msp_id)
    for row in found:
        click.echo(f"{row['email']:<40} {row['role']:<11} {row['state']:<9} {row['name']}")
    if not found:
        click.echo(f"Nobody can sign in to {msp_id} yet: trueup user add {msp_id} EMAIL --name NAME")


def _user_id(connection: Connection, email: str) -> str:
    found = connection.scalar(text("SELECT user_id FROM people.users WHERE email = :e"), {"e": address_of(email)})
    if found is None:
        raise click.ClickException(f"there is no user {address_of(email)}: see `trueup user list`")
    return str(found)


def _tell_link(page: str, token: str, lasts: str) -> None:
    click.echo(f"It works once, within {lasts}:  <address of Trueup>/{page}#token={token}")
