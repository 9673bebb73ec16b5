"""Agreements that ended with relations on them -> the relations follow to the next agreement, or a question is told once.

Looked at whenever the PSA shows something new, and on every billing day: agreements end by the day, not by an event.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Connection, Engine, Row, select, text

from domain.envelope import NewEvent
from domain.events import AgreementCandidate, AgreementMoveSettled, AgreementMoveUnclear
from domain.keys import MspId, PsaAgreementId
from plumbing import event_log, setup
from plumbing.clock import Clock
from plumbing.logs import correlation_id
from plumbing.upsert import upsert
from services.mapping import known, record, tables
from services.mapping.decide_relation import Agreement, Relation
from services.mapping.follow_agreement import (
    Followed,
    Move,
    Standing,
    follow_agreement,
    has_ended,
    moves_to,
    whole_subscriptions,
)
from services.mapping.wishes import Ask, Refused

AgreementId = tuple[str, str]
_BY_ITSELF = "it is the only agreement that continues the ended one"


@dataclass(frozen=True)
class Ended:
    """An agreement that cannot be billed any more, and the live relations on it."""

    agreement: Agreement
    relations: tuple[Relation, ...]

    @property
    def id(self) -> AgreementId:
        """PSA connection and agreement."""
        psa = self.relations[0].psa
        return psa.psa_connection_id, psa.psa_agreement_id

    @property
    def names(self) -> dict[str, Any]:
        """The fields that tell of the agreement in events and rows."""
        psa = self.relations[0].psa
        kept = ("psa_connection_id", "psa_customer_id", "psa_customer_name", "psa_agreement_id", "psa_agreement_name")
        return {name: getattr(psa, name) for name in kept}


def look_daily(engine: Engine, clock: Clock) -> None:
    """Looks at the agreements of each MSP once on each of its billing days."""
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT m.msp_id, m.time_zone, l.looked_on FROM setup.msps m LEFT JOIN mapping.move_looks l USING (msp_id)"
            )
        ).all()
    for row in rows:
        today = clock.today(row.time_zone)
        if row.looked_on == today:
            continue
        with engine.begin() as connection:
            known.lock(connection, row.msp_id)
            look(connection, row.msp_id, today, clock.now(), record.Cause(correlation_id()))
            upsert(connection, tables.move_looks, [{"msp_id": row.msp_id, "looked_on": today}])


def look(connection: Connection, msp_id: MspId, today: date, now: datetime, cause: record.Cause) -> None:
    """Lets relations follow where that is clear, and tells questions that are new or not any more. The caller holds the lock."""
    ended = _ended(connection, msp_id, today)
    told = _told(connection, msp_id)
    open_ = {key for key, row in told.items() if row.state == "open"}
    if not ended and not open_:
        return
    others = _standing(connection, msp_id, ended)
    by_id = {each.id: each for each in ended}
    writing = _Writing(connection, msp_id, now, cause, told)
    for key, each in by_id.items():
        before = told.get(key)
        if before is not None and before.state == "stays":
            continue
        found = follow_agreement(each.agreement, each.relations, others.get(_customer(each), ()), today)
        if isinstance(found, Followed):
            writing.move(each, found.to, found.moves, _BY_ITSELF)
        elif found:
            writing.ask(each, found)
    for key in sorted(open_ - by_id.keys()):
        writing.close(told[key])
    writing.write()


def answer_move(
    engine: Engine, clock: Clock, ask: Ask, key: AgreementId, moved_to: PsaAgreementId | None, reason: str
) -> None:
    """A person's answer: the relations go to the agreement moved_to as far as it carries their products, or stay. The same
    answer again changes nothing. Refused."""
    with engine.begin() as connection:
        known.lock(connection, ask.msp_id)
        today = clock.today(setup.msp(connection, ask.msp_id).time_zone)
        told = _told(connection, ask.msp_id)
        row = told.get(key)
        if row is None:
            raise Refused("question_unknown", "There is no such question.", "Load the questions again.")
        if row.state != "open":
            if row.state == ("moved" if moved_to else "stays") and row.moved_to == moved_to:
                return
            raise Refused("answered", "This question was answered already.", "Load the questions again.")
        ended = {each.id: each for each in _ended(connection, ask.msp_id, today)}
        writing = _Writing(connection, ask.msp_id, clock.now(), record.Cause(ask.operation_id, ask.actor), told)
        each = ended.get(key)
        if each is None:
            writing.close(row)
        elif moved_to is None:
            writing.stay(each, reason)
        else:
            other = _chosen(_standing(connection, ask.msp_id, [each]).get(_customer(each), ()), moved_to, today)
            moves = whole_subscriptions(each.relations, moves_to(each.relations, other))
            if not moves:
                raise Refused(
                    "nothing_moves",
                    f"“{other.psa_agreement_name}” carries no product of the same name for a whole subscription.",
                    "Add the products to that agreement in the PSA and read the catalogue, or set the relations one by one.",
                )
            writing.move(each, other, moves, reason)
        writing.write()


class _Writing:
    """The rows and events of one look or answer, written at its end: one append for the relations, one for the questions."""

    def __init__(
        self,
        connection: Connection,
        msp_id: MspId,
        now: datetime,
        cause: record.Cause,
        told: dict[AgreementId, Row[Any]],
    ) -> None:
        self._connection, self._msp_id, self._now, self._cause, self._told = connection, msp_id, now, cause, told
        self._relations: list[record.RelationEvent] = []
        self._rows: list[dict[str, Any]] = []
        self._events: list[NewEvent] = []

    def ask(self, ended: Ended, candidates: tuple[AgreementCandidate, ...]) -> None:
        unclear = AgreementMoveUnclear(**ended.names, relations=len(ended.relations), candidates=candidates)
        told = hashlib.sha256(orjson.dumps([unclear.relations, [vars(each) for each in candidates]])).hexdigest()
        before = self._told.get(ended.id)
        if before is None or (before.state, before.told) != ("open", told):
            self._note(ended.names, "open", told, None, unclear)

    def move(self, ended: Ended, to: Standing, moves: Sequence[Move], reason: str) -> None:
        for move in moves:
            gone = f"the agreement “{ended.names['psa_agreement_name']}” ended: {reason}"
            self._relations.append(record.cleared(move.relation, gone))
            following = Relation(uuid4().hex, move.relation.odin, move.product.names, move.relation.settings)
            self._relations.append(record.was_set(following))
            self._relations += record.taken_along(move.relation, following)
        self._settle(ended.names, "moved", to, len(moves), reason)

    def stay(self, ended: Ended, reason: str) -> None:
        self._settle(ended.names, "stays", None, len(ended.relations), reason)

    def close(self, row: Row[Any]) -> None:
        """Nothing is linked to it any more, or it can be billed again: should it end once more, it is asked again."""
        names = {
            name: getattr(row, name)
            for name in (
                "psa_connection_id",
                "psa_customer_id",
                "psa_customer_name",
                "psa_agreement_id",
                "psa_agreement_name",
            )
        }
        self._settle(names, "closed", None, 0, "nothing is left to decide")

    def write(self) -> None:
        upsert(self._connection, tables.agreement_moves, self._rows)
        record.record(self._connection, self._msp_id, self._relations, self._cause, self._now)
        if self._events:
            event_log.append(
                self._connection,
                self._msp_id,
                self._events,
                recorded_at=self._now,
                recorded_by="mapping",
                correlation_id=self._cause.correlation_id,
                caused_by=self._cause.caused_by,
                actor=self._cause.actor,
            )

    def _settle(self, names: dict[str, Any], state: str, to: Standing | None, relations: int, reason: str) -> None:
        settled = AgreementMoveSettled(
            **names,
            moved_to=to.psa_agreement_id if to else None,
            moved_to_name=to.psa_agreement_name if to else None,
            relations=relations,
            reason=reason,
        )
        self._note(names, state, "", settled.moved_to, settled)

    def _note(
        self,
        names: dict[str, Any],
        state: str,
        told: str,
        moved_to: str | None,
        event: AgreementMoveUnclear | AgreementMoveSettled,
    ) -> None:
        key = (names["psa_connection_id"], names["psa_agreement_id"])
        before = self._told.get(key)
        version = (before.stream_version if before else 0) + 1
        row = {"state": state, "told": told, "moved_to": moved_to, "stream_version": version}
        self._rows.append({"msp_id": self._msp_id} | names | row)
        stream = "agreement-move/" + "/".join(part.replace("%", "%25").replace("/", "%2F") for part in key)
        self._events.append(NewEvent(stream=stream, stream_version=version, event=event, occurred_at=self._now))


def _ended(connection: Connection, msp_id: MspId, today: date) -> list[Ended]:
    rows = known.on_ended_agreements(connection, msp_id, today)
    found = []
    for _, of_agreement in groupby(rows, lambda row: (row.psa_connection_id, row.psa_agreement_id)):
        own = list(of_agreement)
        found.append(Ended(known.agreement(own[0]), tuple(known.relation(row) for row in own)))
    return found


def _standing(
    connection: Connection, msp_id: MspId, ended: Sequence[Ended]
) -> dict[tuple[str, str], tuple[Standing, ...]]:
    """All agreements of the customers of the ended ones, by customer."""
    customers = {_customer(each) for each in ended}
    rows = known.products_of_customers(connection, msp_id, customers) if customers else []
    found: dict[tuple[str, str], tuple[Standing, ...]] = {}
    for _, of_agreement in groupby(rows, lambda row: (row.psa_connection_id, row.psa_agreement_id)):
        own = list(of_agreement)
        first = own[0]
        standing = Standing(
            first.psa_agreement_id, first.psa_agreement_name, known.agreement(first), tuple(map(known.product, own))
        )
        customer = (first.psa_connection_id, first.psa_customer_id)
        found[customer] = (*found.get(customer, ()), standing)
    return found


def _customer(ended: Ended) -> tuple[str, str]:
    psa = ended.relations[0].psa
    return psa.psa_connection_id, psa.psa_customer_id


def _chosen(others: Sequence[Standing], moved_to: PsaAgreementId, today: date) -> Standing:
    for other in others:
        if other.psa_agreement_id == moved_to:
            if has_ended(other.agreement, today) or not other.agreement.recurring or other.agreement.start_date > today:
                raise Refused(
                    "agreement_unfit",
                    f"“{other.psa_agreement_name}” cannot be billed today.",
                    "Choose a recurring agreement that is active and runs today.",
                )
            return other
    raise Refused("agreement_unknown", "This customer has no such agreement.", "Choose one of the candidates.")


def _told(connection: Connection, msp_id: MspId) -> dict[AgreementId, Row[Any]]:
    rows = connection.execute(select(tables.agreement_moves).where(tables.agreement_moves.c.msp_id == msp_id))
    return {(row.psa_connection_id, row.psa_agreement_id): row for row in rows}
