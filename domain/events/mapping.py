"""Who is linked to what: a resource in ODIN tied to a product in the PSA, or set free; what was settled for it; and what is
left out of billing. Stream of relations: relation/<resource key parts>; of exclusions: exclusion/<resource key parts>."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

from domain.events.names import OdinNames, PsaNames
from domain.keys import ConnectionId, PsaAgreementId, PsaCustomerId
from domain.relation_settings import RelationSettings


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


@dataclass(frozen=True, kw_only=True)
class AgreementCandidate:
    """An agreement that could continue another, and what speaks for and against it, in words."""

    psa_agreement_id: PsaAgreementId
    psa_agreement_name: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AgreementMoveUnclear:
    """An agreement ended that products with relations stand on, and it is not clear which agreement continues it: the
    relations stay where they are, and nothing is posted, until a person decides.
    Stream of this and the next: agreement-move/<PSA connection>/<ended agreement>."""

    type: ClassVar[str] = "AgreementMoveUnclear"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    psa_customer_id: PsaCustomerId
    psa_customer_name: str
    psa_agreement_id: PsaAgreementId
    psa_agreement_name: str
    relations: int
    candidates: tuple[AgreementCandidate, ...]


@dataclass(frozen=True, kw_only=True)
class AgreementMoveSettled:
    """It is no question any more what becomes of the relations on an ended agreement: they followed to another one, or stay
    (moved_to None) because a person said so or because there is nothing left to move."""

    type: ClassVar[str] = "AgreementMoveSettled"
    version: ClassVar[int] = 1
    psa_connection_id: ConnectionId
    psa_customer_id: PsaCustomerId
    psa_customer_name: str
    psa_agreement_id: PsaAgreementId
    psa_agreement_name: str
    moved_to: PsaAgreementId | None
    moved_to_name: str | None
    relations: int
    reason: str


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
