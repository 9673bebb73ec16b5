"""What the brake holds, and what a person says of it: approved as it is shown, or refused with a reason."""

import sys
from typing import Any
from uuid import uuid4

import click
from rich.console import Console
from rich.table import Table

from deploy.cli.installation import Installation, told
from domain.keys import MspId
from gateway.set_up import setup_msp
from services.reporting.queries import held_of


@click.group()
def held() -> None:
    """Adjustments that wait to be approved."""


@held.command("list")
@click.argument("msp_id")
@click.pass_obj
@told
def list_(house: Installation, msp_id: str) -> None:
    """What is held, by which rule, and how many people have approved it."""
    rows = _rows(house, msp_id)
    if not rows:
        click.echo("Nothing is held.")
        return
    table = Table("Request", "Company", "PSA product", "Units", "Rule", "Since", "Approved")
    for row in rows:
        table.add_row(
            row["request_id"],
            row["company_name"],
            row["psa_product_name"],
            f"{row['units_before']} → {row['target_units']}",
            row["rule_text"],
            str(row["held_since"]),
            f"{row['approvals']} of {row['people_needed']}",
        )
    Console(width=None if sys.stdout.isatty() else 220).print(table)


@held.command()
@click.argument("msp_id")
@click.argument("request_ids", nargs=-1, required=True)
@click.option("--next-period", is_flag=True, help="They count from the start of the next billing period.")
@click.option("--comment", default="", help="For the record.")
@click.pass_obj
@told
def approve(house: Installation, msp_id: str, request_ids: tuple[str, ...], comment: str, *, next_period: bool) -> None:
    """Approve what is held, as it is now. What needs two people needs another one besides the operator."""
    rows = {row["request_id"]: row for row in _rows(house, msp_id)}
    unknown = [each for each in request_ids if each not in rows]
    if unknown:
        raise click.UsageError(f"these are not held: {', '.join(unknown)}")
    items = [
        {name: rows[each][name] for name in ("request_id", "target_units", "units_before")} for each in request_ids
    ]
    effective = "next_period" if next_period else "as_planned"
    _say(house, "approve", "approved", msp_id, items=items, effective=effective, comment=comment)


@held.command()
@click.argument("msp_id")
@click.argument("request_ids", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why.")
@click.pass_obj
@told
def refuse(house: Installation, msp_id: str, request_ids: tuple[str, ...], reason: str) -> None:
    """Refuse what is held: it stays unposted until the count changes again."""
    _say(house, "refuse", "refused", msp_id, request_ids=list(request_ids), reason=reason)


def _rows(house: Installation, msp_id: str) -> list[dict[str, Any]]:
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
        return held_of(connection, MspId(msp_id))


def _say(house: Installation, method: str, done: str, msp_id: str, **given: Any) -> None:
    answer = house.ask("psa_writer", method, msp_id=msp_id, actor="operator", operation_id=uuid4().hex, **given)
    refused = [result for result in answer["results"] if not result["ok"]]
    for result in refused:
        click.echo(f"{result['id']}: {result['refusal']['message']} {result['refusal']['fix']}", err=True)
    click.echo(f"{len(answer['results']) - len(refused)} of {len(answer['results'])} adjustments are {done}.")
    if refused:
        sys.exit(1)
