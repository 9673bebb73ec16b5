"""An event -> what it tells of a resource or a product, in a sentence that a customer may be read, with before and after."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from domain import events as e
from domain.envelope import Envelope
from domain.money import Money
from domain.unit_rule import UnitRule

# Who stands in the log for the house itself.
_OURSELVES = frozenset({"poller", "mapping", "reconciler", "psa_writer", "reporting", "gateway"})


@dataclass(frozen=True)
class Told:
    """kind: for programs. Counts are ODIN's, exact; units are the PSA's, whole; None: the event does not speak of it, or it
    was unknown."""

    kind: str
    text: str
    count_before: Decimal | None = None
    count_after: Decimal | None = None
    units_before: int | None = None
    units_after: int | None = None


def tell(envelope: Envelope, time_zone: str) -> Told:
    """What the event tells. Moments are shown in the MSP's time zone (IANA). TypeError for an event that is no part of any
    lineage."""
    event = envelope.event
    on = f"on {moment(envelope.occurred_at, time_zone)}"
    for of in _TELLERS:
        told = of(event, on, who(envelope.actor))
        if told is not None:
            return told
    raise TypeError(f"{event.type} has no part in a lineage")


def who(actor: str) -> str:
    """Who did it, as a sentence says it: a service is Trueup."""
    return "Trueup" if actor in _OURSELVES else actor


def moment(at: datetime, time_zone: str) -> str:
    """A moment as "11 Jul 2026 14:01", in the given IANA time zone."""
    there = at.astimezone(ZoneInfo(time_zone))
    return f"{day(there.date())} {there:%H:%M}"


def day(of: date) -> str:
    """A day as "11 Jul 2026"."""
    return f"{of.day} {_MONTHS[of.month - 1]} {of.year}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def number(value: Decimal) -> str:
    """An exact number without an exponent."""
    return format(value, "f")


def _of_counts(event: e.Event, on: str, _by: str) -> Told | None:
    match event:
        case e.ResourceDiscovered(count=None):
            return Told("discovered", f"ODIN showed {event.resource_name} for the first time {on}, without a count.")
        case e.ResourceDiscovered(count=Decimal() as count):
            text = f"ODIN said {number(count)} {on}, when it first showed {event.resource_name}."
            return Told("discovered", text, count_after=count)
        case e.ResourceCountChanged(count=None, previous_count=before):
            return Told("count_changed", f"ODIN gave no count {on}{_had_said(before)}.", count_before=before)
        case e.ResourceCountChanged(count=Decimal() as count, previous_count=before):
            return Told("count_changed", f"ODIN said {number(count)} {on}{_had_said(before)}.", before, count)
        case e.ResourceDisappeared():
            text = f"{event.resource_name} was gone from ODIN {on}: {event.reason}."
            return Told("disappeared", text, event.previous_count, Decimal(0))
    return None


def _of_resources(event: e.Event, on: str, _by: str) -> Told | None:
    match event:
        case e.ResourceCostChanged():
            return Told("cost_changed", f"ODIN changed {' and '.join(_cost_changes(event))} {on}.")
        case e.ResourceRenamed():
            return Told("renamed", f"What was called {_called_before(event)} became {_called(event)} {on}.")
        case e.SubscriptionRenewed():
            text = f"Subscription {event.previous_subscription_id} was renewed as {event.subscription_id} {on}."
            return Told("renewed", text)
        case e.SubscriptionRenewalUnclear():
            text = f"Subscription {event.subscription_id} had ended {on}, and which one continues it was unclear."
            return Told("renewal_unclear", text)
        case e.SubscriptionRenewalSettled():
            what = f"subscription {event.continued_by} continues it" if event.continued_by else "nothing continues it"
            text = f"What became of subscription {event.subscription_id} was settled {on}: {what} ({event.reason})."
            return Told("renewal_settled", text)
    return None


def _had_said(before: Decimal | None) -> str:
    return "" if before is None else f"; before it had said {number(before)}"


def _cost_changes(event: e.ResourceCostChanged) -> list[str]:
    pairs = {
        "the cost of a unit": (event.previous_unit_cost, event.unit_cost),
        "the advised price of a unit": (event.previous_unit_price, event.unit_price),
    }
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]} or pairs
    return [f"{name} from {_money(before)} to {_money(after)}" for name, (before, after) in changed.items()]


def _money(money: Money | None) -> str:
    return "unknown" if money is None else f"{number(money.amount)} {money.currency}"


def _called_before(event: e.ResourceRenamed) -> str:
    names = (event.previous_resource_name, event.previous_subscription_name, event.previous_company_name)
    return f"{names[0]} ({', '.join(names[1:])})"


def _called(event: e.ResourceRenamed) -> str:
    return f"{event.resource_name} ({event.subscription_name}, {event.company_name})"


def _of_links(event: e.Event, on: str, by: str) -> Told | None:
    match event:
        case e.RelationSet(followed_from=str(old)):
            text = f"{by} let the link to {_line(event)} follow the renewal of subscription {old} {on}."
            return Told("relation_set", text)
        case e.RelationSet():
            return Told("relation_set", f"{by} linked {event.resource_name} to {_line(event)} {on}.")
        case e.RelationCleared(followed_to=str(new)):
            text = f"{by} ended the link to {_line(event)} {on}, because subscription {new} took over."
            return Told("relation_cleared", text)
        case e.RelationCleared():
            text = f"{by} cleared the link of {event.resource_name} to {_line(event)} {on}{_why(event.reason)}."
            return Told("relation_cleared", text)
    return None


def _of_settlings(event: e.Event, on: str, by: str) -> Told | None:
    match event:
        case e.RelationSettingsSaved():
            text = f"{by} settled for {event.resource_name} {on}: {rule_in_words(event.settings.rule)}; price {_price(event)}."
            return Told("relation_settings_saved", text)
        case e.RelationFrozen():
            return Told("relation_frozen", f"{by} froze the link to {_line(event)} {on}{_why(event.reason)}.")
        case e.RelationUnfrozen():
            return Told("relation_unfrozen", f"{by} unfroze the link to {_line(event)} {on}{_why(event.reason)}.")
        case e.ResourceExcluded():
            until = f"up to {day(event.until)}" if event.until else "without end"
            text = f"{by} left {event.resource_name} out of billing {until}, {on}{_why(event.reason)}."
            return Told("excluded", text)
        case e.ResourceIncluded():
            return Told("included", f"{by} took {event.resource_name} into billing again {on}{_why(event.reason)}.")
    return None


def rule_in_words(rule: UnitRule) -> str:
    """The unit rule as a sentence says it."""
    parts = [
        f"{number(rule.included)} included" if rule.included else "",
        f"packs of {rule.pack_size}" if rule.pack_size > 1 else "",
        {"none": "", "nearest": "rounded to the nearest"}.get(rule.rounding, f"rounded {rule.rounding}"),
        f"at least {rule.minimum} units" if rule.minimum else "",
    ]
    return ", ".join(part for part in parts if part) or "the count as is"


def _price(event: e.RelationSettingsSaved) -> str:
    price = event.settings.price
    match price.source:
        case "custom":
            return _money(price.price)
        case "cost_plus" if price.markup_percent is not None:
            return f"cost plus {number(price.markup_percent)} %"
        case "catalogue":
            return "as ODIN gives it"
    return "as it stands in the PSA"


def _why(reason: str) -> str:
    return f": {reason}" if reason else ""


def _line(event: Any) -> str:
    return f"{event.psa_product_name} ({event.psa_agreement_name}, {event.psa_customer_name})"


def _of_wishes(event: e.Event, on: str, _by: str) -> Told | None:
    match event:
        case e.AdjustmentRequested():
            parts = " + ".join(f"{number(cause.count)} {cause.resource_name}" for cause in event.causes[:_MOST_CAUSES])
            more = f" + {len(event.causes) - _MOST_CAUSES} more" if len(event.causes) > _MOST_CAUSES else ""
            text = (
                f"{event.psa_product_name} was to have {event.target_units} units {on} ({event.reason}): {parts}{more}."
            )
            return Told("requested", text)
        case e.AdjustmentSuperseded():
            return Told("superseded", f"An earlier wish gave way {on}: {event.reason}.")
        case e.PlanRefused():
            return Told("refused", f"No units could be asked for {on}. {event.reason}")
    return None


def _of_drift(event: e.Event, on: str, by: str) -> Told | None:
    match event:
        case e.DriftAdopted():
            text = (
                f"{by} took the PSA's {event.units} units as right {on}, though the counts come to {event.target_units}: "
                f"{event.reason}"
            )
            return Told("adopted", text, units_after=event.units)
        case e.DriftOverwritten():
            text = f"{by} had the PSA's {event.units} units brought to {event.target_units} again {on}: {event.reason}"
            return Told("overwritten", text, units_before=event.units, units_after=event.target_units)
    return None


def _of_posts(event: e.Event, on: str, _by: str) -> Told | None:
    match event:
        case e.AdjustmentPosted():
            return Told("posted", _posted(event, on), units_before=event.units_before, units_after=event.units_after)
        case e.UnitsFoundEqual():
            text = f"The PSA had {event.units} units already {on}, so nothing was posted."
            return Told("found_equal", text, units_before=event.units, units_after=event.units)
        case e.AdjustmentFailed():
            return Told("failed", f"The change to {event.target_units} units did not go out {on}. {event.message}")
        case e.AdjustmentParked():
            text = f"The change to {event.target_units} units waits for a person since {on[3:]}. {event.message}"
            return Told("parked", text)
    return None


def _of_hands(event: e.Event, on: str, by: str) -> Told | None:
    match event:
        case e.AdjustmentReleased():
            return Told("released", f"{by} released the change to {event.target_units} units {on}.")
        case e.AdjustmentRetried():
            return Told("retried", f"{by} had the change to {event.target_units} units tried again {on}.")
    return None


def _of_the_brake(event: e.Event, on: str, by: str) -> Told | None:
    match event:
        case e.AdjustmentHeld():
            text = f"The change to {event.target_units} units is held since {on[3:]}. {event.message}"
            return Told("held", text)
        case e.AdjustmentShadowed():
            text = f"The change from {event.units_before} to {event.target_units} units would have been posted {on}."
            return Told("shadowed", text)
        case e.AdjustmentApproved():
            nth = f" ({event.nth} of {event.people_needed})" if event.people_needed > 1 else ""
            return Told("approved", f"{by} approved the change to {event.target_units} units {on}{nth}.")
    return None


def _of_those_given_up(event: e.Event, on: str, by: str) -> Told | None:
    match event:
        case e.AdjustmentRefused():
            return Told("declined", f"{by} refused the change to {event.target_units} units {on}: {event.reason}")
        case e.AdjustmentMoved():
            return Told("moved", f"{by} moved the change to {event.target_units} units to the next period {on}.")
        case e.AdjustmentDropped():
            return Told("dropped", f"{by} gave up the change to {event.target_units} units {on}: {event.reason}")
    return None


def _of_the_psa(event: e.Event, on: str, _by: str) -> Told | None:
    match event:
        case e.PsaUnitsObserved():
            text = f"The PSA showed {event.units} units {on}."
            return Told("units_read", text, units_before=event.previous_units, units_after=event.units)
        case e.PsaRecordGone():
            return Told("gone", f"{event.name} was no longer in the PSA {on}.")
    return None


_MOST_CAUSES = 10


def _posted(event: e.AdjustmentPosted, on: str) -> str:
    since = f"effective {day(event.effective_date)}"
    if event.unit_change == 0:
        values = {
            "unit cost": (event.unit_cost_before, event.unit_cost_after),
            "unit price": (event.unit_price_before, event.unit_price_after),
        }
        new = [f"a {name} of {_money(after)}" for name, (before, after) in values.items() if before != after]
        posted = " and ".join(new) or f"a unit cost of {_money(event.unit_cost_after)}"
        return f"Trueup posted {posted} {on}, {since} ({event.proof})."
    units = f"{event.unit_change:+d} units ({event.units_before} → {event.units_after})"
    return f"Trueup posted {units} {on}, {since} ({event.proof})."


_TELLERS = (
    _of_counts,
    _of_resources,
    _of_links,
    _of_settlings,
    _of_wishes,
    _of_drift,
    _of_posts,
    _of_hands,
    _of_the_brake,
    _of_those_given_up,
    _of_the_psa,
)
