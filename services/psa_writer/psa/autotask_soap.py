"""The port's questions -> Autotask's SOAP API 1.6, and its answers back."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from domain.keys import PsaAgreementId, PsaProductId
from plumbing.calls import Counting, uncounted
from plumbing.clock import Clock
from plumbing.http import Limits
from plumbing.way_out import WayOut
from services.psa_writer.psa import autotask_errors as errors
from services.psa_writer.psa import autotask_rows as rows
from services.psa_writer.psa.autotask_catalogue import Catalogue
from services.psa_writer.psa.autotask_door import AutotaskAccount, Door, Limiter
from services.psa_writer.psa.autotask_pages import Pages
from services.psa_writer.psa.autotask_query import after, before, one_of
from services.psa_writer.psa.autotask_replies import (
    SUCCESS,
    BadReply,
    EntityFlags,
    read_entity_flags,
    read_reply,
)
from services.psa_writer.psa.autotask_requests import Requests
from services.psa_writer.psa.port import (
    AdjustmentOrder,
    Outcome,
    PsaAgreement,
    PsaCustomer,
    PsaProduct,
    TestStep,
    UnitsRow,
)
from services.psa_writer.psa.try_autotask import Usage, try_autotask

#: Entities that one create may carry ("Batching of SOAP API calls" in Autotask's help).
BATCH_SIZE = 200
#: Clients assume that Autotask works on a call for up to five minutes; the rest is margin.
LONGEST_EXECUTION = 330.0
#: Dates have been seen a day off between zones: the server is asked for a few days more, and days are compared here.
_DATE_MARGIN = timedelta(days=3)

_USAGE = re.compile(r"ThresholdOfExternalRequest:\s*(\d+);.*numberOfExternalRequest:\s*(\d+)", re.IGNORECASE)


class AutotaskSoap:
    """One MSP's Autotask, as the port wants it. Not for two threads at once."""

    def __init__(
        self,
        account: AutotaskAccount,
        limiter: Limiter,
        clock: Clock,
        limits: Limits | None = None,
        longest_execution: float = LONGEST_EXECUTION,
        counting: Counting = uncounted,
        *,
        way: WayOut,
    ) -> None:
        self._requests = Requests(account.tracking_identifier)
        self._door = Door(account, self._requests, limiter, clock, limits or Limits(), counting, way)
        self._pages = Pages(self._door, self._requests)
        self._catalogue = Catalogue(self._pages, account.currency)
        self._longest_execution = longest_execution

    @property
    def batch_size(self) -> int:
        """How many adjustments one create may carry."""
        return BATCH_SIZE

    @property
    def longest_execution(self) -> float:
        """Seconds after sending in which Autotask may still be working on a create."""
        return self._longest_execution

    def close(self) -> None:
        """Closes the kept connections; the client may be used again."""
        self._door.close()

    def zone(self) -> str:
        """The address of the zone that the user lives in."""
        return self._door.zone()

    def customers(self) -> Iterator[list[PsaCustomer]]:
        """All customers, page by page; Account 0, the MSP itself, among them."""
        return self._pages.all("Account", rows.customer, ())

    def agreements(self, ids: Sequence[PsaAgreementId] | None = None) -> Iterator[list[PsaAgreement]]:
        """All recurring agreements, or those with the given ids (whatever their state), page by page."""
        if ids is None:
            return self._pages.all("Contract", rows.agreement, [one_of("ContractType", [rows.RECURRING_SERVICE])])
        return self._pages.having("Contract", rows.agreement, "id", ids)

    def products(self, agreement_ids: Sequence[PsaAgreementId] | None = None) -> Iterator[list[PsaProduct]]:
        """All product lines, or those of the given agreements, page by page. The first kind reads the names anew."""
        if agreement_ids is None:
            self._catalogue.forget()
            return self._catalogue.products(self._pages.all("ContractService", rows.line, ()))
        lines = self._pages.having("ContractService", rows.line, "ContractID", agreement_ids)
        return self._catalogue.products(lines)

    def products_by_id(self, ids: Sequence[PsaProductId]) -> Iterator[list[PsaProduct]]:
        """The given product lines; one that is gone is missing from the answer."""
        return self._catalogue.products(self._pages.having("ContractService", rows.line, "id", ids))

    def units(
        self, product_ids: Sequence[PsaProductId], since: date, until: date | None = None
    ) -> Iterator[list[UnitsRow]]:
        """The units rows of the products that reach to `since` or later and begin by `until`, page by page, as stored."""
        asked = [after("EndDate", since - _DATE_MARGIN)]
        if until is not None:
            asked.append(before("StartDate", until + _DATE_MARGIN))
        wanted = set(product_ids)
        for page in self._pages.having("ContractServiceUnit", rows.units_row, "ContractServiceID", product_ids, asked):
            yield [
                row
                for row in page
                if row.psa_product_id in wanted and row.last_day >= since and (until is None or row.first_day <= until)
            ]

    def create_adjustments(self, orders: Sequence[AdjustmentOrder]) -> Outcome:
        """Sends up to 200 adjustments once, as one transaction. PsaFailure only when they certainly did not reach
        Autotask's work. Of what Autotask returns only the ids are kept: the rest has to be read back."""
        if not 0 < len(orders) <= BATCH_SIZE:
            raise ValueError(f"a create takes 1 to {BATCH_SIZE} adjustments, not {len(orders)}")
        return self._door.create(self._requests.create(orders), len(orders))

    def threshold(self) -> Usage:
        """How much of the hour's calls is used. It is a call itself, so ask once a minute at most. Raises PsaFailure."""
        return self._door.read(self._requests.usage(), _usage)

    def entity_flags(self) -> dict[str, EntityFlags]:
        """What our user may do, by entity: ContractServiceAdjustment must be one that can be created. Raises PsaFailure."""
        return self._door.read(self._requests.entity_flags(), read_entity_flags)

    def test(self) -> Iterator[TestStep]:
        """Tries the connection step by step, a wrong password exactly once."""
        return try_autotask(self)


def _usage(body: bytes) -> Usage:
    reply = read_reply(body, "getThresholdAndUsageInfo", repair=True)
    if reply.return_code != SUCCESS:
        raise errors.failure(reply.errors)
    found = _USAGE.search(" ".join(reply.notes))
    if found is None:
        raise BadReply("it does not tell the usage")
    return Usage(used=int(found[2]), limit=int(found[1]))
