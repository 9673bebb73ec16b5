"""A person's word on adjustments that the brake holds or that did not go out: approved, refused, moved, given up.

Each is decided in one transaction, the requests locked: of two people at once one comes second. An operation id that was done
on a request is not done again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, text

from domain.envelope import NewEvent
from domain.events import AdjustmentApproved, AdjustmentDropped, AdjustmentMoved, AdjustmentRefused
from domain.keys import ConnectionId, MspId
from plumbing.logs import correlation_id
from services.psa_writer import open_requests, tell
from services.psa_writer.by_hand import UNKNOWN, not_waiting, refusal
from services.psa_writer.check_approval import Seen, check_approval
from services.psa_writer.open_requests import TO_DO, OpenRequest
from services.psa_writer.reactor import POSTS, put_work
from services.psa_writer.settling import append
from services.psa_writer.writer import Writer

log = logging.getLogger(__name__)

AS_PLANNED, NEXT_PERIOD = "as_planned", "next_period"
Refused = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a request becomes by a person's word. approvals None: as they are; approved: what may go out now. Once planned, it was
    let go: should it be held or parked again, that is told, though nothing about it has changed."""

    state: str
    event: AdjustmentApproved | AdjustmentRefused | AdjustmentMoved | AdjustmentDropped
    effective: str
    approvals: Sequence[Mapping[str, Any]] | None = None
    approved: Mapping[str, Any] | None = None


def approve(
    writer: Writer,
    msp_id: MspId,
    items: Sequence[Mapping[str, Any]],
    effective: str,
    comment: str,
    operation_id: str,
    actor: str,
) -> dict[str, Any]:
    """{"results": [{"id", "ok", "refusal"}]}: each held request of items ({"request_id", "target_units", "units_before"}, as
    the person saw it) approved, and posted once enough people have. effective: as_planned or next_period."""
    seen = {item["request_id"]: Seen(int(item["target_units"]), int(item["units_before"])) for item in items}
    now = writer.clock.now()

    def decide(connection: Connection, request: OpenRequest) -> Decision | Refused:
        newer = _newer(connection, msp_id, request) if request.state == "superseded" else None
        why_not = check_approval(
            request, seen[request.request_id], actor, _who_linked(connection, msp_id, request), effective, newer
        )
        return why_not or _approved(request, effective, comment, actor, now)

    return _decide(writer, msp_id, [item["request_id"] for item in items], operation_id, actor, decide)


def refuse(
    writer: Writer, msp_id: MspId, request_ids: Sequence[str], reason: str, operation_id: str, actor: str
) -> dict[str, Any]:
    """The same shape: each held request stays unposted until its product is asked for anew."""

    def decide(_connection: Connection, request: OpenRequest) -> Decision | Refused:
        if request.state != "held":
            return _not_held(request)
        return Decision(state="refused", event=tell.refused(request.wish, reason), effective=request.effective)

    return _with_reason(writer, msp_id, request_ids, reason, operation_id, actor, decide)


def move(writer: Writer, msp_id: MspId, request_ids: Sequence[str], operation_id: str, actor: str) -> dict[str, Any]:
    """The same shape: each waiting request is planned anew from the next billing period on. The brake judges it again."""

    def decide(_connection: Connection, request: OpenRequest) -> Decision | Refused:
        return not_waiting(request) or Decision(
            state="planned", event=tell.moved(request.wish), effective=NEXT_PERIOD, approvals=()
        )

    return _decide(writer, msp_id, request_ids, operation_id, actor, decide)


def drop(
    writer: Writer, msp_id: MspId, request_ids: Sequence[str], reason: str, operation_id: str, actor: str
) -> dict[str, Any]:
    """The same shape: each request that did not go out is given up, until its product is asked for anew."""

    def decide(_connection: Connection, request: OpenRequest) -> Decision | Refused:
        if request.state == "held":
            return refusal("held", f"It is held: {request.message}", "Approve or refuse it.")
        return not_waiting(request) or Decision(
            state="dropped", event=tell.dropped(request.wish, reason), effective=request.effective
        )

    return _with_reason(writer, msp_id, request_ids, reason, operation_id, actor, decide)


Decide = Callable[[Connection, OpenRequest], Decision | Refused]


def _with_reason(
    writer: Writer,
    msp_id: MspId,
    request_ids: Sequence[str],
    reason: str,
    operation_id: str,
    actor: str,
    decide: Decide,
) -> dict[str, Any]:
    if reason.strip():
        return _decide(writer, msp_id, request_ids, operation_id, actor, decide)
    missing = refusal("reason_missing", "A reason is needed.", "Say why.")
    return {"results": [{"id": each, "ok": False, "refusal": missing} for each in request_ids]}


