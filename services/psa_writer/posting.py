"""Requests that are due -> adjustments in the PSA, each exactly once, and events that tell what became of them.

An adjustment can be created but never found again, changed or taken back, and carries no key: so the protocol is a row of
steps, each committed before the next, and whatever dies on the way leaves enough to find out later (design section 9):

    plan     what is due on the connection, unless it rests after failures or is stopped; nothing while a person has paused it
    lease    its agreements, fenced; those with an undecided intent are resolving.py's first
    read     agreements, products and units, fresh; then what each request comes to
    mark     the log read to its end, the fences still ours, the relation alive: intents committed as sent
    send     once, never again by itself
    reply    applied, refused or unknown
    record   read back, judged, told

Whoever finds its fence moved writes nothing more: the new holder reads what became of the intents.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from domain.events import Evidence
from domain.keys import ConnectionId, MspId
from plumbing import setup
from plumbing.budget import BudgetSpent
from plumbing.pausing import pause_of
from services.psa_writer import open_requests, standing, tell
from services.psa_writer.braking import Brake, Braked, Planned, evidence_of, next_look
from services.psa_writer.carrying import Carrier
from services.psa_writer.check_brake import Held, Shadow, units_moved
from services.psa_writer.choose_pause import LONGEST_SECONDS
from services.psa_writer.failing import as_failure, fail
from services.psa_writer.leases import POSTS, Lease, lease, renew
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.planning import Found, Hindered, read_and_plan
from services.psa_writer.psa.port import PsaFailure
from services.psa_writer.resolving import resolve
from services.psa_writer.round import Round
from services.psa_writer.sending import mark
from services.psa_writer.settling import Settlement, append, settle
from services.psa_writer.standing import Standing
from services.psa_writer.writer import Writer

log = logging.getLogger(__name__)

#: Requests that one round takes up together: reads and creates are batched over them.
ROUND_SIZE = 1000
#: Of the calls that the PSA allows all integrations together, the share that may be used before we rest.
BUSY_SHARE = 0.9
_USAGE_EVERY = timedelta(minutes=5)
_BUSY_FIX = "Nothing to do: other programs use your PSA's API heavily. Trueup waits until there is room again."


def post_due(writer: Writer, msp_id: MspId, connection_id: ConnectionId) -> None:
    """Posts whatever is due on the connection, round after round. Returns at once when another writer is at it."""
    with lease(writer.engine, writer.clock, msp_id, connection_id, [POSTS], writer.lease) as turn:
        while turn.fences and _one_round(writer, turn):
            pass


def _one_round(writer: Writer, turn: Lease) -> bool:
    """Whether something was brought on, so that it is worth looking again."""
    round_ = _begin(writer, turn)
    if round_ is None:
        return False
    try:
        return _go_round(round_)
    finally:
        round_.opened.close()


def _go_round(round_: Round) -> bool:
    writer = round_.writer
    try:
        if resolve(round_):
            # What was found out may change how the connection stands.
            return True
        due = _due(round_)
        if due:
            _look_at_usage(round_)
    except (PsaFailure, BudgetSpent) as failure:
        fail(round_, _due(round_), as_failure(failure, round_.now))
        return False
    if not due:
        return False
    log.info("adjustments planned", extra={"step": "plan", "requests": len(due)})
    agreements = sorted({request.psa_agreement_id for request in due})
    with lease(writer.engine, writer.clock, round_.msp_id, round_.connection_id, agreements, writer.lease) as held:
        log.info("agreements leased", extra={"step": "lease", "agreements": len(held.fences)})
        return _post(round_, _still_due(round_, due, held), held)


def _due(round_: Round) -> list[OpenRequest]:
    """What may be tried now. Paused, only what was sent before is brought to its end."""
    with round_.writer.engine.connect() as connection:
        if pause_of(connection, round_.msp_id) is not None:
            return []
        most = 1 if round_.is_probing else ROUND_SIZE
        return open_requests.due(connection, round_.msp_id, round_.connection_id, round_.now, most)


def _begin(writer: Writer, turn: Lease) -> Round | None:
    """The round, or None when the connection is paused, stopped or gone, or our turn is over."""
    with writer.engine.begin() as connection:
        if not renew(connection, turn, [POSTS], writer.lease, writer.clock):
            return None
        try:
            outside = setup.connection_of(connection, turn.msp_id, turn.connection_id)
        except KeyError:
            return None
        now = standing.standing(connection, turn.msp_id, turn.connection_id)
        if not _may_be_asked(now, outside.version, writer.clock.now()):
            return None
        msp = setup.msp(connection, turn.msp_id)
        decided = setup.policies(connection, turn.msp_id)
    return Round(writer, msp, outside, now, decided, writer.open_psa(outside), turn)


def _may_be_asked(now: Standing, version: int, moment: datetime) -> bool:
    if now.stopped_version == version:
        return False
    return now.paused_until is None or now.paused_until <= moment


def _look_at_usage(round_: Round) -> None:
    """Rests while other programs use up what the PSA allows all together. PsaFailure."""
    last = round_.standing.usage_read_at
    if last is not None and round_.now - last < _USAGE_EVERY:
        return
    usage = round_.opened.usage()
    if usage is None:
        return
    with round_.writer.engine.begin() as connection:
        standing.set_usage_read(connection, round_.msp_id, round_.connection_id, round_.now)
    used, limit = usage
    if used >= limit * BUSY_SHARE:
        message = f"{used} of the {limit} calls that the PSA allows in an hour are used."
        raise PsaFailure("rate_limited", message, _BUSY_FIX, LONGEST_SECONDS)


def _still_due(round_: Round, due: Sequence[OpenRequest], held: Lease) -> list[OpenRequest]:
    """What is still due now that nobody else can work on its agreements."""
    with round_.writer.engine.connect() as connection:
        ids = [request.request_id for request in due if request.psa_agreement_id in held.fences]
        return open_requests.due(connection, round_.msp_id, round_.connection_id, round_.now, ROUND_SIZE, only=ids)


def _post(round_: Round, requests: list[OpenRequest], held: Lease) -> bool:
    if not requests:
        return False
    try:
        found = read_and_plan(round_, requests)
    except (PsaFailure, BudgetSpent) as failure:
        fail(round_, requests, as_failure(failure, round_.now))
        return True
    counted = {"requests": len(requests), "hindered": len(found.hindered), "braked": len(found.braked)}
    log.info("units read", extra={"step": "read", **counted})
    to_post = [each for each in found.planned if each.plan.changes]
    _settle_unposted(round_, found, held, well=not to_post)
    settled = len(to_post) < len(found.planned) or found.hindered or found.braked
    return _send_all(round_, to_post, held) or bool(settled)


def _settle_unposted(round_: Round, found: Found, held: Lease, *, well: bool) -> None:
    """Tells what needs no post, what may not be posted and what the brake holds. well: reading was all that this round had to
    try."""
    equal = [each for each in found.planned if not each.plan.changes]
    with round_.writer.engine.begin() as connection:
        about = [*equal, *(each.planned for each in found.braked)]
        requests = [*(each.request for each in about), *(each.request for each in found.hindered)]
        kept = renew(connection, held, [r.psa_agreement_id for r in requests], round_.writer.lease, round_.writer.clock)
        if well:
            standing.set_well(connection, round_.msp_id, round_.connection_id, posted=False)
        done = [_found_equal(round_, each) for each in equal if each.request.psa_agreement_id in kept]
        parked = [_park(round_, each) for each in found.hindered if each.request.psa_agreement_id in kept]
        parked += _brake(
            connection,
            round_,
            found.brake,
            [each for each in found.braked if each.planned.request.psa_agreement_id in kept],
        )
        _free_and_put_off(connection, round_, equal, parked)
        append(connection, round_.msp_id, settle(connection, round_.msp_id, done + parked, round_.now), round_.now)


def _brake(connection: Connection, round_: Round, brake: Brake, braked: Sequence[Braked]) -> list[Settlement]:
    """What the brake holds and what is only shown. A request that a person decided on meanwhile is left as it is."""
    ids = [each.planned.request.request_id for each in braked]
    known = open_requests.locked(connection, round_.msp_id, ids)
    ours = [each for each in braked if _is_undecided(each.planned.request, known)]
    evidence = evidence_of(connection, round_, brake, [each for each in ours if isinstance(each.why, Held)])
    return [_braked(round_, each, evidence.get(each.planned.request.request_id, ())) for each in ours]


def _is_undecided(request: OpenRequest, known: Mapping[str, OpenRequest]) -> bool:
    now = known[request.request_id]
    return (now.state, now.effective, now.approved) == (request.state, request.effective, request.approved)


def _braked(round_: Round, braked: Braked, evidence: Sequence[Evidence]) -> Settlement:
    each, why = braked.planned, braked.why
    request_id, about = each.request.request_id, (each.plan, each.product, each.as_read)
    if isinstance(why, Shadow):
        event = tell.shadowed(each.request.wish, *about)
        return Settlement(request_id=request_id, state="shadowed", events=(event,), cause="shadow")
    return Settlement(
        request_id=request_id,
        state="held",
        events=(tell.held(each.request.wish, why, *about, evidence),),
        # Those that wait for the same day or hour share a probe.
        cause=f"{why.rule}/{why.until or ''}",
        next_try_at=next_look(round_, why, timedelta(seconds=LONGEST_SECONDS)),
        moves=units_moved(each.plan),
    )


def _free_and_put_off(
    connection: Connection, round_: Round, equal: Sequence[Planned], parked: Sequence[Settlement]
) -> None:
    where = (connection, round_.msp_id, round_.connection_id)
    cured = {each.request.cause for each in equal if each.request.cause}
    if cured:
        open_requests.free_the_cause(*where, cured, round_.now)
    causes = {settlement.cause for settlement in parked if settlement.cause and settlement.next_try_at}
    if causes:
        open_requests.put_off_the_cause(*where, causes, round_.now + timedelta(seconds=LONGEST_SECONDS))


def _found_equal(round_: Round, each: Planned) -> Settlement:
    event = tell.found_equal(each.request.wish, each.plan.units_now, round_.today)
    return Settlement(request_id=each.request.request_id, state="done", events=(event,))


#: Hindrances that only a person lifts; all others are looked at again by themselves.
_FOR_A_PERSON = ("posts_lost", "post_doubled")


def _park(round_: Round, hindered: Hindered) -> Settlement:
    request, hindrance = hindered.request, hindered.hindrance
    by_itself = hindrance.code not in _FOR_A_PERSON
    kind = "preflight" if by_itself else "contradiction"
    event = tell.parked(request.wish, kind, hindrance.message, hindrance.fix, request.attempt + 1)
    return Settlement(
        request_id=request.request_id,
        state="parked",
        events=(event,),
        cause=f"{hindrance.code}: {request.psa_product_id}",
        next_try_at=round_.now + timedelta(seconds=LONGEST_SECONDS) if by_itself else None,
        tried=True,
    )


def _send_all(round_: Round, planned: Sequence[Planned], held: Lease) -> bool:
    carrier = Carrier(round_, held)
    sent = False
    chunks = _chunks(planned, round_.psa.batch_size)
    for number, chunk in enumerate(chunks):
        if carrier.stopped:
            break
        batch = mark(round_, chunk, held)
        if batch:
            sent = True
            carrier.carry(batch, [each.request for later in chunks[number + 1 :] for each in later])
    try:
        carrier.prove()
    except (PsaFailure, BudgetSpent) as failure:
        fail(round_, [], as_failure(failure, round_.now))
    return sent


def _chunks(planned: Sequence[Planned], most: int) -> list[list[Planned]]:
    """What goes out in one call each: up to so many adjustments, those of one request together; one request alone after a
    contradiction."""
    chunks: list[list[Planned]] = []
    size = most
    for each in planned:
        if each.request.alone:
            chunks.append([each])
            size = most
            continue
        if size + len(each.plan.changes) > most:
            chunks.append([])
            size = 0
        chunks[-1].append(each)
        size += len(each.plan.changes)
    return chunks
