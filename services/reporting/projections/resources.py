"""What the poller and mapping tell -> what is bought, for whom, at what cost, how it is linked, and what is excluded."""

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
