"""(plans of a round, what is known beside them) -> which go out, which the brake holds and which are only shown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from domain.events import CloseReopened, CloseSignedOff, Evidence, PollCompleted
from domain.events.reconciler import REASONS_OF_POLLS
from domain.months import Month
from domain.policies import Policies
from plumbing import setup
from services.psa_writer import intents
from services.psa_writer.as_read import AsRead
from services.psa_writer.check_brake import (
    Facts,
    Held,
    Limits,
    Shadow,
    check_brake,
    check_hour,
    check_swing,
    limits_of,
    units_moved,
)
from services.psa_writer.decide_post import Plan
from services.psa_writer.intents import Intent
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.policies_for import fed_by
from services.psa_writer.psa.port import PsaProduct
from services.psa_writer.round import Round

_HOUR = timedelta(hours=1)
_OTHERS, _RANGE = timedelta(days=1), timedelta(days=90)
#: So many polls of a connection are looked through for the one behind a request.
_POLLS = 50


@dataclass(frozen=True)
class Planned:
    """A request, the product as it was read for it, and its plan."""

    request: OpenRequest
    product: PsaProduct
    as_read: AsRead
    plan: Plan


@dataclass(frozen=True)
class Braked:
    """What is not posted though it could be, and why."""

    planned: Planned
    why: Held | Shadow


@dataclass(frozen=True)
class Poll:
    """The poll behind a request, when it has ended. before: subscriptions in the complete poll before it."""

    complete: bool
    subscriptions: int
    before: int | None

    @property
    def short_answer(self) -> str | None:
        """Why its answer is doubted."""
        if self.before is None or self.subscriptions * 2 >= self.before:
            return None
        return f"The poll behind this saw {self.subscriptions} subscriptions where the one before saw {self.before}."


@dataclass(frozen=True)
class Brake:
    """What is known beside the plans of some requests. frozen_until: see check_brake.Facts; polls by correlation id; swings:
    units that other requests of the same poll move; moved: units changed in the last hour."""

    decided: Policies
    frozen_until: date | None
    polls: Mapping[str, Poll]
    swings: Mapping[str, int]
    moved: int

    def of_request(self, request: OpenRequest, plan: Plan) -> Held | Shadow | None:
        """What it says of one plan by itself."""
        poll = self.polls.get(request.correlation_id)
        facts = Facts(
            hold_first=request.wish.hold_first,
            frozen_until=self.frozen_until,
            short_answer=poll.short_answer if poll else None,
            approved=request.approved,
        )
        return check_brake(plan, request.wish.target_units, self.limits(request), facts)

    def limits(self, request: OpenRequest) -> Limits:
        """The limits of the request's product."""
        return limits_of(self.decided, fed_by(request.wish))

    def of_round(self, planned: Sequence[Planned]) -> tuple[list[Planned], list[Braked]]:
        """The plans of a round: free to go, in order, and not. What people have approved is not held for what others move."""
        found = [(each, self.of_request(each.request, each.plan)) for each in planned]
        swings = self._swings(planned)
        fine: list[Planned] = []
        braked: list[Braked] = []
        moved = self.moved
        for each, said in found:
            why = said or self._among_others(each, swings.get(each.request.correlation_id, 0), moved)
            if why is not None:
                braked.append(Braked(each, why))
                continue
            moved += units_moved(each.plan)
            fine.append(each)
        return fine, braked

    def _among_others(self, each: Planned, swing: int, moved: int) -> Held | None:
        if each.request.approved or not units_moved(each.plan):
            return None
        limits = self.limits(each.request)
        swings = check_swing(each.plan, swing, self.decided, limits)
        return swings or check_hour(each.plan, moved, self.decided, limits)

    def _swings(self, planned: Sequence[Planned]) -> dict[str, int]:
        found = dict(self.swings)
        for each in planned:
            if each.request.wish.reason in REASONS_OF_POLLS:
                key = each.request.correlation_id
                found[key] = found.get(key, 0) + units_moved(each.plan)
        return found


