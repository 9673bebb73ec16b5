"""What the poller and mapping tell -> what is bought, for whom, how many, at what cost, to what it is linked and how, and what is excluded."""

from services.reporting.read_model import ReadModel
from services.reporting.tables import exclusions, relation_settings, resources, subscriptions

RESOURCES = ReadModel(
    "resources",
    (resources, subscriptions, relation_settings, exclusions),
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
        "RelationSettingsSaved",
        "RelationFrozen",
        "RelationUnfrozen",
        "ResourceExcluded",
        "ResourceIncluded",
    ),
)
