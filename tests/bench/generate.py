"""A seed -> logs of MSPs of any size: all that happens in a year, or count changes alone, over links by Zipf's law.

The same seed gives the same events. A few links change all the time and most hardly ever, as with real customers.
`python -m tests.bench.generate --events 1000000 --msps 40 --database postgresql://...` fills the logs of new MSPs.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate, islice
from random import Random

import click
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from domain.envelope import NewEvent
from domain.events import ResourceCountChanged
from domain.keys import MspId
from plumbing import event_log
from plumbing.database import make_engine
from tests.bench.life import life
from tests.bench.names import FIRST_MOMENT, odin_names, resource_stream
from tests.msps import add_msp

EVENTS_A_LINK = 50
# Called after each commit: the MSP, how many events, the seconds.
Appended = Callable[[MspId, int, float], object]
_AT_ONCE = 5_000


def count_changes(seed: int, links: int, how_many: int) -> Iterator[NewEvent]:
    """So many changes of counts over so many links, in the order in which they happened, a second apart."""
    random = Random(seed)
    weights = list(accumulate(1 / rank for rank in range(1, links + 1)))
    # The busy links are strewn over all companies.
    places = random.sample(range(links), links)
    counts = [Decimal(random.randint(1, 40)) for _ in range(links)]
    versions = [0] * links
    for number in range(how_many):
        if number % 10_000 == 0:
            chosen = random.choices(places, cum_weights=weights, k=10_000)
        link = chosen[number % 10_000]
        names = odin_names(link)
        previous, counts[link] = counts[link], Decimal(random.randint(1, 60))
        versions[link] += 1
        yield NewEvent(
            stream=resource_stream(names),
            stream_version=versions[link],
            event=ResourceCountChanged(**vars(names), previous_count=previous, count=counts[link]),
            occurred_at=FIRST_MOMENT + timedelta(seconds=number),
        )


def msps_of(how_many: int) -> list[MspId]:
    """The ids of so many MSPs."""
    return [MspId(f"bench-{number}") for number in range(how_many)]


def fill_logs(
    engine: Engine, events: int, msps: int, seed: int = 1, links: int = 0, appended: Appended = lambda *_: None
) -> list[MspId]:
    """New MSPs with logs of so many events in all, a year of each one's life, by COPY. links: of each; 0: one for 50 events."""
    ids = msps_of(msps)
    for place, msp_id in enumerate(ids):
        add_msp(engine, msp_id)
        its_own = events // msps + (place < events % msps)
        its_links = links or max(1, its_own // EVENTS_A_LINK)
        for some in _parts(life(seed + place, its_links, its_own)):
            begun = time.perf_counter()
            with engine.begin() as connection:
                event_log.append_copied(
                    connection,
                    msp_id,
                    some,
                    recorded_at=some[-1].occurred_at,
                    recorded_by="generate",
                    correlation_id=f"seed-{seed}",
                )
            appended(msp_id, len(some), time.perf_counter() - begun)
    return ids


def _parts(events: Iterator[NewEvent]) -> Iterator[Sequence[NewEvent]]:
    while some := list(islice(events, _AT_ONCE)):
        yield some


@click.command(help="Fill the logs of new MSPs, bench-0 and on, with a year of each one's life.")
@click.option("--database", "url", required=True, help="URL of a migrated database that may be filled.")
@click.option("--events", default=10_000, show_default=True, type=click.IntRange(1, 10_000_000), help="How many.")
@click.option("--msps", default=1, show_default=True, type=click.IntRange(1, 1_000), help="Over how many MSPs.")
@click.option("--links", default=0, type=click.IntRange(0), help="Links of each MSP; default: one for 50 events.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same events.")
def main(url: str, events: int, msps: int, links: int, seed: int) -> None:
    """By COPY, 5,000 events a commit."""
    engine = make_engine(url, "trueup generate", statement_seconds=600)
    begun = time.perf_counter()
    with click.progressbar(length=events, label=f"{events:,} events") as progress:
        try:
            fill_logs(engine, events, msps, seed, links, lambda _, some, __: progress.update(some))
        except IntegrityError:
            raise click.ClickException("there are MSPs of that name already: take another database") from None
    click.echo(f"{events / (time.perf_counter() - begun):,.0f} events a second, making them included")


if __name__ == "__main__":
    main()
