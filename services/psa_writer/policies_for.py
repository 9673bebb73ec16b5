"""(what an MSP has decided, the resources that feed a PSA product) -> what holds for its posts.

Several resources may feed one product, and exceptions may give them different values: the most careful of them holds.
"""

from collections.abc import Iterable, Sequence

from domain.events import AdjustmentRequested
from domain.keys import CompanyId, ResourceId
from domain.policies import Policies
from services.psa_writer.decide_post import PostPolicies

FedBy = Sequence[tuple[CompanyId, ResourceId]]
#: The values from the most careful on: later is better than too soon, nothing better than what may be wrong.
_MOST_CAREFUL = {
    "increase_effective": ("next_period", "today"),
    "decrease_effective": ("next_period", "today"),
    "posted_period": ("refuse", "next_unposted"),
    "unit_cost": ("report", "post"),
}


def fed_by(wish: AdjustmentRequested) -> FedBy:
    """The resource that brought the wish about, and those whose counts make it up."""
    own = (wish.company_id, wish.resource_id)
    return [own, *((cause.company_id, cause.resource_id) for cause in wish.causes)]


def post_policies(policies: Policies, resources: Iterable[tuple[CompanyId, ResourceId]]) -> PostPolicies:
    """The policies on dates and costs."""
    own = list(resources)
    return PostPolicies(
        **{name: min(policies.of_all(name, own), key=order.index) for name, order in _MOST_CAREFUL.items()}
    )
