"""What people should know -> one row for each piece of news, with its severity, text and where to look."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import found_resources, notifications, our_units, told_troubles

NOTIFICATIONS = ReadModel(
    "notifications",
    (notifications, told_troubles, our_units, found_resources),
    (
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
        "AgreementMoveUnclear",
        "CatalogueRead",
        "CatalogueReadFailed",
        "CloseDue",
        "ConsumerResumed",
        "ConsumerStopped",
        "PlanRefused",
        "PollCompleted",
        "PollFailed",
        "PollLate",
        "PsaUnitsObserved",
        "RelationCleared",
        "RelationSet",
        "ResourceDisappeared",
        "ResourceDiscovered",
        "SubscriptionRenewalUnclear",
        "SubscriptionRenewed",
        "UnitsFoundEqual",
        "DriftAdopted",
    ),
)
