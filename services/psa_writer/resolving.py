"""Intents in the state sent that no living writer waits for -> decided by reading back, before anything new is posted.

They are there because an outcome was unknown, or because a writer died or was overtaken between its mark and its record.
What the PSA said yes to is read at once; the rest when the PSA can no longer be working on it. One reading may fall into
the middle of an edit, so two, some seconds apart, must agree.
"""

import logging
from collections.abc import Sequence

from services.psa_writer import intents
from services.psa_writer.carrying import Carrier
from services.psa_writer.intents import Intent, SentBatch
from services.psa_writer.leases import Lease, lease
from services.psa_writer.proving import Judged, look, record
from services.psa_writer.round import Round
from services.psa_writer.sending import mark_again

log = logging.getLogger(__name__)


def resolve(round_: Round) -> bool:
    """Whether any batch was decided. Raises PsaFailure when the PSA cannot be read: then they wait."""
    with round_.writer.engine.connect() as connection:
        waiting = intents.sent_batches(connection, round_.msp_id, round_.connection_id)
    ready = [batch for batch in waiting if batch.replied or batch.sent_at + round_.undecided <= round_.now]
    decided = [_resolve(round_, batch) for batch in ready]
    return any(decided)


def _resolve(round_: Round, batch: SentBatch) -> bool:
    with round_.writer.engine.connect() as connection:
        agreements = {i.psa_agreement_id for i in intents.of_batch(connection, round_.msp_id, batch.batch_id)}
    writer, where = round_.writer, (round_.msp_id, round_.connection_id)
    with lease(writer.engine, writer.clock, *where, sorted(agreements), writer.lease) as held:
        # One transaction in the PSA, so it is decided as a whole or left.
        if held.fences.keys() != agreements:
            return False
        with writer.engine.connect() as connection:
            sent = intents.of_batch(connection, round_.msp_id, batch.batch_id)
        return bool(sent) and _decide(round_, sent, held)


def _decide(round_: Round, sent: Sequence[Intent], held: Lease) -> bool:
    log.info("deciding what became of a batch", extra={"intents": len(sent), "batch_id": sent[0].batch_id})
    first = look(round_, sent)
    round_.writer.rest(round_.writer.second_look)
    second = look(round_, sent)
    if _verdicts(first) != _verdicts(second):
        return False
    # What was not applied goes out again with its dates: that they stay the same is what lets a PSA refuse a double.
    rest = mark_again(round_, [intent for each in record(round_, second, held) for intent in each.intents], held)
    if rest:
        carrier = Carrier(round_, held)
        carrier.carry(rest)
        carrier.prove()
    return True


def _verdicts(judged: Sequence[Judged]) -> dict[str, str]:
    return {each.request_id: each.judgement.verdict for each in judged}
