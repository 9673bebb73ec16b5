"""What the poller and mapping tell -> what is bought, for whom, how many, at what cost, and to what it is linked."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import resources, subscriptions

RESOURCES = ReadModel(
    "resources",
    (resources, subscriptions),
    (
        "SubscriptionObserved",
        "SubscriptionRenewed",
        "ResourceDiscovered",
        "ResourceCountChanged",
        "ResourceCostChanged",
        "ResourceRenamed",
        "ResourceDisappeared",
        "RelationSet",
        "RelationCleared",
    ),
)
