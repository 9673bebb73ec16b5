"""(companies of ODIN, customers of the PSA) -> for each company the customer that it most likely is, with the evidence.

Of five thousand companies and as many customers nobody compares each with each: a customer is looked at when it shares a word with
the company, equal, shortened or mistyped, and the rarer the word the sooner.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from services.mapping.compare_names import (
    Likeness,
    Name,
    Weights,
    compare_names,
    fold,
    may_be_skeleton,
    read_name,
    words_alike,
)
from services.mapping.weigh_evidence import Evidence, Scale

STRONG, FAIR, LEAST = Decimal("0.90"), Decimal("0.70"), Decimal("0.40")
_BELOW_STRONG, _BELOW_FAIR = Decimal("0.89"), Decimal("0.69")
# So many customers are looked at closely, and words that more customers have than that lead to none by themselves.
_LOOKED_AT, _TOO_COMMON = 6, 200
_DOMAIN = re.compile(
    r"(?:@|https?://|www\.|\b)([a-z0-9-]{3,})\.(?:com|net|org|eu|io|biz|info|[a-z]{2})\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Choice:
    """What is suggested: an id of the other side, the score from 0 to 1, and the evidence, whose weights add up to it."""

    id: str
    score: Decimal
    evidence: tuple[Evidence, ...]


def suggest_customers(
    companies: Mapping[str, str], customers: Mapping[str, str], rest: Callable[[], None] = lambda: None
) -> dict[str, Choice]:
    """id -> name of both sides; the best choice of each company that has one of at least LEAST. rest: called now and then,
    for a process that has other things to do meanwhile."""
    names = {customer_id: read_name(text) for customer_id, text in sorted(customers.items())}
    asked = {company_id: read_name(text) for company_id, text in sorted(companies.items())}
    weights = Weights([*names.values(), *asked.values()])
    index = _Index(names, weights)
    looked_at: dict[str, list[tuple[float, str]]] = {}
    for number, (company_id, name) in enumerate(asked.items()):
        if number % 50 == 0:
            rest()
        shares = [(_share(compare_names(name, names[c], weights)), c) for c in index.near(name)]
        looked_at[company_id] = sorted(shares, key=lambda one: (-one[0], one[1]))[:3]
    fits_best = _fits_best(looked_at)
    choices = {}
    for company_id, found in looked_at.items():
        if found:
            choice = _choice(company_id, found, asked, names, weights, fits_best)
            if choice.score >= LEAST:
                choices[company_id] = choice
    return choices


def _share(likeness: Likeness) -> float:
    """How alike, when words that stand only here against words that stand only there are counted once more."""
    return likeness.share - _contradiction(likeness)


def _contradiction(likeness: Likeness) -> float:
    return 0.3 * (1 - likeness.share) if likeness.left and likeness.right else 0.0


def _fits_best(looked_at: Mapping[str, Sequence[tuple[float, str]]]) -> dict[str, list[tuple[float, str]]]:
    """Of each customer the two companies that it fits best."""
    of: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for company_id, found in looked_at.items():
        for share, customer_id in found:
            of[customer_id].append((share, company_id))
    return {customer: sorted(fits, key=lambda one: (-one[0], one[1]))[:2] for customer, fits in of.items()}


def _choice(
    company_id: str,
    found: Sequence[tuple[float, str]],
    companies: Mapping[str, Name],
    customers: Mapping[str, Name],
    weights: Weights,
    fits_best: Mapping[str, Sequence[tuple[float, str]]],
) -> Choice:
    share, customer_id = found[0]
    name, chosen = companies[company_id], customers[customer_id]
    scale = Scale()
    put_words(scale, name, chosen, compare_names(name, chosen, weights), weights, "ODIN", "the PSA")
    domain = _domain(name.text) or _domain(chosen.text)
    other = chosen if _domain(name.text) else name
    if domain and domain == "".join(other.words):
        scale.put("domain", f"The domain {domain} is the other's name.", 0.3)
    for others_share, others_id in found[1:2]:
        if share - others_share < 0.06:
            scale.at_most("also_fits", f"“{customers[others_id].text}” fits nearly as well.", _BELOW_STRONG)
    for others_share, others_id in fits_best[customer_id][:1]:
        if others_id != company_id and others_share > share + 0.02:
            scale.at_most("fits_another", f"The customer fits “{companies[others_id].text}” better.", _BELOW_FAIR)
    return Choice(customer_id, scale.score, tuple(scale.evidence))


def put_words(
    scale: Scale, one: Name, other: Name, likeness: Likeness, weigh: Callable[[str], float], here: str, there: str
) -> None:
    """Puts on the scale which words are equal, which alike, and which stand on one side only."""
    whole = sum(map(weigh, one.words)) + sum(map(weigh, other.words))
    equal = [pair.left[0] for pair in likeness.pairs if pair.left == pair.right]
    alike = [pair for pair in likeness.pairs if pair.left != pair.right]
    if equal:
        scale.put("equal_words", f"Equal words: {', '.join(equal)}.", 2 * sum(map(weigh, equal)) / whole)
    if alike:
        said = ", ".join(f"{' '.join(pair.left)} ~ {' '.join(pair.right)}" for pair in alike)
        weight = sum(pair.alike * sum(map(weigh, (*pair.left, *pair.right))) for pair in alike) / whole
        scale.put("alike_words", f"Alike words: {said}.", weight)
    if alike and not any(pair.alike == 1 for pair in likeness.pairs):
        scale.at_most("no_equal_word", "No word is equal.", _BELOW_STRONG)
    if likeness.left and likeness.right:
        said = f"{', '.join(likeness.left)} in {here}, {', '.join(likeness.right)} in {there}"
        scale.put("other_words", f"Other words: {said}.", -_contradiction(likeness))
    elif likeness.left or likeness.right:
        said = ", ".join(likeness.left or likeness.right)
        scale.put("one_side", f"Only in {here if likeness.left else there}: {said}.", 0)


def _domain(text: str) -> str:
    found = _DOMAIN.search(text)
    return fold(found[1]).replace("-", "") if found else ""


class _Index:
    """Which customers have a word, or one that may be meant by it."""

    def __init__(self, names: Mapping[str, Name], weights: Weights) -> None:
        self._weights = weights
        self._with: dict[str, list[str]] = defaultdict(list)
        for customer_id, name in names.items():
            for word in dict.fromkeys((*name.words, *_joined(name))):
                self._with[word].append(customer_id)
        self._words = sorted(self._with)
        self._all: dict[str, list[str]] = defaultdict(list)
        self._skeletons: dict[str, list[str]] = defaultdict(list)
        for word in self._words:
            self._all[word[:1]].append(word)
            if may_be_skeleton(word):
                self._skeletons[word[:1]].append(word)
        self._mistyped: dict[str, list[str]] = defaultdict(list)
        for word in self._words:
            for key in _less_one(word):
                self._mistyped[key].append(word)
        self._meant: dict[str, list[tuple[list[str], float]]] = {}

    def near(self, name: Name) -> list[str]:
        """The customers that share most with the name, the nearest first."""
        found: dict[str, float] = defaultdict(float)
        means = [meant for word in dict.fromkeys((*name.words, *_joined(name))) for meant in self._may_mean(word)]
        for having, weight in sorted(means, key=lambda meant: len(meant[0])):
            if len(having) > _TOO_COMMON and found:
                break
            for customer_id in having:
                found[customer_id] += weight
        least = max(found.values(), default=0.0) / 3
        near = sorted((-weight, customer_id) for customer_id, weight in found.items() if weight > least)
        return [customer_id for _, customer_id in near[:_LOOKED_AT]]

    def _may_mean(self, word: str) -> list[tuple[list[str], float]]:
        """The customers that have a word which may be this one, and how much that says."""
        if word not in self._meant:
            others = {other for key in _less_one(word) for other in self._mistyped.get(key, ())}
            others |= {word[:length] for length in range(3, len(word)) if word[:length] in self._with}
            others |= set(self._beginning_with(word))
            others |= set(self._all[word[:1]] if may_be_skeleton(word) else self._skeletons[word[:1]])
            alike = [(other, words_alike(word, other)) for other in sorted(others - {word})]
            alike += [(word, 1.0)] if word in self._with else []
            self._meant[word] = [(self._with[o], how * self._weights(o)) for o, how in alike if how]
        return self._meant[word]

    def _beginning_with(self, word: str) -> Iterable[str]:
        if len(word) < 3:
            return
        for at in range(bisect_left(self._words, word), len(self._words)):
            if not self._words[at].startswith(word):
                return
            yield self._words[at]


def _joined(name: Name) -> list[str]:
    """Words that stand one behind the other, as if written together."""
    return [first + second for first, second in pairwise(name.words)]


def _less_one(word: str) -> set[str]:
    """The word, and what is left of it without one of its letters: two words that share one of these differ by a slip."""
    if len(word) < 4:
        return {word}
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}
