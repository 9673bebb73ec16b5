"""What may happen: every event type and version, frozen, in the past tense; a change carries the old and the new value.

`type` and `version` are written by hand and never change their meaning: the log keeps them for ever. A new shape is a new
version of the class plus a step in `domain/upcasters.py` and a golden file; the old class goes, its golden file stays.
"""

from domain.events.calls import CallsCounted, EndpointCalls
from domain.events.close import CloseCheck, CloseCheckAccepted, CloseInvoiced, CloseReopened, CloseSignedOff
from domain.events.gateway import (
    ConnectionSaved,
    MspAdded,
    NotificationRuleRemoved,
    NotificationRuleSaved,
    PolicyChanged,
    PostingPaused,
    PostingResumed,
    SecretsResealed,
)
from domain.events.mapping import (
    AgreementCandidate,
    AgreementMoveSettled,
    AgreementMoveUnclear,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceExcluded,
    ResourceIncluded,
)
from domain.events.people import ApiKeyMade, ApiKeyRevoked, UserCodesReset, UserDisabled, UserRoleSet
from domain.events.poller import (
    CompanyObserved,
    PollCompleted,
    PollFailed,
    RenewalCandidate,
    ResourceCostChanged,
    ResourceCountChanged,
    ResourceDisappeared,
    ResourceDiscovered,
    ResourceRenamed,
    SubscriptionObserved,
    SubscriptionRenewalSettled,
    SubscriptionRenewalUnclear,
    SubscriptionRenewed,
)
from domain.events.psa_writer import (
    AdjustmentApproved,
    AdjustmentDropped,
    AdjustmentFailed,
    AdjustmentHeld,
    AdjustmentMoved,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentRefused,
    AdjustmentReleased,
    AdjustmentRetried,
    AdjustmentShadowed,
    CatalogueRead,
    CatalogueReadFailed,
    Evidence,
    PlannedChange,
    PsaAgreementObserved,
    PsaCustomerObserved,
    PsaProductObserved,
    PsaRecordGone,
    PsaUnitsObserved,
    UnitsFoundEqual,
)
from domain.events.reconciler import (
    AdjustmentRequested,
    AdjustmentSuperseded,
    Cause,
    DriftAdopted,
    DriftOverwritten,
    PlanRefused,
)
from domain.events.watching import CloseDue, ConsumerResumed, ConsumerStopped, PollLate

Event = (
    CompanyObserved
    | SubscriptionObserved
    | ResourceDiscovered
    | ResourceCountChanged
    | ResourceCostChanged
    | ResourceRenamed
    | ResourceDisappeared
    | SubscriptionRenewed
    | SubscriptionRenewalUnclear
    | SubscriptionRenewalSettled
    | PollCompleted
    | PollFailed
    | PsaCustomerObserved
    | PsaAgreementObserved
    | PsaProductObserved
    | PsaUnitsObserved
    | PsaRecordGone
    | CatalogueRead
    | CatalogueReadFailed
    | AdjustmentPosted
    | AdjustmentFailed
    | AdjustmentParked
    | AdjustmentReleased
    | AdjustmentRetried
    | AdjustmentHeld
    | AdjustmentApproved
    | AdjustmentRefused
    | AdjustmentShadowed
    | AdjustmentMoved
    | AdjustmentDropped
    | UnitsFoundEqual
    | RelationSet
    | RelationCleared
    | AgreementMoveUnclear
    | AgreementMoveSettled
    | RelationSettingsSaved
    | RelationFrozen
    | RelationUnfrozen
    | ResourceExcluded
    | ResourceIncluded
    | AdjustmentRequested
    | AdjustmentSuperseded
    | PlanRefused
    | DriftAdopted
    | DriftOverwritten
    | MspAdded
    | ConnectionSaved
    | SecretsResealed
    | PolicyChanged
    | NotificationRuleSaved
    | NotificationRuleRemoved
    | PostingPaused
    | PostingResumed
    | CallsCounted
    | CloseCheckAccepted
    | CloseSignedOff
    | CloseReopened
    | CloseInvoiced
    | UserRoleSet
    | UserDisabled
    | UserCodesReset
    | ApiKeyMade
    | ApiKeyRevoked
    | ConsumerStopped
    | ConsumerResumed
    | PollLate
    | CloseDue
)

EVENT_TYPES: dict[str, type[Event]] = {event.type: event for event in Event.__args__}

__all__ = [
    "EVENT_TYPES",
    "AdjustmentApproved",
    "AdjustmentDropped",
    "AdjustmentFailed",
    "AdjustmentHeld",
    "AdjustmentMoved",
    "AdjustmentParked",
    "AdjustmentPosted",
    "AdjustmentRefused",
    "AdjustmentReleased",
    "AdjustmentRequested",
    "AdjustmentRetried",
    "AdjustmentShadowed",
    "AdjustmentSuperseded",
    "AgreementCandidate",
    "AgreementMoveSettled",
    "AgreementMoveUnclear",
    "ApiKeyMade",
    "ApiKeyRevoked",
    "CallsCounted",
    "CatalogueRead",
    "CatalogueReadFailed",
    "Cause",
    "CloseCheck",
    "CloseCheckAccepted",
    "CloseDue",
    "CloseInvoiced",
    "CloseReopened",
    "CloseSignedOff",
    "CompanyObserved",
    "ConnectionSaved",
    "ConsumerResumed",
    "ConsumerStopped",
    "DriftAdopted",
    "DriftOverwritten",
    "EndpointCalls",
    "Event",
    "Evidence",
    "MspAdded",
    "NotificationRuleRemoved",
    "NotificationRuleSaved",
    "PlanRefused",
    "PlannedChange",
    "PolicyChanged",
    "PollCompleted",
    "PollFailed",
    "PollLate",
    "PostingPaused",
    "PostingResumed",
    "PsaAgreementObserved",
    "PsaCustomerObserved",
    "PsaProductObserved",
    "PsaRecordGone",
    "PsaUnitsObserved",
    "RelationCleared",
    "RelationFrozen",
    "RelationSet",
    "RelationSettingsSaved",
    "RelationUnfrozen",
    "RenewalCandidate",
    "ResourceCostChanged",
    "ResourceCountChanged",
    "ResourceDisappeared",
    "ResourceDiscovered",
    "ResourceExcluded",
    "ResourceIncluded",
    "ResourceRenamed",
    "SecretsResealed",
    "SubscriptionObserved",
    "SubscriptionRenewalSettled",
    "SubscriptionRenewalUnclear",
    "SubscriptionRenewed",
    "UnitsFoundEqual",
    "UserCodesReset",
    "UserDisabled",
    "UserRoleSet",
]
