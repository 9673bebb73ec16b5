"""An Autotask connection -> steps that a person can read: what was tried, whether it worked, what to do if not."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from domain.keys import PsaAgreementId
from services.psa_writer.psa.autotask_errors import RIGHTS_FIX, TRACKING_FIX, USAGE_FIX
from services.psa_writer.psa.autotask_replies import EntityFlags
from services.psa_writer.psa.port import PsaAgreement, PsaCustomer, PsaFailure, PsaProduct, TestStep

_COST_FIX = (
    "Give the API user a security level that may see costs (not 'Can't Read Costs'), or Trueup can neither show nor check "
    "what a unit costs."
)
_NO_AGREEMENT_FIX = (
    "Create a recurring service contract for a customer in Autotask, or give the API user's security level the right to "
    "see contracts: Autotask hides what a user may not see."
)
_AGREEMENTS_LOOKED_AT = 20


@dataclass(frozen=True)
class Usage:
    """Calls that all integrations together made in the running hour, and how many Autotask allows."""

    used: int
    limit: int


class Autotask(Protocol):
    """What is tried."""

    def zone(self) -> str: ...
    def threshold(self) -> Usage: ...
    def entity_flags(self) -> Mapping[str, EntityFlags]: ...
    def customers(self) -> Iterator[list[PsaCustomer]]: ...
    def agreements(self) -> Iterator[list[PsaAgreement]]: ...
    def products(self, agreement_ids: Sequence[PsaAgreementId] | None = None) -> Iterator[list[PsaProduct]]: ...


def try_autotask(autotask: Autotask) -> Iterator[TestStep]:
    """The steps as they are done; they end after the first of zone, sign-in and tracking identifier that fails, because
    what follows could only fail as well, and a second sign-in brings the user nearer to being locked."""
    attempt = _Attempt(autotask)
    for name, act in attempt.entry():
        step = _tried(name, act)
        yield step
        if not step.ok:
            return
    for name, act in attempt.contents():
        yield _tried(name, act)


class _Shortfall(Exception):
    """The call worked, but what it shows is not enough."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.message, self.fix = message, fix


_Act = Callable[[], str]


class _Attempt:
    """The steps' acts; each gives the words for success, and keeps what later ones need."""

    def __init__(self, autotask: Autotask) -> None:
        self._autotask = autotask
        self._usage: Usage | None = None
        self._tracking_failure: PsaFailure | None = None
        self._agreements: list[PsaAgreement] = []

    def entry(self) -> Iterator[tuple[str, _Act]]:
        yield "zone", self._zone
        yield "sign-in", self._sign_in
        yield "tracking identifier", self._tracking_identifier

    def contents(self) -> Iterator[tuple[str, _Act]]:
        yield "customers", self._customers
        yield "recurring agreement", self._recurring_agreement
        yield "unit cost", self._unit_cost
        yield "adjustments", self._adjustments
        yield "usage", self._calls_left

    def _zone(self) -> str:
        return f"The user's zone is {self._autotask.zone()}."

    def _sign_in(self) -> str:
        try:
            self._usage = self._autotask.threshold()
        except PsaFailure as failure:
            if failure.fix != TRACKING_FIX:
                raise
            self._tracking_failure = failure
        return "Autotask accepts the user name and password."

    def _tracking_identifier(self) -> str:
        if self._tracking_failure:
            raise self._tracking_failure
        return "Autotask accepts the tracking identifier."

    def _customers(self) -> str:
        page = next(self._autotask.customers(), [])
        if not page:
            raise _Shortfall("Autotask shows no customer.", RIGHTS_FIX)
        return f"Autotask shows {_at_least(len(page))} customers, such as {page[0].name}."

    def _recurring_agreement(self) -> str:
        self._agreements = next(self._autotask.agreements(), [])
        if not self._agreements:
            raise _Shortfall("Autotask shows no recurring service contract.", _NO_AGREEMENT_FIX)
        return f"Autotask shows {_at_least(len(self._agreements))} recurring contracts."

    def _unit_cost(self) -> str:
        active = (each.psa_agreement_id for each in self._agreements if each.active)
        looked_at = list(islice(active, _AGREEMENTS_LOOKED_AT))
        products = next(self._autotask.products(looked_at), []) if looked_at else []
        if not products:
            return "No active contract that was looked at has a service yet, so costs could not be checked."
        seen = next((each for each in products if each.unit_cost is not None), None)
        if seen is None or seen.unit_cost is None:
            raise _Shortfall("Autotask shows services on contracts, but not what a unit costs.", _COST_FIX)
        return f"Costs can be seen: a unit of {seen.name} costs {seen.unit_cost.amount} {seen.unit_cost.currency}."

    def _adjustments(self) -> str:
        flags = self._autotask.entity_flags()
        adjustment, units = flags.get("ContractServiceAdjustment"), flags.get("ContractServiceUnit")
        if adjustment is None or not adjustment.create:
            raise _Shortfall("The user may not change the units of services on contracts.", RIGHTS_FIX)
        if units is None or not units.query:
            raise _Shortfall("The user may not see the units of services on contracts.", RIGHTS_FIX)
        return "The user may change the units of services on contracts."

    def _calls_left(self) -> str:
        usage = self._usage or self._autotask.threshold()
        if usage.used >= usage.limit:
            raise _Shortfall(f"All {usage.limit} calls of this hour are used up.", USAGE_FIX)
        return f"{usage.limit - usage.used} of {usage.limit} calls are left in this hour."


def _tried(name: str, act: _Act) -> TestStep:
    began = time.monotonic()

    def ended(message: str, fix: str | None) -> TestStep:
        return TestStep(name, fix is None, round((time.monotonic() - began) * 1000), message, fix)

    try:
        return ended(act(), None)
    except (PsaFailure, _Shortfall) as failure:
        return ended(failure.message, failure.fix)


def _at_least(number: int) -> str:
    return str(number) if number < 500 else "500 or more"
