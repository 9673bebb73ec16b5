"""Chosen subscriptions -> whole reads, stored company by company in batches, up to the first failure that all would share."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.keys import CompanyId, SubscriptionId
from plumbing.budget import BudgetSpent
from plumbing.clock import Clock
from plumbing.http import OutsideFailure
from services.poller.choose_reads import Choice, Read, Reason, row_print
from services.poller.sources.port import Source, SubscriptionRow
from services.poller.store import Result, Store

log = logging.getLogger(__name__)
BATCH = 50
BATCH_SECONDS = 15
# One failure may be that subscription's own; so many in a row are the marketplace's.
MOST_FAILURES_IN_A_ROW = 5
# These say that the next call would end the same way.
_SHARED = ("unauthorised", "forbidden", "quota", "rate_limited")


@dataclass(slots=True)
class Outcome:
    """How far the reading came. broken: companies of which a read failed or waits; nothing of theirs is taken for gone."""

    put_off: int = 0
    failed: int = 0
    broken: set[CompanyId] = field(default_factory=set)


class Reading:
    """The whole reads of one run of one poll; deadline: the moment of time.monotonic() when the rest is put off."""

    def __init__(
        self,
        source: Source,
        store: Store,
        clock: Clock,
        deadline: float,
        listing: Mapping[SubscriptionId, SubscriptionRow],
        names: Mapping[CompanyId, str],
        outcome: Outcome,
    ) -> None:
        self._source, self._store, self._clock, self._deadline = source, store, clock, deadline
        self._listing, self._names, self._outcome = listing, names, outcome
        self._batch: list[Result] = []
        self._batch_began = time.monotonic()
        self._failed_in_a_row = 0

    def read(self, choice: Choice) -> None:
        """Reads and stores what was chosen, as far as time and budget go. OutsideFailure when the marketplace lets nothing
        through any more; what was read whole until then is stored."""
        self._put_off(choice.put_off)
        companies: dict[CompanyId, list[Read]] = {}
        for read in choice.reads:
            companies.setdefault(read.company_id, []).append(read)
        waiting = list(companies.values())
        try:
            while waiting and time.monotonic() < self._deadline:
                self._read_company(waiting.pop(0))
        except BudgetSpent as spent:
            log.info("the rest is put off", extra={"reason": str(spent)})
        finally:
            for left in waiting:
                self._put_off(left)
            self._store_batch()

    def _read_company(self, reads: Sequence[Read]) -> None:
        for place, read in enumerate(reads):
            try:
                self._read_one(read)
            except OutsideFailure as failure:
                self._outcome.broken.add(read.company_id)
                self._outcome.failed += 1
                self._failed_in_a_row += 1
                log.warning(
                    "subscription not read",
                    extra={"subscription_id": read.subscription_id, "kind": failure.kind, "reason": failure.message},
                )
                if failure.kind in _SHARED or self._failed_in_a_row >= MOST_FAILURES_IN_A_ROW:
                    raise
            except BudgetSpent:
                self._put_off(reads[place:])
                raise
        if len(self._batch) >= BATCH or time.monotonic() - self._batch_began > BATCH_SECONDS:
            self._store_batch()

    def _read_one(self, read: Read) -> None:
        snapshot = self._source.subscription(read.subscription_id)
        self._failed_in_a_row = 0
        row = self._listing.get(read.subscription_id)
        self._batch.append(
            Result(read.subscription_id, read.company_id, row_print(row) if row else "", snapshot, self._clock.now())
        )

    def _put_off(self, reads: Sequence[Read]) -> None:
        self._outcome.put_off += len(reads)
        self._outcome.broken.update(read.company_id for read in reads if read.reason is not Reason.AGED)

    def _store_batch(self) -> None:
        batch, self._batch = self._batch, []
        self._batch_began = time.monotonic()
        self._store.reads(batch, self._outcome.broken, self._names)
