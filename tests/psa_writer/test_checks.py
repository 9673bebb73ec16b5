"""preflight and check_ledger: what stands against a post, told with what to do."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from domain.keys import PsaAgreementId, PsaCustomerId, PsaProductId
from domain.money import Money
from domain.periods import PeriodType
from services.psa_writer.check_ledger import check_ledger
from services.psa_writer.preflight import preflight
from services.psa_writer.psa.port import PsaAgreement, PsaProduct

TODAY = date(2026, 7, 11)
USD = Money(Decimal("3.40"), "USD")
AGREEMENT = PsaAgreement(
    PsaAgreementId("2973"), PsaCustomerId("1"), "Cloud", None, date(2026, 1, 1), date(2026, 12, 31), True, True
)
PRODUCT = PsaProduct(PsaProductId("8001"), PsaAgreementId("2973"), "Exchange", None, PeriodType.MONTHLY, USD, USD, True)


def test_a_running_recurring_agreement_with_the_product_is_clear() -> None:
    assert preflight(AGREEMENT, PRODUCT, AGREEMENT.psa_agreement_id, USD, None, TODAY) is None


@pytest.mark.parametrize("day", [date(2026, 1, 1), date(2026, 12, 31)])
def test_the_first_and_the_last_day_belong_to_the_agreement(day: date) -> None:
    assert preflight(AGREEMENT, PRODUCT, AGREEMENT.psa_agreement_id, None, None, day) is None


@pytest.mark.parametrize(
    ("agreement", "product", "cost", "code"),
    [
        (AGREEMENT, None, None, "product_gone"),
        (AGREEMENT, replace(PRODUCT, psa_agreement_id=PsaAgreementId("7")), None, "product_moved"),
        (None, PRODUCT, None, "agreement_gone"),
        (replace(AGREEMENT, recurring=False), PRODUCT, None, "agreement_not_recurring"),
        (replace(AGREEMENT, start_date=date(2026, 7, 12)), PRODUCT, None, "agreement_not_begun"),
        (replace(AGREEMENT, end_date=date(2026, 7, 10)), PRODUCT, None, "agreement_ended"),
        (replace(AGREEMENT, active=False), PRODUCT, None, "agreement_inactive"),
        (AGREEMENT, PRODUCT, Money(Decimal(3), "EUR"), "currency_differs"),
    ],
)
def test_each_thing_that_stands_against_a_post_is_told_with_what_to_do(agreement, product, cost, code: str) -> None:
    found = preflight(agreement, product, AGREEMENT.psa_agreement_id, cost, None, TODAY)

    assert found is not None
    assert found.code == code
    assert found.message.endswith(".")
    assert len(found.fix) > 20


# Our own ledger


@pytest.mark.parametrize(
    ("expected", "found", "last", "code"),
    [
        (12, 12, [8], None),
        (12, 4, [8], "posts_lost"),
        (15, 4, [3, 8], "posts_lost"),
        (15, 12, [3, 8], "posts_lost"),
        (12, 20, [8], "post_doubled"),
        (12, 9, [8], None),
        (12, 4, [], None),
    ],
)
def test_units_that_lack_exactly_our_last_posts_are_flagged(expected, found, last, code) -> None:
    hindrance = check_ledger(expected, found, last)

    assert (hindrance.code if hindrance else None) == code
