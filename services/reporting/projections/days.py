"""What was posted and what changed in ODIN -> the same summed by day of the MSP's time zone, connection and currency."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import days

DAYS = ReadModel(
    "days",
    (days,),
    ("AdjustmentPosted", "ResourceCountChanged", "ResourceDiscovered", "ResourceDisappeared"),
)
