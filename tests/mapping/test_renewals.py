"""A renewal that swaps the subscription id: relations follow, each move in one append (features: subscription level)."""

from domain.events import RelationCleared, RelationSet
from tests.mapping.conftest import ODIN, OTHER_PRODUCT, PSA, TEAMS, Mapping
from tests.world import disappeared, discovered, odin, renewed

NEW = odin(subscription_id="1000824")
NEW_TEAMS = odin(subscription_id="1000824", resource_id=TEAMS.resource_id, resource_name=TEAMS.resource_name)


def test_relations_follow_the_renewed_subscription_in_one_append(mapping: Mapping) -> None:
    # given
    first, second = mapping.set(mapping.wish(ODIN), mapping.wish(TEAMS, OTHER_PRODUCT))

    # when
    at = mapping.append(discovered(NEW, "9"), discovered(NEW_TEAMS), renewed(ODIN, "1000824"), correlation_id="poll-7")
    mapping.catch_up()

    # then
    moves = [envelope for envelope in mapping.log(RelationSet, RelationCleared) if envelope.position > at]
    assert [type(move.event) for move in moves] == [RelationCleared, RelationSet] * 2
    assert {(move.correlation_id, move.caused_by, move.recorded_at) for move in moves} == {
        ("poll-7", at, mapping.clock.moment)
    }
    cleared, set_again = moves[0].event, moves[1].event
    assert (cleared.relation_id, cleared.followed_to) == (first["relation_id"], "1000824")
    assert set_again == RelationSet(
        **vars(NEW),
        **vars(PSA),
        relation_id=set_again.relation_id,
        followed_from="1000823",
        hold_first=False,
        score=None,
    )
    assert set_again.relation_id not in (first["relation_id"], second["relation_id"])


def test_what_was_renewed_cannot_be_linked_any_more_and_its_successor_is_linked(mapping: Mapping) -> None:
    mapping.set(mapping.wish(ODIN))
    mapping.append(discovered(NEW), renewed(ODIN, "1000824"))
    old, new = mapping.set(mapping.wish(ODIN), mapping.wish(NEW))
    assert old["refusal"]["code"] == "resource_gone"
    assert new["note"] == "already_set"


def test_a_renewal_without_relations_moves_nothing(mapping: Mapping) -> None:
    mapping.append(discovered(NEW), renewed(ODIN, "1000824"))
    mapping.catch_up()
    assert mapping.happened(RelationSet, RelationCleared) == []


def test_a_resource_that_the_renewal_does_not_continue_keeps_its_relation(mapping: Mapping) -> None:
    mapping.set(mapping.wish(ODIN), mapping.wish(TEAMS))
    mapping.append(discovered(NEW), renewed(ODIN, "1000824"), disappeared(TEAMS))
    mapping.catch_up()
    assert [event.resource_id for event in mapping.happened(RelationCleared)] == [ODIN.resource_id]


def test_a_successor_that_a_person_linked_already_keeps_that_relation(mapping: Mapping) -> None:
    # given
    mapping.append(discovered(NEW))
    old, _ = mapping.set(mapping.wish(ODIN), mapping.wish(NEW, OTHER_PRODUCT))

    # when
    mapping.append(renewed(ODIN, "1000824"))
    mapping.catch_up()

    # then: the old one simply ends, so that what it fed is planned anew
    [cleared] = mapping.happened(RelationCleared)
    assert (cleared.relation_id, cleared.followed_to) == (old["relation_id"], None)
    assert len(mapping.happened(RelationSet)) == 2


def test_a_relation_may_follow_again_and_again(mapping: Mapping) -> None:
    mapping.set(mapping.wish(ODIN))
    for old, new in (("1000823", "1000824"), ("1000824", "1000825")):
        mapping.append(discovered(odin(subscription_id=new)), renewed(odin(subscription_id=old), new))
        mapping.catch_up()
    assert [event.subscription_id for event in mapping.happened(RelationSet)] == ["1000823", "1000824", "1000825"]


def test_two_renewals_in_one_slice_are_followed_to_the_last(mapping: Mapping) -> None:
    mapping.set(mapping.wish(ODIN))
    mapping.append(
        *(event for new in ("1000824", "1000825") for event in [discovered(odin(subscription_id=new))]),
        renewed(ODIN, "1000824"),
        renewed(NEW, "1000825"),
    )
    mapping.catch_up()
    assert [event.subscription_id for event in mapping.happened(RelationSet)] == ["1000823", "1000824", "1000825"]
