"""The intents that the writer keeps: one row an adjustment, committed as sent before it is sent, until its fate is proven."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Connection, Row, text

from domain.keys import ConnectionId, MspId, PsaAgreementId, PsaProductId
from domain.money import Money
from services.psa_writer.as_read import Calibration
from services.psa_writer.decide_post import Change, Plan
from services.psa_writer.psa.port import AdjustmentOrder, UnitsRow
from services.psa_writer.psa.units_on import units_on
from services.psa_writer.rows_kept import from_json, to_json


@dataclass(frozen=True, kw_only=True)
class Intent:
    """See tables.intents. rows_read are the units rows before it was sent; fence that of its agreement's lease."""

    operation_id: str
    request_id: str
    psa_agreement_id: PsaAgreementId
    psa_product_id: PsaProductId
    effective_date: date
    unit_change: int
    units_before: int
    units_after: int
    unit_cost: Decimal | None
    currency: str | None
    unit_cost_before: Decimal | None
    unit_price: Decimal | None
    unit_price_before: Decimal | None
    prorated_cost: Decimal | None
    prorated_price: Decimal | None
    completes: bool
    rows_read: tuple[UnitsRow, ...]
    read_since: date
    read_until: date
    calibration: Calibration
    batch_id: str
    fence: int
    attempt: int
    sent_at: datetime
    replied: bool = False

    def order(self) -> AdjustmentOrder:
        """What is sent for it."""
        return AdjustmentOrder(
            self.psa_agreement_id,
            self.psa_product_id,
            self.effective_date,
            self.unit_change,
            self.unit_cost,
            self.unit_price,
        )

    @property
    def carries_money(self) -> bool:
        """Whether a cost or a price is sent with it, so that the product is to be read back too."""
        return self.unit_cost is not None or self.unit_price is not None

    def money(self, amount: Decimal | None) -> Money | None:
        """The amount in the intent's currency."""
        return None if amount is None or self.currency is None else Money(amount, self.currency)


def as_plan(own: Sequence[Intent], today: date) -> Plan:
    """What the intents of one request set out to do, beside the units of today as they were read for it."""
    by_date = sorted(own, key=lambda intent: intent.effective_date)
    reading = "change" if own[0].calibration == "change" else "total"
    return Plan(
        tuple(
            Change(
                intent.effective_date,
                intent.unit_change,
                intent.units_before,
                intent.units_after,
                intent.money(intent.unit_cost),
                intent.money(intent.unit_price),
            )
            for intent in by_date
        ),
        units_on(own[0].rows_read, today, reading),  # type: ignore[arg-type]
    )


@dataclass(frozen=True)
class SentBatch:
    """A create whose outcome is not proven yet. replied: the PSA said that it took it."""

    batch_id: str
    sent_at: datetime
    replied: bool


def put(connection: Connection, msp_id: MspId, connection_id: ConnectionId, intents: Sequence[Intent]) -> None:
    """Writes the intents as sent."""
    names = [f.name for f in fields(Intent)]
    columns, values = ", ".join(names), ", ".join(f":{name}" for name in names)
    connection.execute(
        text(
            f"""INSERT INTO psa_writer.intents (msp_id, connection_id, state, {columns})
                VALUES (:msp_id, :connection_id, 'sent', {values.replace(":rows_read", "CAST(:rows_read AS jsonb)")})"""
        ),
        [
            {
                **vars(i),
                "msp_id": msp_id,
                "connection_id": connection_id,
                "rows_read": orjson.dumps(to_json(i.rows_read)).decode(),
            }
            for i in intents
        ],
    )


def send_again(
    connection: Connection, msp_id: MspId, intents: Sequence[Intent], sent_at: datetime, fences: dict[str, int]
) -> list[Intent]:
    """The same intents as a new batch, one attempt later: the dates stay, so that a PSA which refuses doubles can."""
    batch_id = uuid4().hex
    again = [
        replace(
            i,
            batch_id=batch_id,
            attempt=i.attempt + 1,
            sent_at=sent_at,
            fence=fences[i.psa_agreement_id],
            replied=False,
        )
        for i in intents
    ]
    connection.execute(
        text(
            """UPDATE psa_writer.intents SET batch_id = :batch_id, attempt = :attempt, sent_at = :sent_at, fence = :fence,
               state = 'sent', replied = false WHERE msp_id = :msp_id AND operation_id = CAST(:operation_id AS uuid)"""
        ),
        [
            {
                "msp_id": msp_id,
                "batch_id": batch_id,
                "attempt": i.attempt,
                "sent_at": sent_at,
                "fence": i.fence,
                "operation_id": i.operation_id,
            }
            for i in again
        ],
    )
    return again


