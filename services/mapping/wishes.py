"""Plain values from a call -> wishes that can be decided, each bad one with its refusal; or a refusal of the whole call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from domain.keys import BadKey, MspId, ResourceKey
from domain.relation_settings import BadSettings, RelationSettings
from services.mapping.decide_relation import Refusal, Wish

# One call's decisions stand in one transaction, and its answer in one row.
MOST_WISHES = 10_000
_LONGEST_ID = 500
_LONGEST_REASON = 2_000
_LONGEST_SCORE = 20


class Refused(Exception):
    """The call as a whole cannot be granted; nothing was done."""

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(f"{message} {fix}")
        self.refusal = Refusal(code, message, fix)


@dataclass(frozen=True)
class Ask:
    """Who asks, for which MSP, and under which operation id."""

    msp_id: MspId
    operation_id: str
    actor: str


@dataclass(frozen=True)
class GivenWish:
    """One row of a call: the caller's id for it, and the wish or what is wrong with the row."""

    id: str | None
    wish: Wish | None
    refusal: Refusal | None = None

    def as_asked(self) -> list[str | None]:
        """The row as plain values, to tell whether two calls ask for the same."""
        wished = [str(self.wish.resource_key), *self.wish.product_id, str(self.wish.score)] if self.wish else []
        return [self.id, *wished, self.refusal.message if self.refusal else None]


def parse_ask(msp_id: object, operation_id: object, actor: object) -> Ask:
    """The ask; Refused when one of the three is missing or no text."""
    for name, value in (("msp_id", msp_id), ("operation_id", operation_id), ("actor", actor)):
        if not _is_id(value):
            raise Refused(
                "bad_request", f"{name} is not usable.", f"Give {name} as text of 1 to {_LONGEST_ID} letters."
            )
    return Ask(MspId(str(msp_id)), str(operation_id), str(actor))


def parse_wishes(wishes: object) -> list[GivenWish]:
    """The rows of a call, in order; Refused when there is no list, or one that is too long."""
    return [_wish(row) for row in _rows(wishes, "wishes")]


def parse_relation_ids(relation_ids: object) -> list[str]:
    """The relation ids of a call, in order; Refused when they are no list of texts, or too many."""
    rows = _rows(relation_ids, "relation_ids")
    if not all(_is_id(row) for row in rows):
        raise Refused("bad_request", "A relation id is not usable.", "Give relation_ids as a list of texts.")
    return [str(row) for row in rows]


def parse_resource_keys(resource_keys: object) -> list[str]:
    """The resource keys of a call, in order; Refused when they are no list of texts, or too many."""
    rows = _rows(resource_keys, "resource_keys")
    if not all(_is_id(row) for row in rows):
        raise Refused("bad_request", "A resource key is not usable.", "Give resource_keys as a list of texts.")
    return [str(row) for row in rows]


def parse_reason(reason: object, *, required: bool = False) -> str:
    """Why it is done; may be empty unless it is required. Refused when it is no text, or longer than 2,000 letters."""
    if not isinstance(reason, str) or len(reason) > _LONGEST_REASON or not _is_storable(reason):
        raise Refused("bad_request", "The reason is not usable.", f"Give a text of at most {_LONGEST_REASON} letters.")
    if required and not reason.strip():
        raise Refused("reason_missing", "Nobody would know later why this was done.", "Give a reason.")
    return reason


def parse_settings(settings: object) -> RelationSettings:
    """What shall hold for relations, see RelationSettings.parse; Refused with what is wrong with it."""
    try:
        parsed = RelationSettings.parse(settings)
    except BadSettings as fault:
        raise Refused("bad_settings", str(fault), "Correct it and save again.") from None
    if not _is_storable(parsed.note):
        raise Refused("bad_settings", "The note is not usable.", "Give a text without control characters.")
    return parsed


def parse_until(until: object) -> date | None:
    """The last day, as "2026-12-31" or None; Refused for anything else."""
    try:
        return None if until is None else date.fromisoformat(str(until))
    except ValueError:
        raise Refused("bad_request", f"{until!r} is not a day.", "Give a day such as 2026-12-31, or none.") from None


def ids_of(rows: object) -> list[str | None]:
    """The callers' ids of the rows of a call that may be of any shape; none when it is no list, or too long a one."""
    if not isinstance(rows, list) or len(rows) > MOST_WISHES:
        return []
    ids = (row.get("id") if isinstance(row, dict) else row for row in rows)
    return [row_id if isinstance(row_id, str) else None for row_id in ids]


def _rows(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, list):
        raise Refused("bad_request", f"{name} is not a list.", f"Give {name} as a list.")
    if len(value) > MOST_WISHES:
        raise Refused(
            "too_many",
            f"{len(value)} rows are more than one call may have.",
            f"Send at most {MOST_WISHES} rows a call.",
        )
    return value


def _wish(row: object) -> GivenWish:
    if not isinstance(row, dict):
        return GivenWish(None, None, _bad_row("The row is not an object."))
    row_id = row.get("id")
    if not _is_id(row_id):
        return GivenWish(None, None, _bad_row("The row has no usable id."))
    for name in ("resource_key", "psa_connection_id", "psa_product_id"):
        if not _is_id(row.get(name)):
            return GivenWish(row_id, None, _bad_row(f"The row has no usable {name}."))
    try:
        resource_key = ResourceKey.parse(row["resource_key"])
    except BadKey:
        return GivenWish(row_id, None, _bad_row("resource_key is not the key of a resource."))
    score = _score(row.get("score"))
    if score is _BAD_SCORE:
        return GivenWish(row_id, None, _bad_row("score is not a number of 0 to 1."))
    return GivenWish(row_id, Wish(resource_key, (row["psa_connection_id"], row["psa_product_id"]), score))


_BAD_SCORE = Decimal("NaN")


def _score(given: object) -> Decimal | None:
    """The score in a text; None when none was given."""
    if given is None:
        return None
    try:
        score = Decimal(given) if isinstance(given, str) and len(given) <= _LONGEST_SCORE else _BAD_SCORE
    except InvalidOperation:
        return _BAD_SCORE
    return score if score.is_finite() and 0 <= score <= 1 else _BAD_SCORE


def _bad_row(message: str) -> Refusal:
    return Refusal(
        "bad_row", message, "Give id, resource_key, psa_connection_id, psa_product_id and a score, if any, as texts."
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and _is_storable(value)


def _is_storable(text: str) -> bool:
    """PostgreSQL keeps neither NUL nor half a surrogate pair."""
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)
