"""The real service, as its own process with its own role, on a real vhost: calls in, answers and events out."""

from collections.abc import Iterator
from typing import Any

import pytest

from domain.events import RelationSet
from plumbing import rpc
from tests.mapping.conftest import ODIN, PSA, TEAMS, Mapping
from tests.processes import Process
from tests.servers import role_url
from tests.waiting import wait_for


@pytest.fixture
def service(mapping: Mapping, database: str, vhost: str) -> Iterator[str]:
    """The URL of the broker on which the service answers."""
    environment = {
        "TRUEUP_DATABASE_URL": role_url(database, "trueup_mapping"),
        "TRUEUP_RABBITMQ_URL": vhost,
        "TRUEUP_SWEEP_SECONDS": "1",
    }
    with Process("deploy.run_service", "mapping", environment=environment) as process:
        wait_for(lambda: _answers(vhost) or not process.running, what="mapping to answer")
        assert process.running, process.output
        yield vhost
        assert process.stop() == 0, process.output
        assert "Traceback" not in process.output


def _answers(vhost: str) -> bool:
    try:
        rpc.call(vhost, "mapping", "clear_relations", 2, **_call(relation_ids=[], reason=""))
    except (rpc.ServiceSilent, rpc.ServiceRefused):
        return False
    return True


def _call(**arguments: Any) -> dict[str, Any]:
    return {"msp_id": "acme", "operation_id": "op", "actor": "anna"} | arguments


def test_a_relation_is_set_and_cleared_by_calls(mapping: Mapping, service: str) -> None:
    # when
    wishes = [mapping.wish(ODIN), mapping.wish(TEAMS, PSA, "second")]
    answer = rpc.call(service, "mapping", "set_relations", **_call(operation_id="click", wishes=wishes))
    again = rpc.call(service, "mapping", "set_relations", **_call(operation_id="click", wishes=wishes))
    ids = [result["relation_id"] for result in answer["results"]]
    cleared = rpc.call(
        service, "mapping", "clear_relations", **_call(operation_id="click 2", relation_ids=ids, reason="moved")
    )

    stolen = rpc.call(service, "mapping", "set_relations", **_call(operation_id="click", wishes=wishes[1:]))

    # then
    assert answer == again
    assert [(row["id"], row["refusal"]["code"]) for row in stolen["results"]] == [("second", "operation_id_used")]
    assert (answer["operation_id"], answer["refusal"]) == ("click", None)
    assert [result["ok"] for result in answer["results"] + cleared["results"]] == [True] * 4
    assert [event.relation_id for event in mapping.happened(RelationSet)] == ids


BAD_CALLS: list[tuple[dict[str, Any], str]] = [
    ({"msp_id": "nobody", "wishes": []}, "msp_unknown"),
    ({"msp_id": 7, "wishes": []}, "bad_request"),
    ({"operation_id": "", "wishes": []}, "bad_request"),
    ({"operation_id": "a\x00b", "wishes": []}, "bad_request"),
    ({"actor": None, "wishes": []}, "bad_request"),
    ({"wishes": "all of them"}, "bad_request"),
    ({"wishes": {"id": "1"}}, "bad_request"),
    ({"wishes": [0] * 10**6}, "too_many"),
]


def test_calls_that_make_no_sense_are_refused_with_what_to_do_and_the_service_goes_on(service: str) -> None:
    for arguments, code in BAD_CALLS:
        answer = rpc.call(service, "mapping", "set_relations", 60, **_call(operation_id="other") | arguments)
        assert answer["results"] == []
        assert answer["refusal"]["code"] == code
        assert answer["refusal"]["fix"]
