"""(a wish to link, what is known, today) -> the relation, or a refusal with its reason: the three-level rule.

Level 1: a company belongs to one PSA customer and a PSA customer to one company; counted for each pair of a marketplace
and a PSA connection, since one customer may buy on two marketplaces. Level 2: a subscription belongs to one agreement; an
agreement may carry several subscriptions of its company. Level 3: a resource feeds one product; several resources may feed
one product, and their units add up (docs/decisions/0005). User guide, "Mapping".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.events.names import OdinNames, PsaNames
from domain.keys import ResourceKey
from domain.relation_settings import AS_NEW, RelationSettings

ProductId = tuple[str, str]


@dataclass(frozen=True)
class Resource:
    """A resource that mapping has heard of. counted: ODIN has given a count for it."""

    names: OdinNames
    counted: bool
    usage_based: bool
    gone: bool
    excluded: bool = False


@dataclass(frozen=True)
class Agreement:
    """What matters of an agreement. Both days belong to it."""

    active: bool
    recurring: bool
    start_date: date
    end_date: date
    gone: bool


@dataclass(frozen=True)
class Product:
    """A PSA product with the agreement it stands on (None: not read yet)."""

    names: PsaNames
    active: bool
    gone: bool
    agreement: Agreement | None
    customer_gone: bool


@dataclass(frozen=True)
class Relation:
    """A live relation: the resource feeds the product, by the settings, unless it is frozen."""

    relation_id: str
    odin: OdinNames
    psa: PsaNames
    settings: RelationSettings = AS_NEW
    frozen: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a wish is not granted, and what the person can do. code never changes; the words may."""

    code: str
    message: str
    fix: str


@dataclass(frozen=True)
class Wish:
    """This resource shall feed this product. score: of the suggestion that is accepted with it, 0 to 1."""

    resource_key: ResourceKey
    product_id: ProductId
    score: Decimal | None = None


@dataclass(frozen=True)
class Link:
    """The wish is granted: the resource and the product to tie."""

    odin: OdinNames
    psa: PsaNames


class Known:
    """What a decision looks at: the resources and products of the wishes, and every live relation of their companies and PSA
    customers. link() adds a relation, so that the next decision sees it."""

    def __init__(
        self,
        resources: Mapping[ResourceKey, Resource],
        products: Mapping[ProductId, Product],
        relations: Iterable[tuple[ResourceKey, Relation]] = (),
    ) -> None:
        self.resources, self.products = resources, products
        self.linked: dict[ResourceKey, Relation] = {}
        self.of_company: dict[tuple[str, str, str], Relation] = {}
        self.of_customer: dict[tuple[str, str, str], Relation] = {}
        self.of_subscription: dict[tuple[str, str], Relation] = {}
        for resource_key, relation in relations:
            self.link(resource_key, relation)

    def link(self, resource_key: ResourceKey, relation: Relation) -> None:
        """Takes note of a live relation."""
        odin, psa = relation.odin, relation.psa
        self.linked[resource_key] = relation
        self.of_company[odin.connection_id, odin.company_id, psa.psa_connection_id] = relation
        self.of_customer[psa.psa_connection_id, psa.psa_customer_id, odin.connection_id] = relation
        self.of_subscription[odin.connection_id, odin.subscription_id] = relation


def decide_relation(wish: Wish, known: Known, today: date) -> Link | Relation | Refusal:
    """A Link to make; the Relation that ties just these two already; or the first reason against it. today: the billing
    day in the MSP's time zone."""
    resource = known.resources.get(wish.resource_key)
    if resource is None:
        return RESOURCE_UNKNOWN
    product = known.products.get(wish.product_id)
    if product is None:
        return _PRODUCT_UNKNOWN
    relation = known.linked.get(wish.resource_key)
    if relation and (relation.psa.psa_connection_id, relation.psa.psa_product_id) == wish.product_id:
        return relation
    link = Link(resource.names, product.names)
    refusal = (
        _resource_refusal(resource)
        or _product_refusal(product)
        or _agreement_refusal(product, today)
        or _level_refusal(link, known, relation)
    )
    return refusal or link


RESOURCE_UNKNOWN = Refusal(
    "resource_unknown",
    "This resource is not known.",
    "Reload the page; if it is still listed there, wait for the next poll of the marketplace.",
)
_PRODUCT_UNKNOWN = Refusal(
    "product_unknown", "This PSA product is not known.", "Read the PSA's catalogue again, then choose the product anew."
)


