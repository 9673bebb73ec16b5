"""`trueup replay`: read models rebuilt from the log beside the living ones, and swapped in; or as of a past day, kept beside."""

import sys
import time
from datetime import date
from threading import Lock

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deploy.cli.installation import Installation, told
from domain.keys import MspId
from gateway.set_up import setup_msp
from services.reporting import replay as rebuilding
from services.reporting.queries import position_at_end_of
from services.reporting.read_model import ReadModel
from services.reporting.sides import KEPT, NoSide, make_side


@click.command()
@click.argument("read_models", nargs=-1)
@click.option("--msp", "msp_id", help="Only this MSP; default: all, several at once.")
@click.option("--dry-run", is_flag=True, help="Rebuild and compare, but leave the living rows as they are.")
@click.option(
    "--until",
    metavar="DAY|POSITION",
    help="Up to the end of a past day (2026-06-30, in the MSP's time zone) or to a place in the log, and no further: the"
    " living rows stay, and reports can be asked as of then.",
)
@click.pass_obj
@told
def replay(
    house: Installation, read_models: tuple[str, ...], msp_id: str | None, *, dry_run: bool, until: str | None
) -> None:
    """Rebuild READ_MODELS (default: all) from the log beside the living ones, compare, and swap. Reports go on being
    served all the while. May be stopped and started again at any moment."""
    if until is not None and (dry_run or msp_id is None):
        raise click.UsageError("--until goes with --msp and without --dry-run: what it makes replaces nothing.")
    if msp_id is not None:
        with house.engine.connect() as connection:
            setup_msp(connection, MspId(msp_id))
    chosen = read_models or ("all",)
    try:
        if until is not None and msp_id is not None:
            _replay_until(house, chosen, MspId(msp_id), until)
        else:
            _replay_to_the_head(house, chosen, MspId(msp_id) if msp_id else None, swap=not dry_run)
    except (rebuilding.NotReplayable, rebuilding.ReplayRunning, rebuilding.ReplayStopped, NoSide) as error:
        raise click.ClickException(str(error)) from None


def _replay_until(house: Installation, read_models: tuple[str, ...], msp_id: MspId, until: str) -> None:
    position = _position(house, msp_id, until)
    begun = time.monotonic()
    with _Bars() as bars:

        def show(model: ReadModel, folded: int) -> None:
            rate = folded / max(time.monotonic() - begun, 1e-6)
            bars.show(rebuilding.Progress(model.name, msp_id, folded, position, rate))

        models = rebuilding.chosen_models(read_models)
        make_side(house.engine, models, msp_id, position, house.clock, show)
    names = ", ".join(model.name for model in models)
    click.echo(f"{msp_id}: {names} can be asked as of position {position}.")
    click.echo(f"For example: trueup export subscriptions --msp {msp_id} --as-of {until}")
    click.echo(f"They go when nobody has asked for them in a day, or when {KEPT} other positions were asked for since.")


def _position(house: Installation, msp_id: MspId, until: str) -> int:
    if until.isdecimal():
        return int(until)
    try:
        day = date.fromisoformat(until)
    except ValueError:
        raise click.UsageError(f"{until!r} is neither a day such as 2026-06-30 nor a place in the log.") from None
    with house.engine.connect() as connection:
        return position_at_end_of(connection, msp_id, day)


def _replay_to_the_head(house: Installation, read_models: tuple[str, ...], msp_id: MspId | None, *, swap: bool) -> None:
    with _Bars() as bars:
        outcomes = rebuilding.replay(house.engine, read_models, msp_id, bars.show, swap=swap, clock=house.clock)
    for done in outcomes:
        verdict = {True: "equal to the living rows", False: "NOT EQUAL to the living rows", None: "not compared"}[
            done.equal
        ]
        click.echo(f"{done.msp_id} {done.model}: {done.rows} rows up to position {done.position}, {verdict}")
    unequal = [done for done in outcomes if done.equal is False]
    click.echo(f"{len(outcomes)} rebuilt{' and swapped in' if swap else ', none swapped in'}.")
    sys.exit(1 if unequal else 0)


class _Bars:
    """A bar for each read model of each MSP, on standard error."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("{task.fields[rate]}"), console=Console(stderr=True))
        self._bars: dict[tuple[str, str], TaskID] = {}
        self._lock = Lock()

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, now: rebuilding.Progress) -> None:
        """Moves one bar."""
        with self._lock:
            key = (now.msp_id, now.model)
            if key not in self._bars:
                self._bars[key] = self._progress.add_task(f"{now.msp_id} {now.model}", total=now.head, rate="")
            self._progress.update(
                self._bars[key], completed=now.position, total=now.head, rate=f"{now.per_second:,.0f} events/s"
            )
