"""(live relations of an ended subscription, resources of its renewal) -> what becomes of each relation: it follows or ends.

A resource is continued by the one with the same resource id on the new subscription. Nothing falls to zero in between: the
clearing says where the relation went, and whoever sums counts waits for the setting.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from domain.keys import ResourceId
from services.mapping.decide_relation import Relation, Resource


@dataclass(frozen=True)
class Move:
    """A relation leaves its resource: for the successor, or for none because a person linked that one already."""

    relation: Relation
    successor: Resource | None


def follow_renewal(
    relations: Iterable[Relation], successors: Mapping[ResourceId, Resource], linked: Set[ResourceId]
) -> list[Move]:
    """The moves. A relation whose resource has no successor that can be linked stays as it is: the poller tells separately
    when such a resource disappears. linked: resource ids of the new subscription that feed a product already."""
    moves = []
    for relation in relations:
        successor = successors.get(relation.odin.resource_id)
        if successor is None or successor.gone or successor.usage_based:
            continue
        moves.append(Move(relation, None if relation.odin.resource_id in linked else successor))
    return moves
