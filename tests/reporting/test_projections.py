"""Events -> rows of the read models, by example; then: however the log is cut into slices, the rows are the same."""

import dataclasses
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from domain.money import Money
from domain.relation_settings import RelationSettings
from plumbing.catch_up import Slice, _one_batch, catch_up
from services.reporting.projections import READ_MODELS
from tests.domain.strategies import price_sources, rules
from tests.msps import add_msp
from tests.reporting import history as h

pytestmark = pytest.mark.postgres
A, B = h.odin("a"), h.odin("b", subscription="2")
P, Q = h.psa("p"), h.psa("q")


def after(engine: Engine, msp_id: MspId, *happened: Event) -> None:
    h.append(engine, msp_id, happened)
    h.project(engine, msp_id)


def the_row(engine: Engine, table: str, msp_id: MspId) -> dict:
    (row,) = h.rows(engine, table, msp_id)
    return row


def test_an_empty_log_gives_no_rows(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id)

    assert not any(h.everything(engine, msp_id).values())


def test_a_resource_is_shown_with_its_newest_count_and_cost(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.discovered(A, "4"), h.counted(A, "4", "12"), h.costed(A, "3.50", None))

    row = the_row(engine, "resources", msp_id)
    assert row["resource_key"] == h.key(A)
    assert (row["count"], row["unit_cost"], row["unit_price"], row["status"]) == (12, 3.50, None, "active")


def test_an_unknown_count_is_not_0(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.discovered(A, "4"), h.counted(A, "4", None))

    assert the_row(engine, "resources", msp_id)["count"] is None


def test_a_resource_that_disappears_ends_with_0_and_lives_again_when_it_returns(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.discovered(A, "4"), h.disappeared(A))
    ended = the_row(engine, "resources", msp_id)
    after(engine, msp_id, h.discovered(A, "2"))
    back = the_row(engine, "resources", msp_id)

    assert (ended["status"], ended["count"]) == ("ended", 0)
    assert ended["ended_at"] is not None
    assert (back["status"], back["count"], back["ended_at"]) == ("active", 2, None)
    assert back["first_seen_at"] == ended["first_seen_at"]


def test_a_renewal_ends_the_resources_of_the_old_subscription(engine: Engine, msp_id: MspId) -> None:
    new = h.odin("a", subscription="9")

    after(engine, msp_id, h.discovered(A, "4"), h.discovered(new, "4"), h.renewed(A, to="9"))

    status = {row["subscription_id"]: row["status"] for row in h.rows(engine, "resources", msp_id)}
    assert status == {"1000823": "ended", "9": "active"}


def test_a_key_with_slashes_is_written_as_the_domain_writes_it(engine: Engine, msp_id: MspId) -> None:
    odd = h.odin("a/b%2F", subscription="1/2", company="%")

    after(engine, msp_id, h.discovered(odd))

    assert the_row(engine, "resources", msp_id)["resource_key"] == h.key(odd)


def test_a_linked_resource_carries_the_names_of_its_product_until_it_is_cleared(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.discovered(A), h.linked(A, P))
    linked = the_row(engine, "resources", msp_id)
    after(engine, msp_id, h.cleared(A, P))
    unlinked = the_row(engine, "resources", msp_id)

    assert (linked["psa_product_id"], linked["psa_product_name"], linked["linked_by"]) == ("p", "Product p", "mara")
    assert (unlinked["relation_id"], unlinked["psa_product_id"], unlinked["linked_at"]) == (None, None, None)


def test_a_relation_keeps_who_set_and_who_cleared_it(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.linked(A, P)], actor="mara")
    h.append(engine, msp_id, [h.cleared(A, P)], actor="john")
    h.project(engine, msp_id)

    row = the_row(engine, "relations", msp_id)
    assert (row["state"], row["set_by"], row["cleared_by"], row["cleared_reason"]) == (
        "cleared",
        "mara",
        "john",
        "asked",
    )


def test_each_life_of_a_relation_is_a_row(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.linked(A, P), h.cleared(A, P), h.linked(A, Q))

    assert [row["state"] for row in h.rows(engine, "relations", msp_id)] == ["cleared", "live"]


def test_an_adjustment_is_logged_once_and_completes_its_request(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.requested(A, P, "q1"), h.posted(A, P, "q1", 8))

    assert the_row(engine, "adjustments", msp_id)["unit_change"] == 8
    assert the_row(engine, "requests", msp_id)["state"] == "posted"


