"""A person's word on units that nobody of us caused -> the PSA's units taken as they are, or the target asked for once more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Engine

from domain.events import AdjustmentRequested, DriftAdopted, DriftOverwritten
from domain.keys import MspId
from plumbing import setup
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from services.reconciler import plans
from services.reconciler.plan_units import Plan, Request, Touch, plan_units, superseded
from services.reconciler.reactor import reactor
from services.reconciler.touches import Cause, ProductId

RESOLUTIONS = ("adopt", "overwrite")
_NOTHING_ASKED = {
    "code": "nothing_asked",
    "message": "Nothing is asked for this product: it is not linked, or its counts cannot become units.",
    "fix": "Look at its relations first.",
}


def resolve_drift(
    engine: Engine,
    clock: Clock,
    msp_id: MspId,
    products: Sequence[Mapping[str, Any]],
    resolution: str,
    reason: str,
    operation_id: str,
    actor: str,
) -> dict[str, Any]:
    """{"results": [{"psa_connection_id", "psa_product_id", "ok", "refusal"}]}: each product {"psa_connection_id",
    "psa_product_id", "units"} with the units that the person saw. The same operation again does nothing more."""
    catch_up(engine, reactor(clock), msp_id, clock)
    units = {(each["psa_connection_id"], each["psa_product_id"]): int(each["units"]) for each in products}
    refused = set(units)
    with engine.begin() as connection:
        plans.lock(connection, msp_id)
        today = clock.today(setup.msp(connection, msp_id).time_zone)
        post_cost = plans.posts_cost(connection, msp_id)

        def planned(loaded: plans.Loaded) -> Plan:
            request_id = uuid5(NAMESPACE_URL, f"trueup:{msp_id}/{operation_id}/{loaded.product_id}").hex
            touch = Touch("", f"drift overwritten: {reason}" if reason else "drift overwritten", ask_anyway=True)
            wanted = plan_units(
                replace(loaded.product, last=None), loaded.feeds, touch, request_id, post_cost=post_cost
            )
            asked = next((event for event in wanted.events if isinstance(event, AdjustmentRequested)), None)
            if asked is None:
                return Plan(loaded.product)
            refused.discard(loaded.product_id)
            if resolution == "adopt":
                return _adopted(loaded, asked, units[loaded.product_id], today, reason, request_id)
            return _overwritten(loaded, wanted, asked, units[loaded.product_id], reason)

        causes: dict[ProductId, Cause] = dict.fromkeys(units, Cause(0, 0, operation_id, Touch("", "drift resolved")))
        plans.carry_out(connection, msp_id, causes, planned, clock.now(), actor)
    return {
        "results": [
            {
                "psa_connection_id": key[0],
                "psa_product_id": key[1],
                "ok": key not in refused,
                "refusal": _NOTHING_ASKED if key in refused else None,
            }
            for key in units
        ]
    }


def _adopted(
    loaded: plans.Loaded, asked: AdjustmentRequested, units: int, today: date, reason: str, request_id: str
) -> Plan:
    """The last wish is the PSA's units from now on, and it is fulfilled."""
    product, target = loaded.product, asked.target_units
    if product.adopted_for == target and product.last and product.last.target_units == units:
        return Plan(product)
    event = DriftAdopted(**vars(product.psa), units=units, target_units=target, on_date=today, reason=reason)
    last = Request(request_id, False, units, asked.target_unit_cost)
    given_way = superseded(product, None, "the PSA's units were adopted")
    return Plan(replace(product, last=last, adopted_for=target), (*given_way, event))


def _overwritten(loaded: plans.Loaded, wanted: Plan, asked: AdjustmentRequested, units: int, reason: str) -> Plan:
    """The target is asked for anew, in place of whatever is open."""
    product = loaded.product
    if product.last and product.last.request_id == asked.request_id:
        return Plan(product)
    event = DriftOverwritten(**vars(product.psa), units=units, target_units=asked.target_units, reason=reason)
    return Plan(wanted.product, (event, *superseded(product, asked.request_id, "drift overwritten"), *wanted.events))
