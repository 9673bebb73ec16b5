"""`trueup replay`: read models rebuilt from the log beside the living ones, with progress."""

import click

from deploy.cli.installation import Installation, told


@click.command()
@click.pass_obj
@told
def replay(house: Installation) -> None:
    """placeholder until services.reporting.replay is there"""
