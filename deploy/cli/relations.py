"""Relations <-> CSV: what is linked and how, written to a file; and many set from one, with a reason for each refused row."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar
from uuid import uuid4

import click
from rich.progress import track

from deploy.cli.installation import Installation, told
from domain.keys import BadKey, CompanyId, ConnectionId, MspId, ResourceId, ResourceKey, SubscriptionId
from gateway.set_up import setup_msp
from services.reporting.queries import relations_of, settings_of

T = TypeVar("T")
IDS = ("connection_id", "company_id", "subscription_id", "resource_id", "psa_connection_id", "psa_product_id")
NAMES = (
    "company_name",
    "subscription_name",
    "resource_name",
    "psa_customer_name",
    "psa_agreement_name",
    "psa_product_name",
)
#: The parts of relation settings; a row in which all are empty leaves the relation's settings as they are.
SETTINGS = (
    "included",
    "pack_size",
    "rounding",
    "minimum",
    "price_source",
    "price",
    "price_currency",
    "markup_percent",
    "note",
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
        settled = settings_of(connection, MspId(msp_id))
        rows = [_with_settings(row, settled) for row in relations_of(connection, MspId(msp_id))]
    if output is None:
        _write(rows, sys.stdout)
    else:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write(rows, file)
        click.echo(f"{len(rows)} relations written to {output}.")


def _with_settings(row: dict[str, Any], settled: dict[str, dict[str, Any]]) -> dict[str, Any]:
    found = settled.get(row["relation_id"], {})
    price = found.get("price") or {"amount": None, "currency": None}
    amounts = {"price": price["amount"], "price_currency": price["currency"]}
    return row | {name: found.get(name) for name in SETTINGS} | amounts


def _write(rows: list[dict[str, Any]], file: TextIO) -> None:
    writer = csv.DictWriter(file, [*IDS, *NAMES, *SETTINGS], extrasaction="ignore")
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
    psa_connection_id and psa_product_id. Rows that are set already stay as they are. What the columns included, pack_size,
    rounding, minimum, price_source, price, price_currency, markup_percent and note say is settled; where all of them are
    empty or missing, the settings stay as they are. Other columns are passed over."""
    with house.engine.connect() as connection:
        setup_msp(connection, MspId(msp_id))
    wishes, settings = _read(MspId(msp_id), file)
    relation_ids: dict[str, str] = {}
    refused: set[str] = set()
    for part in track(_parts(wishes), "Setting relations", disable=not sys.stderr.isatty()):
        if dry_run:
            answer = house.ask("mapping", "foresee_relations", 120, msp_id=msp_id, wishes=part)
        else:
            answer = _asked(house, "set_relations", msp_id=msp_id, wishes=part)
        refused |= _told_refusals(answer, {wish["id"]: wish["id"] for wish in part})
        relation_ids |= {result["id"]: result["relation_id"] for result in answer["results"] if result["ok"]}
    settled = {} if dry_run else {line: settings[line] for line in relation_ids if line in settings}
    for same, lines in _by_settings(settled):
        for portion in _parts(lines):
            line_of = {relation_ids[line]: line for line in portion}
            answer = _asked(house, "save_relation_settings", msp_id=msp_id, relation_ids=list(line_of), settings=same)
            refused |= _told_refusals(answer, line_of)
    done, not_done = ("would be set", "would be refused") if dry_run else ("are set", "were refused")
    click.echo(f"{len(wishes) - len(refused)} of {len(wishes)} relations {done}; {len(refused)} {not_done}.")
    if refused:
        sys.exit(1)


def _parts(rows: list[T]) -> list[list[T]]:
    return [rows[start : start + ROWS_A_CALL] for start in range(0, len(rows), ROWS_A_CALL)]


def _asked(house: Installation, method: str, **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = house.ask("mapping", method, 120, operation_id=uuid4().hex, actor="operator", **given)
    return answer


def _told_refusals(answer: dict[str, Any], line_of: dict[str, str]) -> set[str]:
    """The lines that were refused, after telling why."""
    lines = set()
    for result in answer["results"]:
        if not result["ok"]:
            line, refusal = line_of[result["id"]], result["refusal"]
            click.echo(f"line {line}: {refusal['message']} {refusal['fix']}", err=True)
            lines.add(line)
    return lines


def _by_settings(settings: dict[str, dict[str, Any]]) -> list[tuple[dict[str, Any], list[str]]]:
    """The lines that want the same settings, together: one call settles them, and prices of one product never contradict."""
    groups: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for line, settled in settings.items():
        groups.setdefault(json.dumps(settled, sort_keys=True), (settled, []))[1].append(line)
    return list(groups.values())


def _read(msp_id: MspId, file: Path) -> tuple[list[dict[str, str]], dict[str, dict[str, Any]]]:
    """The wishes, and the settings by the line that gives them."""
    wishes, settings = [], {}
    for line, row in _rows(file):
        wish = _wish(msp_id, line, row)
        wishes.append(wish)
        if any(row.get(name) for name in SETTINGS):
            settings[wish["id"]] = _settings(row)
    return wishes, settings


def _settings(row: dict[str, str]) -> dict[str, Any]:
    """The row's settings as mapping takes them: what is empty is left out."""
    given = {name: row[name] for name in SETTINGS if row.get(name)}
    rule = {name: given[name] for name in ("included", "pack_size", "rounding", "minimum") if name in given}
    names = {
        "price_source": "source",
        "price": "amount",
        "price_currency": "currency",
        "markup_percent": "markup_percent",
    }
    price = {of: given[name] for name, of in names.items() if name in given}
    return {"rule": rule, "price": price, "note": given.get("note", "")}


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with file.open(encoding="utf-8-sig", newline="") as opened:
        reader = csv.DictReader(opened)
        missing = [name for name in IDS if name not in (reader.fieldnames or ())]
        if missing:
            raise click.ClickException(f"{file} lacks the columns {', '.join(missing)}")
        for row in reader:
            yield reader.line_num, row


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