def test_a_plan_of_two_dates_is_open_until_its_second_adjustment(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.requested(A, P, "q1"), h.posted(A, P, "q1", completes=False))
    assert the_row(engine, "requests", msp_id)["state"] == "open"

    after(engine, msp_id, h.posted(A, P, "q1"))
    assert the_row(engine, "requests", msp_id)["state"] == "posted"
    assert len(h.rows(engine, "adjustments", msp_id)) == 2


def test_what_was_posted_stays_posted_though_it_was_superseded_before(engine: Engine, msp_id: MspId) -> None:
    after(
        engine,
        msp_id,
        h.requested(A, P, "q1"),
        h.requested(A, P, "q2"),
        h.superseded(P, "q1", "q2"),
        h.posted(A, P, "q1"),
    )

    assert {row["request_id"]: row["state"] for row in h.rows(engine, "requests", msp_id)} == {
        "q1": "posted",
        "q2": "open",
    }


def test_a_failure_counts_its_tries_and_is_closed_by_success(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.requested(A, P, "q1"), h.failed(A, P, "q1"), h.failed(A, P, "q1", "rate_limited"))
    opened = h.rows(engine, "failures", msp_id)[0]
    after(engine, msp_id, h.posted(A, P, "q1"))
    closed = h.rows(engine, "failures", msp_id)[0]

    assert (opened["state"], opened["attempts"], opened["kind"]) == ("open", 2, "rate_limited")
    assert opened["first_failed_at"] < opened["last_failed_at"] < closed["closed_at"]
    assert (closed["state"], closed["closed_by"], closed["next_try_at"]) == ("closed", "posted", None)
    assert closed["message"] == "Autotask cannot be reached."


def test_a_parked_adjustment_waits_for_a_person(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.failed(A, P, "q1"), h.parked(A, P, "q1"))

    row = h.rows(engine, "failures", msp_id)[0]
    assert (row["state"], row["next_try_at"]) == ("parked", None)


@pytest.mark.parametrize(("by", "word"), [("q2", "superseded"), (None, "withdrawn")])
def test_a_failure_told_after_its_request_gave_way_opens_nothing(
    engine: Engine, msp_id: MspId, by: str | None, word: str
) -> None:
    after(engine, msp_id, h.requested(A, P, "q1"), h.superseded(P, "q1", by))
    after(engine, msp_id, h.failed(A, P, "q1"))

    row = h.rows(engine, "failures", msp_id)[0]
    assert (row["state"], row["closed_by"], row["attempts"]) == ("closed", word, 1)


def test_polls_that_fail_are_one_failure_until_one_completes(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.poll_failed(), h.poll_failed())
    after(engine, msp_id, h.poll_failed(), h.poll_completed(), h.poll_failed())

    found = [(row["state"], row["attempts"], row["closed_by"]) for row in h.rows(engine, "failures", msp_id)]
    assert found == [("closed", 3, "went well"), ("open", 1, None)]


def test_a_refused_plan_is_open_until_the_product_is_asked_for_again(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.linked(A, P), h.refused(A, P))
    (row,) = h.rows(engine, "failures", msp_id)
    assert (row["state"], row["kind"], row["message"]) == ("open", "plan_refused", "10.5 is not whole")

    after(engine, msp_id, h.requested(A, P, "q1"))
    assert h.rows(engine, "failures", msp_id)[0]["state"] == "closed"


def test_a_refused_plan_ends_when_the_last_relation_of_its_product_is_cleared(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.linked(A, P), h.linked(B, P, "r2"), h.refused(A, P))
    after(engine, msp_id, h.cleared(B, P, "r2"))
    assert h.rows(engine, "failures", msp_id)[0]["state"] == "open"

    after(engine, msp_id, h.cleared(A, P))
    assert h.rows(engine, "failures", msp_id)[0]["closed_by"] == "withdrawn"


@pytest.mark.parametrize("sight", [h.customer(P), h.catalogue_read()], ids=["a record", "a whole reading"])
def test_a_catalogue_failure_ends_with_the_next_sight_of_the_psa(engine: Engine, msp_id: MspId, sight: Event) -> None:
    after(engine, msp_id, h.catalogue_failed(), sight)

    assert h.rows(engine, "failures", msp_id)[0]["state"] == "closed"


