"""A seed -> what an MSP of any size would have lived through: its links, and count changes that fall on them by Zipf's law.

The same seed gives the same events. A few links change all the time and most hardly ever, as with real customers.
`python -m tests.bench.generate --events 1000000 --database postgresql://...` fills a log with them.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate, islice
from random import Random

import click
from sqlalchemy.exc import IntegrityError

from domain.envelope import NewEvent
from domain.events import ResourceCountChanged
from domain.events.names import OdinNames, PsaNames
from domain.keys import (
    CompanyId,
    ConnectionId,
    MspId,
    PsaAgreementId,
    PsaCustomerId,
    PsaProductId,
    ResourceId,
    SubscriptionId,
)
from plumbing import event_log
from plumbing.database import make_engine
from tests.msps import add_msp

MSPS = tuple(MspId(f"bench-{number}") for number in range(40))
FIRST_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
# A company has about ten subscriptions and a subscription three resources.
SUBSCRIPTIONS, RESOURCES = 10, 3
OFFERS = ("Exchange Online (Plan 1)", "Microsoft 365 Business Premium", "Acronis Cyber Protect – Größe 100 GB")


def odin_names(link: int) -> OdinNames:
    """Company, subscription and resource of the link with this number, counted from 0."""
    subscription, resource = divmod(link, RESOURCES)
    company = subscription // SUBSCRIPTIONS
    return OdinNames(
        connection_id=ConnectionId("odin"),
        company_id=CompanyId(str(1_200_000_000 + company)),
        company_name=f"Company {company} Ltd",
        subscription_id=SubscriptionId(str(1_000_000 + subscription)),
        subscription_name=f"Subscription {subscription}",
        resource_id=ResourceId(str(100_000 + link)),
        resource_name=OFFERS[resource],
    )


def psa_names(link: int) -> PsaNames:
    """Customer, agreement and product of the link with this number: one product a link."""
    subscription, resource = divmod(link, RESOURCES)
    company = subscription // SUBSCRIPTIONS
    return PsaNames(
        psa_connection_id=ConnectionId("autotask"),
        psa_customer_id=PsaCustomerId(str(29_000_000 + company)),
        psa_customer_name=f"Company {company} Ltd",
        psa_agreement_id=PsaAgreementId(str(29_600_000 + subscription)),
        psa_agreement_name=f"Cloud services {subscription}",
        psa_product_id=PsaProductId(str(1_000 + link)),
        psa_product_name=OFFERS[resource],
    )


def resource_stream(names: OdinNames) -> str:
    """The stream in which the poller keeps what happens to the resource."""
    return f"resource/{names.connection_id}/{names.company_id}/{names.subscription_id}/{names.resource_id}"


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


@click.command(help="Fill the log of a new MSP with count changes over its links, by Zipf's law.")
@click.option("--database", "url", required=True, help="URL of a migrated database that may be filled.")
@click.option("--events", default=10_000, show_default=True, type=click.IntRange(1, 10_000_000), help="How many.")
@click.option("--links", default=20_000, show_default=True, type=click.IntRange(1), help="Over how many links.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same events.")
@click.option("--msp", "msp_id", default="bench", show_default=True, help="The MSP whose log they go to; made anew.")
def main(url: str, events: int, links: int, seed: int, msp_id: str) -> None:
    """By COPY, 5,000 events a commit."""
    engine = make_engine(url, "trueup generate", statement_seconds=600)
    try:
        add_msp(engine, msp_id)
    except IntegrityError:
        raise click.ClickException(f"there is an MSP {msp_id!r} already: name another with --msp") from None
    begun = time.perf_counter()
    coming = count_changes(seed, links, events)
    with click.progressbar(length=events, label=f"{events:,} events") as progress:
        while some := list(islice(coming, 5_000)):
            with engine.begin() as connection:
                event_log.append_copied(
                    connection,
                    MspId(msp_id),
                    some,
                    recorded_at=some[-1].occurred_at,
                    recorded_by="generate",
                    correlation_id=f"seed-{seed}",
                )
            progress.update(len(some))
    click.echo(f"{events / (time.perf_counter() - begun):,.0f} events a second, making them included")


if __name__ == "__main__":
    main()
