"""What is stuck, why, and the two things a person can do: try again now, or let a parked change out."""

import sys

import click
from rich.console import Console
from rich.table import Table

from deploy.cli.installation import Installation, told
from domain.keys import MspId
from gateway.set_up import setup_msp
from services.reporting.queries import open_failures_of


@click.group()
def failures() -> None:
    """Adjustments that did not go out."""


@failures.command("list")
@click.argument("msp_id")
@click.pass_obj
@told
def list_(house: Installation, msp_id: str) -> None:
    """What is stuck, why, and what to do."""
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
        rows = open_failures_of(connection, MspId(msp_id))
    if not rows:
        click.echo("Nothing is stuck.")
        return
    table = Table("Request", "Company", "PSA product", "Kind", "Message", "What to do", "Tries", "Next try")
    for row in rows:
        table.add_row(
            *(
                str(row[name] if row[name] is not None else "-")
                for name in (
                    "request_id",
                    "company_name",
                    "psa_product_name",
                    "kind",
                    "error_message",
                    "fix",
                    "attempts",
                    "next_try_at",
                )
            )
        )
    Console(width=None if sys.stdout.isatty() else 220).print(table)


@failures.command("retry")
@click.argument("msp_id")
@click.argument("request_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are stuck.")
@click.option(
    "--release", is_flag=True, help="Let changes out that are parked because what we posted before is unclear."
)
@click.pass_obj
@told
def retry(house: Installation, msp_id: str, request_ids: tuple[str, ...], *, everything: bool, release: bool) -> None:
    """Try stuck adjustments again now. Units are read first: only what is still missing is posted."""
    if everything == bool(request_ids):
        raise click.UsageError("name the requests, or give --all")
    chosen = list(request_ids)
    if everything:
        with house.engine.connect() as connection:
            chosen = [row["request_id"] for row in open_failures_of(connection, MspId(msp_id)) if row["request_id"]]
    method = "release" if release else "retry"
    answer = house.ask("psa_writer", method, msp_id=msp_id, request_ids=chosen, actor="operator")
    refused = [result for result in answer["results"] if not result["ok"]]
    for result in refused:
        click.echo(f"{result['id']}: {result['refusal']['message']} {result['refusal']['fix']}", err=True)
    click.echo(f"{len(chosen) - len(refused)} of {len(chosen)} adjustments are tried again now.")
    if refused:
        sys.exit(1)
