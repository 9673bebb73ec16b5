"""What failed and what went well after -> the failure log: open or closed, tries, next try, cause and fix of each failure."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import closed_requests, failures, fed_products

FAILURES = ReadModel(
    "failures",
    (failures, closed_requests, fed_products),
    (
        "AdjustmentDropped",
        "AdjustmentFailed",
        "AdjustmentHeld",
        "AdjustmentMoved",
        "AdjustmentParked",
        "AdjustmentPosted",
        "AdjustmentRefused",
        "AdjustmentReleased",
        "AdjustmentRetried",
        "AdjustmentShadowed",
        "AdjustmentRequested",
        "AdjustmentSuperseded",
        "UnitsFoundEqual",
        "PlanRefused",
        "RelationSet",
        "RelationCleared",
        "PollFailed",
        "PollCompleted",
        "CatalogueRead",
        "CatalogueReadFailed",
        "PsaCustomerObserved",
        "PsaAgreementObserved",
        "PsaProductObserved",
        "PsaUnitsObserved",
    ),
)
