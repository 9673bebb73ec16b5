"""`trueup key ...`: key pairs for the services that open secrets, and all secrets sealed with a new one while everything runs."""

import sys
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from deploy.cli.installation import Installation, told
from gateway.resealing import OPENERS, KeyNotHeld, Resealing
from plumbing import rpc
from plumbing.secrets import key_id, new_key_pair


@click.group()
def key() -> None:
    """Keys with which the services open the secrets that are sealed for them."""


@key.command()
def new() -> None:
    """Make a key pair for a service: the private half for its TRUEUP_PRIVATE_KEY, the public half for everyone."""
    private, public = new_key_pair()
    click.echo(f"private {private}\npublic  {public}\nid      {key_id(public)}")


@key.command()
@click.argument("service", type=click.Choice(OPENERS))
@click.pass_obj
@told
def rotate(house: Installation, service: str) -> None:
    """Seal every secret of SERVICE with its new key, while everything runs. May be stopped and started again at any moment.

    \b
    Before: 1. trueup key new
            2. the new private key first, a comma, the old one: TRUEUP_PRIVATE_KEY of every replica of SERVICE; start them
               again, one after the other
            3. the new public key: TRUEUP_<SERVICE>_PUBLIC_KEY of the gateway and of this command
    After:  the old private key can go, when this command says so.

    Only the service opens secrets: this command sees sealed ones.
    """
    new_key = key_id(house.settings.public_key(service))

    def ask(method: str, **arguments: Any) -> Any:
        return house.ask(service, method, **arguments)

    sealing = Resealing(house.engine, house.clock, "operator", service, new_key, ask)
    replicas = rpc.replicas(house.settings.rabbitmq_url, service)
    try:
        others = sealing.refuse_unless_held(replicas)
    except KeyNotHeld as fault:
        raise click.ClickException(str(fault)) from None
    click.echo(f"{replicas} of {replicas} replicas of {service} hold the key {new_key}.")
    refused = _resealed(sealing)
    places = sealing.places()
    left = sum(1 for place in places if place.older(new_key))
    click.echo(f"{len(places) - left} of {len(places)} connections and rules are sealed with it.")
    if left:
        click.echo("\n".join(refused or ["The rest was saved anew meanwhile: run this again."]), err=True)
        sys.exit(1)
    if others:
        click.echo(
            f"Nothing needs an older key of {service}: take it out of TRUEUP_PRIVATE_KEY and start {service} again."
        )
        click.echo("Keep it in a safe place for as long as a backup from before today may be brought back.")


def _resealed(sealing: Resealing) -> list[str]:
    due = [place for place in sealing.places() if place.older(sealing.key_id)]
    with Progress(console=Console(stderr=True)) as progress:
        said = list(progress.track(sealing.reseal(due), total=len(due), description=f"{sealing.service} secrets"))
    return [refusal for refusal in said if refusal]