def test_the_psa_is_shown_as_last_seen(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.customer(P), h.agreement(P), h.product(P), h.units(P, 4), h.units(P, 12))
    after(engine, msp_id, h.gone("product", "p"), h.gone("customer", "nobody"))

    row = the_row(engine, "psa_products", msp_id)
    assert (row["units"], row["unit_price"], row["gone"]) == (12, 5.0, True)
    assert the_row(engine, "psa_customers", msp_id)["gone"] is False
    assert the_row(engine, "psa_agreements", msp_id)["end_date"] == "2026-12-31"


def test_calls_are_told_by_endpoint_and_none_is_a_row_of_none(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.calls_counted("GET /orders", "GET /subscriptions/{id}"), h.calls_counted())

    found = h.rows(engine, "api_calls", msp_id)
    assert [row["endpoint"] for row in found] == ["GET /orders", "GET /subscriptions/{id}"]
    assert (found[0]["calls"], found[0]["limited"], found[0]["p95_milliseconds"]) == (56, 1, 1900)


def test_each_act_of_a_close_is_a_row_with_who_when_and_why(engine: Engine, msp_id: MspId) -> None:
    checks = h.close_check(), h.close_check("failed", "amber", 1), h.close_check("companies", "green", 0)
    after(engine, msp_id, h.check_accepted(), h.signed_off("2026-03", *checks), h.reopened(), h.invoiced("2026-02"))

    found = h.rows(engine, "close_acts", msp_id)
    told = [(row["period"], row["act"], row["acted_by"], row["reason"]) for row in found]
    assert told == [
        ("2026-02", "invoiced", "mara", None),
        ("2026-03", "check_accepted", "mara", "Trial licences."),
        ("2026-03", "signed_off", "mara", None),
        ("2026-03", "reopened", "mara", "A contract was missing."),
    ]
    assert (found[1]["check_key"], found[1]["rows"], found[1]["exceptions"]) == ("unlinked", 14, None)
    assert (found[2]["check_key"], found[2]["exceptions"], found[2]["as_of_position"]) == (None, 2, 7)


def test_a_side_was_read_when_a_whole_poll_or_any_word_of_the_psa_said_so(engine: Engine, msp_id: MspId) -> None:
    partly = dataclasses.replace(h.poll_completed(), complete=False)
    after(engine, msp_id, h.poll_completed(), h.units(P, 4))
    after(engine, msp_id, partly, h.poll_failed(), h.catalogue_failed())

    assert {row["connection_id"]: row["read_at"] for row in h.rows(engine, "readings", msp_id)} == {
        "odin": (h.BEGAN + timedelta(minutes=1)).isoformat(),
        "autotask": (h.BEGAN + timedelta(minutes=2)).isoformat(),
    }


def test_a_question_stands_open_until_it_is_settled_and_may_be_asked_again(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.renewal_unclear(A, "8", "9"), h.move_settled(P, "8"))
    row = the_row(engine, "questions", msp_id)
    assert (row["kind"], row["subject_id"], row["state"]) == ("renewal", A["subscription_id"], "open")
    assert row["candidates"][1] == {"id": "9", "name": "Office 9", "evidence": ["same company"]}

    after(engine, msp_id, h.renewal_settled(A, "8"), h.renewal_settled(A, None))
    row = the_row(engine, "questions", msp_id)
    assert (row["state"], row["answer_id"], row["answer_name"]) == ("settled", "8", "Office 8")
    assert row["reason"] == "I rang them"

    after(engine, msp_id, h.renewal_unclear(A, "9"))
    row = the_row(engine, "questions", msp_id)
    assert (row["state"], row["settled_at"], len(row["candidates"])) == ("open", None, 1)


def test_a_question_about_an_agreement_names_its_customer_and_candidates(engine: Engine, msp_id: MspId) -> None:
    after(engine, msp_id, h.move_unclear(P, "8", "9"), h.move_settled(P, "9"))
    row = the_row(engine, "questions", msp_id)
    assert (row["kind"], row["customer_name"]) == ("agreement", P["psa_customer_name"])
    assert (row["state"], row["answer_id"]) == ("settled", "9")