def _resource_refusal(resource: Resource) -> Refusal | None:
    name = f"“{resource.names.resource_name}”"
    if resource.gone:
        return Refusal(
            "resource_gone", f"{name} is no longer in the marketplace.", "Choose the resource that took its place."
        )
    if resource.usage_based:
        return Refusal(
            "resource_usage_based",
            f"{name} is billed by usage and has no count that could become units.",
            "Bill it by hand in the PSA.",
        )
    if resource.excluded:
        return Refusal("resource_excluded", f"{name} is excluded from billing.", "Include it first, then link it.")
    if not resource.counted:
        return Refusal(
            "resource_without_count",
            f"The marketplace has not given a count for {name} yet.",
            "Wait for the next poll, then link it.",
        )
    return None


def _product_refusal(product: Product) -> Refusal | None:
    name = f"“{product.names.psa_product_name}”"
    if product.gone:
        return Refusal(
            "product_gone",
            f"{name} is no longer on the agreement “{product.names.psa_agreement_name}”.",
            "Add the product to the agreement in the PSA and read the catalogue, or choose another product.",
        )
    if not product.active:
        return Refusal(
            "product_inactive",
            f"{name} is inactive in the PSA.",
            "Make it active in the PSA, or choose another product.",
        )
    if product.customer_gone:
        return Refusal(
            "customer_gone",
            f"The PSA customer “{product.names.psa_customer_name}” is no longer in the PSA.",
            "Choose a product of a customer that is there.",
        )
    return None


def _agreement_refusal(product: Product, today: date) -> Refusal | None:
    agreement, name = product.agreement, f"The agreement “{product.names.psa_agreement_name}”"
    if agreement is None:
        return Refusal("agreement_unknown", f"{name} is not known yet.", "Read the PSA's catalogue again, then link.")
    faults = {
        "agreement_gone": (agreement.gone, "is no longer in the PSA.", "Choose a product of another agreement."),
        "agreement_inactive": (
            not agreement.active,
            "is not active.",
            "Make it active in the PSA, or choose another agreement.",
        ),
        "agreement_not_recurring": (
            not agreement.recurring,
            "does not recur, so it cannot bill a count every period.",
            "Choose a recurring service agreement.",
        ),
        "agreement_not_begun": (
            today < agreement.start_date,
            f"begins on {agreement.start_date}.",
            "Link on that day, or choose an agreement that runs today.",
        ),
        "agreement_ended": (
            today > agreement.end_date,
            f"ended on {agreement.end_date}.",
            "Renew it in the PSA and read the catalogue, or choose one that runs today.",
        ),
    }
    for code, (wrong, what, fix) in faults.items():
        if wrong:
            return Refusal(code, f"{name} {what}", fix)
    return None


def _level_refusal(link: Link, known: Known, relation: Relation | None) -> Refusal | None:
    odin, psa = link.odin, link.psa
    if relation is not None:
        return Refusal(
            "resource_linked",
            f"“{odin.resource_name}” already feeds “{relation.psa.psa_product_name}” on “{relation.psa.psa_agreement_name}”.",
            "Clear that relation first; a resource feeds one product.",
        )
    of_company = known.of_company.get((odin.connection_id, odin.company_id, psa.psa_connection_id))
    if of_company and of_company.psa.psa_customer_id != psa.psa_customer_id:
        return Refusal(
            "company_linked",
            f"The company “{odin.company_name}” belongs to the PSA customer “{of_company.psa.psa_customer_name}”.",
            "Choose a product of that customer, or clear the company's relations first.",
        )
    of_customer = known.of_customer.get((psa.psa_connection_id, psa.psa_customer_id, odin.connection_id))
    if of_customer and of_customer.odin.company_id != odin.company_id:
        return Refusal(
            "customer_linked",
            f"The PSA customer “{psa.psa_customer_name}” belongs to the company “{of_customer.odin.company_name}”.",
            "Choose another customer, or clear the relations of that company first.",
        )
    of_subscription = known.of_subscription.get((odin.connection_id, odin.subscription_id))
    if of_subscription and _agreement(of_subscription.psa) != _agreement(psa):
        return Refusal(
            "subscription_linked",
            f"The subscription “{odin.subscription_name}” belongs to the agreement “{of_subscription.psa.psa_agreement_name}”.",
            "Choose a product of that agreement, or clear the subscription's relations first.",
        )
    return None


def _agreement(psa: PsaNames) -> tuple[str, str]:
    return psa.psa_connection_id, psa.psa_agreement_id
