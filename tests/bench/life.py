"""A seed -> all that happens to an MSP in a year: what it has, what it links, what changes, what is posted and what fails.

Every type of event that a read model is folded from comes in a plausible share. What the MSP has comes first; after that each
happening falls on a link by Zipf's law: a few links change all the time and most hardly ever, as with real customers.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate, islice
from random import Random
from typing import Any

from domain import events as e
from domain.envelope import NewEvent
from tests.bench.names import FIRST_MOMENT, RESOURCES
from tests.bench.seen import (
    Link,
    Said,
    discovered,
    first_seen,
    link_of,
    money,
    msp_set_up,
    product,
    subscription,
    units,
    without,
)

YEAR = timedelta(days=365)
# One in five resources is not linked to anything.
UNLINKED_EVERY = 5
_HELD = {"kind": "contradiction", "message": "The PSA shows nothing of our last change."}
_SILENT = {"kind": "unreachable", "message": "Nobody answers.", "fix": "Nothing: it is tried again."}


def life(seed: int, links: int, how_many: int) -> Iterator[NewEvent]:
    """So many events over so many links, in the order in which they happened, spread over a year."""
    versions: Counter[str] = Counter()
    pause = YEAR / how_many
    lived = _Life(seed, links)
    for number, (stream, event) in enumerate(islice(lived.told(), how_many)):
        versions[stream] += 1
        moment = lived.moment = FIRST_MOMENT + number * pause
        yield NewEvent(stream=stream, stream_version=versions[stream], event=event, occurred_at=moment)


class _Life:
    def __init__(self, seed: int, links: int) -> None:
        self._random, self._links = Random(seed), links
        self._counts = [self._random.randint(1, 40) for _ in range(links)]
        # How often each was linked; 0: it is not.
        self._relations = [0 if number % UNLINKED_EVERY == 0 else 1 for number in range(links)]
        self._requests = self._polls = 0
        self.moment = FIRST_MOMENT

    def told(self) -> Iterator[Said]:
        """Without an end."""
        yield from msp_set_up()
        for number in range(self._links):
            yield from first_seen(link_of(number), self._counts[number], self.moment.date(), self._random)
            if self._relations[number]:
                yield self._related(link_of(number))
        ways, weights = zip(*self._happenings(), strict=True)
        upto = list(accumulate(weights))
        # The busy links are strewn over all companies.
        places = self._random.sample(range(self._links), self._links)
        by_rank = list(accumulate(1 / rank for rank in range(1, self._links + 1)))
        while True:
            happen = self._random.choices(ways, cum_weights=upto, k=10_000)
            where = self._random.choices(places, cum_weights=by_rank, k=10_000)
            for happens, number in zip(happen, where, strict=True):
                yield from happens(link_of(number))

    def _happenings(self) -> list[tuple[Callable[[Link], Iterator[Said]], int]]:
        """What happens, and how often of a hundred thousand times."""
        return [
            (self._count_changes, 70_000),
            (self._cost_changes, 8_000),
            (self._subscription_changes, 6_000),
            (self._polled, 5_000),
            (self._units_are_read, 4_000),
            (self._calls_are_counted, 2_000),
            (self._catalogue_is_read, 1_500),
            (self._linked_anew, 1_000),
            (self._disappears_and_comes_back, 1_000),
            (self._renamed, 600),
            (self._product_goes_and_comes_back, 500),
            (self._plan_is_refused, 200),
            (self._renewed, 150),
            (self._people_come_and_go, 5),
            (self._policy_changes, 50),
            (self._house_notices, 10),
        ]

    def _related(self, link: Link) -> Said:
        relation_id = f"relation-{link.number}-{self._relations[link.number]}"
        return link.relation_stream, e.RelationSet(
            **link.odin, **link.psa, relation_id=relation_id, followed_from=None, hold_first=False, score=None
        )

    def _linked_anew(self, link: Link) -> Iterator[Said]:
        if self._relations[link.number]:
            told = {"relation_id": f"relation-{link.number}-{self._relations[link.number]}", "reason": "asked"}
            yield link.relation_stream, e.RelationCleared(**link.odin, **link.psa, **told, followed_to=None)
        self._relations[link.number] += 1
        yield self._related(link)

    def _count_changes(self, link: Link) -> Iterator[Said]:
        before = self._counts[link.number]
        target = self._counts[link.number] = self._random.randint(1, 60)
        changed = e.ResourceCountChanged(**link.odin, previous_count=Decimal(before), count=Decimal(target))
        yield link.resource_stream, changed
        if self._relations[link.number]:
            yield from self._adjusted(link, before, target)

    def _adjusted(self, link: Link, before: int, target: int) -> Iterator[Said]:
        """From the wish to its end: nearly always posted at once."""
        self._requests += 1
        chance, request_id = self._random.random(), f"request-{self._requests}"
        names = link.odin | link.psa | {"request_id": request_id}
        stream = f"adjustment/{request_id}"
        yield link.wish_stream, self._requested(names, target)
        if chance < 0.03:
            of = {name: names[name] for name in ("request_id", "psa_connection_id", "psa_product_id")}
            yield link.wish_stream, e.AdjustmentSuperseded(**of, superseded_by=None, reason="withdrawn")
            return
        if chance < 0.06:
            yield stream, e.UnitsFoundEqual(**names, units=target, on_date=self.moment.date())
            return
        wanted = names | {"target_units": target}
        if chance < 0.12:
            again = FIRST_MOMENT + timedelta(minutes=1)
            yield stream, e.AdjustmentFailed(**wanted, **_SILENT, attempt=1, next_try_at=again)
        elif chance < 0.14:
            yield stream, e.AdjustmentParked(**wanted, **_HELD, fix="Release it.", attempt=1)
            yield stream, (e.AdjustmentReleased if chance < 0.13 else e.AdjustmentRetried)(**wanted, **_HELD)
        yield stream, self._posted(names, before, target)

    def _requested(self, names: dict[str, Any], target: int) -> e.Event:
        cause = e.Cause(
            connection_id=names["connection_id"],
            company_id=names["company_id"],
            subscription_id=names["subscription_id"],
            resource_id=names["resource_id"],
            resource_name=names["resource_name"],
            count=Decimal(target),
        )
        wish = {"target_units": target, "target_unit_cost": None, "target_unit_price": None, "hold_first": False}
        wish |= {"reason": "count", "causes": (cause,)}
        return e.AdjustmentRequested(**names, **wish)

    def _posted(self, names: dict[str, Any], before: int, target: int) -> e.Event:
        return e.AdjustmentPosted(
            **names,
            operation_id=f"operation-{self._requests}",
            effective_date=self.moment.date(),
            unit_change=target - before,
            units_before=before,
            units_after=target,
            unit_cost_before=money(self._random),
            unit_cost_after=money(self._random),
            unit_price_before=None,
            unit_price_after=None,
            prorated_cost=money(self._random),
            prorated_price=None,
            proof="read back",
            attempt=1,
            completes_request=True,
        )

    def _cost_changes(self, link: Link) -> Iterator[Said]:
        before = {"previous_unit_cost": money(self._random), "previous_unit_price": money(self._random)}
        now = {"unit_cost": money(self._random), "unit_price": money(self._random)}
        yield link.resource_stream, e.ResourceCostChanged(**link.odin, **before, **now)

    def _subscription_changes(self, link: Link) -> Iterator[Said]:
        yield subscription(link)

    def _units_are_read(self, link: Link) -> Iterator[Said]:
        yield units(link, self._counts[link.number], self.moment.date())

    def _renamed(self, link: Link) -> Iterator[Said]:
        levels = ("company", "subscription", "resource")
        before = {f"previous_{level}_name": link.odin[f"{level}_name"] for level in levels}
        yield link.resource_stream, e.ResourceRenamed(**link.odin, **before)

    def _disappears_and_comes_back(self, link: Link) -> Iterator[Said]:
        count = self._counts[link.number]
        gone = {"previous_count": Decimal(count), "reason": "not listed any more", "confirmed_by_polls": 2}
        yield link.resource_stream, e.ResourceDisappeared(**link.odin, **gone)
        yield discovered(link, count, self._random)

    def _renewed(self, link: Link) -> Iterator[Said]:
        """Another subscription goes on from this one; its resources come back with the next poll."""
        names = without(link.odin, "resource")
        new_id = f"{names['subscription_id']}-{self._random.randint(2, 9)}"
        new = names | {"previous_subscription_id": names["subscription_id"], "subscription_id": new_id}
        yield f"subscription/odin/{new_id}", e.SubscriptionRenewed(**new, evidence=("same company",))
        yield discovered(link, self._counts[link.number], self._random)

    def _plan_is_refused(self, link: Link) -> Iterator[Said]:
        why = {"reason": "10.5 is not whole", "fix": "Set a unit rule that rounds."}
        yield link.wish_stream, e.PlanRefused(**link.odin, **link.psa, **why)

    def _product_goes_and_comes_back(self, link: Link) -> Iterator[Said]:
        gone = {"record_id": link.psa["psa_product_id"], "name": link.psa["psa_product_name"]}
        yield link.product_stream, e.PsaRecordGone(psa_connection_id="autotask", level="product", **gone)
        yield product(link, self._random)

    def _polled(self, link: Link) -> Iterator[Said]:
        self._polls += 1
        poll = {"connection_id": "odin", "poll_id": f"poll-{self._polls}"}
        if link.number % 20 == 0:
            yield "poll/odin", e.PollFailed(**poll, **_SILENT)
        else:
            read = {"subscriptions_read": 9, "subscriptions_put_off": 0, "changes": 7, "calls": 12}
            yield "poll/odin", e.PollCompleted(**poll, complete=True, subscriptions=self._links // RESOURCES, **read)

    def _catalogue_is_read(self, link: Link) -> Iterator[Said]:
        if link.number % 20 == 0:
            yield "catalogue/autotask", e.CatalogueReadFailed(psa_connection_id="autotask", **_SILENT)
        else:
            found = {"customers": self._links // 30, "agreements": self._links // 3, "products": self._links}
            yield "catalogue/autotask", e.CatalogueRead(psa_connection_id="autotask", **found)

    def _calls_are_counted(self, link: Link) -> Iterator[Said]:
        took = {"failed": 0, "limited": 0, "p50_milliseconds": 410, "p95_milliseconds": 900}
        each = tuple(
            e.EndpointCalls(endpoint=endpoint, calls=link.number % 200, slowest_milliseconds=1_900, **took)
            for endpoint in ("subscriptions", "resources", "orders")
        )
        yield "calls/odin", e.CallsCounted(connection_id="odin", since=FIRST_MOMENT, seconds=300, endpoints=each)

    def _house_notices(self, link: Link) -> Iterator[Said]:
        consumer, last_day = "reporting.resources", self.moment.date()
        hindering = {"event_type": "ResourceCountChanged", "event_version": 2, "fault": "UnknownEvent"}
        yield f"consumer/{consumer}", e.ConsumerStopped(consumer=consumer, position=link.number, **hindering)
        yield f"consumer/{consumer}", e.ConsumerResumed(consumer=consumer, position=link.number + 3)
        yield "late-poll/odin", e.PollLate(connection_id="odin", due_at=self.moment)
        due = {"psa_connection_id": "autotask", "period": f"{last_day:%Y-%m}", "due_on": last_day, "amber": ()}
        for red in (("Unlinked resources",), ()):
            yield f"close-due/autotask/{last_day:%Y-%m}", e.CloseDue(**due, red=red)

    def _people_come_and_go(self, link: Link) -> Iterator[Said]:
        user = {"user_id": str(link.number), "user_version": 1, "email": f"user{link.number}@msp.example"}
        yield f"user/{link.number}", e.UserRoleSet(**user, previous_role=None, role="operator")
        yield f"user/{link.number}", e.UserCodesReset(**user)
        yield f"user/{link.number}", e.UserDisabled(**user, previous_role="operator")
        key = {"key_id": str(link.number), "name": f"key {link.number}"}
        made = {"prefix": "trueup_0a1b2c3d4e5f", "scopes": ("read",), "ends_at": self.moment + timedelta(days=90)}
        yield f"api-key/{link.number}", e.ApiKeyMade(**key, **made)
        yield f"api-key/{link.number}", e.ApiKeyRevoked(**key)

    def _policy_changes(self, link: Link) -> Iterator[Said]:
        value = str(50 + link.number % 50)
        yield "posting", e.PostingPaused(operation_id=f"pause-{self._requests}", reason="a closing")
        yield "posting", e.PostingResumed(operation_id=f"resume-{self._requests}")
        changed = {"company_id": None, "resource_id": None, "policies_version": 1}
        yield "policies", e.PolicyChanged(policy="brake_rise_units", previous_value="50", value=value, **changed)
