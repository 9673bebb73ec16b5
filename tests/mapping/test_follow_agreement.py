"""An agreement that ended, and the customer's others: followed only when one of them carries all that is linked."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import PsaAgreementId
from services.mapping.decide_relation import Agreement, Product, Relation
from services.mapping.follow_agreement import Followed, Standing, follow_agreement, moves_to, whole_subscriptions
from tests.world import odin, psa

TODAY = date(2026, 8, 3)
OLD = Agreement(active=True, recurring=True, start_date=date(2025, 8, 1), end_date=date(2026, 7, 31), gone=False)
NEXT = replace(OLD, start_date=date(2026, 8, 1), end_date=date(2027, 7, 31))


def product(agreement_id: str, name: str, product_id: str = "", **changes: Any) -> Product:
    names = psa(
        psa_agreement_id=agreement_id, psa_product_id=product_id or f"{agreement_id}-{name}", psa_product_name=name
    )
    return Product(names, **({"active": True, "gone": False, "agreement": NEXT, "customer_gone": False} | changes))


def standing(agreement_id: str, *products: Product, agreement: Agreement = NEXT) -> Standing:
    return Standing(PsaAgreementId(agreement_id), f"Cloud {agreement_id}", agreement, products)


def relation(name: str, subscription_id: str = "1000823") -> Relation:
    return Relation(f"r-{name}", odin(subscription_id=subscription_id, resource_id=name), product("old", name).names)


MAIL, PHONE = relation("Hosted mail"), relation("Telephony")


def test_the_one_agreement_that_carries_all_is_followed_whatever_the_case_of_names() -> None:
    other = standing("next", product("next", "HOSTED  mail"), product("next", "Telephony"), product("next", "More"))
    found = follow_agreement(OLD, [MAIL, PHONE], [other], TODAY)
    assert isinstance(found, Followed)
    assert [(move.relation, move.product.names.psa_product_id) for move in found.moves] == [
        (MAIL, "next-HOSTED  mail"),
        (PHONE, "next-Telephony"),
    ]


def test_two_that_carry_all_are_a_question_and_one_that_carries_all_goes_before_one_that_does_not() -> None:
    whole = [standing(each, product(each, "Hosted mail"), product(each, "Telephony")) for each in ("one", "two")]
    part = standing("part", product("part", "Telephony"))
    unclear = follow_agreement(OLD, [MAIL, PHONE], whole, TODAY)
    assert isinstance(unclear, tuple)
    assert [each.psa_agreement_id for each in unclear] == ["one", "two"]
    assert isinstance(follow_agreement(OLD, [MAIL, PHONE], [part, whole[0]], TODAY), Followed)


def test_one_that_lacks_a_product_is_a_question_that_says_what_is_missing() -> None:
    twice = (product("next", "Telephony", "a"), product("next", "Telephony", "b"))
    unclear = follow_agreement(OLD, [MAIL, PHONE], [standing("next", product("next", "Hosted mail"), *twice)], TODAY)
    assert isinstance(unclear, tuple)
    assert unclear[0].evidence == (
        "same customer",
        "runs from 2026-08-01 to 2027-07-31",
        "carries 1 of 2 linked products",
        "has no single “Telephony”",
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"active": False},
        {"recurring": False},
        {"gone": True},
        {"start_date": TODAY + timedelta(days=1)},
        {"end_date": TODAY - timedelta(days=1)},
        {"start_date": OLD.start_date},
        {"start_date": date(2026, 6, 1)},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_what_cannot_be_billed_today_or_did_not_begin_about_when_the_other_ended_is_no_candidate(
    changes: dict[str, Any],
) -> None:
    other = standing("next", product("next", "Hosted mail"), agreement=replace(NEXT, **changes))
    assert follow_agreement(OLD, [MAIL], [other], TODAY) == ()


@pytest.mark.parametrize("changes", [{"active": False}, {"gone": True}], ids=["inactive", "gone"])
def test_a_product_that_cannot_be_billed_carries_nothing(changes: dict[str, Any]) -> None:
    assert follow_agreement(OLD, [MAIL], [standing("next", product("next", "Hosted mail", **changes))], TODAY) == ()


def test_a_person_moves_whole_subscriptions_only() -> None:
    alone = relation("Telephony", "1000900")
    other = standing("next", product("next", "Telephony"))
    moves = moves_to([MAIL, PHONE, alone], other)
    assert [move.relation for move in moves] == [PHONE, alone]
    assert [move.relation for move in whole_subscriptions([MAIL, PHONE, alone], moves)] == [alone]


@given(
    carried=st.lists(st.sampled_from(["Hosted mail", "Telephony", "Backup"]), max_size=5),
    linked=st.lists(st.sampled_from([MAIL, PHONE, relation("Backup")]), min_size=1, max_size=3, unique=True),
)
def test_whoever_is_followed_takes_each_relation_once_and_to_a_product_of_its_name(
    carried: list[str], linked: list[Relation]
) -> None:
    other = standing("next", *(product("next", name, f"p{number}") for number, name in enumerate(carried)))
    found = follow_agreement(OLD, linked, [other], TODAY)
    if isinstance(found, Followed):
        assert [move.relation for move in found.moves] == linked
        assert all(move.product.names.psa_product_name == move.relation.psa.psa_product_name for move in found.moves)
    else:
        assert any(carried.count(each.psa.psa_product_name) != 1 for each in linked)
