"""A seed and a day -> a plausible MSP: what its customers hold in ODIN, what it bills them in the PSA, and a year of changes.

The same seed, day and number of companies give the same world, and a company is the same however many follow it. In
every world stands the example of the documentation: company 1200000501 "Repair and Wear", subscription 1000823,
product 100234, count 8 against 1 unit, unlinked.
"""

from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from deploy.sandbox.books import (
    MONTHS,
    USAGE_BASED,
    Account,
    Company,
    Contract,
    ContractService,
    Link,
    Money,
    PastChange,
    Period,
    Resource,
    Service,
    Subscription,
    World,
)
from deploy.sandbox.plausible import (
    EXAMPLE,
    FIRST_NAMES,
    LEGAL_FORMS,
    OFFERS,
    OWNERS,
    PLACES,
    RESERVATION_NAME,
    TRADES,
    USAGE_OFFER,
    Offer,
)

__all__ = [
    "EXAMPLE_COMPANY_ID",
    "EXAMPLE_PRODUCT_ID",
    "EXAMPLE_SUBSCRIPTION_ID",
    "MONTHS",
    "USAGE_BASED",
    "Account",
    "Company",
    "Contract",
    "ContractService",
    "Link",
    "Money",
    "PastChange",
    "Period",
    "Resource",
    "Service",
    "Subscription",
    "World",
    "add_months",
    "make_world",
    "next_renewal",
]

EXAMPLE_COMPANY_ID = "1200000501"
EXAMPLE_SUBSCRIPTION_ID = "1000823"
EXAMPLE_PRODUCT_ID = EXAMPLE.product_id
_SPELLED_OUT: dict[int, str] = {
    ord(short): spelled for short, spelled in zip("äöüß&", ("ae", "oe", "ue", "ss", "und"), strict=True)
}


def make_world(seed: int, today: date, companies: int = 24) -> World:
    """The world of this seed on this day, with about three subscriptions a company; ValueError below one company."""
    if companies < 1:
        raise ValueError(f"a world needs at least one company, not {companies}")
    firms = [_make_firm(Random(f"{seed}/{number}"), number, today) for number in range(companies)]
    return World(
        seed=seed,
        today=today,
        companies=tuple(firm.company for firm in firms),
        subscriptions=tuple(each for firm in firms for each in firm.subscriptions),
        accounts=tuple(firm.account for firm in firms),
        services=tuple(_service(offer, period) for offer in OFFERS for period in MONTHS),
        contracts=tuple(each for firm in firms for each in firm.contracts),
        contract_services=tuple(each for firm in firms for each in firm.contract_services),
        links=tuple(each for firm in firms for each in firm.links),
        history=tuple(sorted((each for firm in firms for each in firm.history), key=lambda change: change.date)),
    )


