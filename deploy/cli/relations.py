"""Relations <-> CSV: what is linked, written to a file; and many relations set from one, with a reason for each refused row."""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from uuid import uuid4

import click
from rich.progress import track

from deploy.cli.installation import Installation, told
from domain.keys import BadKey, CompanyId, ConnectionId, MspId, ResourceId, ResourceKey, SubscriptionId
from gateway.set_up import setup_msp
from services.reporting.queries import relations_of

IDS = ("connection_id", "company_id", "subscription_id", "resource_id", "psa_connection_id", "psa_product_id")
NAMES = (
    "company_name",
    "subscription_name",
    "resource_name",
    "psa_customer_name",
    "psa_agreement_name",
    "psa_product_name",
)
ROWS_A_CALL = 200


@click.group()
def relations() -> None:
    """Relations between ODIN resources and PSA products, as CSV files."""


@relations.command("export")
@click.argument("msp_id")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="A file; default: standard output.")
@click.pass_obj
@told
def export(house: Installation, msp_id: str, output: Path | None) -> None:
    """Write the MSP's relations as CSV; `import` takes the file as it is."""
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
        rows = relations_of(connection, MspId(msp_id))
    if output is None:
        _write(rows, sys.stdout)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write(rows, file)
        click.echo(f"{len(rows)} relations written to {output}.")


def _write(rows: list[dict[str, str]], file: TextIO) -> None:
    writer = csv.DictWriter(file, [*IDS, *NAMES], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)


@relations.command("import")
@click.argument("msp_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would be set and refused, and set nothing.")
@click.pass_obj
@told
def import_(house: Installation, msp_id: str, file: Path, *, dry_run: bool) -> None:
    """Set the relations in a CSV file with the columns connection_id, company_id, subscription_id, resource_id,
    psa_connection_id and psa_product_id (others are passed over). Rows that are set already stay as they are."""
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
    wishes = list(_wishes(MspId(msp_id), file))
    parts = [wishes[start : start + ROWS_A_CALL] for start in range(0, len(wishes), ROWS_A_CALL)]
    refused = 0
    for part in track(parts, "Setting relations", disable=not sys.stderr.isatty()):
        if dry_run:
            answer = house.ask("mapping", "foresee_relations", 120, msp_id=msp_id, wishes=part)
        else:
            given = {"wishes": part, "operation_id": uuid4().hex, "actor": "operator"}
            answer = house.ask("mapping", "set_relations", 120, msp_id=msp_id, **given)
        for result in answer["results"]:
            if not result["ok"]:
                refused += 1
                refusal = result["refusal"]
                click.echo(f"line {result['id']}: {refusal['message']} {refusal['fix']}", err=True)
    done, not_done = ("would be set", "would be refused") if dry_run else ("are set", "were refused")
    click.echo(f"{len(wishes) - refused} of {len(wishes)} relations {done}; {refused} {not_done}.")
    if refused:
        sys.exit(1)


def _wishes(msp_id: MspId, file: Path) -> Iterator[dict[str, str]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        missing = [name for name in IDS if name not in (reader.fieldnames or ())]
        if missing:
            raise click.ClickException(f"{file} lacks the columns {', '.join(missing)}")
        for row in reader:
            yield _wish(msp_id, reader.line_num, row)


def _wish(msp_id: MspId, line: int, row: dict[str, str]) -> dict[str, str]:
    key = ResourceKey(
        msp_id,
        ConnectionId(row["connection_id"]),
        CompanyId(row["company_id"]),
        SubscriptionId(row["subscription_id"]),
        ResourceId(row["resource_id"]),
    )
    try:
        ResourceKey.parse(str(key))
    except BadKey:
        raise click.ClickException(f"line {line}: an id is missing") from None
    return {
        "id": str(line),
        "resource_key": str(key),
        "psa_connection_id": row["psa_connection_id"],
        "psa_product_id": row["psa_product_id"],
    }
