"""Names as people write them: what counts as the same, and what does not."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.mapping.compare_names import Weights, compare_names, read_name

WORDS = st.sampled_from(
    ["müller", "mueller", "transp", "transportation", "bros", "brothers", "GmbH", "&", "Co.", "KG"]
) | st.sampled_from(["blue", "bird", "bluebird", "plan", "1", "2", "e3", "e5", "Ltd", "a"])
NAMES = st.one_of(st.lists(WORDS, max_size=6).map(" ".join), st.text(max_size=60))


def share(one: str, other: str) -> float:
    return compare_names(read_name(one), read_name(other)).share


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Müller & Söhne GmbH & Co. KG", "Soehne, Mueller"),
        ("ABC S.r.l.", "Abc SRL"),
        ("Kowalski Sp. z o.o.", "KOWALSKI"),
        ("The Blue Bird Inc.", "Bluebird"),
        ("Kjær ApS", "Kjaer A/S"),
        ("Smith, Jones and Partners", "Partners Jones & Smith LLP"),
        ("ＡＣＭＥ Ltd", "acme limited"),
    ],
)
def test_the_same_name_written_otherwise_is_the_same(one: str, other: str) -> None:
    assert share(one, other) >= 0.95 if "A/S" not in other else share(one, other) > 0.6


@pytest.mark.parametrize(
    ("one", "other", "least"),
    [
        ("Hall Bros. Transportation Co", "Hall Brothers Transp.", 0.9),
        ("Zenith Management", "Zenith Mgmt", 0.9),
        ("Colombo Furniture", "Colmobo Furniture", 0.9),
        (
            "Wohnungsgesellschaft Nordstadt Immobilienverwaltung Kiel",
            "Wohnungsgesellschaft Nordstadt Immobilienverwaltun",
            0.8,
        ),
    ],
)
def test_abbreviations_slips_and_cut_names_are_nearly_the_same(one: str, other: str, least: float) -> None:
    assert least <= share(one, other) <= 1


@pytest.mark.parametrize(
    ("one", "other"),
    [("Exchange Plan 1", "Exchange Plan 2"), ("Office E3", "Office E5"), ("Storage 100", "Storage 1000")],
)
def test_another_number_is_never_a_slip(one: str, other: str) -> None:
    likeness = compare_names(read_name(one), read_name(other))

    assert likeness.left
    assert likeness.right
    assert likeness.share < 0.9


def test_a_name_that_is_only_a_legal_form_keeps_it() -> None:
    assert read_name("The Co. Ltd").words == ("the", "co", "ltd")


def test_a_rare_word_says_more_than_a_common_one() -> None:
    names = [read_name(f"{word} Consulting") for word in ("Alpha", "Beta", "Gamma", "Delta")]
    weights = Weights(names)

    same_rare = compare_names(read_name("Alpha Consulting"), read_name("Alpha Partners"), weights)
    same_common = compare_names(read_name("Alpha Consulting"), read_name("Omega Consulting"), weights)

    assert same_rare.share > same_common.share


@example("bluebirdlake blue bird", "bluebird lake")
@given(NAMES, NAMES)
def test_likeness_is_a_share_and_the_same_both_ways(one: str, other: str) -> None:
    there, back = compare_names(read_name(one), read_name(other)), compare_names(read_name(other), read_name(one))

    assert 0 <= there.share <= 1
    assert there.share == back.share
    assert (there.left, there.right) == (back.right, back.left)


@given(NAMES)
def test_a_name_is_wholly_like_itself(name: str) -> None:
    assert compare_names(read_name(name), read_name(name)).share == pytest.approx(1 if read_name(name).words else 0)
