"""Bells of many messages -> one call of a nameko method for each MSP that lags, however often it was rung for.

A bell says only that an MSP's log grew, so all that wait for one MSP are one. Bells for which every consumer stands at
the head already, as most of a backlog do, cost a share of one query. While an MSP is worked on, its bells gather; other
MSPs go on beside it. A call that fails sends one bell on its way to another try and acknowledges the rest.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from kombu import Queue
from nameko.exceptions import ContainerBeingKilled
from sqlalchemy.exc import SQLAlchemyError

from domain.keys import MspId
from plumbing import catch_up, metrics
from plumbing.broker import BadMessage, Bell, Consumer, RawMessage, attempts_of, decoded
from plumbing.house import HOUSE_CONFIG_KEY, House

log = logging.getLogger(__name__)
# Bells that one replica holds at once; a few hundred bytes each.
HELD = 200


class Hearer(Consumer):
    """Decorates the service method that catches up one MSP; it gets the MSP's id. consumers: those it brings to the head."""

    def __init__(self, queue: Queue, consumers: Callable[[House], Sequence[catch_up.Consumer]], **kwargs: Any) -> None:
        self._consumers = consumers
        self._rung: dict[MspId, list[RawMessage]] = {}
        self._in_hand: set[MspId] = set()
        self._looking = False
        super().__init__(queue, prefetch=HELD, **kwargs)

    def take(self, message: RawMessage) -> None:
        """Keeps the bell until the next look, which is at once unless one is under way."""
        try:
            msp_id = Bell.parse(decoded(message)).msp_id
        except BadMessage as fault:
            self.container.spawn_managed_thread(partial(self.give_up, message, str(fault)))
            return
        self._rung.setdefault(msp_id, []).append(message)
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._looking and self._rung.keys() - self._in_hand:
            self._looking = True
            self.container.spawn_managed_thread(self._look, identifier=f"{self.queue.name} look")

    def _look(self) -> None:
        """Acknowledges the bells that tell nothing new and hands the others out, until none is left."""
        try:
            while ready := self._rung.keys() - self._in_hand:
                rung = {msp_id: self._rung.pop(msp_id) for msp_id in ready}
                behind = self._behind(list(ready))
                self._done([message for msp_id in ready - behind for message in rung[msp_id]])
                for msp_id in ready & behind:
                    self._hand_out(msp_id, rung[msp_id])
        finally:
            self._looking = False

    def _behind(self, msps: Sequence[MspId]) -> set[MspId]:
        house: House = self.container.config[HOUSE_CONFIG_KEY]
        try:
            return catch_up.behind(house.engine, self._consumers(house), msps)
        except SQLAlchemyError as fault:
            # The call will meet the same fault, and say so message by message.
            log.warning("cannot see who lags", extra={"reason": str(fault)})
            return set(msps)

    def _hand_out(self, msp_id: MspId, messages: list[RawMessage]) -> None:
        self._in_hand.add(msp_id)
        try:
            self.container.spawn_worker(
                self, (msp_id,), {}, handle_result=partial(self._handle_result_of, msp_id, messages)
            )
        except ContainerBeingKilled:
            for message in messages:
                self.queue_consumer.requeue_message(message)

    def _handle_result_of(
        self, msp_id: MspId, messages: list[RawMessage], _context: Any, result: Any = None, exc_info: Any = None
    ) -> tuple[Any, Any]:
        self._in_hand.discard(msp_id)
        # The one that was tried most often stands for all, or a bell that always fails would be young for ever.
        eldest = max(messages, key=attempts_of)
        self.handle_message_processed(eldest, result, exc_info)
        self._done([message for message in messages if message is not eldest])
        self._look_soon()
        return result, exc_info

    def _done(self, messages: Sequence[RawMessage]) -> None:
        metrics.messages_handled.labels(self.queue.name, "done").inc(len(messages))
        self.queue_consumer.ack_messages(messages)


hear = Hearer.decorator
