"""(what a poll has read, what was known) -> rows and events, each batch in one transaction under the poll's lease.

A batch holds whole companies: a renewal is seen only when the subscription that ended and the one that begins are looked at
together, and both its events belong into one append.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine

from domain.events import Event
from domain.keys import CompanyId, SubscriptionId
from plumbing.clock import Clock
from services.poller import answers
from services.poller import known as rows
from services.poller.answer_renewal import alive_again
from services.poller.confirm_missing import Missing, confirm_missing
from services.poller.detect_changes import (
    Detected,
    Names,
    detect_changes,
    detect_company_change,
    detect_gone,
    renamed_with_company,
)
from services.poller.follow_renewals import Renewal, UnclearRenewal, after_renewal, follow_renewals, renewal_event
from services.poller.known import Loaded, ReadPrints
from services.poller.known_model import KnownSubscription, State, known_after, known_after_gone
from services.poller.lease import Lease
from services.poller.record import Record
from services.poller.sources.port import Company, Snapshot


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one direct read; snapshot None: the marketplace has no such subscription."""

    subscription_id: SubscriptionId
    company_id: CompanyId
    row_print: str
    snapshot: Snapshot | None
    read_at: datetime


@dataclass(slots=True)
class Tally:
    """What a poll has done so far. missing: by subscription, to be confirmed when the poll ends."""

    changes: int = 0
    read: int = 0
    missing: dict[SubscriptionId, Missing] = field(default_factory=dict)


