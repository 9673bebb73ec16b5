"""What a person has chosen to link and not yet set -> rows in setup.relation_drafts: kept for that person, posted never."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from gateway.errors import Refusal
from plumbing.clock import Clock
from plumbing.row_security import of_msp

MOST_DRAFTS = 5_000
LONGEST_ID = 500


@dataclass(frozen=True)
class Draft:
    """One choice. level: company, subscription or resource; odin_id: the company's or subscription's id, or the resource key;
    psa_id: of the PSA customer, agreement or product, None takes the choice back."""

    psa_connection_id: str
    level: str
    connection_id: str
    odin_id: str
    psa_id: str | None

    @property
    def fits(self) -> bool:
        """Whether its ids can be kept."""
        ids = (
            self.psa_connection_id,
            self.connection_id,
            self.odin_id,
            *([] if self.psa_id is None else [self.psa_id]),
        )
        return all(1 <= len(each) <= LONGEST_ID for each in ids)


def drafts(connection: Connection, msp_id: str, person: str, psa_connection_id: str | None) -> list[dict[str, Any]]:
    """The person's drafts, the newest last; of one PSA connection, or of all. A draft for a resource that is linked by now is
    left out."""
    rows = connection.execute(
        text(
            """SELECT psa_connection_id, level, connection_id, odin_id, psa_id, saved_at FROM setup.relation_drafts d
               WHERE msp_id = :msp_id AND person = :person AND coalesce(:psa, psa_connection_id) = psa_connection_id
                 AND NOT (level = 'resource' AND EXISTS (
                     SELECT FROM reporting.resources r WHERE r.msp_id = :msp_id AND r.resource_key = d.odin_id
                     AND r.generation = (SELECT reporting.living_generation('resources', :msp_id))
                     AND r.relation_id IS NOT NULL))
               ORDER BY saved_at, psa_connection_id, level, connection_id, odin_id"""
        ),
        {"msp_id": msp_id, "person": person, "psa": psa_connection_id},
    )
    return [dict(row) for row in rows.mappings()]


def save(engine: Engine, clock: Clock, msp_id: str, person: str, wanted: Sequence[Draft]) -> list[dict[str, Any]]:
    """The result of each row, in order: a later choice for the same takes the place of the earlier. Saving twice is saving
    once. Refusal TOO_MANY_DRAFTS, and nothing is saved."""
    whose = {"msp_id": msp_id, "person": person, "now": clock.now()}
    results = []
    with of_msp(engine, msp_id).begin() as connection:
        for draft in wanted:
            result: dict[str, Any] = {"id": draft.odin_id, "ok": draft.fits}
            if draft.fits:
                connection.execute(text(_FORGET if draft.psa_id is None else _KEEP), whose | vars(draft))
            else:
                result["refusal"] = vars(_BAD)
            results.append(result)
        many = text("SELECT count(*) FROM setup.relation_drafts WHERE msp_id = :msp_id AND person = :person")
        if (connection.scalar(many, whose) or 0) > MOST_DRAFTS:
            raise Refusal(
                "TOO_MANY_DRAFTS", f"You have {MOST_DRAFTS} drafts already.", "Set or drop some of them first."
            )
    return results


_BAD = Refusal("BAD_DRAFT", f"An id has 1 to {LONGEST_ID} characters.", "Take ids from the billing tree.")
_KEY = "msp_id, person, psa_connection_id, level, connection_id, odin_id"
_KEEP = f"""
INSERT INTO setup.relation_drafts ({_KEY}, psa_id, saved_at)
VALUES (:msp_id, :person, :psa_connection_id, :level, :connection_id, :odin_id, :psa_id, :now)
ON CONFLICT ({_KEY}) DO UPDATE SET psa_id = excluded.psa_id, saved_at = excluded.saved_at
"""
_FORGET = f"""
DELETE FROM setup.relation_drafts
WHERE ({_KEY}) = (:msp_id, :person, :psa_connection_id, :level, :connection_id, :odin_id)
"""
