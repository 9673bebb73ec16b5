"""(what a company buys, the agreements of its PSA customer) -> for each subscription an agreement, for each resource a product.

A subscription bills on one agreement, so the agreement is chosen first: the one whose products fit best. What is chosen elsewhere
for the same resource is learnt from the live relations of other companies; nothing is ever linked by itself.
"""
# ruff: noqa: SIM905 lists of words read better as text

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

from services.mapping.compare_names import Comparing, Name, compare_names, fold, has_digit, read_name
from services.mapping.suggest_customers import LEAST, Choice, put_words
from services.mapping.weigh_evidence import ALL, Scale

_BELOW_STRONG, _CONTRADICTED, _NOT_LINKABLE = Decimal("0.89"), Decimal("0.60"), Decimal("0.50")
_SHORT_BRANDS = (
    (re.compile(r"\bo\s?365\b"), "office 365"),
    (re.compile(r"\bm(?:icrosoft|s)?\s?365\b"), "microsoft 365"),
    (re.compile(r"\b(?:plan|p)\s?(\d)\b"), r"p\1"),
    (re.compile(r"\b([ef])\s(\d)\b"), r"\1\2"),
)
_LEVELS = frozenset(
    "basic standard premium business enterprise essentials professional pro plus advanced starter education nonprofit".split()
)
_MONTHS = {
    "monthly": 1, "monatlich": 1, "mensuel": 1, "quarterly": 3, "yearly": 12, "annual": 12, "annually": 12, "jahrlich": 12,
    "annuel": 12, "half_yearly": 6, "one_time": None,
}  # fmt: skip
_PERIOD = re.compile(r"(\d+) (month|year)")


@dataclass(frozen=True)
class Bought:
    """A resource without a relation. billing_period as ODIN has it, such as "1 month"."""

    resource_key: str
    connection_id: str
    company_id: str
    subscription_id: str
    subscription_name: str
    resource_id: str
    resource_name: str
    mpn: str | None = None
    billing_period: str | None = None
    currency: str | None = None


@dataclass(frozen=True)
class Line:
    """A PSA product. runs: it can be linked today, as far as product and agreement go; fed_by: resources that feed it."""

    product_id: str
    product_name: str
    agreement_id: str
    agreement_name: str
    period_type: str | None = None
    currency: str | None = None
    runs: bool = True
    fed_by: int = 0


