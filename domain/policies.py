"""Names of what an MSP may decide -> allowed values and defaults: one table for all services, pages and commands.

A policy holds for the whole MSP; an exception gives it another value for one customer (a company of the marketplace), one
product (a resource id of the marketplace, whoever buys it) or one product of one customer.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from domain.keys import CompanyId, ResourceId


class BadPolicy(ValueError):
    """There is no such policy, or it cannot have this value."""


@dataclass(frozen=True)
class Policy:
    """One decision of an MSP. values: what it may be; empty: any whole number from `least` to `most` (None: without end).
    exceptions: whether a company or a resource may have another value than the MSP."""

    default: str
    values: tuple[str, ...]
    help: str
    least: int = 0
    most: int | None = None
    exceptions: bool = False

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
    "increase_effective": Policy(
        "today", ("today", "next_period"), "the day from which more units count", exceptions=True
    ),
    "decrease_effective": Policy(
        "next_period", ("next_period", "today"), "the day from which fewer units count", exceptions=True
    ),
    "posted_period": Policy(
        "next_unposted", ("next_unposted", "refuse"), "what to do when the day's period is invoiced", exceptions=True
    ),
    "unit_cost": Policy("post", ("post", "report"), "whether a changed cost goes to the PSA or only into the reports"),
    "ended_after_polls": Policy("2", (), "complete polls without a resource until its count is taken as 0", least=1),
    "mode": Policy(
        "unattended",
        ("unattended", "approve", "shadow"),
        "whether changes go out by themselves, each waits for a person, or they are only shown",
        exceptions=True,
    ),
    "brake_fall_units": Policy("25", (), "a fall of more units waits for a person", least=1, exceptions=True),
    "brake_fall_percent": Policy(
        "20", (), "so does one of more than this share of the units there are", least=1, exceptions=True
    ),
    "brake_small_units": Policy(
        "3", (), "a fall of at most so many units never waits for its share", least=1, exceptions=True
    ),
    "brake_rise_units": Policy(
        "50", (), "a rise of more units waits for a person, unless ...", least=1, exceptions=True
    ),
    "brake_rise_percent": Policy(
        "50", (), "... it is at most this share of the units there are", least=1, exceptions=True
    ),
    "brake_to_zero": Policy(
        "hold", ("hold", "post"), "whether a fall to no units at all always waits for a person", exceptions=True
    ),
    "brake_swing_units": Policy(
        "500", (), "units that one poll of ODIN moves over all customers, without sign, before all of it waits", least=1
    ),
    "brake_hour_units": Policy("5000", (), "units changed in an hour, summed without sign, before all wait", least=1),
    "second_person_units": Policy(
        "100", (), "what is held and moves more units needs two people", least=1, exceptions=True
    ),
    "freeze_hours": Policy(
        "6",
        (),
        "hours before a month ends from which on its numbers should stand still; 0: they never need to",
        most=240,
    ),
    "payload_days": Policy("400", (), "days for which ODIN's masked answers are kept as evidence", least=1),
}


def policy_named(name: str) -> Policy:
    """The policy; BadPolicy when there is none of that name."""
    if name not in POLICIES:
        raise BadPolicy(f"there is no policy {name!r}; there are {', '.join(POLICIES)}")
    return POLICIES[name]


def policy_value(name: str, value: str) -> str:
    """The value for the named policy, checked; BadPolicy."""
    return policy_named(name).check(name, value)


@dataclass(frozen=True)
class Scope:
    """Whom a value is for. Both None: the whole MSP."""

    company_id: CompanyId | None = None
    resource_id: ResourceId | None = None

    def order(self) -> tuple[str, str]:
        """The whole MSP first, then by id."""
        return self.company_id or "", self.resource_id or ""


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

    @classmethod
    def of_rows(cls, version: int, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Of {policy, value, company_id, resource_id} each, as rows() shows them."""
        values: dict[Scope, dict[str, str]] = {}
        for row in rows:
            values.setdefault(Scope(row["company_id"], row["resource_id"]), {})[row["policy"]] = row["value"]
        return cls(version, values)

    def rows(self) -> list[dict[str, str | None]]:
        """What is decided, in an order of its own: as it is kept and sent."""
        return [
            {"policy": name, "value": value, "company_id": scope.company_id, "resource_id": scope.resource_id}
            for scope in sorted(self.values, key=Scope.order)
            for name, value in sorted(self.values[scope].items())
        ]

    def decided(self, name: str, company_id: CompanyId, resource_id: ResourceId) -> Decided:
        """What holds for a product of a customer: the most specific decision, a customer's before a product's."""
        return self.applying(name, company_id, resource_id)[0]

    def applying(self, name: str, company_id: CompanyId, resource_id: ResourceId) -> list[Decided]:
        """All that is decided for a product of a customer, what holds first; the default last."""
        scopes = (Scope(company_id, resource_id), Scope(company_id), Scope(None, resource_id), WHOLE_MSP)
        values = ((self.values.get(scope, {}).get(name), scope) for scope in scopes)
        decided = [Decided(value, scope) for value, scope in values if value is not None]
        return [*decided, Decided(POLICIES[name].default, None)]

    def of_all(self, name: str, fed_by: Iterable[tuple[CompanyId, ResourceId]]) -> set[str]:
        """The values that hold for the resources that feed one PSA product; the MSP's own when none does."""
        return {self.decided(name, *fed).value for fed in fed_by} or {self.of_msp(name)}

    def of_msp(self, name: str) -> str:
        """What holds where there is no exception."""
        return self.values.get(WHOLE_MSP, {}).get(name, POLICIES[name].default)