def _decide(
    writer: Writer, msp_id: MspId, request_ids: Sequence[str], operation_id: str, actor: str, decide: Decide
) -> dict[str, Any]:
    now = writer.clock.now()
    results: list[dict[str, Any]] = []
    with writer.engine.begin() as connection:
        known = open_requests.locked(connection, msp_id, request_ids)
        found: dict[str, Decision | Refused | None] = {}
        for request_id in dict.fromkeys(request_ids):
            request = known.get(request_id)
            done = request is not None and operation_id in request.operations
            found[request_id] = UNKNOWN if request is None else None if done else decide(connection, request)
        for request_id in request_ids:
            said = found[request_id]
            why_not = said if isinstance(said, dict) else None
            results.append({"id": request_id, "ok": why_not is None, "refusal": why_not})
        decided = {each: said for each, said in found.items() if isinstance(said, Decision)}
        _save(connection, msp_id, decided, operation_id, now)
        connections = sorted({known[each].wish.psa_connection_id for each in decided})
        put_work(connection, POSTS, msp_id, _ids(connections), now, correlation_id(), reason=actor)
        told = [_event(known[each], decision, now) for each, decision in decided.items()]
        append(connection, msp_id, told, now, actor)
    log.info("a person decided on adjustments", extra={"requests": sorted(decided), "actor": actor})
    return {"results": results}


def _ids(connections: Sequence[str]) -> list[ConnectionId]:
    return [ConnectionId(each) for each in connections]


def _approved(request: OpenRequest, effective: str, comment: str, actor: str, now: datetime) -> Decision:
    held = request.told or {}
    nth, needed = len(request.approvals) + 1, held["people_needed"]
    by = {"by": actor, "at": now.isoformat(), "effective": effective, "comment": comment}
    event = tell.approved(request.wish, held["units_before"], effective, nth, needed, comment)
    if nth < needed:
        approvals = [*request.approvals, by]
        return Decision(state="held", event=event, effective=request.effective, approvals=approvals)
    approved = {name: held[name] for name in ("target_units", "units_before", "rule")}
    later = NEXT_PERIOD if effective == NEXT_PERIOD else request.effective
    return Decision(state="planned", event=event, effective=later, approvals=(), approved=approved)


def _not_held(request: OpenRequest) -> Refused:
    if request.state in TO_DO:
        return refusal("not_held", "It is not held any more.", "Look at the adjustment again.")
    return not_waiting(request) or UNKNOWN


def _newer(connection: Connection, msp_id: MspId, request: OpenRequest) -> OpenRequest | None:
    product = request.psa_product_id
    of = ConnectionId(request.wish.psa_connection_id)
    return open_requests.open_for(connection, msp_id, of, [product]).get(product)


def _who_linked(connection: Connection, msp_id: MspId, request: OpenRequest) -> set[str]:
    """Who set the relations that feed the product."""
    return set(
        connection.scalars(
            text(
                """SELECT set_by FROM psa_writer.relations
                   WHERE msp_id = :m AND connection_id = :c AND psa_product_id = :product"""
            ),
            {"m": msp_id, "c": request.wish.psa_connection_id, "product": request.psa_product_id},
        )
    )


def _save(
    connection: Connection, msp_id: MspId, decided: Mapping[str, Decision], operation_id: str, now: datetime
) -> None:
    if decided:
        connection.execute(
            text(
                """UPDATE psa_writer.requests SET state = :state, effective = :effective,
                   next_try_at = CASE WHEN :state = 'planned' THEN CAST(:now AS timestamptz)
                       WHEN :state = 'held' THEN next_try_at END,
                   approvals = coalesce(CAST(:approvals AS jsonb), approvals), approved = CAST(:approved AS jsonb),
                   told = CASE WHEN :state <> 'planned' THEN told END, told_at = CASE WHEN :state <> 'planned' THEN told_at END,
                   operations = operations || to_jsonb(CAST(:operation_id AS text)), stream_version = stream_version + 1
                   WHERE msp_id = :m AND request_id = :request_id"""
            ),
            [
                {
                    "m": msp_id,
                    "request_id": request_id,
                    "state": each.state,
                    "effective": each.effective,
                    "now": now,
                    "approvals": None if each.approvals is None else orjson.dumps(list(each.approvals)).decode(),
                    "approved": None if each.approved is None else orjson.dumps(each.approved).decode(),
                    "operation_id": operation_id,
                }
                for request_id, each in decided.items()
            ],
        )


def _event(request: OpenRequest, decision: Decision, now: datetime) -> tuple[str, NewEvent]:
    """What a person did, as the next event of the request, with the correlation of the request."""
    stream, version = f"adjustment/{request.request_id}", request.stream_version + 1
    return request.correlation_id, NewEvent(
        stream=stream, stream_version=version, event=decision.event, occurred_at=now
    )
