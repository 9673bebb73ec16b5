"""A person's word on adjustments that did not go out -> tried again at once, or let out although a contradiction parked them."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text

from domain.envelope import NewEvent
from domain.keys import ConnectionId, MspId
from plumbing.logs import correlation_id
from services.psa_writer import open_requests, tell
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.reactor import POSTS, put_work
from services.psa_writer.settling import append
from services.psa_writer.writer import Writer

log = logging.getLogger(__name__)


def retry(writer: Writer, msp_id: MspId, request_ids: Sequence[str], actor: str) -> dict[str, Any]:
    """{"results": [{"id", "ok", "refusal"}]}: each of the requests tried again at once, whatever pause its connection makes;
    should it wait for the same again, that is told.
    What the brake holds is not among them, that is approved; nor what contradicts, that is released."""

    def why_not(request: OpenRequest) -> dict[str, str] | None:
        if request.state == "parked" and request.kind == "contradiction":
            return refusal("parked", f"It is parked: {request.message}", "Look at the reason, then release it.")
        return _not_held(request) or not_waiting(request)

    return _let_go(writer, msp_id, request_ids, actor, why_not, released=False)


def release(writer: Writer, msp_id: MspId, request_ids: Sequence[str], actor: str) -> dict[str, Any]:
    """The same shape: each of the requests is planned anew, whatever we posted before; the brake still judges it."""

    def why_not(request: OpenRequest) -> dict[str, str] | None:
        return _not_held(request) or not_waiting(request)

    return _let_go(writer, msp_id, request_ids, actor, why_not, released=True)


def _not_held(request: OpenRequest) -> dict[str, str] | None:
    if request.state != "held":
        return None
    return refusal("held", f"It is held: {request.message}", "Approve or refuse it.")


def not_waiting(request: OpenRequest) -> dict[str, str] | None:
    """Why the request does not wait to be posted; None: it does."""
    if request.state in open_requests.TO_DO:
        return None
    words = {
        "done": ("done", "It is done already.", "Nothing to do."),
        "superseded": ("superseded", "A newer request has taken its place.", "Look at the newer one."),
        "refused": ("refused", "It was refused.", "Nothing to do: it is asked for anew when the count changes."),
        "dropped": ("dropped", "It was given up.", "Nothing to do: it is asked for anew when the count changes."),
        "shadowed": ("shadowed", "The mode is shadow: nothing is posted.", "Choose another mode to have it posted."),
    }
    being_posted = (
        "in_flight",
        "It is being posted, or its outcome is being read back.",
        "Wait until that is decided.",
    )
    return refusal(*words.get(request.state, being_posted))


def _let_go(
    writer: Writer,
    msp_id: MspId,
    request_ids: Sequence[str],
    actor: str,
    why_not: Callable[[OpenRequest], dict[str, str] | None],
    *,
    released: bool,
) -> dict[str, Any]:
    results: list[dict[str, Any]] = []
    with writer.engine.begin() as connection:
        known = open_requests.locked(connection, msp_id, request_ids)
        for request_id in request_ids:
            request = known.get(request_id)
            said = UNKNOWN if request is None else why_not(request)
            results.append({"id": request_id, "ok": said is None, "refusal": said})
        going = sorted({result["id"] for result in results if result["ok"]})
        rows = connection.execute(
            text(
                """UPDATE psa_writer.requests SET state = 'planned', next_try_at = :now, told_at = NULL,
                   released = released OR :released, contradictions = CASE WHEN :released THEN 0 ELSE contradictions END,
                   stream_version = stream_version + 1
                   WHERE msp_id = :m AND request_id = ANY(:ids) RETURNING connection_id"""
            ),
            {"m": msp_id, "ids": going, "released": released, "now": writer.clock.now()},
        )
        connections = sorted({ConnectionId(each) for each in rows.scalars()})
        connection.execute(
            text(
                """UPDATE psa_writer.connections SET paused_until = NULL
                   WHERE msp_id = :m AND connection_id = ANY(:connections)"""
            ),
            {"m": msp_id, "connections": connections},
        )
        put_work(connection, POSTS, msp_id, connections, writer.clock.now(), correlation_id(), reason=actor)
        told = [_event(known[request_id], writer.clock.now(), released=released) for request_id in going]
        append(connection, msp_id, told, writer.clock.now(), actor)
    log.info("a person let adjustments go", extra={"requests": going, "released": released, "actor": actor})
    return {"results": results}


def _event(request: OpenRequest, now: datetime, *, released: bool) -> tuple[str, NewEvent]:
    """What a person did, as the next event of the request, with the correlation of the request."""
    event = tell.let_go(request.wish, request.kind, request.message, released=released)
    stream, version = f"adjustment/{request.request_id}", request.stream_version + 1
    return request.correlation_id, NewEvent(stream=stream, stream_version=version, event=event, occurred_at=now)


def refusal(code: str, message: str, fix: str) -> dict[str, str]:
    """Why a person's wish is not done, in the shape of an answer's row."""
    return {"code": code, "message": message, "fix": fix}


UNKNOWN = refusal("unknown", "There is no such adjustment.", "Look at the list of failures for the right id.")
