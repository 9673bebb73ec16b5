"""Policies that are not saved yet -> what they would do to the open requests, by the very planning that a post goes through."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from domain.keys import ConnectionId, MspId
from domain.money import Money
from domain.policies import Policies
from plumbing import setup
from plumbing.budget import BudgetSpent
from services.psa_writer import open_requests, standing
from services.psa_writer.braking import Braked, Planned
from services.psa_writer.check_brake import Shadow
from services.psa_writer.failing import as_failure
from services.psa_writer.leases import Lease
from services.psa_writer.open_requests import OpenRequest
from services.psa_writer.planning import Hindered, read_and_plan
from services.psa_writer.psa.port import PsaFailure
from services.psa_writer.round import Round
from services.psa_writer.writer import Writer

#: So many requests are looked at: a preview ends in time, and many more would wait for the same few reasons.
MOST_REQUESTS = 5_000
#: Hindrances that hold for a person's word; all others stand against a post whatever the policies are.
_HOLDS = ("posts_lost", "post_doubled")

What = Literal["posted", "held", "shadowed", "equal", "hindered"]


@dataclass(frozen=True)
class Verdict:
    """What would become of one request. reason, message: why it would not be posted; price_per_month: what customers would be
    billed more in a month, None: the product has no price."""

    what: What
    reason: str = ""
    message: str = ""
    unit_change: int = 0
    price_per_month: Money | None = None


def preview_policies(writer: Writer, msp_id: MspId, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sum of all verdicts, see sum_up, with "held_now": how many wait for a person as it is, and "left_out": how many were
    not looked at. rows: {policy, value, company_id, resource_id}, all that would be decided. Nothing is posted or kept; a
    connection that cannot be read hinders all its requests."""
    decided = Policies.of_rows(0, rows)
    with writer.engine.connect() as connection:
        requests = open_requests.to_do(connection, msp_id, MOST_REQUESTS)
        total = open_requests.count_to_do(connection, msp_id)
    own: dict[ConnectionId, list[OpenRequest]] = {}
    for request in requests:
        own.setdefault(request.wish.psa_connection_id, []).append(request)
    verdicts = [
        verdict
        for connection_id in sorted(own)
        for verdict in _judged(writer, msp_id, connection_id, own[connection_id], decided)
    ]
    held_now = sum(request.state == "held" for request in requests)
    return sum_up(verdicts) | {"held_now": held_now, "left_out": total - len(requests)}


def sum_up(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """{"adjustments", "posted", "held", "shadowed", "equal", "hindered"}: how many; "unit_change" and "price_per_month"
    [{amount, currency}] of what is posted, by currency and to the cent; "holds" and "hindrances" [{reason, message,
    adjustments}], the most frequent first."""
    counted = Counter(verdict.what for verdict in verdicts)
    prices: dict[str, Money] = {}
    for verdict in verdicts:
        if (price := verdict.price_per_month) is not None:
            prices[price.currency] = prices[price.currency] + price if price.currency in prices else price
    return {
        "adjustments": len(verdicts),
        **{what: counted[what] for what in ("posted", "held", "shadowed", "equal", "hindered")},
        "unit_change": sum(verdict.unit_change for verdict in verdicts),
        "price_per_month": [
            {"amount": str(prices[currency].rounded().amount), "currency": currency} for currency in sorted(prices)
        ],
        "holds": _reasons(verdict for verdict in verdicts if verdict.what == "held"),
        "hindrances": _reasons(verdict for verdict in verdicts if verdict.what == "hindered"),
    }


def _reasons(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    found: dict[str, list[str]] = {}
    for verdict in verdicts:
        found.setdefault(verdict.reason, []).append(verdict.message)
    rows = [{"reason": reason, "message": told[0], "adjustments": len(told)} for reason, told in found.items()]
    return sorted(rows, key=lambda row: (-row["adjustments"], row["reason"]))


def _judged(
    writer: Writer, msp_id: MspId, connection_id: ConnectionId, requests: Sequence[OpenRequest], decided: Policies
) -> list[Verdict]:
    try:
        round_ = _round(writer, msp_id, connection_id, decided)
    except KeyError:
        return [_hindered("connection_gone", "The PSA connection is not there any more.")] * len(requests)
    try:
        found = read_and_plan(round_, requests)
    except (PsaFailure, BudgetSpent) as failure:
        failed = as_failure(failure, writer.clock.now())
        return [_hindered(failed.kind, failed.message)] * len(requests)
    finally:
        round_.opened.close()
    return [*map(verdict_of, found.planned), *map(verdict_of, found.braked), *map(verdict_of, found.hindered)]


def verdict_of(found: Planned | Braked | Hindered) -> Verdict:
    """What planning one request came to, as a verdict."""
    if isinstance(found, Braked):
        why = found.why
        return Verdict("shadowed") if isinstance(why, Shadow) else Verdict("held", why.rule, why.message)
    if isinstance(found, Hindered):
        code, message = found.hindrance.code, found.hindrance.message
        return Verdict("held", code, message) if code in _HOLDS else _hindered(code, message)
    if not found.plan.changes:
        return Verdict("equal")
    unit_change, product = sum(change.unit_change for change in found.plan.changes), found.product
    price = product.unit_price.times(Decimal(unit_change) / product.period_type.months) if product.unit_price else None
    return Verdict("posted", unit_change=unit_change, price_per_month=price)


def _hindered(reason: str, message: str) -> Verdict:
    return Verdict("hindered", reason, message)


def _round(writer: Writer, msp_id: MspId, connection_id: ConnectionId, decided: Policies) -> Round:
    """As for a post, but without its turn: nothing is sent, and reading needs no lease. KeyError when it is gone."""
    with writer.engine.connect() as connection:
        outside = setup.connection_of(connection, msp_id, connection_id)
        now = standing.standing(connection, msp_id, connection_id)
        msp = setup.msp(connection, msp_id)
    return Round(writer, msp, outside, now, decided, writer.open_psa(outside), Lease(msp_id, connection_id, {}))