class Store:
    """The rows of one connection, for one run of one poll. LeaseLost when another run took over."""

    def __init__(self, engine: Engine, clock: Clock, lease: Lease) -> None:
        self._engine, self._clock, self._lease = engine, clock, lease
        self._place = lease.place
        self.tally = Tally()

    def companies(self, listed: Sequence[Company]) -> dict[CompanyId, str]:
        """The names of all companies, after noting the listed ones; living resources of a renamed one are renamed too."""
        with self._engine.begin() as connection:
            self._lease.keep(connection, self._clock)
            known, versions = rows.companies(connection, self._place)
            connection.exec_driver_sql(
                """UPDATE poller.connections SET companies_read_at = %(now)s
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
                self._place.key | {"now": self._clock.now()},
            )
            changed = [company for company in listed if known.get(company.company_id) != company]
            names = Names(
                self._place.connection_id, {each.company_id: each.name for each in (*known.values(), *listed)}
            )
            renamed = {
                each.company_id: known[each.company_id].name
                for each in changed
                if each.company_id in known and known[each.company_id].name != each.name
            }
            loaded = rows.load(connection, self._place, company_ids=list(renamed))
            record = Record(self._place, versions | loaded.versions, self._clock.now())
            for company in changed:
                event = detect_company_change(known.get(company.company_id), company, self._place.connection_id)
                record.add([event] if event else [])
            for subscription in loaded.subscriptions.values():
                record.add(renamed_with_company(subscription, renamed[subscription.row.company_id], names))
            rows.put_companies(connection, self._place, changed, record.versions)
            self._write(connection, record, loaded, list(loaded.subscriptions.values()))
        return dict(names.companies)

    def chosen(self, reads: int) -> None:
        """Notes how many whole reads the poll has before it, for whoever watches."""
        with self._engine.begin() as connection:
            self._lease.keep(connection, self._clock)
            connection.exec_driver_sql(
                """UPDATE poller.connections SET reads_chosen = %(reads)s, reads_done = 0
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
                self._place.key | {"reads": reads},
            )

    def reads(self, results: Sequence[Result], broken: Collection[CompanyId], names: Mapping[CompanyId, str]) -> None:
        """Notes a batch of direct reads. broken: companies of which a read failed or waits; there a renewal would be told
        from half of the evidence."""
        if not results:
            return
        with self._engine.begin() as connection:
            self._lease.keep(connection, self._clock)
            changed = self._changed(connection, {each.subscription_id: each for each in results})
            read_rows = [(each.subscription_id, each.row_print) for each in results]
            rows.mark_read(connection, self._place, read_rows, max(each.read_at for each in results))
            connection.exec_driver_sql(
                """UPDATE poller.connections SET reads_done = reads_done + %(reads)s
                   WHERE msp_id = %(msp_id)s AND connection_id = %(connection_id)s""",
                self._place.key | {"reads": len(results)},
            )
            if changed:
                self._note(connection, changed, broken, Names(self._place.connection_id, names))
        self.tally.read += len(results)

    def confirm(
        self, connection: Connection, broken: Collection[CompanyId], names: Mapping[CompanyId, str], ended_after: int
    ) -> None:
        """At the end of a poll whose lists were whole: counts what was missing once more, and lets disappear what was
        missing often enough. What a renewal took over or holds is left alone, and so is all of a broken company."""
        loaded = rows.load(connection, self._place, subscription_ids=list(self.tally.missing))
        record = Record(self._place, loaded.versions, self._clock.now())
        changed = []
        for subscription_id, missing in self.tally.missing.items():
            known = loaded.subscriptions[subscription_id]
            if known.state is not State.CONFIRMING or known.row.company_id in broken:
                continue
            after, events = confirm_missing(known, missing, Names(self._place.connection_id, names), ended_after)
            record.add(events)
            changed.append(after)
        self._write(connection, record, loaded, changed)

    def _changed(
        self, connection: Connection, by_id: Mapping[SubscriptionId, Result]
    ) -> dict[SubscriptionId, tuple[Result, str]]:
        """The reads that say something new, with their prints."""
        prints = {key: rows.snapshot_print(each.snapshot) if each.snapshot else "gone" for key, each in by_id.items()}
        return {key: (by_id[key], prints[key]) for key in rows.differing(connection, self._place, prints)}

    def _note(
        self,
        connection: Connection,
        changed: Mapping[SubscriptionId, tuple[Result, str]],
        broken: Collection[CompanyId],
        names: Names,
    ) -> None:
        company_ids = {
            each.snapshot.row.company_id if each.snapshot else each.company_id for each, _ in changed.values()
        }
        loaded = rows.load(connection, self._place, subscription_ids=list(changed), company_ids=list(company_ids))
        record = Record(self._place, loaded.versions, max(each.read_at for each, _ in changed.values()))
        after = dict(loaded.subscriptions)
        written: set[SubscriptionId] = set()
        telling = []
        for result, print_ in sorted(changed.values(), key=lambda pair: pair[0].subscription_id):
            noted = self._noted(loaded.subscriptions.get(result.subscription_id), result, names)
            if noted is not None:
                known, events = noted
                record.add(events)
                after[result.subscription_id] = known
                loaded.prints[result.subscription_id] = ReadPrints(result.row_print, print_)
                written.add(result.subscription_id)
                answer = result.snapshot.answer if result.snapshot else b""
                if answer and (events or result.subscription_id in self.tally.missing):
                    telling.append((result.subscription_id, result.read_at, answer))
        answers.keep(connection, self._place, telling)
        for company_id in sorted({after[each].row.company_id for each in written} - set(broken)):
            company = [each for each in after.values() if each.row.company_id == company_id]
            renewals, unclear = follow_renewals(company)
            told: list[Renewal | UnclearRenewal] = [*renewals, *unclear]
            for renewal in told:
                record.add([renewal_event(renewal, names)])
                for known in after_renewal(renewal):
                    after[known.row.subscription_id] = known
                    written.add(known.row.subscription_id)
        self._write(connection, record, loaded, [after[each] for each in sorted(written)])

    def _noted(
        self, known: KnownSubscription | None, result: Result, names: Names
    ) -> tuple[KnownSubscription, tuple[Event, ...]] | None:
        """The subscription as it is known after this read, and the events; None when it was over before we knew it."""
        if result.snapshot is None:
            if known is None:
                return None
            detected, after = detect_gone(known), known_after_gone(known, result.read_at)
        else:
            if known is None and result.snapshot.row.ended:
                return None
            detected = detect_changes(known, result.snapshot, names)
            after = known_after(known, result.snapshot, result.read_at)
        self._keep_missing(result, detected)
        if known is not None and known.state is State.HELD and after.ended_on is None:
            return after, (*detected.events, alive_again(known, names))
        return after, detected.events

    def _keep_missing(self, result: Result, detected: Detected) -> None:
        self.tally.missing.pop(result.subscription_id, None)
        if detected.missing:
            missing = Missing(detected.missing, detected.missing_reason, gone=result.snapshot is None)
            self.tally.missing[result.subscription_id] = missing

    def _write(
        self, connection: Connection, record: Record, loaded: Loaded, changed: Sequence[KnownSubscription]
    ) -> None:
        rows.put_subscriptions(connection, self._place, changed, loaded.prints, record.versions)
        record.append(connection, self._clock.now())
        self.tally.changes += len(record)
