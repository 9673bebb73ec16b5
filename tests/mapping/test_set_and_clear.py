"""Setting and clearing relations on a real database: rows, events, answers, and two people at once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from threading import Event

import pytest
from sqlalchemy import text

from domain.events import RelationCleared, RelationSet
from services.mapping import operations
from services.mapping.wishes import Ask, Refused, parse_wishes
from tests.mapping.conftest import (
    ODIN,
    OTHER_AGREEMENT,
    OTHER_COMPANY,
    OTHER_CUSTOMER,
    OTHER_PRODUCT,
    OTHER_SUBSCRIPTION,
    PSA,
    TEAMS,
    Mapping,
    other_msp,
)
from tests.world import count_changed, disappeared, discovered, odin, psa, psa_agreement, psa_gone, psa_product


def test_a_wish_links_the_resource_and_the_event_carries_all_names(mapping: Mapping) -> None:
    # when
    [result] = mapping.set(mapping.wish(), operation_id="click-1")

    # then
    [envelope] = mapping.log(RelationSet)
    assert (result["ok"], result["id"], result["refusal"], result["note"]) == (True, "row", None, None)
    assert envelope.event == RelationSet(
        **vars(ODIN), **vars(PSA), relation_id=result["relation_id"], followed_from=None, hold_first=False, score=None
    )
    assert envelope.stream == "relation/odin/1200000501/1000823/100234"
    assert (envelope.actor, envelope.correlation_id) == ("anna@msp.example", "click-1")


def test_linking_what_is_linked_to_the_same_product_is_told_and_changes_nothing(mapping: Mapping) -> None:
    # given
    [first] = mapping.set(mapping.wish())

    # when
    [again] = mapping.set(mapping.wish())

    # then
    assert (again["ok"], again["note"], again["relation_id"]) == (True, "already_set", first["relation_id"])
    assert len(mapping.log(RelationSet)) == 1


def test_a_linked_resource_is_refused_to_another_product_until_it_is_cleared(mapping: Mapping) -> None:
    # given
    [first] = mapping.set(mapping.wish())

    # when
    [refused] = mapping.set(mapping.wish(product=OTHER_PRODUCT))
    mapping.clear(first["relation_id"])
    [granted] = mapping.set(mapping.wish(product=OTHER_PRODUCT))

    # then
    assert refused["refusal"]["code"] == "resource_linked"
    assert "Hosted mail" in refused["refusal"]["message"]
    assert granted["ok"]
    assert [envelope.stream_version for envelope in mapping.log(RelationSet, RelationCleared)] == [1, 2, 3]


def test_several_resources_may_feed_one_product(mapping: Mapping) -> None:
    results = mapping.set(mapping.wish(ODIN), mapping.wish(TEAMS), mapping.wish(OTHER_SUBSCRIPTION))
    assert all(result["ok"] for result in results)


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ((ODIN, PSA), (TEAMS, OTHER_CUSTOMER), "company_linked"),
        ((ODIN, PSA), (OTHER_COMPANY, OTHER_PRODUCT), "customer_linked"),
        ((ODIN, PSA), (TEAMS, OTHER_AGREEMENT), "subscription_linked"),
    ],
)
def test_the_three_levels_are_kept_within_one_call_as_between_calls(
    mapping: Mapping, first: tuple, second: tuple, code: str
) -> None:
    # when
    in_one_call = mapping.set(mapping.wish(*first, row_id="1"), mapping.wish(*second, row_id="2"))
    in_another = mapping.set(mapping.wish(*second))

    # then
    assert [result["ok"] for result in in_one_call] == [True, False]
    assert in_one_call[1]["refusal"]["code"] == in_another[0]["refusal"]["code"] == code


def test_an_agreement_may_carry_two_subscriptions_and_a_company_two_agreements(mapping: Mapping) -> None:
    results = mapping.set(mapping.wish(ODIN, PSA), mapping.wish(OTHER_SUBSCRIPTION, OTHER_AGREEMENT))
    assert all(result["ok"] for result in results)


def test_a_cleared_relation_frees_company_customer_and_subscription(mapping: Mapping) -> None:
    # given
    [linked] = mapping.set(mapping.wish(ODIN, PSA))

    # when
    [cleared] = mapping.clear(linked["relation_id"])
    [moved] = mapping.set(mapping.wish(ODIN, OTHER_CUSTOMER))

    # then
    assert cleared["ok"]
    assert moved["ok"]
    [event] = mapping.happened(RelationCleared)
    assert (event.relation_id, event.reason, event.followed_to) == (linked["relation_id"], "no longer billed", None)


def test_what_cannot_be_linked_is_refused_with_its_reason_and_a_fix(mapping: Mapping) -> None:
    # given
    usage, silent, gone = (odin(resource_id=str(n)) for n in (1, 2, 3))
    inactive, left, stranger = (psa(psa_product_id=str(n)) for n in (11, 12, 13))
    unread = psa(psa_product_id="14", psa_agreement_id="unread")
    mapping.append(
        discovered(usage, usage_based=True),
        discovered(silent, count=None),
        discovered(gone),
        disappeared(gone),
        psa_product(inactive, active=False),
        psa_product(left),
        psa_gone("product", "12"),
        psa_product(unread),
    )

    # when
    results = mapping.set(
        *(mapping.wish(names) for names in (usage, silent, gone, odin(resource_id="unheard of"))),
        *(mapping.wish(product=product) for product in (inactive, left, stranger, unread)),
    )

    # then
    assert [result["refusal"]["code"] for result in results] == [
        "resource_usage_based",
        "resource_without_count",
        "resource_gone",
        "resource_unknown",
        "product_inactive",
        "product_gone",
        "product_unknown",
        "agreement_unknown",
    ]
    assert all(result["refusal"]["fix"] and result["relation_id"] is None for result in results)
    assert not mapping.happened(RelationSet)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"active": False}, "agreement_inactive"),
        ({"recurring": False}, "agreement_not_recurring"),
        ({"start_date": date(2026, 8, 4)}, "agreement_not_begun"),
        ({"end_date": date(2026, 8, 2)}, "agreement_ended"),
    ],
)
def test_an_agreement_that_cannot_bill_today_is_refused(mapping: Mapping, changes: dict, code: str) -> None:
    mapping.append(psa_agreement(**changes))
    [result] = mapping.set(mapping.wish())
    assert result["refusal"]["code"] == code


def test_e12_an_agreement_begins_with_the_day_of_the_msps_own_time_zone(mapping: Mapping) -> None:
    # given: it is 3 August in London and 4 August on Kiritimati
    with mapping.engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET time_zone = 'Pacific/Kiritimati'"))
    mapping.append(psa_agreement(start_date=date(2026, 8, 4)))

    # when
    [late_in_the_evening] = mapping.set(mapping.wish())
    mapping.clock.moment = mapping.clock.moment.replace(hour=10)
    [at_midnight] = mapping.set(mapping.wish())

    # then
    assert late_in_the_evening["refusal"]["code"] == "agreement_not_begun"
    assert at_midnight["ok"]


def test_a_count_that_came_later_makes_a_resource_linkable(mapping: Mapping) -> None:
    # given
    late = odin(resource_id="late")
    mapping.append(discovered(late, count=None))
    [before] = mapping.set(mapping.wish(late))

    # when
    mapping.append(count_changed(late, "3"))
    [after] = mapping.set(mapping.wish(late))

    # then
    assert (before["ok"], after["ok"]) == (False, True)


def test_a_record_that_left_the_psa_and_came_back_can_be_linked(mapping: Mapping) -> None:
    mapping.append(psa_gone("product", PSA.psa_product_id), psa_gone("agreement", PSA.psa_agreement_id))
    [gone] = mapping.set(mapping.wish())
    mapping.append(psa_product(), psa_agreement())
    [back] = mapping.set(mapping.wish())
    assert (gone["refusal"]["code"], back["ok"]) == ("product_gone", True)


def test_a_double_click_has_one_effect_and_one_answer(mapping: Mapping) -> None:
    # when
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: mapping.set(mapping.wish(), operation_id="click"), range(4)))

    # then
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0]["note"] is None
    assert len(mapping.log(RelationSet)) == 1


def test_a_double_click_on_clear_has_one_effect(mapping: Mapping) -> None:
    [linked] = mapping.set(mapping.wish())
    first = mapping.clear(linked["relation_id"], operation_id="click")
    again = mapping.clear(linked["relation_id"], operation_id="click")
    later = mapping.clear(linked["relation_id"])
    assert first == again
    assert (later[0]["ok"], later[0]["note"]) == (True, "already_cleared")
    assert len(mapping.log(RelationCleared)) == 1


def test_an_operation_id_cannot_be_used_for_other_wishes(mapping: Mapping) -> None:
    mapping.set(mapping.wish(), operation_id="click")
    with pytest.raises(Refused) as refused:
        mapping.set(mapping.wish(TEAMS), operation_id="click")
    assert refused.value.refusal.code == "operation_id_used"


def test_two_people_who_want_one_resource_at_once_cannot_both_win(mapping: Mapping) -> None:
    # when
    wishes = [mapping.wish(product=PSA), mapping.wish(product=OTHER_PRODUCT)] * 3
    with ThreadPoolExecutor(6) as threads:
        results = list(threads.map(lambda wish: mapping.set(wish)[0], wishes))

    # then
    assert len(mapping.log(RelationSet)) == 1
    assert sorted(result["ok"] for result in results) == [False, False, False, True, True, True]


def test_resource_keys_and_relations_of_another_msp_are_unknown_here(mapping: Mapping) -> None:
    # given
    [linked] = mapping.set(mapping.wish())
    stranger = Ask(other_msp(mapping), "op", "eve@other.example")

    # when
    asked = operations.set_relations(mapping.engine, mapping.clock, stranger, parse_wishes([mapping.wish()]))
    stranger = Ask(stranger.msp_id, "op 2", "eve@other.example")
    cleared = operations.clear_relations(mapping.engine, mapping.clock, stranger, [linked["relation_id"]], "")

    # then
    assert asked["results"][0]["refusal"]["code"] == "resource_unknown"
    assert cleared["results"][0]["refusal"]["code"] == "relation_unknown"
    assert not mapping.happened(RelationCleared)


def test_an_unknown_msp_is_refused_and_leaves_no_trace(mapping: Mapping) -> None:
    with pytest.raises(Refused) as refused:
        operations.set_relations(mapping.engine, mapping.clock, Ask("nobody", "op", "eve"), [])  # type: ignore[arg-type]
    assert refused.value.refusal.code == "msp_unknown"


def test_old_answers_are_forgotten(mapping: Mapping) -> None:
    # given
    mapping.set(mapping.wish(), operation_id="click")
    mapping.clock.moment = mapping.clock.moment.replace(month=10)

    # when
    operations.forget_old(mapping.engine, mapping.clock)

    # then
    assert mapping.set(mapping.wish(), operation_id="click")[0]["note"] == "already_set"


def test_what_another_replica_is_reading_at_this_moment_is_waited_for(mapping: Mapping) -> None:
    # given: what shall be linked is new, and a replica holds the place where mapping stands in the log
    mapping.catch_up()
    late = odin(resource_id="100999", resource_name="Visio")
    mapping.append(discovered(late))
    held, let_go = Event(), Event()

    def read() -> None:
        with mapping.engine.begin() as connection:
            connection.execute(text("SELECT position FROM mapping.positions FOR UPDATE"))
            held.set()
            let_go.wait(5)

    with ThreadPoolExecutor(2) as threads:
        reading = threads.submit(read)
        held.wait(5)

        # when
        setting = threads.submit(mapping.set, mapping.wish(late))
        with pytest.raises(TimeoutError):
            setting.result(0.5)
        let_go.set()
        reading.result()

        # then
        [linked] = setting.result(20)
    assert (linked["ok"], linked["refusal"]) == (True, None)
