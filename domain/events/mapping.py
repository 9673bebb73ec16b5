"""Who is linked to what: a resource in ODIN tied to a product in the PSA, or set free. Stream: relation/<resource key parts>."""

from dataclasses import dataclass
from typing import ClassVar

from domain.events.names import OdinNames, PsaNames
from domain.keys import ConnectionId, PsaAgreementId, PsaCustomerId


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