def load(connection: Connection, round_: Round, requests: Sequence[OpenRequest], decided: Policies) -> Brake:
    """What is known beside the plans of these requests."""
    of_polls = [request for request in requests if request.wish.reason in REASONS_OF_POLLS]
    return Brake(
        decided,
        _frozen_until(connection, round_, decided),
        _polls(connection, round_, of_polls),
        _swings(connection, round_, of_polls, requests),
        intents.units_moved_since(connection, round_.msp_id, round_.now - _HOUR),
    )


def next_look(round_: Round, held: Held, after: timedelta) -> datetime | None:
    """When a held request is looked at again by itself; None: when a person has decided. after: a while from now."""
    if held.until is not None:
        return datetime.combine(held.until, time(), ZoneInfo(round_.msp.time_zone))
    return round_.now + after if held.rule == "hour" else None


def evidence_of(
    connection: Connection, round_: Round, brake: Brake, braked: Iterable[Braked]
) -> dict[str, tuple[Evidence, ...]]:
    """What speaks for each of the changes being right, and what against it, by request."""
    requests = [each.planned.request for each in braked]
    rows = connection.execute(
        text(
            """SELECT w.request_id, (
                   SELECT count(DISTINCT r.wish ->> 'company_id') FROM psa_writer.requests r
                   WHERE r.msp_id = :m AND r.wish ->> 'resource_id' = w.resource_id AND r.asked_at > :a_day_ago
                   AND r.wish ->> 'company_id' <> w.company_id) AS others, p.fewest, p.most
               FROM unnest(CAST(:ids AS text[]), CAST(:resources AS text[]), CAST(:companies AS text[]),
                           CAST(:products AS text[])) AS w (request_id, resource_id, company_id, product_id)
               CROSS JOIN LATERAL (
                   SELECT min((r.wish ->> 'target_units')::int) AS fewest, max((r.wish ->> 'target_units')::int) AS most
                   FROM psa_writer.requests r WHERE r.msp_id = :m AND r.connection_id = :c
                   AND r.psa_product_id = w.product_id AND r.request_id <> w.request_id AND r.asked_at > :long_ago) p"""
        ),
        {
            "m": round_.msp_id,
            "c": round_.connection_id,
            "a_day_ago": round_.now - _OTHERS,
            "long_ago": round_.now - _RANGE,
            "ids": [request.request_id for request in requests],
            "resources": [request.wish.resource_id for request in requests],
            "companies": [request.wish.company_id for request in requests],
            "products": [request.psa_product_id for request in requests],
        },
    )
    beside = {row.request_id: (row.others, row.fewest, row.most) for row in rows}
    return {
        request.request_id: tuple(
            _evidence(brake.polls.get(request.correlation_id), request.wish.target_units, *beside[request.request_id])
        )
        for request in requests
    }


def _evidence(poll: Poll | None, target: int, others: int, fewest: int | None, most: int | None) -> Iterable[Evidence]:
    if poll is not None and poll.complete:
        yield Evidence(speaks_for=True, text=f"ODIN was read whole: {poll.subscriptions} subscriptions.")
    elif poll is not None:
        yield Evidence(speaks_for=False, text="The poll behind this did not read everything.")
    if others:
        are = "other customer" if others == 1 else "other customers"
        yield Evidence(speaks_for=False, text=f"{others} {are} of this resource changed in the last day as well.")
    else:
        yield Evidence(speaks_for=True, text="No other customer of this resource changed in the last day.")
    if fewest is not None and most is not None:
        asked = f"{fewest}" if fewest == most else f"{fewest} to {most}"
        yield Evidence(speaks_for=fewest <= target <= most, text=f"In the last 90 days {asked} units were asked for.")


def _frozen_until(connection: Connection, round_: Round, decided: Policies) -> date | None:
    """The end of the running month when its numbers should stand still: near its end, or because it was signed off."""
    month = Month(round_.today.replace(day=1))
    if month.freeze_from(round_.msp.time_zone, int(decided.of_msp("freeze_hours"))) <= round_.now:
        return month.due_on
    newest = connection.scalar(
        text(
            """SELECT type FROM log.events WHERE msp_id = :m AND stream = :stream AND type = ANY(:types)
               ORDER BY stream_version DESC LIMIT 1"""
        ),
        {
            "m": round_.msp_id,
            "stream": f"close/{round_.connection_id}/{month}",
            "types": [CloseSignedOff.type, CloseReopened.type],
        },
    )
    return month.due_on if newest == CloseSignedOff.type else None


