"""Saved views: checked against the report, private or shared, one default a person, two editors told apart; of one MSP only."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.keys import MspId
from gateway.errors import Refusal
from gateway.views import By, Settings, Wish, delete, save, saved_views, set_default
from plumbing.clock import Clock
from services.reporting.queries import REPORTS
from tests.gateway.serving import Answering
from tests.msps import add_msp

pytestmark = [pytest.mark.postgres]
VIEW = "id name shared owner mine isDefault version columns sort filters { column value } group range"
LIST = f'query($msp: String! = "acme") {{ savedViews(mspId: $msp, report: ADJUSTMENTS) {{ {VIEW} }} }}'
SAVE = f"""mutation($operation: String!, $id: String, $version: Int, $name: String!, $columns: [String!], $sort: [String!],
    $filters: [ViewFilterWish!], $group: [String!], $range: String, $msp: String! = "acme") {{
  saveView(mspId: $msp, report: ADJUSTMENTS, operationId: $operation, id: $id, version: $version, name: $name,
      columns: $columns, sort: $sort, filters: $filters, group: $group, range: $range) {{
    operationId results {{ id ok refusal {{ code message fix }} }} view {{ {VIEW} }} }} }}"""
DEFAULT = """mutation($operation: String!, $id: String) {
  setDefaultView(mspId: "acme", report: ADJUSTMENTS, operationId: $operation, id: $id) { results { ok refusal { code } } } }"""
DELETE = """mutation($operation: String!, $id: String!, $msp: String! = "acme") {
  deleteView(mspId: $msp, operationId: $operation, id: $id) { results { ok refusal { code } } } }"""
WHOLE = {
    "name": "Falls of the month",
    "columns": ["companyName", "unitChange"],
    "sort": ["-adjustmentDate", "companyName"],
    "filters": [{"column": "unitChange", "value": "lt:0"}, {"column": "resourceName", "value": "~exchange"}],
    "group": ["companyName"],
    "range": "30d",
}


def saved(answering: Answering, operation: str, **given: Any) -> dict[str, Any]:
    outcome = answering.data(SAVE, operation=operation, **given)["saveView"]
    assert outcome["results"][0]["ok"], outcome
    return outcome["view"]


def test_a_view_is_kept_whole_and_the_same_operation_saves_it_once(own: Answering) -> None:
    assert own.data(LIST)["savedViews"] == []

    with ThreadPoolExecutor(4) as pool:
        views = list(pool.map(lambda _: saved(own, "o1", **WHOLE), range(4)))

    [kept] = own.data(LIST)["savedViews"]
    assert views == [kept] * 4
    assert {name: kept[name] for name in WHOLE} == WHOLE
    assert (kept["owner"], kept["mine"], kept["shared"], kept["version"]) == ("operator", True, False, 1)


@pytest.mark.parametrize(
    "act",
    [
        'setDefaultView(mspId: "acme", report: CLOSE, operationId: "o1")',
        'saveView(mspId: "acme", report: CLOSE, operationId: "o1", name: "Mine")',
    ],
)
def test_what_is_no_report_has_no_views(own: Answering, act: str) -> None:
    outcome = own.data(f"mutation {{ {act} {{ results {{ ok refusal {{ code message }} }} }} }}")
    (row,) = outcome[act.partition("(")[0]]["results"]

    assert (row["ok"], row["refusal"]["code"]) == (False, "BAD_VIEW")
    assert "no views of the close" in row["refusal"]["message"]


def test_of_two_editors_the_second_is_told_and_loses_nothing(own: Answering) -> None:
    # given a view open in two windows
    view = saved(own, "o1", **WHOLE)

    # when both save a change, the first one twice
    for _ in range(2):
        first = saved(own, "o2", id=view["id"], version=1, name="Falls", sort=["unitChange"])
    second = own.data(SAVE, operation="o3", id=view["id"], version=1, name="Rises")["saveView"]

    # then
    assert (first["version"], first["sort"], first["range"]) == (2, ["unitChange"], None)
    [row] = second["results"]
    assert (row["ok"], row["refusal"]["code"], second["view"]) == (False, "VIEW_CHANGED", None)
    assert "operator saved this view as version 2" in row["refusal"]["message"]
    assert [one["name"] for one in own.data(LIST)["savedViews"]] == ["Falls"]


def test_a_default_is_one_a_person_and_goes_with_its_view(own: Answering) -> None:
    falls, rises = saved(own, "o1", name="Falls"), saved(own, "o2", name="Rises")

    for number, view in enumerate((falls, rises)):
        own.data(DEFAULT, operation=f"d{number}", id=view["id"])
    assert {one["name"]: one["isDefault"] for one in own.data(LIST)["savedViews"]} == {"Falls": False, "Rises": True}

    own.data(DELETE, operation="x", id=rises["id"])
    assert [(one["name"], one["isDefault"]) for one in own.data(LIST)["savedViews"]] == [("Falls", False)]

    own.data(DEFAULT, operation="d3", id=falls["id"])
    own.data(DEFAULT, operation="d4")
    assert not own.data(LIST)["savedViews"][0]["isDefault"]


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        ({"columns": ["nothing"]}, "BAD_PARAMETER", "'nothing'"),
        ({"columns": ["unitChange", "unitChange"]}, "BAD_PARAMETER", "once"),
        ({"sort": ["-nothing"]}, "BAD_PARAMETER", "sort"),
        ({"sort": ["attempt", "proof", "unitChange", "companyName"]}, "BAD_PARAMETER", "at most 3"),
        ({"filters": [{"column": "unitChange", "value": "many"}]}, "BAD_PARAMETER", "f.unitChange"),
        ({"filters": [{"column": "proof", "value": "a"}, {"column": "proof", "value": "b"}]}, "BAD_VIEW", "twice"),
        ({"filters": [{"column": "proof", "value": "a" * 4001}]}, "BAD_VIEW", "4000"),
        ({"group": ["companyName", "proof", "attempt"]}, "BAD_PARAMETER", "group"),
        ({"group": ["proratedCost"]}, "BAD_PARAMETER", "money"),
        ({"range": "a month"}, "BAD_PARAMETER", "range"),
        ({"name": "  "}, "BAD_VIEW", "1 to 80"),
        ({"id": "nowhere", "version": 1}, "VIEW_GONE", "no such view"),
    ],
)
def test_what_a_page_could_not_show_is_refused_by_name(
    served: Answering, given: dict[str, Any], code: str, word: str
) -> None:
    outcome = served.data(SAVE, operation="o", **{"name": "A view", **given})["saveView"]

    [row] = outcome["results"]
    assert (row["ok"], row["refusal"]["code"]) == (False, code), row
    assert word in row["refusal"]["message"] + row["refusal"]["fix"]
    assert served.data(LIST)["savedViews"] == []


def test_a_name_is_taken_once_a_person(own: Answering) -> None:
    saved(own, "o1", name="Falls")

    [row] = own.data(SAVE, operation="o2", name="Falls")["saveView"]["results"]

    assert row["refusal"]["code"] == "NAME_TAKEN"


def test_another_msp_neither_sees_nor_touches_a_view(own: Answering, engine: Engine) -> None:
    view, other = saved(own, "o1", name="Falls"), add_msp(engine, "other")

    assert own.data(LIST, msp=other)["savedViews"] == []
    [deleted] = own.data(DELETE, operation="x", id=view["id"], msp=other)["deleteView"]["results"]
    [changed] = own.data(SAVE, operation="y", id=view["id"], version=1, name="X", msp=other)["saveView"]["results"]
    twin = saved(own, "o1", name="Falls", msp=other)

    assert deleted["refusal"]["code"] == changed["refusal"]["code"] == "VIEW_GONE"
    assert twin["id"] != view["id"]
    assert [one["name"] for one in own.data(LIST)["savedViews"]] == ["Falls"]


def wish(name: str, view_id: str | None = None, version: int | None = None, *, shared: bool = False) -> Wish:
    return Wish(view_id, version, name, shared, Settings((), (), {}, (), None))


def test_a_private_view_is_its_owners_and_a_shared_one_everybodys_to_change(engine: Engine, told: MspId) -> None:
    report, mara, olaf = REPORTS["linked"], By(told, "mara", "m"), By(told, "olaf", "o")

    # given one of each
    private = save(engine, Clock(), report, mara, wish("Mine"))["view_id"]
    shared = save(engine, Clock(), report, By(told, "mara", "m2"), wish("Ours", shared=True))["view_id"]

    # then another person sees and changes the shared one only
    with engine.connect() as connection:
        assert [(v["name"], v["mine"]) for v in saved_views(connection, told, "olaf", "linked")] == [("Ours", False)]
    assert save(engine, Clock(), report, olaf, wish("Ours too", shared, 1, shared=True))["owner"] == "mara"
    set_default(engine, olaf, report, shared)
    for act, code in (
        (lambda: save(engine, Clock(), report, olaf, wish("x", private, 1)), "VIEW_GONE"),
        (lambda: save(engine, Clock(), report, By(told, "olaf", "o2"), wish("x", shared, 2)), "NOT_YOURS"),
        (lambda: delete(engine, olaf, shared), "NOT_YOURS"),
        (lambda: set_default(engine, olaf, report, private), "VIEW_GONE"),
        (lambda: set_default(engine, olaf, REPORTS["unlinked"], shared), "VIEW_GONE"),
    ):
        with pytest.raises(Refusal) as refused:
            act()
        assert refused.value.code == code

    # and what its owner takes back is nobody else's default any more
    save(engine, Clock(), report, By(told, "mara", "m3"), wish("Mine again", shared, 2))
    with engine.connect() as connection:
        assert saved_views(connection, told, "olaf", "linked") == []
        assert [v["is_default"] for v in saved_views(connection, told, "mara", "linked")] == [False, False]
