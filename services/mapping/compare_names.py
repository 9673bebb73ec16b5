"""Two names as people wrote them -> how alike they are, from 0 to 1, and in which words.

Of a name count its words: without capitals, accents, punctuation and legal forms (GmbH, Ltd, S.r.l.), in any order. A word may be
equal, mistyped, shortened, written apart or together, or cut where the PSA cuts names. A rare word counts more than one that
stands in every other name.
"""
# ruff: noqa: SIM905 lists of words read better as text

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from rapidfuzz.distance import OSA

# Autotask cuts names of services and contracts here (reference/notes); the last word may then be a beginning only.
CUT_AT = 50
# One slip in five letters, a hair below 0.8 for what binary fractions lose.
_LEAST_ALIKE = 0.79
_LONGEST_SKELETON = 5
_SHORTENED, _CUT = 0.9, 0.95
_LETTERS = str.maketrans({"ø": "o", "æ": "ae", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "œ": "oe", "ı": "i"})
_INITIALS = re.compile(r"(?<![^\W\d_])([^\W\d_])\.(?=[^\W\d_](?![^\W\d_]))")
_WORD = re.compile(r"[^\W_]+")
_LEGAL = frozenset(
    """ab ag aps as asa bv bvba co corp corporation cv ek eg ev eurl gbr gesmbh gmbh haftungsbeschrankt inc incorporated kft kg
    kgaa kk lda limited llc llp lp ltd ltda mbb mbh nv ohg oo oy oyj partg pc plc pllc pte pty pvt sa sapa sarl sas sca se sl slu
    snc sp spa sprl srl sro ug vof z zoo company gesellschaft""".split()
)
_SMALL = frozenset("the and und et y e och og of de der die das la le les du & a i".split())


@dataclass(frozen=True)
class Name:
    """A name as it is compared. words: folded, in their order; cut: the last one may be a beginning only."""

    text: str
    words: tuple[str, ...]
    cut: bool


@dataclass(frozen=True)
class Pair:
    """Words of one name that stand for words of another, and how alike they are."""

    left: tuple[str, ...]
    right: tuple[str, ...]
    alike: float


@dataclass(frozen=True)
class Likeness:
    """share: of all words' weight, how much is found in the other name, from 0 to 1. left, right: words that only one has."""

    share: float
    pairs: tuple[Pair, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]


Weigh = Callable[[str], float]


class Weights:
    """How much each word says: the fewer of the names have it, the more."""

    def __init__(self, names: Iterable[Name]) -> None:
        counted = list(names)
        self._names = len(counted)
        self._with = Counter(word for name in counted for word in set(name.words))
        self._known: dict[str, float] = {}

    def __call__(self, word: str) -> float:
        """The weight of a word, above 0."""
        if word not in self._known:
            self._known[word] = math.log(2 + self._names / max(1, self._with[word]))
        return self._known[word]


class Comparing:
    """Names of one list compared with each other: by the weight of its words, and each two of them once."""

    def __init__(self, names: Iterable[Name] = ()) -> None:
        self.weigh: Weigh = Weights(names)
        self._known: dict[tuple[Name, Name], Likeness] = {}

    def __call__(self, one: Name, other: Name) -> Likeness:
        """How alike they are."""
        if (one, other) not in self._known:
            self._known[one, other] = compare_names(one, other, self.weigh)
        return self._known[one, other]


def alike_weights(_word: str) -> float:
    """All words count the same."""
    return 1.0