def test_one_msp_leaves_the_rows_of_another_alone(engine: Engine, msp_id: MspId) -> None:
    other = add_msp(engine, "other")
    after(engine, other, h.discovered(A, "7"))
    after(engine, msp_id, h.discovered(A, "4"), h.counted(A, "4", "5"))

    assert the_row(engine, "resources", other)["count"] == 7


RESOURCES = st.builds(h.odin, st.sampled_from("ab"), st.sampled_from(["1", "2"]), st.just("c"))
PRODUCTS = st.builds(h.psa, st.sampled_from("pq"))
COUNTS = st.sampled_from([None, "0", "4", "4.0", "12", "10.5"])
REQUESTS = st.sampled_from(["q1", "q2", "q3"])
RELATIONS = st.sampled_from(["r1", "r2"])
SETTINGS = st.builds(RelationSettings, rules, price_sources, st.sampled_from(["", "for the auditor"]))
MONTHS = st.sampled_from(["2026-03", "2026-04"])
HAPPENINGS = st.one_of(
    st.builds(h.discovered, RESOURCES, COUNTS),
    st.builds(h.counted, RESOURCES, COUNTS, COUNTS),
    st.builds(h.costed, RESOURCES, st.sampled_from([None, "3.4", "3.40"]), st.sampled_from([None, "4"])),
    st.builds(h.renamed, RESOURCES, st.sampled_from(["Old", "New", "=cmd"])),
    st.builds(h.disappeared, RESOURCES),
    st.builds(h.subscription, RESOURCES, st.sampled_from(["active", "ended"]), st.sampled_from([None, "1 year", "x"])),
    st.builds(h.renewed, RESOURCES, st.sampled_from(["1", "2"])),
    st.builds(h.linked, RESOURCES, PRODUCTS),
    st.builds(h.cleared, RESOURCES, PRODUCTS),
    st.builds(h.settled, RESOURCES, PRODUCTS, SETTINGS, RELATIONS),
    st.builds(h.frozen, RESOURCES, PRODUCTS, RELATIONS),
    st.builds(h.unfrozen, RESOURCES, PRODUCTS, RELATIONS),
    st.builds(h.excluded, RESOURCES, st.sampled_from([None, date(2026, 12, 31)])),
    st.builds(h.included, RESOURCES),
    st.builds(h.requested, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.superseded, PRODUCTS, REQUESTS, st.sampled_from([None, "q3"])),
    st.builds(
        h.posted,
        RESOURCES,
        PRODUCTS,
        REQUESTS,
        st.integers(-9, 9),
        completes=st.booleans(),
        prorated_price=st.sampled_from([None, h.usd("1.5"), Money(Decimal("2.25"), "EUR")]),
        unit_price_after=st.sampled_from([None, h.usd("5.4")]),
    ),
    st.builds(h.failed, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.parked, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.let_go, RESOURCES, PRODUCTS, REQUESTS, released=st.booleans()),
    st.builds(h.held, RESOURCES, PRODUCTS, REQUESTS, st.sampled_from([304, 300]), st.sampled_from(["fall", "swing"])),
    st.builds(h.approved, RESOURCES, PRODUCTS, REQUESTS, st.sampled_from([1, 2]), st.just(2)),
    st.builds(h.declined, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.moved, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.dropped, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.shadowed, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.equal, RESOURCES, PRODUCTS, REQUESTS),
    st.builds(h.adopted, PRODUCTS, st.integers(0, 9)),
    st.builds(h.overwritten, PRODUCTS, st.integers(0, 9)),
    st.builds(h.calls_counted, st.sampled_from(["GET /orders", "GET /subscriptions/{id}"])),
    st.sampled_from(
        [h.msp_added(), h.connection_saved(), h.policy_changed("report"), h.policy_changed("post", "report")]
    ),
    st.builds(h.check_accepted, MONTHS, st.sampled_from(["unlinked", "failed"]), st.integers(0, 9)),
    st.builds(h.signed_off, MONTHS, psa_connection_id=st.sampled_from(["autotask", "a/b"])),
    st.one_of(st.builds(h.reopened, MONTHS), st.builds(h.invoiced, MONTHS)),
    st.builds(h.refused, RESOURCES, PRODUCTS),
    st.builds(h.poll_completed, st.integers(0, 1)),
    st.builds(h.renewal_unclear, RESOURCES, st.just("2")),
    st.builds(h.renewal_settled, RESOURCES, st.sampled_from([None, "2"])),
    st.builds(h.move_unclear, PRODUCTS, st.just("8"), relations=st.integers(1, 3)),
    st.builds(h.move_settled, PRODUCTS, st.sampled_from([None, "8"])),
    st.sampled_from([h.rule_saved(), h.rule_removed(), h.posting_paused(), h.posting_resumed()]),
    st.builds(
        h.consumer_stopped, st.sampled_from(["reporting.resources", "requests", "of.tomorrow"]), st.integers(0, 9)
    ),
    st.sampled_from([h.consumer_resumed(), h.poll_late(), h.close_due(), h.close_due("Unlinked resources")]),
    st.sampled_from([h.poll_failed(), h.poll_failed("unreachable"), h.poll_completed()]),
    st.sampled_from([h.poll_failed(), h.poll_completed(), h.catalogue_failed(), h.catalogue_read(), h.refused(A, P)]),
    st.builds(h.customer, PRODUCTS, active=st.booleans()),
    st.builds(h.agreement, PRODUCTS),
    st.builds(h.product, PRODUCTS, st.sampled_from([None, "5"])),
    st.builds(h.units, PRODUCTS, st.integers(0, 9)),
    st.builds(h.gone, st.sampled_from(["customer", "agreement", "product"]), st.sampled_from(["1", "7", "p", "q"])),
)
# A request is asked for before anything else is told of it, as the reconciler does.
HISTORIES = st.lists(HAPPENINGS, max_size=40).map(
    lambda happened: [h.requested(A, P, name) for name in ("q1", "q2", "q3")] + happened
)
many = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@many
@given(happened=HISTORIES, sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4), data=st.data())
def test_however_the_log_is_cut_into_slices_the_rows_are_the_same(
    engine: Engine, happened: list[Event], sizes: list[int], data: st.DataObject
) -> None:
    whole, sliced = fresh_msp(engine), fresh_msp(engine)
    h.append(engine, whole, happened)
    h.append(engine, sliced, happened)

    h.project(engine, whole)
    head = len(happened)
    for model in READ_MODELS.values():
        position = 0
        while position < head:
            size = data.draw(st.sampled_from(sizes))
            position += one_slice(engine, model, sliced, size)

    assert h.everything(engine, whole) == h.everything(engine, sliced)


