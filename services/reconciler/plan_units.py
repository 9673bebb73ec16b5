"""(a product, the resources that feed it) -> the request that is missing, the one that gives way, or why there can be none.

The target is the sum of what the last known counts come to by the unit rule of each relation, taken as it stands: a level,
not a difference. So it does not matter how often or after how many changes one plans, and planning again asks for nothing.
There is at most one open request a product, and none while one of its relations is frozen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.events import (
    AdjustmentRequested,
    AdjustmentSuperseded,
    Cause,
    DriftAdopted,
    DriftOverwritten,
    PlanRefused,
)
from domain.events.names import OdinNames, PsaNames
from domain.money import Money
from domain.relation_settings import AS_NEW, RelationSettings
from domain.units import LARGEST_COUNT, NotWholeUnits
from services.reconciler.cost_for_period import cost_for_period

PlannedEvent = AdjustmentRequested | AdjustmentSuperseded | PlanRefused | DriftAdopted | DriftOverwritten


@dataclass(frozen=True)
class Feed:
    """A resource that is linked to the product, with its last known count (None: none was ever known), what ODIN bills for a
    licence, for how many months, and at which price to the customer; what a person settled for the relation, and whether it
    is frozen."""

    resource_key: str
    odin: OdinNames
    count: Decimal | None
    unit_cost: Money | None
    billing_months: int | None
    catalogue_price: Money | None = None
    settings: RelationSettings = AS_NEW
    frozen: bool = False

    @property
    def units(self) -> int:
        """What the count adds to the target; NotWholeUnits."""
        return self.settings.rule.units(self.count or Decimal(0))


@dataclass(frozen=True)
class Request:
    """What was last asked for. open: the writer has not brought it to its end yet. hold_first: it waits, as whoever set the
    relation wished."""

    request_id: str
    open: bool
    target_units: int
    target_unit_cost: Money | None
    target_unit_price: Money | None = None
    hold_first: bool = False


@dataclass(frozen=True)
class Product:
    """A PSA product with its billing period in months, the currency of its unit cost, and what stands in the way of a plan
    as it was last told ("": nothing). adopted_for: a person took the PSA's units, which `last` then wishes for, although the
    counts came to so many."""

    psa: PsaNames
    period_months: int | None
    cost_currency: str | None
    last: Request | None = None
    refused: str = ""
    adopted_for: int | None = None


@dataclass(frozen=True)
class Touch:
    """What led to planning the product: which resource's change ("": no single one's), in words for the reports. ask_anyway:
    a relation was set or unfrozen, so the PSA is to be levelled once even if nothing else has changed. hold_first: what comes
    of it waits."""

    resource_key: str
    reason: str
    ask_anyway: bool = False
    hold_first: bool = False


@dataclass(frozen=True)
class Plan:
    """The product as it stands now, and the events that made it so, in order."""

    product: Product
    events: tuple[PlannedEvent, ...] = ()


def plan_units(product: Product, feeds: Sequence[Feed], touch: Touch, request_id: str, *, post_cost: bool) -> Plan:
    """The plan. request_id: for the request, should one be made. post_cost: the policy unit_cost is "post".

    Without feeds, or while one of them is frozen, nothing is asked, an open request gives way to none, and the PSA keeps its
    units. While the count of a feed is unknown nothing changes: unknown is not 0."""
    at_rest = _at_rest(feeds)
    if at_rest:
        return Plan(replace(product, last=None, refused="", adopted_for=None), superseded(product, None, at_rest))
    if any(feed.count is None for feed in feeds):
        return Plan(product)
    obstacle = _obstacle(feeds)
    if obstacle:
        return _refused(product, *obstacle)
    target = sum(feed.units for feed in feeds)
    if target > LARGEST_COUNT:
        reason = f"The counts add up to {target}, more than the PSA can bill."
        return _refused(product, feeds[0].odin, reason, "Look for a wrong count among the linked resources.")
    if touch.ask_anyway or target != product.adopted_for:
        product = replace(product, adopted_for=None)
    elif product.last is not None:
        target = product.last.target_units
    cost = agreed_cost(product, feeds) if post_cost else None
    held = touch.hold_first or _holds(product.last)
    request = Request(request_id, True, target, cost, agreed_price(product, feeds), held)
    if not _is_news(request, product.last, touch):
        return Plan(replace(product, refused=""))
    events = (*superseded(product, request_id, touch.reason), _requested(product, feeds, touch, request))
    return Plan(replace(product, last=request, refused=""), events)


def _at_rest(feeds: Sequence[Feed]) -> str:
    """Why nothing may be asked for the product whatever the counts are; "": it may."""
    if not feeds:
        return "the last relation was cleared"
    return "a relation of the product is frozen" if any(feed.frozen for feed in feeds) else ""


def _holds(last: Request | None) -> bool:
    """Whether a first post that shall wait has not gone out yet: then whatever takes its place waits as well."""
    return last is not None and last.open and last.hold_first


def agreed_cost(product: Product, feeds: Sequence[Feed]) -> Money | None:
    """The unit cost for the product's period, when all feeds that have units agree on it and it is in the product's currency;
    else None: the PSA's cost is left alone. A unit that stands for a pack costs what its licences do."""
    costs = {_of_unit_and_period(product, feed, feed.unit_cost) for feed in feeds if feed.units}
    cost = costs.pop() if len(costs) == 1 else None
    return cost if cost and cost.currency == product.cost_currency else None


