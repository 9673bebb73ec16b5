"""Relations that might be set or cleared -> what would be asked for their products then, without asking for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from domain.events import AdjustmentRequested, PlanRefused
from domain.keys import MspId
from domain.money import Money
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from services.reconciler import plans
from services.reconciler.plan_units import Feed, Plan, Touch, plan_units
from services.reconciler.reactor import reactor
from services.reconciler.touches import ProductId

_FORESEEN = Touch("", "foreseen", ask_anyway=True)


def foresee(
    engine: Engine, clock: Clock, msp_id: MspId, pairs: Sequence[Mapping[str, str]], cleared: Sequence[str]
) -> dict[str, Any]:
    """{"products", "counts"} as if each pair {"resource_key", "psa_connection_id", "psa_product_id"} were linked and the
    resources of the cleared keys were not. A product {"psa_connection_id", "psa_product_id", "feeds", "fed_by" [[company,
    resource]], "target_units", "target_unit_cost", "target_unit_price", "reason", "fix"}: target_units None when nothing would
    be asked for, with reason and fix when the counts cannot become units. counts: the last known one of each of these
    resources, as text; None: not known."""
    catch_up(engine, reactor(clock), msp_id, clock)
    added: dict[ProductId, list[str]] = {}
    for pair in pairs:
        added.setdefault((pair["psa_connection_id"], pair["psa_product_id"]), []).append(pair["resource_key"])
    with engine.connect() as connection:
        resources = plans.resources(connection, msp_id, [*(pair["resource_key"] for pair in pairs), *cleared])
        ids = sorted({*added, *plans.products_of(connection, msp_id, cleared)})
        post_cost = plans.posts_cost(connection, msp_id)
        products = []
        for start in range(0, len(ids), plans.PORTION):
            products += _planned(
                connection, msp_id, ids[start : start + plans.PORTION], added, resources, cleared, post_cost
            )
    counts = {key: None if feed.count is None else str(feed.count) for key, feed in resources.items()}
    return {"products": products, "counts": counts}


def _planned(
    connection: Connection,
    msp_id: MspId,
    ids: Sequence[ProductId],
    added: Mapping[ProductId, Sequence[str]],
    resources: Mapping[str, Feed],
    cleared: Sequence[str],
    post_cost: bool,  # noqa: FBT001 a fact among others
) -> list[dict[str, Any]]:
    gone, found = set(cleared), []
    for loaded in plans.load(connection, msp_id, ids):
        feeds = {key: resources[key] for key in added.get(loaded.product_id, ()) if key in resources}
        # What feeds it already does so by its own settings.
        feeds |= {feed.resource_key: feed for feed in loaded.feeds if feed.resource_key not in gone}
        in_order = [feeds[key] for key in sorted(feeds)]
        product = replace(loaded.product, last=None, refused="")
        planned = plan_units(product, in_order, _FORESEEN, "", post_cost=post_cost)
        found.append(_told(loaded.product_id, in_order, planned))
    return found


def _told(product_id: ProductId, feeds: Sequence[Feed], planned: Plan) -> dict[str, Any]:
    asked = next((event for event in planned.events if isinstance(event, AdjustmentRequested)), None)
    refused = next((event for event in planned.events if isinstance(event, PlanRefused)), None)
    return {
        "psa_connection_id": product_id[0],
        "psa_product_id": product_id[1],
        "feeds": len(feeds),
        "fed_by": [[feed.odin.company_id, feed.odin.resource_id] for feed in feeds],
        "target_units": asked.target_units if asked else None,
        "target_unit_cost": _money(asked.target_unit_cost) if asked else None,
        "target_unit_price": _money(asked.target_unit_price) if asked else None,
        "reason": refused.reason if refused else None,
        "fix": refused.fix if refused else None,
    }


def _money(money: Money | None) -> dict[str, str] | None:
    return None if money is None else {"amount": str(money.amount), "currency": money.currency}
