"""What an MSP may decide: every default is allowed, everything else is told what is."""

import pytest

from domain.keys import CompanyId, ResourceId
from domain.policies import POLICIES, WHOLE_MSP, BadPolicy, Decided, Policies, Scope, policy_value


@pytest.mark.parametrize("name", POLICIES)
def test_the_default_of_a_policy_and_each_of_its_values_are_allowed(name: str) -> None:
    policy = POLICIES[name]
    assert policy_value(name, policy.default) == policy.default
    assert all(policy_value(name, value) == value for value in policy.values)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("value", ["", "whenever", "-1", "1.5", "²"])
def test_any_other_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadPolicy, match=name):
        policy_value(name, value)


def test_no_hours_at_all_are_allowed_and_no_units_are_not() -> None:
    assert policy_value("freeze_hours", "0") == "0"
    with pytest.raises(BadPolicy, match="at least 1"):
        policy_value("brake_fall_units", "0")


def test_a_number_beyond_the_most_is_refused_with_the_most() -> None:
    assert policy_value("freeze_hours", "240") == "240"
    with pytest.raises(BadPolicy, match="at most 240"):
        policy_value("freeze_hours", "9" * 30)


def test_a_policy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(BadPolicy, match="increase_effective"):
        policy_value("decrease_immediately", "yes")


HALL, REPAIR = CompanyId("501"), CompanyId("502")
MAIL, OFFICE = ResourceId("100234"), ResourceId("100240")


def test_the_most_specific_decision_holds_and_a_customer_s_goes_before_a_product_s() -> None:
    name = "unit_cost"
    policies = Policies(3, {Scope(None, MAIL): {name: "report"}})
    assert policies.decided(name, HALL, OFFICE) == Decided("post", None)
    assert policies.decided(name, HALL, MAIL) == Decided("report", Scope(None, MAIL))
    policies = Policies(4, {**policies.values, Scope(HALL): {name: "post"}, WHOLE_MSP: {name: "report"}})
    assert policies.decided(name, HALL, MAIL) == Decided("post", Scope(HALL))
    assert policies.decided(name, REPAIR, OFFICE) == Decided("report", WHOLE_MSP)
    policies = Policies(5, {**policies.values, Scope(HALL, MAIL): {name: "report"}})
    assert policies.decided(name, HALL, MAIL) == Decided("report", Scope(HALL, MAIL))
    assert policies.decided(name, HALL, OFFICE) == Decided("post", Scope(HALL))


def test_a_product_that_several_resources_feed_has_the_values_of_all_of_them() -> None:
    policies = Policies(1, {Scope(HALL, MAIL): {"unit_cost": "report"}})
    assert policies.of_all("unit_cost", [(HALL, MAIL), (HALL, OFFICE)]) == {"report", "post"}
    assert policies.of_all("unit_cost", []) == {"post"}
