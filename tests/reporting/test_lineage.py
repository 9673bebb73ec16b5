"""Why a product has its units: from the PSA line back to ODIN's words, as of any position, of one MSP, in bounded work."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, event, text

from domain import events as e
from domain.keys import MspId, PsaProductKey
from plumbing import evidence
from plumbing.evidence import Answer, Reading
from plumbing.row_security import of_msp
from services.reporting.lineage.explain import MOST_TOLD
from services.reporting.queries import BadQuestion, Lineage
from tests.msps import add_msp
from tests.world import (
    MORNING,
    ODIN,
    PSA,
    World,
    count_changed,
    disappeared,
    discovered,
    found_equal,
    odin,
    psa,
    psa_gone,
    psa_product,
    relation_cleared,
    relation_set,
    renewed,
)
from tests.world import cost_changed as cost_changed_to

PRODUCT = PsaProductKey(MspId("acme"), PSA.psa_connection_id, PSA.psa_product_id)
KEY = ODIN.resource_key(MspId("acme"))


@pytest.fixture
def world(engine: Engine, msp_id: MspId) -> World:
    return World(engine, msp_id)


def rose(count: str, before: str, names: Any = ODIN) -> tuple[str, e.ResourceCountChanged]:
    stream, event = count_changed(names, count)
    return stream, e.ResourceCountChanged(**(vars(event) | {"previous_count": Decimal(before)}))


def asked(units: int, request_id: str, *names: Any) -> tuple[str, e.AdjustmentRequested]:
    causes = tuple(
        e.Cause(
            connection_id=each.connection_id,
            company_id=each.company_id,
            subscription_id=each.subscription_id,
            resource_id=each.resource_id,
            resource_name=each.resource_name,
            count=Decimal(units),
        )
        for each in names or (ODIN,)
    )
    return f"request/{PSA.psa_connection_id}/{PSA.psa_product_id}", e.AdjustmentRequested(
        **vars(ODIN),
        **vars(PSA),
        request_id=request_id,
        target_units=units,
        target_unit_cost=None,
        target_unit_price=None,
        hold_first=False,
        reason="count changed",
        causes=causes,
    )


def posted(request: e.AdjustmentRequested, before: int) -> tuple[str, e.AdjustmentPosted]:
    names = {name: getattr(request, name) for name in (*vars(ODIN), *vars(PSA))}
    return f"adjustment/{request.request_id}", e.AdjustmentPosted(
        **names,
        request_id=request.request_id,
        operation_id=f"op-{request.request_id}",
        effective_date=MORNING.date(),
        unit_change=request.target_units - before,
        units_before=before,
        units_after=request.target_units,
        unit_cost_before=None,
        unit_cost_after=None,
        unit_price_before=None,
        unit_price_after=None,
        prorated_cost=None,
        prorated_price=None,
        proof="read back",
        attempt=1,
        completes_request=True,
    )


def failed(request: e.AdjustmentRequested) -> tuple[str, e.AdjustmentFailed]:
    return f"adjustment/{request.request_id}", e.AdjustmentFailed(
        **vars(ODIN),
        **vars(PSA),
        request_id=request.request_id,
        kind="unreachable",
        message="Autotask cannot be reached.",
        fix="Wait.",
        attempt=1,
        target_units=request.target_units,
        next_try_at=None,
    )


def units(how_many: int, before: int | None, names: Any = PSA) -> tuple[str, e.PsaUnitsObserved]:
    return f"psa-product/{names.psa_connection_id}/{names.psa_product_id}", e.PsaUnitsObserved(
        **vars(names), previous_units=before, units=how_many, on_date=MORNING.date()
    )


def four_become_twelve(world: World) -> dict[str, int]:
    """The positions: four linked and level; twelve said; twelve posted."""
    _, first = asked(4, "q1")
    _, second = asked(12, "q2")
    linked = world.append(discovered(count="4"), psa_product(), units(4, None), relation_set())
    level = world.append(asked(4, "q1"), found_equal(first), correlation_id="p1")
    said = world.append(rose("12", "4"), correlation_id="p2")
    done = world.append(asked(12, "q2"), posted(second, 4), units(12, 4), correlation_id="p2")
    return {"linked": linked, "level": level, "said": said, "done": done}


class Asked:
    """A lineage whose every question has a connection of its own."""

    def __init__(self, world: World, position: int | None) -> None:
        self._world, self._position = world, position

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*given: Any) -> Any:
            with of_msp(self._world.engine, self._world.msp_id).connect() as connection:
                return getattr(Lineage(connection, self._world.msp_id, self._position), name)(*given)

        return ask


def lineage(world: World, position: int | None = None) -> Asked:
    return Asked(world, position)


def kept(world: World, correlation_id: str, text_: bytes, at: datetime = MORNING) -> None:
    answer = Answer(
        "application/json", text_, {f"{ODIN.resource_id}/count": "/products/0/quantity", "status": "/status"}
    )
    with world.engine.begin() as connection:
        reading = Reading(ODIN.subscription_id, at, answer)
        evidence.keep(connection, world.msp_id, ODIN.connection_id, correlation_id, [reading])


def test_twelve_units_lead_back_over_the_post_the_wish_and_the_link_to_what_odin_said(world: World) -> None:
    # given
    four_become_twelve(world)
    kept(world, "p2", b'{"status":"active","products":[{"id":"100234","quantity":12}]}')

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.units, why.count, why.equal) == (12, Decimal(12), True)
    assert [step.kind for step in why.steps] == ["units_read", "posted", "requested", "relation_set", "count_changed"]
    assert [step.text for step in why.steps] == [
        "The PSA showed 12 units on 3 Aug 2026 08:00.",
        "Trueup posted +8 units (4 → 12) on 3 Aug 2026 08:00, effective 3 Aug 2026 (read back).",
        "Hosted mail was to have 12 units on 3 Aug 2026 08:00 (count changed): 12 Exchange Online (Plan 1).",
        "test linked Exchange Online (Plan 1) to Hosted mail (Cloud services, Contoso Ltd) on 3 Aug 2026 08:00.",
        "ODIN said 12 on 3 Aug 2026 08:00; before it had said 4.",
    ]
    assert [step.payload_id is not None for step in why.steps] == [False, False, False, False, True]
    assert lineage(world).explain_resource(KEY) == why


def test_units_that_a_person_took_as_right_are_explained_by_that_until_something_is_asked_again(world: World) -> None:
    # given
    four_become_twelve(world)
    stream = f"request/{PSA.psa_connection_id}/{PSA.psa_product_id}"
    adopted = e.DriftAdopted(**vars(PSA), units=13, target_units=12, on_date=MORNING.date(), reason="A spare one.")
    world.append(units(13, 12), (stream, adopted))

    # when
    why = lineage(world).explain_product(PRODUCT)
    world.append(asked(14, "q3"))
    later = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.units, why.count, why.equal) == (13, Decimal(12), False)
    assert [step.kind for step in why.steps][:2] == ["units_read", "adopted"]
    assert why.steps[1].text == (
        "test took the PSA's 13 units as right on 3 Aug 2026 08:00, though the counts come to 12: A spare one."
    )
    assert "adopted" not in [step.kind for step in later.steps]


def test_moments_are_told_in_the_time_zone_of_the_msp(engine: Engine) -> None:
    # given
    world = World(engine, add_msp(engine, "oslo", "Europe/Oslo"))
    four_become_twelve(world)

    # when
    why = lineage(world).explain_resource(ODIN.resource_key(world.msp_id))

    # then
    assert why.steps[-1].text == "ODIN said 12 on 3 Aug 2026 10:00; before it had said 4."


def test_as_of_an_earlier_position_the_same_question_says_four(world: World) -> None:
    # given
    at = four_become_twelve(world)

    # when
    before, between = (lineage(world, at[when]).explain_product(PRODUCT) for when in ("level", "said"))

    # then
    assert (before.units, before.count, before.equal) == (4, Decimal(4), True)
    assert before.steps[-1].text.startswith("ODIN said 4 ")
    assert "found_equal" in [step.kind for step in before.steps]
    assert (between.units, between.count, between.equal) == (4, Decimal(12), False)
    assert lineage(world, 0).explain_product(PRODUCT) is None
    assert lineage(world, at["linked"] - 4).explain_resource(KEY) is None


def test_two_resources_that_feed_one_product_add_up_and_a_cleared_one_does_not(world: World) -> None:
    # given
    other, third = odin(subscription_id="2"), odin(subscription_id="3")
    world.append(discovered(count="4"), discovered(other, "8"), discovered(third, "99"), units(12, None))
    world.append(
        relation_set(),
        relation_set(other, relation_id="r2"),
        relation_set(third, relation_id="r3"),
        relation_cleared(third, relation_id="r3"),
    )

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.units, why.count, why.equal) == (12, Decimal(12), True)
    assert [step.kind for step in why.steps].count("discovered") == 2


def test_a_resource_that_was_linked_elsewhere_since_feeds_the_old_product_no_more(world: World) -> None:
    # given
    elsewhere = psa(psa_product_id="1402")
    world.append(discovered(count="4"), units(4, None), relation_set(), relation_cleared())
    world.append(relation_set(product=elsewhere, relation_id="r2"))

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.units, why.count, why.equal) == (4, None, None)
    assert why.steps[-1].kind == "not_linked"
    assert lineage(world).explain_resource(KEY).count == Decimal(4)


def test_an_unknown_count_is_unknown_and_an_unread_line_too(world: World) -> None:
    # given
    world.append(discovered(count=None), relation_set())

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.units, why.count, why.equal) == (None, None, None)
    assert "without a count" in why.steps[-1].text


def test_a_count_that_odin_does_not_give_leaves_the_last_one_known(world: World) -> None:
    # given
    world.append(discovered(count="4"), units(4, None), relation_set(), count_changed(ODIN, None))

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert why.count == Decimal(4)
    assert [step.kind for step in why.steps][-2:] == ["count_changed", "discovered"]


def test_a_disappeared_resource_counts_none_and_a_line_that_is_gone_has_no_units(world: World) -> None:
    # given
    world.append(discovered(count="4"), units(4, None), relation_set(), disappeared())

    # then
    assert lineage(world).explain_product(PRODUCT).count == Decimal(0)

    # when
    world.append(psa_gone("product", PSA.psa_product_id))

    # then
    why = lineage(world).explain_product(PRODUCT)
    assert (why.units, why.equal) == (None, None)


def test_a_reading_that_found_the_target_tells_the_units_too(world: World) -> None:
    # given a line of which nothing else has told the units
    _, request = asked(4, "q1")
    world.append(discovered(count="4"), psa_product(), relation_set(), asked(4, "q1"), found_equal(request))

    # then
    why = lineage(world).explain_product(PRODUCT)
    assert (why.units, why.equal) == (4, True)
    assert [step.kind for step in why.steps] == ["found_equal", "requested", "relation_set", "discovered"]
    assert lineage(world).psa_line(PRODUCT, 1).units == 4


def test_a_renewed_subscription_has_the_count_of_the_one_it_continues_until_it_is_counted(world: World) -> None:
    # given
    new = odin(subscription_id="1000999")
    world.append(discovered(count="6"), units(6, None), relation_set())
    world.append(discovered(new, None), renewed(ODIN, new.subscription_id))
    world.append(relation_cleared(followed_to=new.subscription_id), relation_set(new, followed_from="1000823"))

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.count, why.equal) == (Decimal(6), True)
    assert [step.kind for step in why.steps][-3:] == ["discovered", "renewed", "discovered"]


def test_a_wish_that_does_not_go_out_is_told_with_the_last_post_that_did(world: World) -> None:
    # given
    four_become_twelve(world)
    _, third = asked(20, "q3")
    world.append(rose("20", "12"), asked(20, "q3"), failed(third), failed(third))

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.units, why.count, why.equal) == (12, Decimal(20), False)
    assert [step.kind for step in why.steps][:5] == ["units_read", "failed", "requested", "posted", "requested"]


def test_many_resources_are_summed_whole_and_told_in_part_and_too_many_links_are_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given
    fed = [odin(subscription_id=str(number)) for number in range(MOST_TOLD + 3)]
    world.append(*(discovered(names, "2") for names in fed), units(106, None))
    world.append(*(relation_set(names, relation_id=names.subscription_id) for names in fed))

    # when
    why = lineage(world).explain_product(PRODUCT)

    # then
    assert (why.count, why.equal) == (Decimal(2 * len(fed)), True)
    assert why.steps[-1].text == "3 more resources feed this product: 6 together."

    # when
    monkeypatch.setattr("services.reporting.lineage.explain.MOST_LINKS", len(fed) - 1)

    # then
    with pytest.raises(BadQuestion, match="linked more than"):
        lineage(world).explain_product(PRODUCT)


def test_a_history_is_turned_page_by_page_without_a_doubled_or_a_missing_row(world: World) -> None:
    # given
    four_become_twelve(world)
    world.append(cost_changed_to(ODIN, "3.75"), relation_cleared())
    world.append(asked(99, "of others"))

    # when
    pages, before = [], None
    while True:
        page = lineage(world).resource_history(KEY, 2, before)
        pages.append(page)
        if not page.has_next:
            break
        before = page.rows[-1].position

    # then
    rows = [row for page in pages for row in page.rows]
    whole = lineage(world).resource_history(KEY, 100)
    assert tuple(rows) == whole.rows
    assert [row.kind for row in rows] == [
        "relation_cleared",
        "cost_changed",
        "posted",
        "requested",
        "count_changed",
        "found_equal",
        "requested",
        "relation_set",
        "discovered",
    ]
    twelve = rows[4]
    assert (twelve.count_before, twelve.count_after) == (Decimal(4), Decimal(12))
    assert (rows[2].units_before, rows[2].units_after) == (4, 12)


def test_a_history_is_the_same_under_both_subscription_ids_of_a_renewal(world: World) -> None:
    # given
    new = odin(subscription_id="1000999")
    world.append(discovered(count="6"), relation_set())
    world.append(discovered(new, "6"), renewed(ODIN, new.subscription_id))
    world.append(
        relation_cleared(followed_to=new.subscription_id),
        relation_set(new, relation_id="r2", followed_from="1000823"),
        rose("7", "6", new),
    )

    # when
    old_page, new_page = (lineage(world).resource_history(each.resource_key(world.msp_id), 50) for each in (ODIN, new))

    # then
    assert old_page == new_page
    assert [row.kind for row in new_page.rows] == [
        "count_changed",
        "relation_set",
        "relation_cleared",
        "renewed",
        "discovered",
        "relation_set",
        "discovered",
    ]
    assert new_page.rows[3].text == "Subscription 1000823 was renewed as 1000999 on 3 Aug 2026 08:00."


def test_what_was_never_seen_has_no_history_and_no_explanation(world: World) -> None:
    # given
    four_become_twelve(world)

    # then
    nowhere = ODIN.resource_key(world.msp_id).__class__(world.msp_id, "odin", "c", "s", "r")
    assert lineage(world).resource_history(nowhere, 10) is None
    assert lineage(world).explain_resource(nowhere) is None
    assert lineage(world).explain_product(PsaProductKey(world.msp_id, "autotask", "nothing")) is None
    assert lineage(world).psa_line(PsaProductKey(world.msp_id, "autotask", "nothing"), 10) is None
    for first in (0, 101):
        with pytest.raises(BadQuestion):
            lineage(world).resource_history(KEY, first)


def test_a_line_is_shown_as_the_psa_has_it_with_our_transactions_newest_first(world: World) -> None:
    # given
    at = four_become_twelve(world)
    _, third = asked(20, "q3")
    world.append(asked(20, "q3"), posted(third, 12), units(20, 12))

    # when
    line = lineage(world).psa_line(PRODUCT, 10)

    # then
    assert (line.names, line.vendor, line.period_type, line.units) == (PSA, "Microsoft", "monthly", 20)
    assert str(line.unit_cost.amount) == "3.00"
    assert [(each.units_before, each.unit_change, each.operation_id) for each in line.transactions] == [
        (12, 8, "op-q3"),
        (4, 8, "op-q2"),
    ]
    assert len(lineage(world).psa_line(PRODUCT, 1).transactions) == 1
    earlier = lineage(world, at["level"]).psa_line(PRODUCT, 10)
    assert (earlier.units, earlier.transactions) == (4, ())


def test_a_payload_is_the_masked_answer_with_the_number_marked(world: World) -> None:
    # given
    at = four_become_twelve(world)
    kept(world, "p2", b'{"status":"active","products":[{"id":"100234","quantity":12.0}]}')

    # when
    found = lineage(world).payload(f"{at['said']}/acme")

    # then
    assert (found.content_type, found.mark, found.whole) == ("application/json", "/products/0/quantity", True)
    assert '"quantity": 12.0' in found.text


def test_of_two_answers_in_one_poll_the_event_leads_to_the_one_it_came_from(world: World) -> None:
    # given a poll that was run again and read something else later
    at = four_become_twelve(world)
    kept(world, "p2", b'{"products":[{"quantity":12}]}')
    kept(world, "p2", b'{"products":[{"quantity":13}]}', MORNING + timedelta(seconds=5))

    # then
    assert "12" in lineage(world).payload(f"{at['said']}/acme").text


def test_an_answer_of_another_poll_is_not_taken_for_the_one_behind_an_event(world: World) -> None:
    # given
    at = four_become_twelve(world)
    kept(world, "p1", b'{"products":[{"quantity":4}]}')

    # then
    assert lineage(world).payload(f"{at['said']}/acme") is None
    assert lineage(world).explain_product(PRODUCT).steps[-1].payload_id is None


def test_of_a_payload_that_is_too_long_only_what_surrounds_the_number_is_shown(world: World) -> None:
    # given
    at = four_become_twelve(world)
    many = [{"id": f"x{n}", "name": "n" * 60, "quantity": 1} for n in range(9_000)]
    answer = orjson.dumps({"products": [*many, {"id": "100234", "quantity": 12.50}], "status": "active"})
    marks = {f"{ODIN.resource_id}/count": "/products/9000/quantity"}
    with world.engine.begin() as connection:
        reading = Reading(ODIN.subscription_id, MORNING, Answer("application/json", answer, marks))
        evidence.keep(connection, world.msp_id, ODIN.connection_id, "p2", [reading])

    # when
    found = lineage(world).payload(f"{at['said']}/acme")

    # then
    assert (found.mark, found.whole) == ("/products/0/quantity", False)
    assert '"quantity": 12.5' in found.text
    assert len(found.text) < 1_000


@pytest.mark.parametrize("wanted", ["", "7", "/acme", "x/acme", "-1/acme", "9/acme", "²/acme", "9" * 30 + "/acme"])
def test_an_id_that_leads_nowhere_finds_no_payload(world: World, wanted: str) -> None:
    four_become_twelve(world)
    assert lineage(world).payload(wanted) is None


def test_nothing_of_another_msp_is_shown_even_when_all_its_ids_are_the_same(world: World) -> None:
    # given two MSPs in which the same happened
    at = four_become_twelve(world)
    kept(world, "p2", b'{"products":[{"quantity":12}]}')
    other = World(world.engine, add_msp(world.engine, "other"))
    other.append(discovered(count="1"), units(1, None), relation_set())

    # then
    theirs = lineage(other)
    assert theirs.explain_product(PRODUCT) is None
    assert theirs.explain_resource(KEY) is None
    assert theirs.resource_history(KEY, 10) is None
    assert theirs.psa_line(PRODUCT, 10) is None
    assert theirs.payload(f"{at['said']}/acme") is None
    own = theirs.explain_product(PsaProductKey(other.msp_id, PSA.psa_connection_id, PSA.psa_product_id))
    assert (own.units, own.count) == (1, Decimal(1))


def test_a_payload_of_another_msp_is_not_taken_for_ones_own_at_the_same_place(world: World) -> None:
    # given
    twin = World(world.engine, add_msp(world.engine, "twin"))
    for each in (world, twin):
        at = four_become_twelve(each)
        kept(each, "p2", b'{"products":[{"quantity":12}]}')

    # then
    assert lineage(twin).payload(f"{at['said']}/twin") is not None
    assert lineage(twin).payload(f"{at['said']}/acme") is None


def test_an_explanation_costs_the_same_however_long_the_log_is(world: World) -> None:
    """By the plans that the gateway gets: whatever reads the log does it by an index and meets few rows."""
    # given
    four_become_twelve(world)
    with world.engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO log.events (msp_id, position, stream, stream_version, type, version, payload, occurred_at,
                       recorded_at, correlation_id, recorded_by, actor)
                   SELECT 'acme', 1000 + n, 'resource/odin/c/s/' || n, 1,
                       (ARRAY['ResourceCountChanged', 'UnitsFoundEqual', 'SubscriptionRenewed'])[1 + n % 3], 1,
                       jsonb_build_object('psa_connection_id', 'autotask', 'psa_product_id', 'of ' || n, 'connection_id',
                           'odin', 'previous_subscription_id', 'of ' || n), now(), now(), 'c', 'test', 'test'
                   FROM generate_series(1, 30000) n"""
            )
        )
        connection.execute(text("ANALYZE log.events"))
    asked_for: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "log.events" in statement or "log.named_events" in statement:
            asked_for.append((statement.partition("true); ")[2], parameters))

    event.listen(world.engine, "before_cursor_execute", note)

    # when
    lineage(world).explain_product(PRODUCT)
    lineage(world).resource_history(KEY, 50)
    lineage(world).psa_line(PRODUCT, 50)

    # then
    event.remove(world.engine, "before_cursor_execute", note)
    assert len(asked_for) > 5
    with of_msp(world.engine, world.msp_id).connect() as connection:
        connection.execute(text("SET ROLE trueup_gateway"))
        for statement, parameters in asked_for:
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalar()
            assert "Seq Scan" not in str(plan)
            assert read_rows(plan[0]["Plan"]) < 200, statement


def read_rows(node: dict[str, Any]) -> int:
    """The most rows that a part of a plan gave or threw away."""
    here = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return max([int(here), *map(read_rows, node.get("Plans", ()))])