def one_slice(engine: Engine, model, msp_id: MspId, size: int) -> int:
    """How many positions the living projection passed in one transaction of at most so many."""
    return _one_batch(engine, model.living(), msp_id, size)


def fresh_msp(engine: Engine) -> MspId:
    with engine.connect() as connection:
        number = connection.scalar(text("SELECT count(*) FROM setup.msps"))
    return add_msp(engine, f"msp{number:06}")


def test_the_cost_of_one_event_does_not_grow_with_the_log(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(h.odin(str(n)), "1") for n in range(3000)])
    h.project(engine, msp_id)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    h.append(engine, msp_id, [h.counted(h.odin("7"), "1", "2")])

    rows_read = text("SELECT coalesce(sum(seq_tup_read + idx_tup_fetch), 0) FROM pg_stat_xact_user_tables")
    with engine.begin() as connection:
        before = connection.scalar(rows_read)
        READ_MODELS["resources"].living().fold(connection, Slice(msp_id, 3000, 3001))
        assert connection.scalar(rows_read) - before < 100


def test_a_projection_that_is_behind_catches_up_from_its_own_position(engine: Engine, msp_id: MspId) -> None:
    h.append(engine, msp_id, [h.discovered(A, "1"), h.counted(A, "1", "2")])
    assert catch_up(engine, READ_MODELS["resources"].living(), msp_id, h.CLOCK) == 2
    assert catch_up(engine, READ_MODELS["resources"].living(), msp_id, h.CLOCK) == 0


def test_the_role_of_the_service_can_fold_every_model(engine: Engine, msp_id: MspId) -> None:
    h.append(
        engine, msp_id, [h.discovered(A), h.renewed(A, "9"), h.units(P, 4), h.posted(A, P, "q1"), h.parked(A, P, "q2")]
    )

    with engine.begin() as connection:
        connection.execute(text("SET LOCAL ROLE trueup_reporting"))
        for model in READ_MODELS.values():
            model.living().fold(connection, Slice(msp_id, 0, 5))

    assert the_row(engine, "product_units", msp_id)["settled_units"] == 12
