"""Who is linked to what: a resource in ODIN tied to a product in the PSA, or set free. Stream: relation/<resource key parts>."""

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from domain.events.names import OdinNames, PsaNames


@dataclass(frozen=True, kw_only=True)
class RelationSet(OdinNames, PsaNames):
    """A resource was linked to a product: from now on its changes post by themselves.
    followed_from: the subscription id whose renewal the relation followed, else None. hold_first: the first post that comes
    of it waits for a person. score: of the suggestion that was accepted (0 to 1), None when there was none."""

    type: ClassVar[str] = "RelationSet"
    version: ClassVar[int] = 2
    relation_id: str
    followed_from: str | None
    hold_first: bool
    score: Decimal | None


@dataclass(frozen=True, kw_only=True)
class RelationCleared(OdinNames, PsaNames):
    """A relation was taken away: nothing more is posted for it; the PSA keeps its units.
    followed_to: the subscription id that the relation followed a renewal to, else None."""

    type: ClassVar[str] = "RelationCleared"
    version: ClassVar[int] = 1
    relation_id: str
    reason: str
    followed_to: str | None
