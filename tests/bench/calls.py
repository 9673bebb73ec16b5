"""A thousand linked products change at once -> P14: calls to ODIN and requests to Autotask, against the least possible.

Poller, mapping, reconciler and writer work in this process, one after the other, against both sandboxes over HTTP; the
sandboxes count. Figures of this goal do not depend on the machine: calls are counted, not timed.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from uuid import uuid4

from sqlalchemy import Engine

from deploy.sandbox.autotask import Desk, autotask_sandbox
from deploy.sandbox.autotask.seeding import seed_database
from deploy.sandbox.books import Link, World
from deploy.sandbox.odin import OdinAccount, odin_sandbox
from domain.events import AdjustmentPosted, PollCompleted
from domain.keys import CompanyId, ConnectionId, MspId, ResourceId, ResourceKey, SubscriptionId
from gateway.set_up import SetUp
from plumbing import event_log, secrets
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.house import House
from plumbing.settings import OutsideSettings
from services.mapping import operations
from services.mapping.wishes import Ask, parse_wishes
from services.poller.known import Place
from services.poller.work import PollWork, do_poll
from services.psa_writer.catalogue import read_catalogue
from services.psa_writer.outside import opener
from services.psa_writer.posting import post_due
from services.psa_writer.reactor import reactor as writers_reactor
from services.psa_writer.writer import Writer
from services.reconciler.reactor import reactor as reconcilers_reactor
from tests.bench.append import MSP
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground

SWEEP = Goal("P14", "ODIN calls, all read for the first time", "the least possible", "calls", 1.10, 1.02, at_most=True)
QUIET = Goal("P14", "ODIN calls, a cycle without a change", "the least possible", "calls", 1.10, 1.02, at_most=True)
CHANGED = Goal("P14", "ODIN calls, a cycle with many changes", "the least possible", "calls", 1.10, 1.02, at_most=True)
POSTED = Goal("P14", "Autotask requests for each adjustment", "", "requests", 0.06, 0.03, at_most=True)

ODIN, AUTOTASK = ConnectionId("odin"), ConnectionId("autotask")
PAGE = 500
BATCH = 200


def counted(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """1,000 changes among the links of 500 companies (quick: 100 of 60)."""
    companies, changes = (60, 100) if quick else (500, 1_000)
    logging.getLogger().setLevel(logging.ERROR)
    with _house(ground, companies) as house:
        sweep = house.poll(SWEEP, house.least_of_a_sweep)
        house.read_catalogue()
        links = house.link()
        house.level()
        quiet = house.poll(QUIET, house.least_of_a_quiet_cycle)
        house.raise_counts(links[:changes])
        changed = house.poll(CHANGED, lambda: house.least_of_changes(links[:changes]))
        return [sweep, quiet, changed, house.posts(changes)]


@dataclass
class _House:
    """One MSP with its two sandboxes."""

    engine: Engine
    odin: OdinAccount
    psa: Desk
    world: World
    poller: House
    writer: Writer

    def poll(self, goal: Goal, least: Callable[[], int]) -> Measured:
        """The calls of one poll that reads all that should be read."""
        before = len(self.odin.calls)
        ended = do_poll(self.poller, PollWork(Place(MSP, ODIN), uuid4().hex), 3_000)
        assert isinstance(ended, PollCompleted), ended
        assert ended.complete, ended
        kinds = Counter(_kind(call.path) for call in self.odin.calls[before:])
        note = f"{ended.changes:,} changes found by {', '.join(f'{count:,} {kind}' for kind, count in kinds.items())}"
        return Measured(goal, [kinds.total()], [least()], [note])

    def least_of_a_sweep(self) -> int:
        """A token, the companies, the subscriptions, the head of the orders, and every living subscription."""
        living = [each for each in self.odin.subscriptions if each.status != "removed"]
        return 1 + ceil(len(self.odin.companies) / PAGE) + self._lists() + len(living)

    def least_of_a_quiet_cycle(self) -> int:
        """A token, the subscriptions, and the head of the orders."""
        return 1 + self._lists()

    def least_of_changes(self, links: list[Link]) -> int:
        """As if one knew from the list which subscriptions have changed."""
        return self.least_of_a_quiet_cycle() + len({link.subscription_id for link in links})

    def _lists(self) -> int:
        return ceil(len(self.odin.subscriptions) / PAGE) + 1

    def read_catalogue(self) -> None:
        """The writer's own reading, so that products can be linked."""
        read_catalogue(self.writer, MSP, AUTOTASK)

    def link(self) -> list[Link]:
        """The world's links that could be set."""
        wishes = [
            {
                "id": str(place),
                "resource_key": str(_resource_key(link)),
                "psa_connection_id": AUTOTASK,
                "psa_product_id": str(link.contract_service_id),
            }
            for place, link in enumerate(self.world.links)
        ]
        done: list[Link] = []
        for start in range(0, len(wishes), 500):
            ask = Ask(MSP, uuid4().hex, "bench")
            given = parse_wishes(wishes[start : start + 500])
            answer = operations.set_relations(self.engine, self.poller.clock, ask, given)
            done += [self.world.links[int(row["id"])] for row in answer["results"] if row["ok"]]
        return done

    def level(self) -> int:
        """The adjustments posted until nothing is left to be done."""
        before = self._posted()
        clock = self.poller.clock
        catch_up(self.engine, reconcilers_reactor(clock), MSP, clock)
        catch_up(self.engine, writers_reactor(clock), MSP, clock)
        post_due(self.writer, MSP, AUTOTASK)
        return self._posted() - before

    def raise_counts(self, links: list[Link]) -> None:
        """One licence more of each, ordered and done."""
        for link in links:
            count = self.odin.count(link.subscription_id, link.product_id)
            self.odin.set_count(link.subscription_id, link.product_id, count + 1)

    def posts(self, expected: int) -> Measured:
        """The requests that it took to bring the changes to Autotask."""
        self.psa.calls.clear()
        posted = self.level()
        totals = self.psa.calls.totals()
        calls = sum(totals.values())
        least = ceil(posted / BATCH) + 2 * ceil(posted / PAGE)
        kinds = ", ".join(f"{count} {operation} {entity}".strip() for (operation, entity, _), count in totals.items())
        notes = [
            f"{posted:,} adjustments of {expected:,} changes in {calls} requests: {kinds}",
            f"{least} would be the least: {BATCH} a create, {PAGE} rows a query, units read before and after",
        ]
        return Measured(POSTED, [calls / posted], [], notes)

    def _posted(self) -> int:
        with self.engine.connect() as connection:
            upto = event_log.head(connection, MSP)
            return len(event_log.read(connection, MSP, 0, upto, [AdjustmentPosted.type]))