def set_replied(connection: Connection, msp_id: MspId, batch_id: str) -> None:
    """Remembers that the PSA said that it took the batch."""
    connection.execute(
        text("UPDATE psa_writer.intents SET replied = true WHERE msp_id = :m AND batch_id = CAST(:b AS uuid)"),
        {"m": msp_id, "b": batch_id},
    )


def close(
    connection: Connection, msp_id: MspId, intents: Iterable[Intent], state: str, decided_at: datetime, seen: str = ""
) -> None:
    """Ends intents: proved, not_applied, refused, not_sent, edited or duplicate."""
    connection.execute(
        text(
            """UPDATE psa_writer.intents SET state = :state, decided_at = :at, seen = :seen
               WHERE msp_id = :msp_id AND operation_id = ANY(CAST(:ids AS uuid[]))"""
        ),
        {
            "msp_id": msp_id,
            "state": state,
            "at": decided_at,
            "seen": seen,
            "ids": [intent.operation_id for intent in intents],
        },
    )


def prove(
    connection: Connection,
    msp_id: MspId,
    proofs: Iterable[tuple[Intent, str, Sequence[UnitsRow]]],
    decided_at: datetime,
) -> None:
    """Ends intents as proved: each with what was seen, and the units rows that show it."""
    connection.execute(
        text(
            """UPDATE psa_writer.intents SET state = 'proved', decided_at = :at, seen = :seen,
               rows_after = CAST(:rows AS jsonb) WHERE msp_id = :m AND operation_id = CAST(:id AS uuid)"""
        ),
        [
            {
                "m": msp_id,
                "id": intent.operation_id,
                "seen": seen,
                "at": decided_at,
                "rows": orjson.dumps(to_json(rows)).decode(),
            }
            for intent, seen, rows in proofs
        ],
    )


def sent_batches(connection: Connection, msp_id: MspId, connection_id: ConnectionId) -> list[SentBatch]:
    """The batches whose outcome nobody has proven yet, the oldest first."""
    rows = connection.execute(
        text(
            """SELECT batch_id::text, max(sent_at) AS sent_at, bool_and(replied) AS replied FROM psa_writer.intents
               WHERE msp_id = :m AND connection_id = :c AND state = 'sent' GROUP BY batch_id ORDER BY 2"""
        ),
        {"m": msp_id, "c": connection_id},
    )
    return [SentBatch(*row) for row in rows]


def of_batch(connection: Connection, msp_id: MspId, batch_id: str) -> list[Intent]:
    """The intents of a batch that are still in the state sent."""
    rows = connection.execute(
        text("SELECT * FROM psa_writer.intents WHERE msp_id = :m AND batch_id = CAST(:b AS uuid) AND state = 'sent'"),
        {"m": msp_id, "b": batch_id},
    )
    return [_intent(row) for row in rows]


def products_in_flight(connection: Connection, msp_id: MspId, connection_id: ConnectionId) -> set[PsaProductId]:
    """The products that have an intent in the state sent."""
    return set(
        connection.scalars(
            text(
                """SELECT psa_product_id FROM psa_writer.intents
                   WHERE msp_id = :m AND connection_id = :c AND state = 'sent'"""
            ),
            {"m": msp_id, "c": connection_id},
        )
    )


def taken_dates(
    connection: Connection, msp_id: MspId, connection_id: ConnectionId, product_ids: Iterable[str], since: date
) -> dict[PsaProductId, frozenset[date]]:
    """The days from `since` on from which each product has a post of ours that was, or may have been, accepted."""
    found: dict[PsaProductId, set[date]] = {}
    for product_id, day in connection.execute(
        text(
            """SELECT psa_product_id, effective_date FROM psa_writer.intents WHERE msp_id = :m AND connection_id = :c
               AND psa_product_id = ANY(:ids) AND effective_date >= :since
               AND state IN ('sent', 'proved', 'edited', 'duplicate')"""
        ),
        {"m": msp_id, "c": connection_id, "ids": list(product_ids), "since": since},
    ):
        found.setdefault(product_id, set()).add(day)
    return {product_id: frozenset(days) for product_id, days in found.items()}


def units_moved_since(connection: Connection, msp_id: MspId, moment: datetime) -> int:
    """Units that were, or may have been, changed for the MSP since then, summed without sign."""
    return int(
        connection.scalar(
            text(
                """SELECT coalesce(sum(abs(unit_change)), 0) FROM psa_writer.intents WHERE msp_id = :m AND sent_at > :at
                   AND state IN ('sent', 'proved', 'edited')"""
            ),
            {"m": msp_id, "at": moment},
        )
        or 0
    )


def _intent(row: Row[Any]) -> Intent:
    values = {f.name: getattr(row, f.name) for f in fields(Intent)}
    values["rows_read"] = from_json(row.psa_product_id, row.rows_read)
    values["batch_id"] = str(row.batch_id).replace("-", "")
    values["operation_id"] = str(row.operation_id)
    return Intent(**values)