def fold(text: str) -> str:
    """Without capitals and accents; umlauts written out are as those that are not, so Müller, Mueller and Muller are one."""
    parted = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    plain = "".join(letter for letter in parted if not unicodedata.combining(letter))
    for written, short in (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a")):
        plain = plain.replace(written, short)
    return plain


@lru_cache(maxsize=50_000)
def read_name(text: str) -> Name:
    """The name's words, without legal forms and small words unless nothing else is there."""
    words = _WORD.findall(_INITIALS.sub(r"\1", fold(text)))
    is_cut = len(text) >= CUT_AT - 1
    if is_cut and len(words) > 1 and any(form.startswith(words[-1]) for form in _LEGAL):
        words, is_cut = words[:-1], False
    telling = [word for n, word in enumerate(words) if word not in _SMALL and not (n and word in _LEGAL)]
    return Name(text, tuple(telling or words), is_cut and bool(telling) and telling[-1] == words[-1])


def compare_names(one: Name, other: Name, weigh: Weigh = alike_weights) -> Likeness:
    """How alike they are; the same whichever is named first, but for what is told as left and right."""
    if (other.words, other.cut) < (one.words, one.cut):
        turned = compare_names(other, one, weigh)
        return Likeness(turned.share, tuple(_turned(pair) for pair in turned.pairs), turned.right, turned.left)
    pairs: list[Pair] = []
    left, right = [], list(other.words)
    for word in one.words:
        if word in right:
            right.remove(word)
            pairs.append(Pair((word,), (word,), 1.0))
        else:
            left.append(word)
    if left and right:
        pairs += _together(left, right, other.words)
        pairs += [_turned(pair) for pair in _together(right, left, one.words)]
        pairs += _alike(left, right, one, other)
    whole = sum(map(weigh, one.words)) + sum(map(weigh, other.words))
    found = sum(pair.alike * sum(map(weigh, pair.left + pair.right)) for pair in pairs)
    share = min(1.0, found / whole) if whole else 0.0
    return Likeness(share, tuple(pairs), tuple(left), tuple(right))


@lru_cache(maxsize=500_000)
def words_alike(one: str, other: str) -> float:
    """How likely two different words are one, 0 when they are not: mistyped, or the shorter one an abbreviation."""
    if has_digit(one) or has_digit(other):
        return 0.0
    short, long = (one, other) if (len(one), one) < (len(other), other) else (other, one)
    if len(short) >= 3 and len(long) - len(short) >= 2 and long.startswith(short):
        return _SHORTENED
    if len(short) >= 4:
        alike = OSA.normalized_similarity(short, long, score_cutoff=_LEAST_ALIKE)
        if alike:
            return float(alike)
    return _SHORTENED if _is_skeleton(short, long) else 0.0


def has_digit(word: str) -> bool:
    """Whether a number stands in it: such a word is another one when it differs at all."""
    return not word.isalpha()


def may_be_skeleton(word: str) -> bool:
    """Whether a word looks like an abbreviation by consonants, as mgmt, intl, svcs and bros do."""
    return 3 <= len(word) <= _LONGEST_SKELETON and (word[-1] == "s" or not any(v in word[1:] for v in "aeiou"))


def _is_skeleton(short: str, long: str) -> bool:
    """Whether the short word is the other's first letter and some of its consonants in order, or its beginning and an s."""
    if not (may_be_skeleton(short) and len(long) >= len(short) + 3 and short[0] == long[0]):
        return False
    if short[-1] == "s" and long.startswith(short[:-1]) and long.endswith("s"):
        return True
    letters = iter(long)
    return not any(vowel in short[1:] for vowel in "aeiou") and all(letter in letters for letter in short)


def _turned(pair: Pair) -> Pair:
    return Pair(pair.right, pair.left, pair.alike)


def _alike(left: list[str], right: list[str], one: Name, other: Name) -> list[Pair]:
    """Takes out the most alike words of both, pair by pair."""
    chances = []
    for a in left:
        for b in right:
            alike = words_alike(a, b)
            if one.cut or other.cut:
                alike = max(alike, _cut_alike(a, one, b), _cut_alike(b, other, a))
            if alike:
                chances.append((-alike, min(a, b), max(a, b), a, b))
    pairs = []
    for alike, _, _, a, b in sorted(chances):
        if a in left and b in right:
            left.remove(a)
            right.remove(b)
            pairs.append(Pair((a,), (b,), -alike))
    return pairs


def _cut_alike(word: str, name: Name, other: str) -> float:
    return _CUT if name.cut and word == name.words[-1] and other.startswith(word) else 0.0


def _together(left: list[str], right: list[str], words: Sequence[str]) -> list[Pair]:
    """Takes out a word of the left that is two of the right. words: the right's, as they stand one behind the other."""
    pairs = []
    for word in left if len(right) > 1 else ():
        for first, second in pairwise(words):
            both = first + second
            if abs(len(both) - len(word)) > 2 or both[0] != word[0] or has_digit(word):
                continue
            if first not in right or second not in right or (first == second and right.count(first) < 2):
                continue
            alike = 1.0 if both == word else float(OSA.normalized_similarity(both, word, score_cutoff=0.88))
            if alike:
                right.remove(first)
                right.remove(second)
                pairs.append(Pair((word,), (first, second), alike))
                break
    for pair in pairs:
        left.remove(pair.left[0])
    return pairs
