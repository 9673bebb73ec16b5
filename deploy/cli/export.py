"""A report -> a CSV or XLSX file: what GET /export answers, written by the operator's command."""

import os
from functools import partial
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from deploy.cli.installation import Installation, told
from gateway.errors import Refusal
from gateway.exports.asked import FORMATS, report_of
from gateway.exports.making import LONGEST_SECONDS, Making, wish
from services.reporting.queries import BadQuestion


def _filters(given: tuple[str, ...]) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in given]
    if any(not separator for _, separator, _ in pairs):
        raise click.UsageError("give filters as COLUMN=VALUE, as in --filter resourceName=~exchange")
    return [(f"f.{name}", value) for name, _, value in pairs]


@click.command()
@click.argument("report")
@click.option("--msp", default="", help="Whose rows.")
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="csv", show_default=True)
@click.option(
    "--filter", "filters", multiple=True, metavar="COLUMN=VALUE", help="As in a page's URL; may be given often."
)
@click.option("--sort", default="", help="As in -adjustmentDate,companyName.")
@click.option("--cols", default="", help="Columns in their order; by default those of the user guide.")
@click.option("--from", "first_day", default="", help="First day, in the MSP's time zone.")
@click.option("--to", "last_day", default="", help="Last day.")
@click.option("--as-of", default="", help="A past day or a place in the log; by default as of now.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The file; else a name that says what it is."
)
@click.pass_obj
@told
def export(
    house: Installation,
    report: str,
    msp: str,
    file_format: str,
    filters: tuple[str, ...],
    sort: str,
    cols: str,
    first_day: str,
    last_day: str,
    as_of: str,
    out: Path | None,
) -> None:
    """Write a report to a file: unlinked, linked, subscriptions, adjustments, failures, ... A filter is, for example,
    count=gte:1,lte:5 or resourceName=~exchange or companyId=1200000501,1200000503."""
    named = {"msp": msp, "sort": sort, "cols": cols, "from": first_day, "to": last_day, "asOf": as_of}
    given = [*((name, value) for name, value in named.items() if value), *_filters(filters)]
    try:
        asked = wish(house.engine, house.clock, report_of(report), file_format, given, "operator")
        making = Making(house.engine, asked, partial(house.ask, "reporting", "side", LONGEST_SECONDS))
        path = out or Path(asked.file_name)
        _write(making, path)
    except Refusal as refusal:
        raise click.ClickException(f"{refusal.message} {refusal.fix}") from None
    except BadQuestion as error:
        raise click.ClickException(str(error)) from None
    position = making.standing.position if making.standing else None
    click.echo(f"{path} written" + (f", as of position {position}." if position is not None else "."))


def _write(making: Making, path: Path) -> None:
    """Under its name it stands only when it is whole."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                making.run(file.write)
            except BaseException:
                Path(file.name).unlink()
                raise
        os.replace(file.name, path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error}") from None
