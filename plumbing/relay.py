"""What was committed -> the broker: rings the bells of new events, sends the work of the outbox, keeps the dead letters.

The log is its own outbox for bells: log.bells remembers up to where each MSP's bells were rung, and positions have no
gaps. Work messages are rows of queue.outbox, marked only after the broker confirmed them. So whatever breaks, a bell or a
message is published again, never forgotten; consumers claim message ids and keep positions, so a double does nothing.

One relay works at a time (an advisory lock); others wait to take over. When the broker is in alarm it waits; nothing else
in the house waits for it.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import amqp
import orjson
from kombu import Connection as BrokerConnection
from sqlalchemy import Connection, Engine, text

from domain.keys import MspId
from plumbing import evidence, metrics, topology
from plumbing.clock import Clock
from plumbing.publisher import BrokerBlocked, Message, Publisher, PublishUnknown

log = logging.getLogger(__name__)

LEADER_LOCK = 7_426_002
OUTBOX_BATCH = 500
# A bell carries the envelopes of its events, for outside listeners, when they are few.
LARGEST_BELL = 20
# Seconds between two looks: short while there is work, longer in a quiet house, where each look costs for nothing.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 0.25
# Dead letters can wait longer than work for a broker that does not answer.
PAUSE_AFTER_FAULT = 30
BROKER_FAULTS = (OSError, amqp.AMQPError, PublishUnknown, BrokerBlocked)
KEEP_SENT_DAYS = 7
KEEP_INBOX_DAYS = 30

# The named moments of one round: a test stops the process at each of them.
STEPS = ("outbox read", "outbox published", "outbox marked", "bells read", "bells published", "bells marked")


@dataclass(frozen=True)
class _Ring:
    msp_id: MspId
    upto: int
    messages: list[Message]


class Relay:
    """Carries rows to the broker until told to stop. at_step is called with each name of STEPS as it is passed."""

    def __init__(
        self, engine: Engine, publisher: Publisher, clock: Clock, at_step: Callable[[str], None] = lambda _: None
    ) -> None:
        self._engine, self._publisher, self._clock, self._at_step = engine, publisher, clock, at_step
        self.refused = 0

    def round(self) -> int:
        """Sends what waits, once; answers how many messages the broker took. Raises what the broker raises."""
        return self.send_outbox() + self.ring_bells()

    def send_outbox(self) -> int:
        """Publishes the oldest unsent work and marks what was confirmed; a refused row stays, with the reason, and is counted
        in self.refused until the next time."""
        self.refused = 0
        with self._engine.begin() as connection:
            rows = connection.execute(
                text(
                    """SELECT number, message_id, queue, body, correlation_id, refused_reason FROM queue.outbox
                       WHERE sent_at IS NULL
                       ORDER BY refused_reason IS NOT NULL, number LIMIT :batch FOR UPDATE SKIP LOCKED"""
                ),
                {"batch": OUTBOX_BATCH},
            ).all()
            if not rows:
                return 0
            self._at_step("outbox read")
            refused = self._publisher.publish([_work(row) for row in rows])
            self._at_step("outbox published")
            self._mark(connection, [row.number for place, row in enumerate(rows) if place not in refused])
            self._keep_refused(connection, [(rows[place], reason) for place, reason in refused.items()])
        self._at_step("outbox marked")
        self.refused = len(refused)
        sent = len(rows) - len(refused)
        metrics.outbox_sent.inc(sent)
        return sent

    def ring_bells(self) -> int:
        """Publishes a bell for each type of event that came since the last one, MSP by MSP. A bell that no queue wants,
        or that a full queue refuses, is done with: the sweep of the consumer finds what it would have told."""
        rings = [self._ring_of(*row) for row in self._unrung()]
        if not rings:
            return 0
        self._at_step("bells read")
        self._publisher.publish([message for ring in rings for message in ring.messages])
        self._at_step("bells published")
        with self._engine.begin() as connection:
            connection.exec_driver_sql(
                """INSERT INTO log.bells AS b (msp_id, position)
                   SELECT * FROM unnest(%(msps)s::text[], %(positions)s::bigint[]) ON CONFLICT (msp_id)
                   DO UPDATE SET position = greatest(b.position, excluded.position)""",
                {"msps": [ring.msp_id for ring in rings], "positions": [ring.upto for ring in rings]},
            )
        self._at_step("bells marked")
        rung = sum(len(ring.messages) for ring in rings)
        metrics.bells_rung.inc(rung)
        return rung

    def tidy(self) -> None:
        """Forgets what was sent, claimed or kept as evidence long ago, and counts what waits."""
        with self._engine.begin() as connection:
            days = {"now": self._clock.now(), "sent": f"{KEEP_SENT_DAYS} days", "claimed": f"{KEEP_INBOX_DAYS} days"}
            connection.execute(text("DELETE FROM queue.outbox WHERE sent_at < :now - CAST(:sent AS interval)"), days)
            connection.execute(
                text("DELETE FROM queue.inbox WHERE received_at < :now - CAST(:claimed AS interval)"), days
            )
            evidence.forget(connection, self._clock.now())
            waiting = connection.scalar(text("SELECT count(*) FROM queue.outbox WHERE sent_at IS NULL"))
            metrics.outbox_waiting.set(waiting or 0)

    def _mark(self, connection: Connection, numbers: list[int]) -> None:
        connection.execute(
            text("UPDATE queue.outbox SET sent_at = :now, refused_reason = NULL WHERE number = ANY(:numbers)"),
            {"now": self._clock.now(), "numbers": numbers},
        )

    def _keep_refused(self, connection: Connection, refused: list[tuple[Any, str]]) -> None:
        for row, reason in refused:
            if row.refused_reason != reason:
                log.error("work was refused", extra={"queue": row.queue, "reason": reason})
                connection.execute(
                    text("UPDATE queue.outbox SET refused_reason = :reason WHERE number = :number"),
                    {"reason": reason, "number": row.number},
                )

    def _unrung(self) -> list[tuple[MspId, int, int]]:
        with self._engine.connect() as connection:
            rows = connection.execute(
                text(
                    """SELECT h.msp_id, coalesce(b.position, 0), h.position FROM log.heads h
                       LEFT JOIN log.bells b USING (msp_id) WHERE h.position > coalesce(b.position, 0) LIMIT 200"""
                )
            )
            return [(MspId(row[0]), row[1], row[2]) for row in rows]

    def _ring_of(self, msp_id: MspId, after: int, upto: int) -> _Ring:
        few = upto - after <= LARGEST_BELL
        columns = "type, position, event_id, version, payload, occurred_at" if few else "DISTINCT type"
        with self._engine.connect() as connection:
            rows = connection.execute(
                text(
                    f"SELECT {columns} FROM log.events WHERE msp_id = :msp_id AND position > :after AND position <= :upto"
                ),
                {"msp_id": msp_id, "after": after, "upto": upto},
            ).all()
        by_type: dict[str, list[Any]] = {}
        for row in rows:
            by_type.setdefault(row.type, []).extend([row._asdict()] if few else [])
        bell = {"msp_id": msp_id, "after": after, "upto": upto}
        return _Ring(msp_id, upto, [_bell(event_type, bell, events) for event_type, events in by_type.items()])


class DeadLetters:
    """Moves what was given up from the queue of the dead into queue.dead_letters, where people see it and may return it."""

    def __init__(self, engine: Engine, rabbitmq_url: str, clock: Clock) -> None:
        self._engine, self._url, self._clock = engine, rabbitmq_url, clock
        self._connection: BrokerConnection | None = None
        self._channel: Any = None

    def keep(self) -> int:
        """Takes all that lie there; each is acknowledged after its row is committed. Answers how many."""
        kept = 0
        try:
            channel = self._connected()
            while (message := channel.basic_get(topology.DEAD_QUEUE.name)) is not None:
                self._store(message)
                channel.basic_ack(message.delivery_tag)
                kept += 1
        except (OSError, amqp.AMQPError):
            self.close()
            raise
        return kept

    def close(self) -> None:
        """Lets go of the connection."""
        if self._connection is not None:
            self._connection.release()
            self._connection = None

    def _connected(self) -> Any:
        if self._connection is None:
            self._connection = topology.broker_connection(self._url)
            self._connection.connect()
            self._channel = self._connection.channel()
        return self._channel

    def _store(self, message: Any) -> None:
        headers = message.headers or {}
        deaths = headers.get("x-death") or [{}]
        queue = message.delivery_info.get("routing_key", "")
        cause = headers.get("x-cause") or f"the broker gave it up: {deaths[0].get('reason', 'unknown')}"
        body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
        metrics.dead_letters.labels(queue).inc()
        log.error("dead letter kept", extra={"queue": queue, "reason": cause})
        with self._engine.begin() as connection:
            connection.execute(
                text(
                    """INSERT INTO queue.dead_letters
                       (message_id, queue, cause, body, content_type, attempts, correlation_id, died_at)
                       VALUES (:message_id, :queue, :cause, :body, :content_type, :attempts, :correlation_id, :now)"""
                ),
                {
                    "message_id": message.properties.get("message_id"),
                    "queue": queue,
                    "cause": str(cause)[:2000],
                    "body": body,
                    "content_type": message.properties.get("content_type"),
                    "attempts": int(headers.get("x-attempt") or headers.get("x-delivery-count") or 1),
                    "correlation_id": message.properties.get("correlation_id"),
                    "now": self._clock.now(),
                },
            )


def lead(connection: Connection) -> bool:
    """Whether this process is the one relay that works; it stays so while the connection lives."""
    return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LEADER_LOCK}))


def work(
    relay: Relay, dead: DeadLetters, publisher: Publisher, going: Callable[[], bool], declare: Callable[[], None]
) -> None:
    """Rounds without end while going() says so; a broker that is away or in alarm is tried again every second. Declaring and
    dead letters need answers from the broker and may fail on a slow link: work goes out all the same."""
    next_declare = next_tidy = next_dead = 0.0
    pause = SHORTEST_PAUSE
    while going():
        if time.monotonic() > next_declare:
            next_declare = math.inf if _went_well(declare) else time.monotonic() + 1
        if time.monotonic() > next_dead:
            next_dead = (1 if _went_well(dead.keep) else PAUSE_AFTER_FAULT) + time.monotonic()
        try:
            sent = relay.round()
            if relay.refused:
                # A binding may be missing: an exchange was deleted and came back without it.
                next_declare = min(next_declare, time.monotonic() + 1)
            if time.monotonic() > next_tidy:
                relay.tidy()
                next_tidy = time.monotonic() + 60
            pause = SHORTEST_PAUSE if sent else min(pause * 1.5, LONGEST_PAUSE)
            if not sent:
                publisher.beat()
                time.sleep(pause)
        except BROKER_FAULTS as fault:
            # The topology may be what is missing: someone deleted it, or the broker came back empty.
            next_declare = 0.0
            log.warning("RabbitMQ takes nothing now", extra={"reason": str(fault)})
            time.sleep(1)


def _went_well(act: Callable[[], object]) -> bool:
    try:
        act()
    except BROKER_FAULTS as fault:
        log.warning("RabbitMQ does not answer", extra={"reason": str(fault)})
        return False
    return True


def _work(row: Any) -> Message:
    return Message(
        topology.WORK.name,
        row.queue,
        orjson.dumps(row.body),
        message_id=str(row.message_id),
        correlation_id=row.correlation_id,
    )


def _bell(event_type: str, bell: dict[str, Any], events: list[Any]) -> Message:
    return Message(topology.BELLS.name, event_type, orjson.dumps(bell | {"type": event_type, "events": events}))