def agreed_price(product: Product, feeds: Sequence[Feed]) -> Money | None:
    """The unit price for the product's period, when all feeds that have units and a say in it agree; else None: the PSA's
    price is left alone. That it is in the product's currency the writer sees to: a price that a person chose is not passed
    over in silence."""
    prices = {
        feed.settings.price.unit_price(
            _of_unit_and_period(product, feed, feed.unit_cost),
            _of_unit_and_period(product, feed, feed.catalogue_price),
        )
        for feed in feeds
        if feed.units and feed.settings.price.source != "agreement"
    }
    return prices.pop() if len(prices) == 1 else None


def _of_unit_and_period(product: Product, feed: Feed, money: Money | None) -> Money | None:
    if money is None or not feed.billing_months or not product.period_months:
        return None
    of_unit = money.times(Decimal(feed.settings.rule.pack_size))
    return cost_for_period(of_unit, feed.billing_months, product.period_months)


def _is_news(request: Request, last: Request | None, touch: Touch) -> bool:
    if last is None or request.target_units != last.target_units:
        return True
    return (
        _differs(request.target_unit_cost, last.target_unit_cost, last)
        or _differs(request.target_unit_price, last.target_unit_price, last)
        or (touch.ask_anyway and not last.open)
    )


def _differs(wished: Money | None, before: Money | None, last: Request) -> bool:
    """Whether the cost or price is another than was last asked for. Where nothing is wished for it any more, only a request
    that still would change it has to give way."""
    return last.open and before is not None if wished is None else wished != before


def _obstacle(feeds: Sequence[Feed]) -> tuple[OdinNames, str, str] | None:
    for feed in feeds:
        try:
            _ = feed.units
        except NotWholeUnits:
            name = f"“{feed.odin.resource_name}”"
            reason = f"The count of {name} is {feed.count}, and the PSA takes whole units only."
            return feed.odin, reason, f"Let the unit rule of {name} round, or correct its count in the marketplace."
    return None


def _refused(product: Product, odin: OdinNames, reason: str, fix: str) -> Plan:
    """Whatever was asked before no longer holds: an open request gives way to none. Told once, not at every plan."""
    told = product.refused == reason
    refused = PlanRefused(**vars(odin), **vars(product.psa), reason=reason, fix=fix)
    events = (*superseded(product, None, reason), *(() if told else (refused,)))
    return Plan(replace(product, last=None, refused=reason), events)


def superseded(product: Product, by: str | None, reason: str) -> tuple[PlannedEvent, ...]:
    """The product's open request, if it has one, gives way: to the request `by`, or to none."""
    if product.last is None or not product.last.open:
        return ()
    return (
        AdjustmentSuperseded(
            request_id=product.last.request_id,
            superseded_by=by,
            psa_connection_id=product.psa.psa_connection_id,
            psa_product_id=product.psa.psa_product_id,
            reason=reason,
        ),
    )


def _requested(product: Product, feeds: Sequence[Feed], touch: Touch, request: Request) -> AdjustmentRequested:
    # The names are those of a resource that is linked now: a post must never stand under a relation that was cleared.
    names = next((feed.odin for feed in feeds if feed.resource_key == touch.resource_key), feeds[0].odin)
    return AdjustmentRequested(
        **vars(names),
        **vars(product.psa),
        request_id=request.request_id,
        target_units=request.target_units,
        target_unit_cost=request.target_unit_cost,
        target_unit_price=request.target_unit_price,
        hold_first=request.hold_first,
        reason=touch.reason,
        causes=tuple(_cause(feed) for feed in feeds),
    )


def _cause(feed: Feed) -> Cause:
    assert feed.count is not None  # noqa: S101 plan_units has returned before
    odin = feed.odin
    return Cause(
        connection_id=odin.connection_id,
        company_id=odin.company_id,
        subscription_id=odin.subscription_id,
        resource_id=odin.resource_id,
        resource_name=odin.resource_name,
        count=feed.count,
    )
