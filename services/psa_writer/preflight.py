"""(agreement and product as just read, target) -> the first thing that stands against posting, with what to do about it."""

from datetime import date

from domain.keys import PsaAgreementId
from domain.money import Money
from services.psa_writer.hindrance import Hindrance
from services.psa_writer.psa.port import PsaAgreement, PsaProduct


def preflight(
    agreement: PsaAgreement | None,
    product: PsaProduct | None,
    linked_agreement: PsaAgreementId,
    target_unit_cost: Money | None,
    target_unit_price: Money | None,
    today: date,
) -> Hindrance | None:
    """None when the agreement and the product can take units today. today: a billing day in the MSP's time zone.
    linked_agreement: the one that the relation names. What the periods and units forbid is decide_post's matter."""
    if product is None:
        return Hindrance(
            "product_gone",
            "The product is no longer in the PSA, or our user may not see it.",
            "Add it to the agreement again and link the resource to it, or clear the relation.",
        )
    if product.psa_agreement_id != linked_agreement:
        return Hindrance(
            "product_moved",
            f"The product is on agreement {product.psa_agreement_id} now, not on {linked_agreement} as it was linked.",
            "Clear the relation and link the resource anew.",
        )
    if agreement is None:
        return Hindrance(
            "agreement_gone",
            "The agreement is no longer in the PSA, or our user may not see it.",
            "Link the resource to a product on an agreement that exists, or give our user the right to see agreements.",
        )
    return _agreement(agreement, today) or _product(product, target_unit_cost, target_unit_price)


def _agreement(agreement: PsaAgreement, today: date) -> Hindrance | None:
    if not agreement.recurring:
        return Hindrance(
            "agreement_not_recurring",
            f"Agreement {agreement.name!r} is not of the recurring kind, so it bills no units.",
            "Link the resource to a product on a recurring agreement.",
        )
    if today < agreement.start_date:
        return Hindrance(
            "agreement_not_begun",
            f"Agreement {agreement.name!r} begins on {agreement.start_date}.",
            "Nothing to do: it is posted when the agreement has begun.",
        )
    if today > agreement.end_date:
        return Hindrance(
            "agreement_ended",
            f"Agreement {agreement.name!r} ended on {agreement.end_date}.",
            "Prolong or renew it in the PSA, or link the resource to the product on the agreement that follows it.",
        )
    if not agreement.active:
        return Hindrance(
            "agreement_inactive",
            f"Agreement {agreement.name!r} is not active.",
            "Make it active in the PSA, or link the resource to a product on an active agreement.",
        )
    return None


def _product(product: PsaProduct, target_unit_cost: Money | None, target_unit_price: Money | None) -> Hindrance | None:
    if target_unit_cost and product.unit_cost and target_unit_cost.currency != product.unit_cost.currency:
        return Hindrance(
            "currency_differs",
            f"ODIN's cost is in {target_unit_cost.currency}, the product's in {product.unit_cost.currency}.",
            "Set the currency of the PSA connection right, or set the policy unit_cost to report.",
        )
    billed = product.unit_price or product.unit_cost
    if target_unit_price and billed and target_unit_price.currency != billed.currency:
        return Hindrance(
            "price_currency_differs",
            f"The relation's price is in {target_unit_price.currency}, the product's in {billed.currency}.",
            "Choose another price in the settings of the relation, or set the currency of the PSA connection right.",
        )
    return None
