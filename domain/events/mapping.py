"""Who is linked to what: a resource in ODIN tied to a product in the PSA, or set free; what was settled for it; and what is
left out of billing. Stream of relations: relation/<resource key parts>; of exclusions: exclusion/<resource key parts>."""

from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from domain.events.names import OdinNames, PsaNames
from domain.relation_settings import RelationSettings


@dataclass(frozen=True, kw_only=True)
class RelationSet(OdinNames, PsaNames):
    """A resource was linked to a product: from now on its changes post by themselves.
    followed_from: the subscription id whose renewal the relation followed, else None."""

    type: ClassVar[str] = "RelationSet"
    version: ClassVar[int] = 1
    relation_id: str
    followed_from: str | None


@dataclass(frozen=True, kw_only=True)
class RelationCleared(OdinNames, PsaNames):
    """A relation was taken away: nothing more is posted for it; the PSA keeps its units.
    followed_to: the subscription id that the relation followed a renewal to, else None."""

    type: ClassVar[str] = "RelationCleared"
    version: ClassVar[int] = 1
    relation_id: str
    reason: str
    followed_to: str | None


@dataclass(frozen=True, kw_only=True)
class RelationSettingsSaved(OdinNames, PsaNames):
    """A person settled how the count becomes units and what a unit is billed at. A relation that follows a renewal takes its
    settings along: they are told again for it, unchanged."""

    type: ClassVar[str] = "RelationSettingsSaved"
    version: ClassVar[int] = 1
    relation_id: str
    settings: RelationSettings
    previous_settings: RelationSettings


@dataclass(frozen=True, kw_only=True)
class RelationFrozen(OdinNames, PsaNames):
    """Nothing more is asked for the relation's product until it is unfrozen; the PSA keeps its units."""

    type: ClassVar[str] = "RelationFrozen"
    version: ClassVar[int] = 1
    relation_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RelationUnfrozen(OdinNames, PsaNames):
    """The relation posts again; its product is planned anew, unless another relation of it is frozen."""

    type: ClassVar[str] = "RelationUnfrozen"
    version: ClassVar[int] = 1
    relation_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ResourceExcluded(OdinNames):
    """A resource is left out of what is still to be linked: up to and with the day `until` (None: until someone takes it in
    again)."""

    type: ClassVar[str] = "ResourceExcluded"
    version: ClassVar[int] = 1
    reason: str
    until: date | None


@dataclass(frozen=True, kw_only=True)
class ResourceIncluded(OdinNames):
    """An excluded resource is to be linked again: by a person, or because its last day had passed."""

    type: ClassVar[str] = "ResourceIncluded"
    version: ClassVar[int] = 1
    reason: str