def add_months(day: date, months: int) -> date:
    """The same day so many months on, clipped to the month's end: 31 January and one month is 28 February."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def next_renewal(start: date, months: int, after: date) -> date:
    """The first end of a term counted from the start that lies after the day."""
    terms = max((after.year - start.year) * 12 + after.month - start.month, 0) // months
    while (end := add_months(start, terms * months)) <= after:
        terms += 1
    return end


@dataclass(frozen=True, slots=True)
class _Firm:
    company: Company
    account: Account
    subscriptions: tuple[Subscription, ...]
    contracts: tuple[Contract, ...]
    contract_services: tuple[ContractService, ...]
    links: tuple[Link, ...]
    history: tuple[PastChange, ...]


def _make_firm(random: Random, number: int, today: date) -> _Firm:
    name = FIRST_NAMES[number] if number < len(FIRST_NAMES) else _name(number)
    company = Company(str(int(EXAMPLE_COMPANY_ID) + number * 7), name, "creditHold" if number % 12 == 11 else "active")
    account = Account(29683510 + number * 3, _psa_spelling(name) if number % 3 == 1 else name)
    subscriptions = _subscriptions(random, number, company, today)
    contracts = _contracts(random, number, account, today)
    lines, links = _billed(random, number, contracts[0], subscriptions)
    history = tuple(
        change
        for subscription in subscriptions
        for resource in subscription.resources
        if _billable(subscription)
        for change in _past_changes(random, subscription, resource, today)
    )
    return _Firm(company, account, subscriptions, contracts, lines, links, history)


def _name(number: int) -> str:
    owner, trade = OWNERS[number % 20], TRADES[number // 20 % 20]
    place, form = PLACES[number % 10], LEGAL_FORMS[number % len(LEGAL_FORMS)]
    again = f" {number // 400 + 1}" if number >= 400 else ""
    return f"{owner} {trade} {place}{again} {form}"


def _psa_spelling(name: str) -> str:
    plain = name.translate(_SPELLED_OUT)
    for form in (*LEGAL_FORMS, "OHG", "KG", "S.L.", "A.Ş.", "Pty Ltd", "Sp. z o.o."):
        plain = plain.removesuffix(" " + form)
    return plain


def _subscriptions(random: Random, number: int, company: Company, today: date) -> tuple[Subscription, ...]:
    """A few subscriptions; which company shows which oddity goes by its number, so that every world has each."""
    ids = (str(int(EXAMPLE_SUBSCRIPTION_ID) + number * 20 + place) for place in range(20))
    offers = random.sample(OFFERS[1:], random.randint(1, 3))
    if number == 0:
        offers = [EXAMPLE, *offers]
    elif number == 2:
        offers = [OFFERS[2], *offers]
    made = [_subscription(random, next(ids), company, offer, today) for offer in offers]
    if number == 0:
        made[0] = _as_example(made[0], today)
    elif number == 2:  # two subscriptions of one product, which one contract service bills together
        made.append(replace(made[0], subscription_id=next(ids)))
    if number % 5 == 3:
        made.append(_with_add_ons(random, _subscription(random, next(ids), company, OFFERS[2], today)))
    if number % 10 == 6:
        made[0] = _counting(made[0], Decimal(0))
    if number % 8 == 2:
        made.append(_usage_based(_subscription(random, next(ids), company, USAGE_OFFER, today)))
    if number % 7 == 1:
        empty = _subscription(random, next(ids), company, USAGE_OFFER, today)
        made.append(replace(empty, name=RESERVATION_NAME, resources=()))
    if number % 4 == 1:
        ended = _subscription(random, next(ids), company, random.choice(OFFERS), today)
        made.append(replace(ended, status="removed", auto_renew=False))
    if number % 12 == 11:
        made = [replace(each, status="hold") if each.status == "active" else each for each in made]
    return tuple(made)


def _subscription(random: Random, subscription_id: str, company: Company, offer: Offer, today: date) -> Subscription:
    term, billing = random.choice([("month", "month"), ("year", "month"), ("year", "month"), ("year", "year")])
    created = today - timedelta(days=random.randint(400, 1100))
    resource = _resource(random, subscription_id, offer, 12 if billing == "year" else 1)
    return Subscription(
        subscription_id=subscription_id,
        company_id=company.company_id,
        name=offer.name,
        status="active",
        auto_renew=True,
        creation_date=created,
        renewal_date=next_renewal(created, 12 if term == "year" else 1, today),
        last_modified_date=today - timedelta(days=random.randint(1, 90)),
        billing_model="chargeBeforeBillingPeriod",
        billing_period=Period(billing, 1),
        subscription_period=Period(term, 1),
        plan_id=10000 + int(offer.product_id[-3:]),
        resources=(resource,),
    )


def _resource(random: Random, subscription_id: str, offer: Offer, months: int) -> Resource:
    return Resource(
        product_id=offer.product_id,
        mpn=offer.mpn if months == 1 else offer.mpn.replace("_MONTHLY", "_ANNUAL"),
        vendor=offer.vendor,
        name=offer.name,
        count=Decimal(random.choice([1, 2, 3, 3, 4, 5, 6, 8, 8, 10, 12, 15, 20, 25, 40, 85])),
        price=_money(offer.price, months),
        cost=_money(offer.cost, months) if offer.cost else None,
        vendor_subscription_id=f"{random.getrandbits(32):08x}-0000-4000-8000-{int(subscription_id):012d}",
    )


def _money(amount: str, months: int) -> Money:
    return Money(Decimal(amount) * months, "USD")


def _as_example(subscription: Subscription, today: date) -> Subscription:
    price, cost = _money(EXAMPLE.price, 1), _money(EXAMPLE.cost, 1)
    resource = replace(subscription.resources[0], mpn=EXAMPLE.mpn, count=Decimal(8), price=price, cost=cost)
    return replace(
        subscription,
        billing_period=Period("month", 1),
        subscription_period=Period("year", 1),
        renewal_date=next_renewal(subscription.creation_date, 12, today),
        resources=(resource,),
    )


def _with_add_ons(random: Random, subscription: Subscription) -> Subscription:
    months = 12 if subscription.billing_period.type == "year" else 1
    add_ons = [_resource(random, subscription.subscription_id, offer, months) for offer in (OFFERS[4], OFFERS[7])]
    return replace(subscription, resources=(*subscription.resources, *add_ons))


def _counting(subscription: Subscription, count: Decimal) -> Subscription:
    return replace(subscription, resources=tuple(replace(each, count=count) for each in subscription.resources))


def _usage_based(subscription: Subscription) -> Subscription:
    return replace(_counting(subscription, Decimal(1)), billing_model=USAGE_BASED, billing_period=Period("month", 1))


def _contracts(random: Random, number: int, account: Account, today: date) -> tuple[Contract, ...]:
    """The contract that bills the licences, from about a year ago to about a year ahead; some firms have a second one."""
    start = add_months(today.replace(day=1), -random.randint(11, 13))
    if number % 6 == 4:
        start = start.replace(day=15)
    elif number % 6 == 5:  # a contract of the 31st, whose periods clip at short months
        while monthrange(start.year, start.month)[1] < 31:
            start = add_months(start, -1)
        start = start.replace(day=31)
    cloud = _contract(number, 0, account, f"{start.year} Cloud Services", start)
    others: dict[int, Contract] = {
        2: replace(_contract(number, 1, account, "Support by the hour", start), contract_type=1),
        5: replace(_contract(number, 1, account, "Cloud Services (old)", add_months(start, -24)), status=0),
        8: _contract(number, 1, account, "Cloud Services from next year", add_months(start, 24)),
    }
    return (cloud, others[number % 9]) if number % 9 in others else (cloud,)


def _contract(number: int, place: int, account: Account, name: str, start: date) -> Contract:
    end = add_months(start, 24) - timedelta(days=1)
    return Contract(29710000 + number * 10 + place, account.account_id, name, 7, 1, "monthly", start, end)


def _billed(
    random: Random, number: int, contract: Contract, subscriptions: tuple[Subscription, ...]
) -> tuple[tuple[ContractService, ...], tuple[Link, ...]]:
    """What the contract bills for these subscriptions: most units agree, some differ, some lines and links are missing."""
    lines: dict[int, ContractService] = {}
    links: list[Link] = []
    for subscription in filter(_billable, subscriptions):
        for resource in subscription.resources:
            special = number == 2 or subscription.subscription_id == EXAMPLE_SUBSCRIPTION_ID
            if random.random() < 0.08 and not special:
                continue
            service = _service(_offer(resource.product_id), _period_type(number, subscription))
            line = lines.get(service.service_id)
            if line is None:
                units = _units_billed(random, resource.count)
                line = _line(41000 + number * 40 + len(lines), contract, service, units)
            else:
                line = replace(line, units=line.units + resource.count)
            lines[service.service_id] = line
            if random.random() < 0.9 or special:
                links.append(_link(subscription, resource, contract, line))
    if number == 0:
        links = [link for link in links if link.subscription_id != EXAMPLE_SUBSCRIPTION_ID]
        lines = {key: replace(line, units=Decimal(1)) if _bills_example(line) else line for key, line in lines.items()}
    return tuple(lines.values()), tuple(links)


def _billable(subscription: Subscription) -> bool:
    return subscription.status in {"active", "hold"} and not subscription.usage_based


def _bills_example(line: ContractService) -> bool:
    return line.name == EXAMPLE.name


def _offer(product_id: str) -> Offer:
    return next(offer for offer in OFFERS if offer.product_id == product_id)


def _period_type(number: int, subscription: Subscription) -> str:
    if subscription.billing_period.type == "year":
        return "yearly"
    return {3: "quarterly", 5: "semi-annual"}.get(number % 7, "monthly")


def _service(offer: Offer, period_type: str) -> Service:
    place, months = OFFERS.index(offer), MONTHS[period_type]
    name = offer.name if period_type == "monthly" else f"{offer.name} ({period_type})"
    service_id = 3000 + place * 10 + list(MONTHS).index(period_type)
    return Service(service_id, name, period_type, _money(offer.price, months), _money(offer.cost or "0", months))


def _line(line_id: int, contract: Contract, service: Service, units: Decimal) -> ContractService:
    return ContractService(
        contract_service_id=line_id,
        contract_id=contract.contract_id,
        service_id=service.service_id,
        name=service.name,
        period_type=service.period_type,
        unit_price=service.unit_price,
        unit_cost=service.unit_cost,
        units=units,
    )


def _units_billed(random: Random, count: Decimal) -> Decimal:
    """Usually the count; now and then a few units that nobody trued up."""
    return count if random.random() < 0.85 else max(count + random.choice([-3, -2, -1, 1, 2]), Decimal(0))


def _link(subscription: Subscription, resource: Resource, contract: Contract, line: ContractService) -> Link:
    return Link(
        company_id=subscription.company_id,
        subscription_id=subscription.subscription_id,
        product_id=resource.product_id,
        account_id=contract.account_id,
        contract_id=contract.contract_id,
        contract_service_id=line.contract_service_id,
    )


def _past_changes(
    random: Random, subscription: Subscription, resource: Resource, today: date
) -> tuple[PastChange, ...]:
    """The changes of the past year, found backwards from today's count: a firm grows more often than it shrinks."""
    days = sorted(random.sample(range(2, 360), random.randint(0, 6)))
    count, changes = resource.count, []
    for days_ago in days:
        old = max(count - random.choice([1, 1, 1, 2, 2, 4, -1, -2]), Decimal(0))
        if old != count:
            day = today - timedelta(days=days_ago)
            changes.append(PastChange(day, subscription.subscription_id, resource.product_id, old, count))
        count = old
    return tuple(reversed(changes))