@dataclass
class Habits:
    """What was chosen before. elsewhere: connection and resource id -> product name, folded -> companies; before: a company's
    resource, whatever its subscription -> the products that it fed before; of_company: a company -> agreement -> subscriptions
    that bill there; agreement_of: a subscription that is linked already -> its agreement."""

    elsewhere: dict[tuple[str, str], dict[str, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    before: dict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    of_company: dict[tuple[str, str], dict[str, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    agreement_of: dict[tuple[str, str], str] = field(default_factory=dict)

    def linked(self, bought: Bought, line: Line) -> None:
        """Learns from a live relation."""
        chosen = self.elsewhere[bought.connection_id, bought.resource_id]
        chosen.setdefault(fold(line.product_name), set()).add(bought.company_id)
        billing = self.of_company[bought.connection_id, bought.company_id]
        billing.setdefault(line.agreement_id, set()).add(bought.subscription_id)
        self.agreement_of[bought.connection_id, bought.subscription_id] = line.agreement_id

    def was_linked(self, bought: Bought, line: Line) -> None:
        """Learns from a relation that was cleared."""
        self.before[bought.connection_id, bought.company_id, bought.resource_id].add(line.product_id)


@dataclass(frozen=True)
class Customer:
    """The PSA customer that a company is, or most likely is. score: ALL when the company is linked to it."""

    name: str
    lines: Sequence[Line]
    score: Decimal = ALL


@dataclass(frozen=True)
class Suggested:
    """By subscription id the agreement, by resource key the product."""

    agreements: Mapping[str, Choice]
    products: Mapping[str, Choice]


def suggest_products(
    bought: Iterable[Bought],
    customer: Customer,
    habits: Habits,
    comparing: Comparing,
    rest: Callable[[], None] = lambda: None,
) -> Suggested:
    """What is suggested for resources of one company; choices below LEAST are left out. rest: called every few weighings, since
    a large company against a large customer takes minutes."""
    by_subscription: dict[str, list[Bought]] = defaultdict(list)
    for one in bought:
        by_subscription[one.subscription_id].append(one)
    agreements: dict[str, Choice] = {}
    products: dict[str, Choice] = {}
    for subscription_id, resources in sorted(by_subscription.items()):
        scores: dict[str, list[Scale]] = {}
        for line in customer.lines:
            rest()
            scores[line.product_id] = [weigh_product(one, line, customer, habits, comparing) for one in resources]
        agreement_id = habits.agreement_of.get((resources[0].connection_id, subscription_id))
        if agreement_id is None:
            choice = _agreement(resources, customer, habits, scores)
            if choice is None:
                continue
            agreement_id = choice.id
            if choice.score >= LEAST:
                agreements[subscription_id] = choice
        lines = [line for line in customer.lines if line.agreement_id == agreement_id]
        for number, one in enumerate(resources):
            product = _best([(scores[line.product_id][number], line) for line in lines])
            if product is not None and product.score >= LEAST:
                products[one.resource_key] = product
    return Suggested(agreements, products)


def weigh_product(bought: Bought, line: Line, customer: Customer, habits: Habits, comparing: Comparing) -> Scale:
    """How well the product bills the resource."""
    scale = Scale()
    one, other = read_offer(bought.resource_name), read_offer(line.product_name)
    put_words(scale, one, other, comparing(one, other), comparing.weigh, "ODIN", "the PSA")
    _put_part_number(scale, bought, line)
    _put_habits(scale, bought, line, habits)
    _put_numbers(scale, one, other, _part_words(bought))
    _put_terms(scale, bought, line, one, other)
    if line.fed_by:
        scale.put("fed", f"{line.fed_by} other resources feed it already.", Decimal("-0.10"))
    if not line.runs:
        scale.at_most("ended", "The product or its agreement is not active today.", _NOT_LINKABLE)
    if customer.score < ALL:
        scale.at_most("company", f"The company is “{customer.name}” only by suggestion.", customer.score)
    return scale


@lru_cache(maxsize=50_000)
def read_offer(text: str) -> Name:
    """The name of a resource or product as it is compared: short brands written out, plan 1 and p1 as one."""
    folded = fold(text)
    for pattern, written_out in _SHORT_BRANDS:
        folded = pattern.sub(written_out, folded)
    return Name(text, read_name(folded).words, read_name(text).cut)


def _part_words(bought: Bought) -> set[str]:
    return set(read_name(bought.mpn or "").words)


def _put_part_number(scale: Scale, bought: Bought, line: Line) -> None:
    number = fold(bought.mpn or "").split("_")[0].strip()
    if len(number) >= 5 and re.search(rf"(?<![^\W_]){re.escape(number)}(?![^\W_])", fold(line.product_name)):
        scale.put("part_number", f"The part number {bought.mpn} stands in its name.", Decimal("0.40"))


def _put_habits(scale: Scale, bought: Bought, line: Line, habits: Habits) -> None:
    if line.product_id in habits.before.get((bought.connection_id, bought.company_id, bought.resource_id), ()):
        scale.put("billed_before", "The same resource of this company was billed there before.", Decimal("0.50"))
    chosen = habits.elsewhere.get((bought.connection_id, bought.resource_id), {})
    here = {company for company in chosen.get(fold(line.product_name), ()) if company != bought.company_id}
    everywhere = {company for companies in chosen.values() for company in companies if company != bought.company_id}
    if here:
        weight = Decimal(len(here)) / len(everywhere) * (50 + 7 * min(len(here), 5)) / 100
        scale.put(
            "chosen_elsewhere",
            f"{len(here)} of {len(everywhere)} other customers with this resource have this product.",
            weight,
        )


def _put_numbers(scale: Scale, one: Name, other: Name, part_words: set[str]) -> None:
    """Plan 1 is not Plan 2, E3 is not E5, Basic is not Premium."""
    for kind, here, there in (
        ("number", _numbers(one) - part_words, _numbers(other) - part_words),
        ("level", _LEVELS & set(one.words), _LEVELS & set(other.words)),
    ):
        only_here, only_there = sorted(here - there), sorted(there - here)
        if only_here and only_there:
            said = f"{', '.join(only_here)} in ODIN is not {', '.join(only_there)} in the PSA."
            scale.at_most(f"other_{kind}", said, _CONTRADICTED)
        elif only_here or only_there:
            said = f"Only in {'ODIN' if only_here else 'the PSA'}: {', '.join(only_here or only_there)}."
            scale.at_most(f"one_side_{kind}", said, _BELOW_STRONG)


def _numbers(name: Name) -> set[str]:
    return {word for word in name.words if has_digit(word) and word != "365"}


def _put_terms(scale: Scale, bought: Bought, line: Line, one: Name, other: Name) -> None:
    here = _months_in(one) or _months_of(bought.billing_period)
    there = _months_in(other) or _MONTHS.get(line.period_type or "")
    if here and there and here != there:
        said = f"ODIN bills it every {here} months, the PSA every {there}."
        scale.put("period", said, Decimal("-0.10"))
        scale.at_most("period", said, _BELOW_STRONG)
    if bought.currency and line.currency and bought.currency != line.currency:
        said = f"ODIN bills it in {bought.currency}, the PSA in {line.currency}."
        scale.put("currency", said, Decimal("-0.20"))


def _months_in(name: Name) -> int | None:
    return next((_MONTHS[word] for word in name.words if word in _MONTHS), None)


def _months_of(period: str | None) -> int | None:
    found = _PERIOD.match(period or "")
    return int(found[1]) * (12 if found[2] == "year" else 1) if found else None


def _best(weighed: Iterable[tuple[Scale, Line]]) -> Choice | None:
    ordered = sorted(weighed, key=lambda one: (-one[0].score, one[1].product_id))
    if not ordered:
        return None
    scale, line = ordered[0]
    if len(ordered) > 1 and scale.score - ordered[1][0].score < Decimal("0.03"):
        scale.at_most("also_fits", f"“{ordered[1][1].product_name}” fits nearly as well.", _BELOW_STRONG)
    return Choice(line.product_id, scale.score, tuple(scale.evidence))


def _agreement(
    resources: Sequence[Bought], customer: Customer, habits: Habits, scores: Mapping[str, Sequence[Scale]]
) -> Choice | None:
    by_agreement: dict[str, list[Line]] = defaultdict(list)
    for line in customer.lines:
        by_agreement[line.agreement_id].append(line)
    running = {line.agreement_id for line in customer.lines if line.runs}
    first = resources[0]
    billing = habits.of_company.get((first.connection_id, first.company_id), {})
    choices = []
    for agreement_id, lines in by_agreement.items():
        scale = Scale()
        fits = [max(scores[line.product_id][n].score for line in lines) for n in range(len(resources))]
        weight = (max(fits) + sum(fits, Decimal()) / len(fits)) * Decimal("0.35")
        scale.put("products", "Its products fit what is bought: the best of them, and all on average.", weight)
        words = compare_names(read_name(first.subscription_name), read_name(lines[0].agreement_name))
        scale.put("words", "Words that the names of subscription and agreement share.", 0.15 * words.share)
        if agreement_id in billing:
            others = len(billing[agreement_id])
            scale.put("billed_there", f"{others} other subscriptions of the company bill there.", Decimal("0.20"))
        if running == {agreement_id}:
            scale.put("only_one", "The only agreement that runs today.", Decimal("0.20"))
        if agreement_id not in running:
            scale.at_most("ended", "The agreement does not run today.", _NOT_LINKABLE)
        if customer.score < ALL:
            scale.at_most("company", f"The company is “{customer.name}” only by suggestion.", customer.score)
        choices.append(Choice(agreement_id, scale.score, tuple(scale.evidence)))
    return min(choices, key=lambda choice: (-choice.score, choice.id), default=None)
