"""What was asked for and what was posted -> the adjustment log, and how far each request has come."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import adjustments, requests

ADJUSTMENTS = ReadModel(
    "adjustments",
    (adjustments, requests),
    (
        "AdjustmentRequested",
        "AdjustmentPosted",
        "UnitsFoundEqual",
        "AdjustmentSuperseded",
        "AdjustmentRefused",
        "AdjustmentDropped",
    ),
)
