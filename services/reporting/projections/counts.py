"""What ODIN counted, what it cost and to what it was linked, and whether it was excluded -> the same with the time for which it held."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import counts, renewals

COUNTS = ReadModel(
    "counts",
    (counts, renewals),
    (
        "SubscriptionRenewed",
        "ResourceDiscovered",
        "ResourceCountChanged",
        "ResourceCostChanged",
        "ResourceRenamed",
        "ResourceDisappeared",
        "RelationSet",
        "RelationCleared",
        "ResourceExcluded",
        "ResourceIncluded",
    ),
)
