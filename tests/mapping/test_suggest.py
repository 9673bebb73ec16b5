"""What is suggested, and what is not: scores that are the sum of their evidence, and things that speak against."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mapping.compare_names import Comparing
from services.mapping.suggest_customers import FAIR, LEAST, STRONG, Choice, suggest_customers
from services.mapping.suggest_products import (
    Bought,
    Customer,
    Habits,
    Line,
    Suggested,
    read_offer,
    suggest_products,
    weigh_product,
)
from services.mapping.weigh_evidence import ALL, NOTHING, Scale
from tests.bench.messy_names import messy_names

WORDS = st.sampled_from(
    ["Exchange", "Online", "Plan", "1", "2", "E3", "E5", "Microsoft", "365", "O365"]
) | st.sampled_from(["Business", "Basic", "Premium", "monthly", "yearly", "AB-12345", "Mail"])
OFFERS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)
PLANS = st.sampled_from(["Plan 1", "(Plan 2)", "P3", "E3", "E5", "F1"])


def bought(name: str, resource: str = "100234", company: str = "1", subscription: str = "s1", **more: str) -> Bought:
    key = f"acme/odin/{company}/{subscription}/{resource}"
    return Bought(key, "odin", company, subscription, "Office 365", resource, name, **more)


def line(name: str, product: str = "77", agreement: str = "a1", **more: object) -> Line:
    return Line(product, name, agreement, "Cloud services", **more)


def suggested(
    resources: list[Bought], lines: list[Line], habits: Habits | None = None, score: Decimal = ALL
) -> Suggested:
    return suggest_products(resources, Customer("Contoso", lines, score), habits or Habits(), Comparing())


def of(resource: Bought, lines: list[Line], habits: Habits | None = None, score: Decimal = ALL) -> Choice | None:
    return suggested([resource], lines, habits, score).products.get(resource.resource_key)


def kinds(choice: Choice | None) -> set[str]:
    assert choice is not None
    return {one.kind for one in choice.evidence}


# ------------------------------------------------------------------------------------------------- the sum


@given(st.lists(st.tuples(st.booleans(), st.decimals(-2, 2, places=2)), max_size=12))
def test_weights_add_up_to_the_score_whatever_is_put_on(given_: list[tuple[bool, Decimal]]) -> None:
    scale = Scale()
    for capped, weight in given_:
        if capped:
            scale.at_most("cap", "", max(weight, NOTHING))
        else:
            scale.put("thing", "", weight)

        assert NOTHING <= scale.score <= ALL
        assert sum(one.weight for one in scale.evidence) == scale.score


@given(OFFERS, OFFERS, st.sampled_from(["1 month", "1 year", None]), st.sampled_from(["monthly", "yearly", None]))
def test_a_product_s_score_is_the_sum_of_its_evidence(
    one: str, other: str, period: str | None, type_: str | None
) -> None:
    customer = Customer("Contoso", [])
    habits = Habits()
    habits.linked(bought("x", company="2"), line(other))
    resource = bought(one, mpn="AB-12345", billing_period=period, currency="USD")

    scale = weigh_product(
        resource, line(other, period_type=type_, currency="EUR", fed_by=1), customer, habits, Comparing()
    )

    assert NOTHING <= scale.score <= ALL
    assert sum(one.weight for one in scale.evidence) == scale.score


@given(OFFERS, PLANS, PLANS, st.integers(0, 9))
def test_another_plan_is_never_even_fair_however_many_chose_it(
    offer: str, plan: str, other: str, companies: int
) -> None:
    here, there = bought(f"{offer} {plan}", mpn="AB-12345"), line(f"{offer} {other} AB-12345")
    words = set(read_offer(offer).words)
    of_plan, of_other = (set(read_offer(f"{offer} {each}").words) - words for each in (plan, other))
    habits = Habits()
    for number in range(companies):
        habits.linked(bought(here.resource_name, company=f"c{number}"), there)

    scale = weigh_product(here, there, Customer("Contoso", []), habits, Comparing())

    if of_plan and of_other and of_plan != of_other:
        assert scale.score < FAIR


# --------------------------------------------------------------------------------------- resource -> product


def test_the_same_name_is_strong() -> None:
    choice = of(
        bought("Exchange Online (Plan 1)"), [line("Exchange Online P1"), line("Exchange Online (Plan 2)", "78")]
    )

    assert choice is not None
    assert (choice.id, choice.score >= STRONG) == ("77", True)


@pytest.mark.parametrize(
    ("name", "product", "kind"),
    [
        ("Exchange Online (Plan 1)", "Exchange Online (Plan 2)", "other_number"),
        ("Office 365 E3", "Office 365 E5", "other_number"),
        ("Backup 100 GB", "Backup 1000 GB", "other_number"),
        ("Microsoft 365 Business Basic", "M365 Business Premium", "other_level"),
    ],
)
def test_what_contradicts_is_told_and_keeps_it_below_fair(name: str, product: str, kind: str) -> None:
    choice = of(bought(name), [line(product)])

    assert kind in kinds(choice)
    assert choice is not None
    assert choice.score < FAIR


@pytest.mark.parametrize(
    ("more", "against", "most"),
    [
        ({"fed_by": 2}, "fed", Decimal("0.90")),
        ({"period_type": "yearly"}, "period", Decimal("0.89")),
        ({"currency": "EUR"}, "currency", Decimal("0.80")),
        ({"runs": False}, "ended", Decimal("0.50")),
    ],
)
def test_what_speaks_against_is_told_and_weighs(more: dict[str, object], against: str, most: Decimal) -> None:
    resource = bought("Hosted Exchange", billing_period="1 month", currency="USD")

    choice = of(resource, [line("Hosted Exchange", **more)])

    assert against in kinds(choice)
    assert choice is not None
    assert choice.score <= most


def test_a_part_number_in_the_product_s_name_speaks_for_it() -> None:
    resource = bought("Exchange Online Archiving", mpn="cfq7ttc0lh16_MONTHLY")

    choice = of(resource, [line("Mail archive (CFQ7TTC0LH16)"), line("Mail archive", "78")])

    assert choice is not None
    assert choice.id == "77"
    assert "part_number" in kinds(choice)


def test_what_others_chose_for_the_same_is_learnt() -> None:
    # given two products of which no word is the resource's
    lines = [line("Hosted mail"), line("Hosted files", "78")]
    assert of(bought("Exchange Online"), lines) is None

    # when twelve other customers are linked to one of that name
    habits = Habits()
    for number in range(12):
        habits.linked(
            bought("Exchange Online", company=f"c{number}", subscription=f"s{number}x"),
            line("Hosted Mail", f"p{number}", f"a{number}"),
        )

    # then
    choice = of(bought("Exchange Online"), lines, habits)
    assert choice is not None
    assert (choice.id, choice.score >= FAIR) == ("77", True)
    assert any("12 of 12 other customers" in one.text for one in choice.evidence)


def test_one_s_own_relation_teaches_nothing_about_others() -> None:
    habits = Habits()
    habits.linked(bought("Exchange Online", subscription="other"), line("Hosted mail"))

    choice = of(bought("Exchange Online"), [line("Hosted mail")], habits)

    assert choice is None or "chosen_elsewhere" not in kinds(choice)


def test_where_it_was_billed_before_a_renewal_speaks_for_it() -> None:
    habits = Habits()
    habits.was_linked(bought("Exchange Online", subscription="ended"), line("Hosted mail"))

    choice = of(
        bought("Exchange Online", subscription="renewed"), [line("Hosted mail"), line("Hosted files", "78")], habits
    )

    assert choice is not None
    assert (choice.id, "billed_before" in kinds(choice)) == ("77", True)


def test_no_product_is_surer_than_its_company() -> None:
    choice = of(bought("Hosted Exchange"), [line("Hosted Exchange")], score=Decimal("0.74"))

    assert choice is not None
    assert (choice.score, "company" in kinds(choice)) == (Decimal("0.74"), True)


def test_two_that_fit_alike_are_never_strong() -> None:
    choice = of(bought("Hosted Exchange"), [line("Hosted Exchange"), line("Hosted Exchange", "78")])

    assert choice is not None
    assert (choice.score < STRONG, "also_fits" in kinds(choice)) == (True, True)


# ------------------------------------------------------------------------------- subscription -> agreement


def test_all_of_a_subscription_goes_to_one_agreement_the_one_whose_products_fit() -> None:
    resources = [bought("Exchange Online"), bought("Teams Phone", "100300")]
    lines = [
        line("Exchange Online", "1", "mail only"),
        line("Exchange Online", "2", "both"),
        line("Teams Phone", "3", "both"),
        line("Firewall", "4", "none"),
    ]

    found = suggested(resources, lines)

    assert found.agreements["s1"].id == "both"
    assert [found.products[one.resource_key].id for one in resources] == ["2", "3"]


def test_a_subscription_that_is_linked_keeps_its_agreement() -> None:
    habits = Habits()
    habits.linked(bought("Exchange Online"), line("Exchange Online", "1", "mail only"))

    found = suggested(
        [bought("Teams Phone", "100300")],
        [line("Teams Phone", "3", "both"), line("Teams Phone", "5", "mail only")],
        habits,
    )

    assert found.agreements == {}
    assert [choice.id for choice in found.products.values()] == ["5"]


# ------------------------------------------------------------------------------------- company -> customer


def test_a_company_is_found_under_the_name_that_people_typed() -> None:
    found = suggest_customers(
        {"1": "Hall Bros. Transportation Co", "2": "Müller & Söhne GmbH", "3": "Nobody Ltd"},
        {"a": "HALL BROTHERS TRANSP.", "b": "Mueller Soehne", "c": "Fabrikam"},
    )

    assert {company: choice.id for company, choice in found.items()} == {"1": "a", "2": "b"}


def test_a_customer_that_fits_another_company_better_is_not_even_fair() -> None:
    found = suggest_customers({"1": "Nord Apotheke Kiel", "2": "Nord Apotheke Lübeck"}, {"a": "Nord Apotheke Kiel"})

    assert found["1"].score >= STRONG
    assert "2" not in found or found["2"].score < FAIR


def test_of_doubles_in_the_psa_none_is_strong() -> None:
    found = suggest_customers({"1": "Contoso Ltd"}, {"a": "Contoso", "b": "CONTOSO Inc"})

    assert (found["1"].score < STRONG, "also_fits" in kinds(found["1"])) == (True, True)


def test_a_domain_for_a_name_speaks_for_it() -> None:
    found = suggest_customers({"1": "blue-bird.de"}, {"a": "Blue Bird", "b": "Red Bird"})

    assert found["1"].id == "a"
    assert "domain" in kinds(found["1"])


@pytest.mark.parametrize("seed", [3, 4])
def test_of_messy_names_the_strong_are_right_and_the_sums_hold(seed: int) -> None:
    names = messy_names(seed, 400)

    found = suggest_customers(names.odin, names.psa)

    strong = [(company, choice) for company, choice in found.items() if choice.score >= STRONG]
    right = sum(choice.id in names.truth.get(company, ()) for company, choice in strong)
    assert len(strong) > 150
    assert right / len(strong) > 0.97
    assert all(LEAST <= choice.score <= ALL for choice in found.values())
    assert all(sum(one.weight for one in choice.evidence) == choice.score for choice in found.values())


def test_a_large_company_lets_others_have_a_turn_before_each_line_of_each_subscription() -> None:
    resources = [bought(f"Mail {n}", resource=str(n), subscription=f"s{n % 3}") for n in range(9)]
    lines = [line(f"Mail {n}", product=str(n)) for n in range(5)]
    turns: list[None] = []

    suggest_products(resources, Customer("Contoso", lines, ALL), Habits(), Comparing(), lambda: turns.append(None))

    assert len(turns) == 3 * len(lines)
