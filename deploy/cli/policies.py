"""What an MSP has decided of its policies, for all or for one company or resource, and who decided it."""

import sys
from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from deploy.cli.installation import Installation, told
from domain.keys import CompanyId, MspId, ResourceId
from domain.policies import POLICIES, Scope
from gateway.decided import decided, history
from gateway.deciding import Deciding
from gateway.draft_policies import PolicyChange
from gateway.set_up import setup_msp
from plumbing.row_security import of_msp

_SHOWN = 20


@click.group()
def policy() -> None:
    """What an MSP may decide, such as the day from which fewer units count, and the exceptions from it."""


def _for_whom(command: Callable[..., Any]) -> Callable[..., Any]:
    product = click.option("--product", help="Only for this resource, whoever buys it: its id in ODIN.")
    return click.option("--company", help="Only for this company: its id in ODIN.")(product(command))


@policy.command("list")
@click.argument("msp_id")
@click.pass_obj
@told
def list_(house: Installation, msp_id: str) -> None:
    """What holds, and the exceptions."""
    with of_msp(house.engine, msp_id).connect() as connection:
        setup_msp(connection, MspId(msp_id))
        found = decided(connection, MspId(msp_id))
    table = Table("Policy", "For", "Value", "Default", "What it is")
    for row in found["policies"]:
        table.add_row(row["name"], "all", row["value"], row["default"], row["help"])
    for row in found["exceptions"]:
        table.add_row(row["name"], _whom(row), row["value"], "", POLICIES[row["name"]].help)
    _print(table)
    if found["saved_at"]:
        click.echo(
            f"Version {found['version']}, saved by {found['saved_by']} on {found['saved_at']:%Y-%m-%d %H:%M} UTC."
        )


@policy.command("set")
@click.argument("msp_id")
@click.argument("name")
@click.argument("value")
@_for_whom
@click.pass_obj
@told
def set_(house: Installation, msp_id: str, name: str, value: str, company: str | None, product: str | None) -> None:
    """Give a policy another value, for the whole MSP or as an exception; the most specific one holds."""
    _save(house, msp_id, name, value, company, product)
    click.echo(f"{name} is {value} now: {POLICIES[name].help}.")


@policy.command("unset")
@click.argument("msp_id")
@click.argument("name")
@_for_whom
@click.pass_obj
@told
def unset(house: Installation, msp_id: str, name: str, company: str | None, product: str | None) -> None:
    """Take a value or an exception away: what is less specific holds again."""
    _save(house, msp_id, name, None, company, product)
    click.echo(f"{name} is not decided there now; `trueup policy list {msp_id}` shows what holds.")


@policy.command("history")
@click.argument("msp_id")
@click.option("--last", type=click.IntRange(min=1), default=_SHOWN, show_default=True, help="So many versions.")
@click.pass_obj
@told
def history_(house: Installation, msp_id: str, last: int) -> None:
    """Who changed what, the newest first."""
    with of_msp(house.engine, msp_id).connect() as connection:
        setup_msp(connection, MspId(msp_id))
        versions = history(connection, MspId(msp_id), last)
    if not versions:
        click.echo("Nothing was ever decided: all policies have their defaults.")
        return
    table = Table("Version", "Saved at (UTC)", "By", "Policy", "For", "Before", "After")
    for version in versions:
        for change in version["changes"]:
            table.add_row(
                str(version["version"]),
                f"{version['saved_at']:%Y-%m-%d %H:%M}",
                version["saved_by"],
                change["name"],
                _whom(change),
                change["before"] or "-",
                change["after"] or "-",
            )
    _print(table)


def _save(
    house: Installation, msp_id: str, name: str, value: str | None, company: str | None, product: str | None
) -> None:
    scope = Scope(
        CompanyId(company) if company is not None else None, ResourceId(product) if product is not None else None
    )
    Deciding(house.engine, house.clock, "operator").save(MspId(msp_id), [PolicyChange(name, value, scope)])


def _whom(row: dict[str, Any]) -> str:
    parts = []
    for what in ("company", "resource"):
        if row[f"{what}_id"] is not None:
            called = f" ({row[f'{what}_name']})" if row[f"{what}_name"] else ""
            parts.append(f"{what} {row[f'{what}_id']}{called}")
    return ", ".join(parts) or "all"


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else 220).print(table)
