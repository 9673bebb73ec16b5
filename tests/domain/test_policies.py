"""What an MSP may decide: every default is allowed, everything else is told what is."""

import pytest

from domain.policies import POLICIES, BadPolicy, policy_value


@pytest.mark.parametrize("name", POLICIES)
def test_the_default_of_a_policy_and_each_of_its_values_are_allowed(name: str) -> None:
    policy = POLICIES[name]
    assert policy_value(name, policy.default) == policy.default
    assert all(policy_value(name, value) == value for value in policy.values)


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("value", ["", "whenever", "-1", "1.5", "²", "0"])
def test_any_other_value_is_refused(name: str, value: str) -> None:
    with pytest.raises(BadPolicy, match=name):
        policy_value(name, value)


def test_a_number_beyond_the_most_is_refused_with_the_most() -> None:
    assert policy_value("freeze_hours", "240") == "240"
    with pytest.raises(BadPolicy, match="at most 240"):
        policy_value("freeze_hours", "9" * 30)


def test_a_policy_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(BadPolicy, match="increase_effective"):
        policy_value("decrease_immediately", "yes")
