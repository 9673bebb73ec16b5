"""Agreements end by the day: relations follow to the next one where that is clear, else a question is told once."""

from datetime import date, timedelta
from typing import Any

import pytest

from domain.events import (
    AgreementMoveSettled,
    AgreementMoveUnclear,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
)
from domain.relation_settings import RelationSettings
from services.mapping import moving, settling
from services.mapping.wishes import Ask, Refused
from tests.mapping.conftest import ODIN, OTHER_PRODUCT, PSA, TEAMS, Mapping
from tests.world import MORNING, psa, psa_agreement, psa_product

AGREEMENT = (PSA.psa_connection_id, PSA.psa_agreement_id)
ENDS = MORNING.date() + timedelta(days=2)


def next_product(agreement: str, of: Any = PSA, **changes: str) -> Any:
    return psa(
        psa_agreement_id=agreement,
        psa_agreement_name=f"Cloud services {agreement}",
        psa_product_id=f"{agreement}-{of.psa_product_id}",
        psa_product_name=of.psa_product_name,
        **changes,
    )


def begun(agreement: str, *products: Any) -> tuple[Any, ...]:
    """An agreement that begins the day after the other ends, with its products."""
    after = {"start_date": ENDS + timedelta(days=1), "end_date": ENDS + timedelta(days=365)}
    return (
        psa_agreement(next_product(agreement), **after),
        *(psa_product(next_product(agreement, each)) for each in products),
    )


@pytest.fixture
def ending(mapping: Mapping) -> Mapping:
    """Two resources of one subscription are linked to an agreement that ends in two days."""
    mapping.set(mapping.wish(ODIN), mapping.wish(TEAMS, OTHER_PRODUCT))
    mapping.append(psa_agreement(PSA, end_date=ENDS))
    mapping.catch_up()
    return mapping


def days_later(mapping: Mapping, days: int) -> None:
    mapping.clock.moment = mapping.clock.moment + timedelta(days=days)
    moving.look_daily(mapping.engine, mapping.clock)


def moved(mapping: Mapping) -> list[tuple[str, str]]:
    """What each of the two resources feeds by its last relation."""
    return [(each.resource_id, each.psa_product_id) for each in mapping.happened(RelationSet)][2:]


def answer(mapping: Mapping, moved_to: str | None) -> None:
    ask = Ask(mapping.msp_id, "op-1", "mara@msp.example")
    moving.answer_move(mapping.engine, mapping.clock, ask, AGREEMENT, moved_to, "renewed for a year")


def test_relations_follow_on_the_day_after_the_agreement_ended_and_not_before(ending: Mapping) -> None:
    # given
    ending.append(*begun("next", PSA, OTHER_PRODUCT))
    ending.catch_up()
    days_later(ending, 2)
    assert ending.happened(AgreementMoveSettled) == []

    # when
    days_later(ending, 1)
    days_later(ending, 0)

    # then
    assert moved(ending) == [(ODIN.resource_id, "next-1401"), (TEAMS.resource_id, "next-1402")]
    cleared = ending.happened(RelationCleared)
    assert {each.reason for each in cleared} == {f"the agreement “{PSA.psa_agreement_name}” ended: {moving._BY_ITSELF}"}
    (settled,) = ending.happened(AgreementMoveSettled)
    assert (settled.moved_to, settled.relations) == ("next", 2)
    both = ending.log(RelationCleared, RelationSet)[-4:]
    assert len({each.recorded_at for each in both}) == 1


def test_a_question_is_told_once_and_again_only_when_the_candidates_change(ending: Mapping) -> None:
    # given
    ending.append(*begun("one", PSA, OTHER_PRODUCT), *begun("two", PSA, OTHER_PRODUCT))

    # when
    for _ in range(5):
        days_later(ending, 1)
        ending.catch_up()
    asked_once = ending.happened(AgreementMoveUnclear)
    ending.append(psa_agreement(next_product("two"), active=False))
    ending.catch_up()

    # then
    assert [[each.psa_agreement_id for each in asked.candidates] for asked in asked_once] == [["one", "two"]]
    assert [settled.moved_to for settled in ending.happened(AgreementMoveSettled)] == ["one"]
    assert [product for _, product in moved(ending)] == ["one-1401", "one-1402"]


