"""Counts in ODIN, costs, links and exclusions of resources -> the same with the time for which they held."""

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
