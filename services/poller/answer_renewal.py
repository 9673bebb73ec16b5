"""(a subscription whose renewal is unclear, a person's answer) -> what continues it, or that nothing does, as events.

Until somebody answers, the counts of the ended subscription stand as they were last seen: nothing falls to zero on a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.events import Event, ResourceDisappeared, SubscriptionRenewalSettled
from domain.keys import SubscriptionId
from services.poller.detect_changes import Names
from services.poller.follow_renewals import Renewal, after_renewal, renewal_event
from services.poller.known_model import KnownSubscription, State


@dataclass(frozen=True, slots=True)
class Answer:
    """continued_by None: it was not renewed. by: who says so; reason: why, for the record."""

    subscription_id: SubscriptionId
    continued_by: SubscriptionId | None
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The subscriptions as they are known from now on, and the events, in order. Both empty: it was answered so before."""

    subscriptions: tuple[KnownSubscription, ...] = ()
    events: tuple[Event, ...] = ()


class NoAnswer(Exception):
    """The answer cannot be taken. code never changes; message and fix are for people."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(message)
        self.code, self.message, self.fix = code, message, fix


def answer_renewal(company: Sequence[KnownSubscription], answer: Answer, names: Names) -> Answered:
    """What the answer leads to, among all known subscriptions of the company. A person may name any living subscription of
    the company that continues no other. NoAnswer."""
    by_id = {each.row.subscription_id: each for each in company}
    ended = by_id.get(answer.subscription_id)
    if ended is None:
        raise NoAnswer("subscription_unknown", "This subscription is not known.", "Load the questions again.")
    if ended.state is not State.HELD:
        return _answered_before(ended, answer)
    if answer.continued_by is None:
        return _not_renewed(ended, answer, names)
    successor = by_id.get(answer.continued_by)
    if successor is None or successor.state is not State.LIVE or not successor.live_resources or successor is ended:
        raise NoAnswer(
            "no_successor",
            f"Subscription {answer.continued_by} is not a living one of {names.company(ended.row.company_id)}.",
            "Choose one of the candidates, or wait until the marketplace shows the right one.",
        )
    if successor.continues:
        raise NoAnswer(
            "successor_taken",
            f"Subscription {answer.continued_by} continues subscription {successor.continues} already.",
            "Choose another one, or say that this one was not renewed.",
        )
    renewal = Renewal(replace(ended, state=State.CONFIRMING), successor, (f"{answer.by}: {answer.reason}",))
    settled = _settled(ended, names, answer.reason, successor)
    return Answered(tuple(after_renewal(renewal)), (renewal_event(renewal, names), settled))


def alive_again(known: KnownSubscription, names: Names) -> SubscriptionRenewalSettled:
    """The event of a subscription that was held and that the marketplace shows alive."""
    return _settled(known, names, "the marketplace shows it alive again", None)


def _answered_before(ended: KnownSubscription, answer: Answer) -> Answered:
    same = (
        ended.continued_by == answer.continued_by
        if answer.continued_by
        else ended.state is State.ENDED and ended.continued_by is None
    )
    if same:
        return Answered()
    raise NoAnswer(
        "answered",
        f"What became of subscription {answer.subscription_id} is no question any more.",
        "Load the questions again.",
    )


def _not_renewed(ended: KnownSubscription, answer: Answer, names: Names) -> Answered:
    gone = [
        ResourceDisappeared(
            **names.of(ended.row, each.company_id, each.resource.resource_id, each.resource.name),
            previous_count=each.resource.count,
            reason=f"{answer.by} says that it was not renewed: {answer.reason}",
            confirmed_by_polls=each.missing_polls,
        )
        for each in ended.live_resources
    ]
    parts = tuple(replace(each, ended=True) for each in ended.resources)
    # Without a day on which it ended nothing is looked for that could continue it.
    after = replace(ended, resources=parts, state=State.ENDED, ended_on=None)
    return Answered((after,), (*gone, _settled(ended, names, answer.reason, None)))


def _settled(
    ended: KnownSubscription, names: Names, reason: str, successor: KnownSubscription | None
) -> SubscriptionRenewalSettled:
    return SubscriptionRenewalSettled(
        connection_id=names.connection_id,
        company_id=ended.row.company_id,
        company_name=names.company(ended.row.company_id),
        subscription_id=ended.row.subscription_id,
        subscription_name=ended.row.name,
        continued_by=successor.row.subscription_id if successor else None,
        continued_by_name=successor.row.name if successor else None,
        reason=reason,
    )
