"""What the brake held, what people said of it, and what would have been posted in shadow mode -> one row a request."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import held_requests, shadowed_requests

HELD = ReadModel(
    "held",
    (held_requests, shadowed_requests),
    (
        "AdjustmentHeld",
        "AdjustmentApproved",
        "AdjustmentRefused",
        "AdjustmentMoved",
        "AdjustmentDropped",
        "AdjustmentShadowed",
        "AdjustmentFailed",
        "AdjustmentParked",
        "AdjustmentPosted",
        "AdjustmentSuperseded",
        "UnitsFoundEqual",
    ),
)
