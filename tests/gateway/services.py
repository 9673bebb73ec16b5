"""`python -m tests.gateway.services <amqp url>`: the RPC doors that the gateway asks, as the contract describes them.

They stand in for services of which only the answers matter here; what they were asked is part of the answer.
"""

import eventlet

eventlet.monkey_patch()

import json  # noqa: E402
import sys  # noqa: E402

from nameko.rpc import rpc  # noqa: E402
from nameko.runners import ServiceRunner  # noqa: E402

from domain.events.names import OdinNames, PsaNames  # noqa: E402


class Mapping:
    name = "mapping"

    @rpc
    def foresee_relations(self, msp_id, wishes):
        return {"results": [_foreseen(wish) for wish in wishes], "refusal": None}

    @rpc
    def set_relations(self, msp_id, wishes, operation_id, actor, hold_first):
        if operation_id == "break":
            raise RuntimeError("a secret in a traceback")
        refusal = {"code": "NOT_RECURRING", "message": f"Refused for {actor} of {msp_id}.", "fix": "Choose another."}
        return {
            "operation_id": operation_id,
            "results": [
                {
                    "id": wish["id"],
                    "ok": wish["psa_product_id"] != "bad",
                    "relation_id": f"r-{wish['resource_key']}",
                    "refusal": refusal if wish["psa_product_id"] == "bad" else None,
                }
                for wish in wishes
            ],
        }

    @rpc
    def clear_relations(self, msp_id, relation_ids, reason, operation_id, actor):
        results = [{"id": each, "ok": True, "relation_id": None, "refusal": None} for each in relation_ids]
        return {"operation_id": operation_id, "results": results}

    @rpc
    def save_relation_settings(self, msp_id, relation_ids, settings, operation_id, actor):
        return _told(operation_id, relation_ids, settings)

    @rpc
    def freeze_relations(self, msp_id, relation_ids, reason, operation_id, actor):
        return _told(operation_id, relation_ids, [reason])

    @rpc
    def unfreeze_relations(self, msp_id, relation_ids, reason, operation_id, actor):
        return _told(operation_id, relation_ids, [reason])

    @rpc
    def exclude_resources(self, msp_id, resource_keys, reason, until, operation_id, actor):
        return _told(operation_id, resource_keys, [reason, until])

    @rpc
    def include_resources(self, msp_id, resource_keys, reason, operation_id, actor):
        return _told(operation_id, resource_keys, [reason])


def _told(operation_id, ids, asked):
    refusal = {"code": "ASKED", "message": json.dumps(asked), "fix": "Nothing to do."}
    results = [{"id": each, "ok": False, "relation_id": None, "refusal": refusal} for each in ids]
    return {"operation_id": operation_id, "results": results}


class Reconciler:
    name = "reconciler"

    @rpc
    def foresee(self, msp_id, pairs, cleared):
        unsaid = dict.fromkeys(("target_unit_cost", "target_unit_price", "reason", "fix"))
        products = [{**pair, "feeds": 1, "fed_by": [["1", "3"]], "target_units": 8, **unsaid} for pair in pairs]
        return {"products": products, "counts": {pair["resource_key"]: "8" for pair in pairs}}


class Writer:
    name = "psa_writer"

    @rpc
    def preview(self, msp_id, wishes):
        return {"rows": [_previewed(wish) for wish in wishes], "refusal": None}

    @rpc
    def retry(self, msp_id, request_ids, actor):
        return {"results": [{"id": each, "ok": True, "refusal": None} for each in request_ids]}

    @rpc
    def release(self, msp_id, request_ids, actor):
        eventlet.sleep(30)

    @rpc
    def test_connection(self, msp_id, connection_id, unsaved=None):
        if connection_id == "slow":
            eventlet.sleep(30)
        asked = json.dumps([msp_id, connection_id, unsaved])
        return {"steps": [{"step": "zone", "ok": True, "milliseconds": 1, "message": asked, "fix": None}]}


def _foreseen(wish):
    names = dict.fromkeys((*OdinNames.__dataclass_fields__, *PsaNames.__dataclass_fields__), "a name")
    row = {"id": wish["id"], "ok": True, "relation_id": None, "note": None, "refusal": None}
    return names | row | {name: wish[name] for name in ("psa_connection_id", "psa_product_id")}


def _previewed(wish):
    unknown = ("effective_date", "period", "days", "hindrance", "held")
    money = ("price_now", "cost_now", "price_month", "cost_month", "margin_month")
    row = dict.fromkeys((*unknown, *money)) | {"changes": [], "units": 1, "units_read_at": None, "unit_change": 7}
    if wish["psa_product_id"] == "ended":
        row["hindrance"] = {"code": "agreement_ended", "message": "It ended.", "fix": "Renew it."}
    return row | {name: wish.get(name) for name in ("psa_connection_id", "psa_product_id", "target_units")}


if __name__ == "__main__":
    runner = ServiceRunner({"AMQP_URI": sys.argv[1]})
    runner.add_service(Mapping)
    runner.add_service(Reconciler)
    runner.add_service(Writer)
    runner.start()
    runner.wait()
