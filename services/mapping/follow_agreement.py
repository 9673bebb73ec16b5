"""(an ended agreement with relations on it, the customer's other agreements) -> where the relations go, or that it is unclear.

A PSA does not prolong a contract by itself: people make the next one and put the same products on it, under new ids. Taken
at its word the relations would stand on a contract that cannot be billed any more. Evidence, all inside one customer: the
other agreement begins about when this one ends and carries one product of the same name for each that is linked.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from domain.events import AgreementCandidate
from domain.keys import PsaAgreementId
from services.mapping.decide_relation import Agreement, Product, Relation

# The next contract begins the day after, as a rule; people make it some weeks early or late.
NEAR = timedelta(days=45)


@dataclass(frozen=True)
class Standing:
    """An agreement with its products, by id."""

    psa_agreement_id: PsaAgreementId
    psa_agreement_name: str
    agreement: Agreement
    products: tuple[Product, ...]


@dataclass(frozen=True)
class Move:
    """A relation leaves its product for the one of the same name on the agreement that follows."""

    relation: Relation
    product: Product


@dataclass(frozen=True)
class Followed:
    """All relations of the ended agreement go to one other agreement."""

    to: Standing
    moves: tuple[Move, ...]


def has_ended(agreement: Agreement, today: date) -> bool:
    """Whether nothing can be billed on it any more. today: the billing day in the MSP's time zone."""
    return agreement.gone or not agreement.active or agreement.end_date < today


def follow_agreement(
    ended: Agreement, relations: Sequence[Relation], others: Iterable[Standing], today: date
) -> Followed | tuple[AgreementCandidate, ...]:
    """Followed when exactly one agreement carries all that is linked; else those that carry some of it, for a person (empty:
    there is none)."""
    near = [(other, moves_to(relations, other)) for other in others if _may_follow(other.agreement, ended, today)]
    carrying = [(other, moves) for other, moves in near if moves]
    whole = [Followed(other, moves) for other, moves in carrying if len(moves) == len(relations)]
    if len(whole) == 1:
        return whole[0]
    return tuple(
        AgreementCandidate(
            psa_agreement_id=other.psa_agreement_id,
            psa_agreement_name=other.psa_agreement_name,
            evidence=_evidence(relations, other, moves),
        )
        for other, moves in sorted(carrying, key=lambda pair: (-len(pair[1]), pair[0].psa_agreement_id))
    )


def moves_to(relations: Iterable[Relation], other: Standing) -> tuple[Move, ...]:
    """The relations whose product stands on the other agreement under the same name, once and active."""
    by_name: dict[str, list[Product]] = {}
    for product in other.products:
        if product.active and not product.gone:
            by_name.setdefault(_plain(product.names.psa_product_name), []).append(product)
    moves = []
    for relation in relations:
        same = by_name.get(_plain(relation.psa.psa_product_name), [])
        if len(same) == 1:
            moves.append(Move(relation, same[0]))
    return tuple(moves)


def whole_subscriptions(relations: Iterable[Relation], moves: Iterable[Move]) -> tuple[Move, ...]:
    """The moves of subscriptions whose relations all move: a subscription belongs to one agreement."""
    moving = {move.relation.relation_id: move for move in moves}
    left = {_subscription(each) for each in relations if each.relation_id not in moving}
    return tuple(move for move in moving.values() if _subscription(move.relation) not in left)


def _subscription(relation: Relation) -> tuple[str, str]:
    return relation.odin.connection_id, relation.odin.subscription_id


def _may_follow(other: Agreement, ended: Agreement, today: date) -> bool:
    runs = other.active and other.recurring and not other.gone and other.start_date <= today <= other.end_date
    end = min(ended.end_date, today)
    return runs and other.start_date > ended.start_date and abs(other.start_date - end) <= NEAR


def _evidence(relations: Sequence[Relation], other: Standing, moves: Sequence[Move]) -> tuple[str, ...]:
    carried = {move.relation.psa.psa_product_id for move in moves}
    missing = sorted(
        {each.psa.psa_product_name for each in relations if each.psa.psa_product_id not in carried}, key=str.casefold
    )
    linked = len({each.psa.psa_product_id for each in relations})
    return (
        "same customer",
        f"runs from {other.agreement.start_date} to {other.agreement.end_date}",
        f"carries {len(carried)} of {linked} linked products",
        *(f"has no single “{name}”" for name in missing),
    )


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