@contextmanager
def _house(ground: Ground, companies: int) -> Iterator[_House]:
    clock = Clock()
    private, public = secrets.new_key_pair()
    with ground.database() as url, odin_sandbox(companies=companies) as odin, autotask_sandbox() as psa:
        world = seed_database(psa, 1, companies)
        engine = make_engine(url, "bench")
        settings = OutsideSettings(database_url=url, rabbitmq_url="", private_key=private)
        _set_up(SetUp(engine, clock, "bench"), odin, psa, {"poller": public, "psa_writer": public})
        writer = Writer(engine, clock, opener(engine, clock, settings), lambda _: None)
        yield _House(engine, odin, psa, world, House("poller", engine, clock, settings), writer)
        engine.dispose()


def _set_up(set_up: SetUp, odin: OdinAccount, psa: Desk, keys: dict[str, str]) -> None:
    """Budgets and bounds far away: what is counted is what the house does of its own accord."""
    set_up.add_msp(MSP, "Bench", "UTC")
    for policy in ("largest_change_units", "largest_change_percent", "largest_change_per_hour"):
        set_up.set_policy(MSP, policy, "1000000")
    calls = {"calls_per_minute": "1000000", "calls_per_day": "10000000", "poll_seconds": "60", "reread_hours": "100000"}
    account = {"gateway_url": odin.url, "user": odin.user, "marketplace": odin.marketplace} | calls
    set_up.save_connection(MSP, ODIN, "odin", account, {"password": odin.password, "secret": odin.secret}, keys)
    database = {"address": psa.url, "user": psa.user, "calls_per_hour": "1000000", "mid_period_rows": "total"}
    identity = {"password": psa.password, "tracking_identifier": psa.tracking_identifier}
    set_up.save_connection(MSP, AUTOTASK, "autotask", database, identity, keys)


def _resource_key(link: Link) -> ResourceKey:
    return ResourceKey(
        MspId(MSP),
        ODIN,
        CompanyId(link.company_id),
        SubscriptionId(link.subscription_id),
        ResourceId(link.product_id),
    )


def _kind(path: str) -> str:
    parts = path.strip("/").split("/")
    return f"{parts[0]} each" if len(parts) > 1 else parts[0]
