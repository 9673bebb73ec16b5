"""A thousand linked products change at once -> P14: calls to ODIN and requests to Autotask, against the least possible.

The sandboxes count. These figures do not depend on the machine: calls are counted, not timed.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil

from deploy.sandbox.autotask import autotask_sandbox
from deploy.sandbox.autotask.seeding import seed_database
from deploy.sandbox.books import Link
from deploy.sandbox.odin import OdinAccount, odin_sandbox
from domain.events import AdjustmentFailed, AdjustmentParked, UnitsFoundEqual
from domain.keys import CompanyId, ResourceId, ResourceKey, SubscriptionId
from plumbing.secrets import new_key_pair
from tests.bench.append import MSP
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.msp import ODIN, MspAtWork, msp_at_work

SWEEP = Goal("P14", "ODIN calls, all read for the first time", "the least possible", "calls", 1.10, 1.02, at_most=True)
QUIET = Goal("P14", "ODIN calls, a cycle without a change", "the least possible", "calls", 1.10, 1.02, at_most=True)
CHANGED = Goal("P14", "ODIN calls, a cycle with many changes", "the least possible", "calls", 1.10, 1.02, at_most=True)
POSTED = Goal("P14", "Autotask requests for each adjustment", "", "requests", 0.06, 0.03, at_most=True)

PAGE = 500
BATCH = 200


def counted(ground: Ground, _rounds: int, *, quick: bool) -> list[Measured]:
    """1,000 changes among the links of 500 companies (quick: 100 of 60); counted once, since nothing varies."""
    companies, changes = (60, 100) if quick else (500, 1_000)
    keys = {name: new_key_pair()[0] for name in ("poller", "psa_writer")}
    with (
        ground.database() as url,
        odin_sandbox(companies=companies) as odin,
        autotask_sandbox() as psa,
        msp_at_work(url, odin, psa, keys) as msp,
    ):
        world = seed_database(psa, 1, companies)
        sweep = _poll(msp, SWEEP, _least_of_a_sweep(odin))
        msp.read_catalogue()
        set_ = msp.link([(_resource_key(link), link.contract_service_id) for link in world.links])
        links = [world.links[place] for place in set_]
        msp.level()
        quiet = _poll(msp, QUIET, _least_of_a_quiet_cycle(odin))
        for link in links[:changes]:
            count = odin.count(link.subscription_id, link.product_id)
            odin.set_count(link.subscription_id, link.product_id, count + 1)
        changed = _poll(msp, CHANGED, _least_of_changes(odin, links[:changes]))
        products = len({link.contract_service_id for link in links[:changes]})
        return [sweep, quiet, changed, _posts(msp, products)]


def _poll(msp: MspAtWork, goal: Goal, least: int) -> Measured:
    before = len(msp.odin.calls)
    ended = msp.poll()
    kinds = Counter(_kind(call.path) for call in msp.odin.calls[before:])
    note = f"{ended.changes:,} changes found by {', '.join(f'{count:,} {kind}' for kind, count in kinds.items())}"
    return Measured(goal, [kinds.total()], [least], [note])


def _posts(msp: MspAtWork, products: int) -> Measured:
    ends = (UnitsFoundEqual.type, AdjustmentParked.type, AdjustmentFailed.type)
    before = Counter({end: msp.happened(end) for end in ends})
    msp.psa.calls.clear()
    posted = msp.level()
    totals = msp.psa.calls.totals()
    calls = sum(totals.values())
    others = Counter({end: msp.happened(end) for end in ends}) - before
    least = ceil(posted / BATCH) + 2 * ceil(posted / PAGE)
    notes = [
        f"{posted:,} adjustments for {products:,} products, some fed by several resources, in {calls} requests: {_told(totals)}",
        f"{least} would be the least: {BATCH} a create, {PAGE} rows a query, units read before and after",
    ]
    if others:
        notes.append(f"the others: {', '.join(f'{count} {end}' for end, count in others.items())}")
    return Measured(POSTED, [calls / posted], [], notes)


def _least_of_a_sweep(odin: OdinAccount) -> int:
    """A token, the companies, the lists, and every living subscription."""
    living = [each for each in odin.subscriptions if each.status != "removed"]
    return _least_of_a_quiet_cycle(odin) + ceil(len(odin.companies) / PAGE) + len(living)


def _least_of_a_quiet_cycle(odin: OdinAccount) -> int:
    """A token, the subscriptions, and the head of the orders."""
    return 1 + ceil(len(odin.subscriptions) / PAGE) + 1


def _least_of_changes(odin: OdinAccount, links: Sequence[Link]) -> int:
    """As if one knew from the list which subscriptions have changed."""
    return _least_of_a_quiet_cycle(odin) + len({link.subscription_id for link in links})


def _told(totals: dict[tuple[str, str, str], int]) -> str:
    return ", ".join(f"{count} {operation} {entity}".strip() for (operation, entity, _), count in totals.items())


def _resource_key(link: Link) -> ResourceKey:
    parts = (CompanyId(link.company_id), SubscriptionId(link.subscription_id), ResourceId(link.product_id))
    return ResourceKey(MSP, ODIN, *parts)


def _kind(path: str) -> str:
    parts = path.strip("/").split("/")
    return f"{parts[0]} each" if len(parts) > 1 else parts[0]
