"""Marked batches -> sent until each intent has its answer: refused ones are taken out, the rest goes again."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from services.psa_writer.intents import Intent
from services.psa_writer.judge_outcome import Verdict
from services.psa_writer.leases import Lease
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.proving import by_request, look, record, release_dates
from services.psa_writer.psa.port import Applied, Outcome, PsaFailure, Refused, Unknown
from services.psa_writer.refusing import cause_of, take_out_refused, trip_breaker
from services.psa_writer.round import Round
from services.psa_writer.sending import mark_again, note_applied, send, tell_not_sent, tell_unknown

log = logging.getLogger(__name__)


class Carrier:
    """Carries batches to the PSA under one set of leases. stopped: nothing more is to be sent in this round."""

    def __init__(self, round_: Round, held: Lease) -> None:
        self._round, self._held = round_, held
        self._applied: list[Intent] = []
        self.stopped = False

    def carry(self, batch: list[Intent], waiting: Sequence[OpenRequest] = ()) -> None:
        """Sends the batch, and what is left of it after refusals. waiting: requests that come behind it."""
        outcome = self._send(batch)
        parts = self._refused(batch, outcome, waiting) if isinstance(outcome, Refused) else []
        while parts and not self.stopped:
            # Marked one by one: a mark is good for a short while only.
            again = mark_again(self._round, parts.pop(0), self._held)
            if again:
                outcome = self._send(again)
                parts = (self._refused(again, outcome, waiting) if isinstance(outcome, Refused) else []) + parts
        for left in parts:
            tell_not_sent(self._round, left, _PUT_OFF, self._held)

    def _send(self, batch: list[Intent]) -> Outcome | PsaFailure:
        """The outcome, noted; all but refusals are done with."""
        outcome = send(self._round, batch)
        match outcome:
            case Applied():
                note_applied(self._round, batch)
                self._applied += [replace(intent, replied=True) for intent in batch]
            case Unknown(message):
                tell_unknown(self._round, batch, message, self._held)
                self.stopped = True
            case PsaFailure():
                tell_not_sent(self._round, batch, outcome, self._held)
                self.stopped = True
        return outcome

    def prove(self) -> None:
        """Reads back what was applied, and once more, some seconds later, what does not show yet."""
        if not self._applied:
            return
        judged = look(self._round, self._applied)
        clear = [each for each in judged if each.judgement.verdict == Verdict.APPLIED]
        unclear = [each for each in judged if each.judgement.verdict != Verdict.APPLIED]
        if clear:
            record(self._round, clear, self._held)
        if unclear:
            self._round.writer.rest(self._round.writer.second_look)
            record(self._round, look(self._round, [i for each in unclear for i in each.intents]), self._held)
        self._applied = []

    def _refused(self, batch: list[Intent], outcome: Refused, waiting: Sequence[OpenRequest]) -> list[list[Intent]]:
        """What is to be sent again, in parts: all others together, or one by one when the PSA named nobody."""
        duplicates = {batch[place].request_id for place, refusal in outcome.refusals.items() if refusal.duplicate}
        left = take_out_refused(self._round, batch, outcome, self._held)
        self._settle_duplicates([intent for intent in left if intent.request_id in duplicates])
        rest = [intent for intent in left if intent.request_id not in duplicates]
        refused = len({i.request_id for i in batch}) - len({i.request_id for i in rest}) - len(duplicates)
        if refused or not outcome.refusals:
            weight = 1 if rest else max(1, refused)
            message = next(iter(outcome.refusals.values())).message if outcome.refusals else outcome.message
            if trip_breaker(self._round, cause_of(message), weight, waiting):
                self.stopped = True
                if rest:
                    tell_not_sent(self._round, rest, _PUT_OFF, self._held)
                return []
        if not outcome.refusals:
            return [list(own) for own in by_request(rest)]
        return [rest] if rest else []

    def _settle_duplicates(self, refused: list[Intent]) -> None:
        """The PSA has a change of this product and date: an earlier attempt of ours that landed, or someone else's."""
        if not refused:
            return
        foreign = record(self._round, look(self._round, refused), self._held)
        if foreign:
            release_dates(self._round, foreign, self._held)


_PUT_OFF = PsaFailure(
    "rejected",
    "The calls before this one went wrong, so the connection's posts rest.",
    "Nothing to do: it goes out when they go on.",
)
