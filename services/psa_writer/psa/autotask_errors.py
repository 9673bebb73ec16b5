"""Autotask's error texts -> what kind of trouble it is, and what a person can do about it.

Autotask has no error codes: its words are all there is. Those known so far are matched as lower-case parts of the text
(sources: the vendor's help, public clients' tests and issues); whatever is unknown waits for a person.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.psa_writer.psa.port import Outcome, PsaFailure, Refusal, Refused, Unknown


class Trouble(StrEnum):
    """How an error is treated. BUSY: the server gave up while it worked, so nobody knows what it did."""

    RATE_LIMITED = "rate_limited"
    UNAUTHORISED = "unauthorised"
    BUSY = "busy"
    REJECTED = "rejected"


@dataclass(frozen=True)
class KnownError:
    """Words of an error, in lower case, and what they mean. duplicate: ours may have landed before."""

    words: str
    trouble: Trouble
    fix: str
    duplicate: bool = False


UNKNOWN_FIX = "Read Autotask's own words beside this. Put it right in Autotask, or change the relation, then retry."
SIGN_IN_FIX = (
    "Check the API user and its password in Autotask (Admin > Resources, a user of type API user), then save the "
    "connection again. Trueup does not try again by itself, because Autotask locks users after a few failed sign-ins."
)
LOCKED_FIX = (
    "Autotask has locked the API user after failed sign-ins. Unlock it in Autotask (Admin > Resources > the API user) "
    "or give it a new password, then save the connection again. Until then nothing is sent."
)
TRACKING_FIX = (
    "Enter the API tracking identifier that the API user's Security tab in Autotask shows, then save the connection."
)
RIGHTS_FIX = (
    "Give the API user's security level the rights to see customers, contracts and services and to change contracts "
    "(the level 'API User (system)' has them), then retry."
)
USAGE_FIX = (
    "Nothing to do: Autotask allows 10,000 calls an hour for all your integrations together, and Trueup goes on by itself "
    "when there is room again. If it lasts, look in Autotask under API activity for what else calls so often."
)
THREADS_FIX = "Nothing to do: Autotask works on three calls at a time, and Trueup tries again by itself."
BUSY_FIX = "Nothing to do: Autotask's database was busy, and Trueup tries again by itself."

KNOWN_ERRORS = (
    KnownError("account has been locked", Trouble.UNAUTHORISED, LOCKED_FIX),
    KnownError("integration code", Trouble.UNAUTHORISED, TRACKING_FIX),
    KnownError("tracking identifier", Trouble.UNAUTHORISED, TRACKING_FIX),
    KnownError("invalid username or password", Trouble.UNAUTHORISED, SIGN_IN_FIX),
    KnownError("thread threshold", Trouble.RATE_LIMITED, THREADS_FIX),
    KnownError("itgenatr005", Trouble.RATE_LIMITED, THREADS_FIX),
    KnownError("request threshold", Trouble.RATE_LIMITED, USAGE_FIX),
    KnownError("threshold of external request", Trouble.RATE_LIMITED, USAGE_FIX),
    KnownError("exceeded the maximum number of requests", Trouble.RATE_LIMITED, USAGE_FIX),
    KnownError("threshold has been exceeded", Trouble.RATE_LIMITED, USAGE_FIX),
    KnownError("timeout expired", Trouble.BUSY, BUSY_FIX),
    KnownError("deadlock", Trouble.BUSY, BUSY_FIX),
    KnownError(
        "attempt to insert duplicate data",
        Trouble.REJECTED,
        "Autotask has a change of this service on this date already. If it is not ours, Trueup plans anew for another day.",
        duplicate=True,
    ),
    KnownError(
        "must be between the start date and end date of the contract",
        Trouble.REJECTED,
        "The effective date lies outside the contract. Prolong or renew the contract in Autotask, or link the resource "
        "to the service on the current contract, then retry.",
    ),
    KnownError(
        "negative number of units",
        Trouble.REJECTED,
        "Some billing period of this service has fewer units than are to be taken away. Look at the units by period on "
        "the contract in Autotask, correct them, then retry.",
    ),
    KnownError(
        "approved and posted",
        Trouble.REJECTED,
        "This billing period is invoiced already. Set the policy to date changes into the next unposted period, or undo "
        "the posting in Autotask, then retry.",
    ),
    KnownError(
        "must be of type recurring service",
        Trouble.REJECTED,
        "Only a recurring service contract takes units. Link the resource to a service on such a contract.",
    ),
    KnownError("does not have the adequate permissions", Trouble.REJECTED, RIGHTS_FIX),
    KnownError("may not have the required permissions", Trouble.REJECTED, RIGHTS_FIX),
    KnownError("entity type does not support the", Trouble.REJECTED, RIGHTS_FIX),
    KnownError(
        "value does not exist for the required field contractserviceid",
        Trouble.REJECTED,
        "The service is no longer on the contract. Add it again in Autotask and link the resource to it, or clear the relation.",
    ),
    KnownError(
        "value does not exist for the required field",
        Trouble.REJECTED,
        "Autotask misses a value that it requires here; a field was made mandatory, or the record is gone. Look at the "
        "service on the contract in Autotask, then retry.",
    ),
    KnownError(
        "violation of unique key constraint",
        Trouble.REJECTED,
        "Autotask already has a record of this name. Rename one of them in Autotask, then retry.",
    ),
    KnownError(
        "queries are limited to 500",
        Trouble.REJECTED,
        "This is a fault in Trueup, not in your settings: please report it with the text beside this.",
    ),
    KnownError(
        "action was not understood",
        Trouble.REJECTED,
        "Something between Trueup and Autotask changes the calls (a proxy?), or the address is not that of the SOAP API 1.6.",
    ),
)
_UNKNOWN_ERROR = KnownError("", Trouble.REJECTED, UNKNOWN_FIX)

# Errors come in pairs: the text, then a line such as "Error creating entity for record number[3]." that counts from 1.
_RECORD_NUMBER = re.compile(r"record number\s*\[(\d{1,6})\]", re.IGNORECASE)


def known_error(text: str) -> KnownError:
    """What the text means; for an unknown one: a person has to read it."""
    lower = text.lower()
    return next((error for error in KNOWN_ERRORS if error.words in lower), _UNKNOWN_ERROR)


def failure(texts: Sequence[str]) -> PsaFailure:
    """The failure that these error texts mean for a call that changes nothing."""
    message = _joined(texts) or "Autotask refused the call without a reason."
    error = known_error(message)
    kind = "unreachable" if error.trouble is Trouble.BUSY else str(error.trouble)
    return PsaFailure(kind, message, error.fix)


def create_outcome(texts: Sequence[str], sent: int) -> Outcome:
    """What became of `sent` entities of one create that Autotask answered with these errors.

    Raises PsaFailure when it refused them at the door, before any work: too many calls, or not let in.
    """
    message = _joined(texts) or "Autotask refused all of them without a reason."
    troubles = {known_error(text).trouble for text in texts}
    if Trouble.BUSY in troubles:
        return Unknown(message)
    if troubles & {Trouble.RATE_LIMITED, Trouble.UNAUTHORISED}:
        raise failure(texts)
    refusals = {place: _refusal(words) for place, words in _by_place(texts).items() if place < sent}
    if sent == 1:
        refusals = {0: refusals.get(0) or _refusal(message)}
    return Refused(refusals, message)


def _by_place(texts: Sequence[str]) -> dict[int, str]:
    """The error texts by the place (from 0) of the entity that they speak of; those that name none are left out."""
    by_place: dict[int, list[str]] = {}
    waiting: list[str] = []
    for text in texts:
        number = _RECORD_NUMBER.search(text)
        if number is None:
            waiting.append(text)
        elif (place := int(number[1]) - 1) >= 0:
            by_place.setdefault(place, []).extend(waiting or [text])
            waiting = []
    return {place: _joined(words) for place, words in by_place.items()}


def _refusal(message: str) -> Refusal:
    error = known_error(message)
    return Refusal(message, error.fix, error.duplicate)


def _joined(texts: Sequence[str]) -> str:
    return " ".join(dict.fromkeys(text for text in texts if text))