def _polls(connection: Connection, round_: Round, requests: Iterable[OpenRequest]) -> dict[str, Poll]:
    """The polls behind the requests that have ended."""
    wanted = {request.correlation_id for request in requests}
    if not wanted:
        return {}
    rows = connection.execute(
        text(
            """SELECT e.stream, e.correlation_id, (e.payload ->> 'complete')::boolean AS complete,
                   (e.payload ->> 'subscriptions')::int AS subscriptions
               FROM unnest(CAST(:streams AS text[])) AS s (stream) CROSS JOIN LATERAL (
                   SELECT * FROM log.events e WHERE e.msp_id = :m AND e.stream = s.stream AND e.type = :completed
                   ORDER BY e.stream_version DESC LIMIT :most) e
               ORDER BY e.stream, e.stream_version"""
        ),
        {
            "m": round_.msp_id,
            "streams": sorted({f"poll/{request.wish.connection_id}" for request in requests}),
            "completed": PollCompleted.type,
            "most": _POLLS,
        },
    )
    found: dict[str, Poll] = {}
    before: dict[str, int] = {}
    for row in rows:
        if row.correlation_id in wanted:
            found[row.correlation_id] = Poll(row.complete, row.subscriptions, before.get(row.stream))
        if row.complete:
            before[row.stream] = row.subscriptions
    return found


def _swings(
    connection: Connection, round_: Round, of_polls: Iterable[OpenRequest], these: Iterable[OpenRequest]
) -> dict[str, int]:
    """Units that other requests of the same polls have moved, or would move but are held."""
    polls = sorted({request.correlation_id for request in of_polls})
    if not polls:
        return {}
    rows = connection.execute(
        text(
            """SELECT r.correlation_id, sum(coalesce(i.moved, r.moves)) FROM psa_writer.requests r CROSS JOIN LATERAL (
                   SELECT sum(abs(unit_change)) AS moved FROM psa_writer.intents i WHERE i.msp_id = r.msp_id
                   AND i.request_id = r.request_id AND i.state IN ('sent', 'proved', 'edited')) i
               WHERE r.msp_id = :m AND r.correlation_id = ANY(:polls) AND r.request_id <> ALL(:these)
               AND r.wish ->> 'reason' = ANY(:reasons) GROUP BY 1"""
        ),
        {
            "m": round_.msp_id,
            "polls": polls,
            "these": [request.request_id for request in these],
            "reasons": list(REASONS_OF_POLLS),
        },
    )
    return {row[0]: int(row[1]) for row in rows}


def free_to_go(
    connection: Connection,
    round_: Round,
    planned: Sequence[Planned],
    known: Mapping[str, OpenRequest],
    decided: Policies,
) -> set[str]:
    """The requests of which the brake, asked once more with what holds in this transaction, says nothing. Shadow mode that
    was switched on since they were planned, a month that was signed off and what a person moved stop here."""
    brake = load(connection, round_, list(known.values()), decided)
    found = [(each, known.get(each.request.request_id)) for each in planned]
    return {
        request.request_id
        for each, request in found
        if request is not None
        and request.effective == each.request.effective
        and brake.of_request(request, each.plan) is None
    }


def held_back(
    connection: Connection, round_: Round, sent: Iterable[Intent], known: Mapping[str, OpenRequest]
) -> set[str]:
    """The requests whose intents, of which nothing was applied, would not be free to go today: they were at their mark, and the
    mode, a limit or the day has changed since."""
    own: dict[str, list[Intent]] = {}
    for intent in sent:
        own.setdefault(intent.request_id, []).append(intent)
    brake = load(connection, round_, [known[each] for each in own], setup.policies(connection, round_.msp_id))
    plans = {each: intents.as_plan(its, round_.today) for each, its in own.items()}
    return {each for each, plan in plans.items() if brake.of_request(known[each], plan) is not None}
