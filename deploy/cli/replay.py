"""`trueup replay`: read models rebuilt from the log beside the living ones, with progress, and swapped in."""

import sys
from threading import Lock

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from deploy.cli.installation import Installation, told
from domain.keys import MspId
from gateway.set_up import setup_msp
from services.reporting import replay as rebuilding


@click.command()
@click.argument("read_models", nargs=-1)
@click.option("--msp", "msp_id", help="Only this MSP; default: all, several at once.")
@click.option("--dry-run", is_flag=True, help="Rebuild and compare, but leave the living rows as they are.")
@click.pass_obj
@told
def replay(house: Installation, read_models: tuple[str, ...], msp_id: str | None, *, dry_run: bool) -> None:
    """Rebuild READ_MODELS (default: all) from the log beside the living ones, compare, and swap. Reports go on being
    served all the while. May be stopped and started again at any moment."""
    if msp_id is not None:
        with house.engine.connect() as connection:
            setup_msp(connection, MspId(msp_id))
    with _Bars() as bars:
        try:
            outcomes = rebuilding.replay(
                house.engine,
                read_models or ("all",),
                MspId(msp_id) if msp_id else None,
                bars.show,
                swap=not dry_run,
                clock=house.clock,
            )
        except (rebuilding.NotReplayable, rebuilding.ReplayRunning, rebuilding.ReplayStopped) as error:
            raise click.ClickException(str(error)) from None
    for done in outcomes:
        verdict = {True: "equal to the living rows", False: "NOT EQUAL to the living rows", None: "not compared"}[
            done.equal
        ]
        click.echo(f"{done.msp_id} {done.model}: {done.rows} rows up to position {done.position}, {verdict}")
    unequal = [done for done in outcomes if done.equal is False]
    click.echo(f"{len(outcomes)} rebuilt{', none swapped in' if dry_run else ' and swapped in'}.")
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
