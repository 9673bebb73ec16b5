"""A link -> its names and streams, and the events by which the house first hears of it, of its company and of its product."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from random import Random
from typing import Any

from domain import events as e
from domain.money import Money
from tests.bench.names import RESOURCES, SUBSCRIPTIONS, odin_names, psa_names, resource_stream

# An event and the stream that it stands in.
Said = tuple[str, e.Event]

_MONIES = [Money(Decimal(cents) / 100, "USD") for cents in range(100, 2_000, 25)]


@dataclass(frozen=True)
class Link:
    """A resource and the PSA product that it feeds, as events name them. number: counted from 0."""

    number: int
    odin: dict[str, Any]
    psa: dict[str, Any]
    resource_stream: str
    relation_stream: str
    product_stream: str
    wish_stream: str


@lru_cache(maxsize=50_000)
def link_of(number: int) -> Link:
    """The link with this number."""
    odin, psa = odin_names(number), psa_names(number)
    resource, product = resource_stream(odin), psa.psa_product_id
    return Link(
        number,
        vars(odin),
        vars(psa),
        resource,
        resource.replace("resource", "relation", 1),
        f"psa-product/autotask/{product}",
        f"request/autotask/{product}",
    )


def money(random: Random) -> Money:
    """Some amount."""
    return _MONIES[int(random.random() * len(_MONIES))]


def without(names: dict[str, Any], level: str) -> dict[str, Any]:
    """The names without those of a level, such as resource."""
    return {name: value for name, value in names.items() if not name.startswith(level)}


def msp_set_up() -> Iterator[Said]:
    """A new MSP with its two connections."""
    yield "msp", e.MspAdded(name="Bench", time_zone="UTC")
    for connection_id in ("odin", "autotask"):
        saved = e.ConnectionSaved(
            connection_id=connection_id,
            kind=connection_id,
            connection_version=1,
            changed_settings=("gateway_url", "user"),
            replaced_secrets=("password",),
        )
        yield f"connection/{connection_id}", saved


def first_seen(link: Link, count: int, on_date: date, random: Random) -> Iterator[Said]:
    """The link; before the first of a company or a subscription those."""
    if link.number % (SUBSCRIPTIONS * RESOURCES) == 0:
        yield company(link)
        yield customer(link)
    if link.number % RESOURCES == 0:
        yield subscription(link)
        yield agreement(link)
    yield discovered(link, count, random)
    yield product(link, random)
    yield units(link, count, on_date)


def company(link: Link) -> Said:
    """The company in ODIN."""
    names = without(without(link.odin, "subscription"), "resource")
    observed = e.CompanyObserved(**names, previous_company_name=None, status="active", previous_status=None)
    return f"company/odin/{names['company_id']}", observed


def customer(link: Link) -> Said:
    """The customer in the PSA."""
    names = without(without(link.psa, "psa_agreement"), "psa_product")
    observed = e.PsaCustomerObserved(**names, previous_psa_customer_name=None, contact=None, active=True)
    return f"psa-customer/autotask/{names['psa_customer_id']}", observed


def subscription(link: Link) -> Said:
    """The subscription in ODIN."""
    names = without(link.odin, "resource")
    return f"subscription/odin/{names['subscription_id']}", e.SubscriptionObserved(
        **names,
        previous_subscription_name=None,
        status="active",
        previous_status=None,
        billing_period="1 month",
        subscription_period="1 year",
        renewal_date=date(2027, 1, 1),
        renews=True,
    )


def agreement(link: Link) -> Said:
    """The agreement in the PSA."""
    names = without(link.psa, "psa_product")
    year = {"start_date": date(2026, 1, 1), "end_date": date(2026, 12, 31)}
    observed = e.PsaAgreementObserved(**names, **year, description=None, active=True, recurring=True)
    return f"psa-agreement/autotask/{names['psa_agreement_id']}", observed


def discovered(link: Link, count: int, random: Random) -> Said:
    """The resource in ODIN."""
    return link.resource_stream, e.ResourceDiscovered(
        **link.odin,
        count=Decimal(count),
        unit="licence",
        unit_cost=money(random),
        unit_price=money(random),
        usage_based=False,
        mpn=f"MPN-{link.number % 500}",
        vendor="Microsoft",
        vendor_subscription_id=None,
    )


def product(link: Link, random: Random) -> Said:
    """The product in the PSA."""
    prices = {"unit_cost": money(random), "unit_price": money(random)}
    observed = e.PsaProductObserved(**link.psa, **prices, vendor=None, period_type="monthly", active=True)
    return link.product_stream, observed


def units(link: Link, count: int, on_date: date) -> Said:
    """The product's units, read."""
    return link.product_stream, e.PsaUnitsObserved(**link.psa, previous_units=None, units=count, on_date=on_date)
