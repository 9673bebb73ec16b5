"""Names of what an MSP may decide -> allowed values and defaults: one table for all services, pages and commands.

A policy holds for the whole MSP; an exception gives it another value for one customer (a company of the marketplace), one
product (a resource id of the marketplace, whoever buys it) or one product of one customer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from domain.keys import CompanyId, ResourceId


class BadPolicy(ValueError):
    """There is no such policy, or it cannot have this value."""


@dataclass(frozen=True)
class Policy:
    """One decision of an MSP. values: what it may be; empty: any whole number from `least` to `most` (None: without end)."""

    default: str
    values: tuple[str, ...]
    help: str
    least: int = 0
    most: int | None = None

    def check(self, name: str, value: str) -> str:
        """The value, when the policy may have it; BadPolicy with what is allowed otherwise."""
        if self.values and value not in self.values:
            raise BadPolicy(f"{name} is one of {', '.join(self.values)}, not {value!r}")
        if not self.values and not (value.isdecimal() and int(value) >= self.least):
            raise BadPolicy(f"{name} is a whole number of at least {self.least}, not {value!r}")
        if self.most is not None and int(value) > self.most:
            raise BadPolicy(f"{name} is at most {self.most}, not {value!r}")
        return value


POLICIES: dict[str, Policy] = {
    "increase_effective": Policy("today", ("today", "next_period"), "the day from which more units count"),
    "decrease_effective": Policy("next_period", ("next_period", "today"), "the day from which fewer units count"),
    "posted_period": Policy(
        "next_unposted", ("next_unposted", "refuse"), "what to do when the day's period is invoiced"
    ),
    "unit_cost": Policy("post", ("post", "report"), "whether a changed cost goes to the PSA or only into the reports"),
    "ended_after_polls": Policy("2", (), "complete polls without a resource until its count is taken as 0", least=1),
    "mode": Policy(
        "unattended",
        ("unattended", "approve", "shadow"),
        "whether changes go out by themselves, each waits for a person, or they are only shown",
    ),
    "brake_fall_units": Policy("25", (), "a fall of more units waits for a person", least=1),
    "brake_fall_percent": Policy("20", (), "so does one of more than this share of the units there are", least=1),
    "brake_small_units": Policy("3", (), "a fall of at most so many units never waits for its share", least=1),
    "brake_rise_units": Policy("50", (), "a rise of more units waits for a person, unless ...", least=1),
    "brake_rise_percent": Policy("50", (), "... it is at most this share of the units there are", least=1),
    "brake_to_zero": Policy("hold", ("hold", "post"), "whether a fall to no units at all always waits for a person"),
    "brake_swing_units": Policy(
        "500", (), "units that one poll of ODIN moves over all customers, without sign, before all of it waits", least=1
    ),
    "brake_hour_units": Policy("5000", (), "units changed in an hour, summed without sign, before all wait", least=1),
    "second_person_units": Policy("100", (), "what is held and moves more units needs two people", least=1),
    "freeze_hours": Policy(
        "6",
        (),
        "hours before a month ends from which on its numbers should stand still; 0: they never need to",
        most=240,
    ),
    "payload_days": Policy("400", (), "days for which ODIN's masked answers are kept as evidence", least=1),
}


def policy_value(name: str, value: str) -> str:
    """The value for the named policy, checked; BadPolicy."""
    if name not in POLICIES:
        raise BadPolicy(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name].check(name, value)


@dataclass(frozen=True)
class Scope:
    """Whom a value is for. Both None: the whole MSP."""

    company_id: CompanyId | None = None
    resource_id: ResourceId | None = None


WHOLE_MSP = Scope()


@dataclass(frozen=True)
class Decided:
    """The value that holds, and whose it is; scope None: nobody decided, it is the default."""

    value: str
    scope: Scope | None


@dataclass(frozen=True)
class Policies:
    """All that an MSP has decided. version: of the whole set, 0: nothing was ever saved."""

    version: int = 0
    values: Mapping[Scope, Mapping[str, str]] = field(default_factory=dict)

    def decided(self, name: str, company_id: CompanyId, resource_id: ResourceId) -> Decided:
        """What holds for a product of a customer: the most specific decision, a customer's before a product's."""
        for scope in (Scope(company_id, resource_id), Scope(company_id), Scope(None, resource_id), WHOLE_MSP):
            value = self.values.get(scope, {}).get(name)
            if value is not None:
                return Decided(value, scope)
        return Decided(POLICIES[name].default, None)

    def of_all(self, name: str, fed_by: Iterable[tuple[CompanyId, ResourceId]]) -> set[str]:
        """The values that hold for the resources that feed one PSA product; the MSP's own when none does."""
        return {self.decided(name, *fed).value for fed in fed_by} or {self.of_msp(name)}

    def of_msp(self, name: str) -> str:
        """What holds where there is no exception."""
        return self.values.get(WHOLE_MSP, {}).get(name, POLICIES[name].default)