def test_a_person_chooses_and_the_same_answer_again_changes_nothing(ending: Mapping) -> None:
    # given
    ending.append(*begun("one", PSA, OTHER_PRODUCT), *begun("two", PSA, OTHER_PRODUCT))
    ending.catch_up()
    days_later(ending, 3)

    # when
    answer(ending, "two")
    answer(ending, "two")

    # then
    assert [product for _, product in moved(ending)] == ["two-1401", "two-1402"]
    (settled,) = ending.log(AgreementMoveSettled)
    assert (settled.event.moved_to, settled.actor) == ("two", "mara@msp.example")
    with pytest.raises(Refused) as refused:
        answer(ending, "one")
    assert refused.value.refusal.code == "answered"


def test_relations_that_a_person_wants_to_stay_are_not_asked_about_again(ending: Mapping) -> None:
    # given
    ending.append(*begun("one", PSA, OTHER_PRODUCT), *begun("two", PSA, OTHER_PRODUCT))
    ending.catch_up()
    days_later(ending, 3)

    # when
    answer(ending, None)
    ending.append(psa_agreement(next_product("two"), active=False))
    ending.catch_up()
    days_later(ending, 1)

    # then
    assert moved(ending) == []
    assert len(ending.happened(AgreementMoveUnclear)) == 1


def test_a_choice_that_carries_nothing_whole_or_cannot_be_billed_is_refused(ending: Mapping) -> None:
    # given a choice that carries one product of the subscription's two
    ending.append(
        *begun("part", PSA), *begun("other", OTHER_PRODUCT), psa_agreement(next_product("other"), active=False)
    )
    ending.catch_up()
    days_later(ending, 3)
    codes = []

    # when
    for choice in ("part", "other", "nowhere"):
        with pytest.raises(Refused) as refused:
            answer(ending, choice)
        codes.append(refused.value.refusal.code)

    # then
    assert codes == ["nothing_moves", "agreement_unfit", "agreement_unknown"]
    assert moved(ending) == []


def test_a_question_closes_when_the_agreement_is_prolonged_or_nothing_is_linked_to_it(ending: Mapping) -> None:
    # given
    ending.append(*begun("part", PSA))
    ending.catch_up()
    days_later(ending, 3)
    assert len(ending.happened(AgreementMoveUnclear)) == 1

    # when
    ending.append(psa_agreement(PSA, end_date=date(2028, 1, 1)))
    ending.catch_up()

    # then
    (settled,) = ending.happened(AgreementMoveSettled)
    assert (settled.moved_to, settled.relations) == (None, 0)
    assert moved(ending) == []


def test_what_was_settled_and_frozen_goes_along(ending: Mapping) -> None:
    # given
    first, second = ending.happened(RelationSet)
    rule = RelationSettings(note="as agreed with Mr Hall")
    ask = Ask(ending.msp_id, "op-settings", "mara@msp.example")
    settling.save_settings(ending.engine, ending.clock, ask, [first.relation_id], rule)
    ask = Ask(ending.msp_id, "op-freeze", "mara@msp.example")
    settling.freeze(ending.engine, ending.clock, ask, [second.relation_id], "in dispute")
    ending.append(*begun("next", PSA, OTHER_PRODUCT))
    ending.catch_up()

    # when
    days_later(ending, 3)

    # then
    followed, also = ending.happened(RelationSet)[2:]
    saved, frozen = ending.happened(RelationSettingsSaved)[-1], ending.happened(RelationFrozen)[-1]
    assert (saved.relation_id, saved.psa_product_id, saved.settings) == (followed.relation_id, "next-1401", rule)
    assert (frozen.relation_id, frozen.psa_product_id) == (also.relation_id, "next-1402")
