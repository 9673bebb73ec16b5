"""`make bench`: measures, prints a line a goal, and ends well even when a floor is missed: figures judge, they do not fail."""

import signal
import sys
import time
from collections.abc import Callable

import click

from tests.bench import (
    append,
    bells,
    calls,
    exporting,
    first_link,
    lag,
    long_haul,
    nothing_to_do,
    paging,
    polling,
    python_fold,
    rebuilding,
    reconciling,
    refusing,
    relaying,
    reports,
    scenarios,
    suggesting,
)
from tests.bench.goals import Measured
from tests.bench.ground import Ground
from tests.bench.machine import facts

Bench = Callable[..., list[Measured]]
BENCHES: dict[tuple[str, ...], Bench] = {
    ("P1", "P2"): append.bulk,
    ("P3",): append.single,
    ("P4",): rebuilding.against_bare,
    ("P5",): rebuilding.a_million,
    ("P6",): python_fold.in_python,
    ("PEER",): python_fold.peer,
    ("P7",): lag.from_commit,
    ("P8",): relaying.relay,
    ("P9",): bells.backlog,
    ("P10", "S8"): reports.pages,
    ("P11", "S8"): exporting.csv,
    ("G1",): refusing.refusals,
    ("P12",): reconciling.replanning,
    ("P13",): polling.unchanged,
    ("P14",): calls.counted,
    ("P15",): rebuilding.ten_million,
    ("P16",): nothing_to_do.quiet_house,
    ("S1",): scenarios.year,
    ("S2",): scenarios.hot_link,
    ("S3",): scenarios.under_fire,
    ("S4",): lag.slow_reader,
    ("S6",): first_link.first_link,
    ("S10",): long_haul.long_haul,
    ("PAGES",): paging.turning,
    ("SUG",): suggesting.suggestions,
}
# Many minutes: run when named, with --full, or when little is to be measured.
LONG = {"P15", "S10", "PAGES"}
IDS = list(dict.fromkeys(goal_id for ids in BENCHES for goal_id in ids))


@click.command(help=f"Measure the goals {', '.join(IDS)} of the house and print each with its floor and stretch.")
@click.option("--only", default="", help="Some of them, as in P1,P3.")
@click.option("--quick", is_flag=True, help="A tenth of the work: for a look, not for a verdict.")
@click.option("--full", is_flag=True, help=f"Also what takes long: {', '.join(sorted(LONG))}.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1, 20), help="Turns; medians are shown.")
@click.option("--postgres", "postgres_url", default="", help="A superuser's URL; else a PostgreSQL of the run's own.")
def main(*, only: str, quick: bool, full: bool, rounds: int, postgres_url: str) -> None:
    """Prints what was measured."""
    wanted = {word.strip().upper() for word in only.split(",") if word.strip()} or (
        set(IDS) if full or quick else set(IDS) - LONG
    )
    if unknown := wanted - set(IDS):
        raise click.BadParameter(f"no such goal: {', '.join(sorted(unknown))}. There are {', '.join(IDS)}.")
    # Whoever ends the run early must not leave its servers behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun = time.monotonic()
    with Ground(postgres_url) as ground:
        for line in facts(ground.folder):
            click.echo(line)
        click.echo(f"PostgreSQL: {ground.durability()}\n")
        measured = [
            one
            for ids, bench in BENCHES.items()
            if wanted & set(ids)
            for one in _shown(bench(ground, rounds, quick=quick), wanted)
        ]
    missed = [one.goal.id for one in measured if one.below]
    click.echo(f"\n{len(measured)} figures in {time.monotonic() - begun:.0f} s; ", nl=False)
    click.echo(f"marked with >>: {', '.join(missed)}" if missed else "every floor was held")


def _shown(measured: list[Measured], wanted: set[str]) -> list[Measured]:
    chosen = [one for one in measured if one.goal.id in wanted]
    for one in chosen:
        click.echo("\n".join(one.lines()))
    return chosen


if __name__ == "__main__":
    main()
