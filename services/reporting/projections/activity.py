"""What people and services changed -> who did what, when, before and after, and why."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import activity

ACTIVITY = ReadModel(
    "activity",
    (activity,),
    (
        "MspAdded",
        "ConnectionSaved",
        "SecretsResealed",
        "PolicyChanged",
        "NotificationRuleSaved",
        "NotificationRuleRemoved",
        "RelationSet",
        "RelationCleared",
        "AdjustmentPosted",
        "AdjustmentParked",
        "AdjustmentReleased",
        "AdjustmentRetried",
        "CloseCheckAccepted",
        "CloseSignedOff",
        "CloseReopened",
        "CloseInvoiced",
        "UserRoleSet",
        "UserDisabled",
        "UserCodesReset",
        "ApiKeyMade",
        "ApiKeyRevoked",
        "DriftAdopted",
        "DriftOverwritten",
        "PostingPaused",
        "PostingResumed",
    ),
)
