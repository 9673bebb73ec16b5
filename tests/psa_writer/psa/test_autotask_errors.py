"""Autotask's error texts -> kinds, refusals by place, and fixes."""

import pytest

from services.psa_writer.psa.autotask_errors import KNOWN_ERRORS, UNKNOWN_FIX, create_outcome, failure, known_error
from services.psa_writer.psa.port import PsaFailure, Refusal, Refused, Unknown

OUTSIDE = "effectiveDate must be between the start date and end date of the Contract referenced by contractID"
DUPLICATE = "Attempt to insert duplicate data into contract_service_period"
LOCKED = "The user account has been locked.  Please see your Autotask Administrator for details."


def at(number: int) -> str:
    return f"Error creating entity for record number[{number}]."


def test_each_pair_of_lines_refuses_the_entity_that_it_numbers_from_one():
    outcome = create_outcome([OUTSIDE, at(1), DUPLICATE, "on record number [3].", "Some new rule.", at(4)], sent=4)

    assert isinstance(outcome, Refused)
    assert {place: (each.message, each.duplicate) for place, each in outcome.refusals.items()} == {
        0: (OUTSIDE, False),
        2: (DUPLICATE, True),
        3: ("Some new rule.", False),
    }
    assert "Prolong or renew the contract" in outcome.refusals[0].fix
    assert outcome.refusals[3].fix == UNKNOWN_FIX
    assert OUTSIDE in outcome.message


def test_two_errors_of_one_entity_are_told_together():
    outcome = create_outcome(["First.", at(2), "Second.", at(2)], sent=2)

    assert isinstance(outcome, Refused)
    assert [each.message for each in outcome.refusals.values()] == ["First. Second."]


@pytest.mark.parametrize(
    "texts", [["Error updating database for new entity records."], [OUTSIDE, at(9)], [OUTSIDE, at(0)], []]
)
def test_errors_that_name_none_of_ours_name_no_culprit(texts: list[str]):
    outcome = create_outcome(texts, sent=3)

    assert isinstance(outcome, Refused)
    assert outcome.refusals == {}
    assert outcome.message


def test_a_single_entity_is_the_culprit_whatever_the_line_says():
    outcome = create_outcome([DUPLICATE], sent=1)

    assert isinstance(outcome, Refused)
    assert outcome.refusals == {0: Refusal(DUPLICATE, known_error(DUPLICATE).fix, duplicate=True)}


@pytest.mark.parametrize(
    "text", ["Timeout expired. The timeout period elapsed.", "Transaction was deadlocked: deadlock victim"]
)
def test_a_server_that_gave_up_while_it_worked_leaves_a_create_unknown(text: str):
    assert isinstance(create_outcome([OUTSIDE, at(1), text, at(2)], sent=2), Unknown)
    assert failure([text]).kind == "unreachable"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "Thread Threshold Exceeded. The Autotask API thread threshold of 3 threads has been exceeded.",
            "rate_limited",
        ),
        ("Error Itgenatr005", "rate_limited"),
        ("Your request threshold of 10000 has been exceeded.", "rate_limited"),
        (LOCKED, "unauthorised"),
        ("Integration code required with this version of the API", "unauthorised"),
    ],
)
def test_refusals_at_the_door_are_failures_for_a_create_too(text: str, kind: str):
    with pytest.raises(PsaFailure) as refused:
        create_outcome([text], sent=2)

    assert (refused.value.kind, failure([text]).kind) == (kind, kind)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OUTSIDE, "Prolong or renew"),
        (DUPLICATE, "already"),
        ("Violation of UNIQUE KEY constraint 'IX_service'.", "Rename"),
        ("The logged in Resource does not have the adequate permissions to create this.", "security level"),
        (
            "No matching records found. The logged in resource may not have the required permissions to update the data.",
            "security level",
        ),
        ("Integration code required with this version of the API", "tracking identifier"),
        (LOCKED, "Unlock it"),
        ("The Autotask API thread threshold of 3 threads has been exceeded.", "Nothing to do"),
        ("Timeout expired", "Nothing to do"),
        ("This entity type does not support the query action.", "security level"),
        ("Invalid query syntax. Queries are limited to 500 or fewer 'OR' conditions.", "report it"),
        ("SOAP header Action was not understood.", "proxy"),
        ("Value does not exist for the required field ContractServiceID.", "no longer on the contract"),
        ("Value does not exist for the required field X.", "requires"),
    ],
)
def test_every_known_text_comes_with_words_that_say_what_to_do(text: str, words: str):
    assert words in failure([text]).fix


def test_the_catalogue_is_reachable_entry_by_entry():
    for error in KNOWN_ERRORS:
        assert known_error(f"Before. {error.words.upper()} after.") == error
