"""Settings, freezes and exclusions: what is granted, what is refused, and that a renewal takes them along."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from domain.events import (
    RelationFrozen,
    RelationSet,
    RelationSettingsSaved,
    RelationUnfrozen,
    ResourceExcluded,
    ResourceIncluded,
)
from domain.money import Money
from domain.price_source import PriceSource
from domain.relation_settings import AS_NEW, RelationSettings
from domain.unit_rule import UnitRule
from services.mapping import excluding, settling
from services.mapping.wishes import Ask, Refused, parse_reason, parse_settings, parse_until
from tests.mapping.conftest import ODIN, OTHER_PRODUCT, PSA, TEAMS, Mapping
from tests.world import MORNING, disappeared, discovered, odin, renewed

PACKS = RelationSettings(rule=UnitRule(pack_size=10, rounding="up"), note="packs")
NEW = odin(subscription_id="1000824")
DAY = MORNING.date()


def custom(amount: str) -> RelationSettings:
    """A price of one's own."""
    return RelationSettings(price=PriceSource("custom", Money.parse(amount, "USD")))


def ask(mapping: Mapping, operation_id: str = "") -> Ask:
    """Anna asks."""
    return Ask(mapping.msp_id, operation_id or uuid4().hex, "anna@msp.example")


def save(mapping: Mapping, settings: RelationSettings, *ids: str, operation_id: str = "") -> list[dict[str, Any]]:
    """The results of one call."""
    asked = ask(mapping, operation_id)
    return settling.save_settings(mapping.engine, mapping.clock, asked, list(ids), settings)["results"]


def freeze(mapping: Mapping, *ids: str) -> list[dict[str, Any]]:
    """The results of one call."""
    return settling.freeze(mapping.engine, mapping.clock, ask(mapping), list(ids), "in dispute")["results"]


def unfreeze(mapping: Mapping, *ids: str) -> list[dict[str, Any]]:
    """The results of one call."""
    return settling.unfreeze(mapping.engine, mapping.clock, ask(mapping), list(ids), "")["results"]


def exclude(mapping: Mapping, *names: Any, until: date | None = None, reason: str = "own use") -> list[dict[str, Any]]:
    """The results of one call."""
    keys = [str(each.resource_key(mapping.msp_id)) for each in names]
    return excluding.exclude(mapping.engine, mapping.clock, ask(mapping), keys, reason, until)["results"]


def include(mapping: Mapping, *names: Any) -> list[dict[str, Any]]:
    """The results of one call."""
    keys = [str(each.resource_key(mapping.msp_id)) for each in names]
    return excluding.include(mapping.engine, mapping.clock, ask(mapping), keys, "sold after all")["results"]


def linked(mapping: Mapping, names: Any = ODIN, product: Any = PSA) -> str:
    """The id of a relation that was just set."""
    [result] = mapping.set(mapping.wish(names, product))
    assert result["ok"]
    return str(result["relation_id"])


def codes(results: list[dict[str, Any]]) -> list[str | None]:
    """What was refused, by code."""
    return [result["refusal"] and result["refusal"]["code"] for result in results]


def test_settings_are_saved_with_those_before_them(mapping: Mapping) -> None:
    relation_id = linked(mapping)
    save(mapping, PACKS, relation_id)
    save(mapping, AS_NEW, relation_id)
    first, second = mapping.log(RelationSettingsSaved)
    assert (first.event.settings, first.event.previous_settings) == (PACKS, AS_NEW)
    assert (second.event.settings, second.event.previous_settings) == (AS_NEW, PACKS)
    assert (first.actor, first.stream, first.stream_version, second.stream_version) == (
        "anna@msp.example",
        "relation/odin/1200000501/1000823/100234",
        2,
        3,
    )


def test_saving_the_same_again_is_told_and_no_event(mapping: Mapping) -> None:
    relation_id = linked(mapping)
    first = save(mapping, PACKS, relation_id, operation_id="click")
    again = save(mapping, PACKS, relation_id, operation_id="click")
    [other] = save(mapping, PACKS, relation_id, relation_id)[:1]
    assert first == again
    assert (other["ok"], other["note"]) == (True, "already_saved")
    assert len(mapping.happened(RelationSettingsSaved)) == 1


def test_rows_that_cannot_be_settled_say_why_and_the_others_are(mapping: Mapping) -> None:
    good, gone = linked(mapping), linked(mapping, TEAMS)
    mapping.clear(gone)
    for settle in (lambda ids: save(mapping, PACKS, *ids), lambda ids: freeze(mapping, *ids)):
        assert codes(settle([good, gone, "nobody"])) == [None, "relation_cleared", "relation_unknown"]
    assert [event.relation_id for event in mapping.happened(RelationSettingsSaved, RelationFrozen)] == [good, good]


def test_a_product_has_one_price(mapping: Mapping) -> None:
    first, second = linked(mapping), linked(mapping, TEAMS)
    save(mapping, custom("5"), first)
    assert codes(save(mapping, custom("6"), second)) == ["price_contradicts"]
    assert codes(save(mapping, custom("5"), second)) == [None]
    assert codes(save(mapping, custom("6"), first, second)) == [None, None]
    assert codes(save(mapping, AS_NEW, second)) == [None]


def test_a_relation_is_frozen_once_and_unfrozen_once(mapping: Mapping) -> None:
    relation_id = linked(mapping)
    assert [result["note"] for result in freeze(mapping, relation_id) + freeze(mapping, relation_id)] == [
        None,
        "already_frozen",
    ]
    assert [result["note"] for result in unfreeze(mapping, relation_id) + unfreeze(mapping, relation_id)] == [
        None,
        "not_frozen",
    ]
    assert [event.reason for event in mapping.happened(RelationFrozen)] == ["in dispute"]
    assert len(mapping.happened(RelationUnfrozen)) == 1


def test_settings_and_freeze_follow_a_renewal_and_end_with_the_relation(mapping: Mapping) -> None:
    # given
    relation_id = linked(mapping)
    save(mapping, PACKS, relation_id)
    freeze(mapping, relation_id)

    # when
    at = mapping.append(discovered(NEW), renewed(ODIN, "1000824"))
    mapping.catch_up()

    # then: all in the append that moves the relation
    moved = [envelope.event for envelope in mapping.log() if envelope.position > at]
    assert [event.type for event in moved] == [
        "RelationCleared",
        "RelationSet",
        "RelationSettingsSaved",
        "RelationFrozen",
    ]
    new_id = moved[1].relation_id
    assert (moved[2].relation_id, moved[2].settings, moved[3].relation_id) == (new_id, PACKS, new_id)
    assert [result["note"] for result in freeze(mapping, new_id)] == ["already_frozen"]

    # and: set anew it begins like any other
    mapping.clear(new_id)
    again = linked(mapping, NEW)
    assert [result["note"] for result in save(mapping, AS_NEW, again) + unfreeze(mapping, again)] == [
        "already_saved",
        "not_frozen",
    ]


def test_what_is_linked_cannot_be_excluded_and_what_is_excluded_cannot_be_linked(mapping: Mapping) -> None:
    linked(mapping)
    assert codes(exclude(mapping, ODIN, TEAMS)) == ["resource_linked", None]
    assert codes(mapping.set(mapping.wish(TEAMS, OTHER_PRODUCT))) == ["resource_excluded"]
    assert codes(include(mapping, TEAMS)) == [None]
    assert codes(mapping.set(mapping.wish(TEAMS, OTHER_PRODUCT))) == [None]
    assert len(mapping.happened(RelationSet)) == 2


def test_rows_that_cannot_be_excluded_say_why(mapping: Mapping) -> None:
    mapping.append(disappeared(TEAMS))
    results = exclude(mapping, TEAMS, odin(resource_id="nobody"), ODIN, until=DAY - timedelta(days=1))
    assert codes(results) == ["resource_gone", "resource_unknown", "until_passed"]
    assert mapping.happened(ResourceExcluded) == []
    [result] = excluding.exclude(mapping.engine, mapping.clock, ask(mapping), ["no key"], "own use", None)["results"]
    assert result["refusal"]["code"] == "resource_unknown"


def test_an_exclusion_may_be_given_another_day_and_reason(mapping: Mapping) -> None:
    exclude(mapping, ODIN, until=DAY)
    exclude(mapping, ODIN, until=None, reason="trial")
    assert [result["note"] for result in exclude(mapping, ODIN, until=None, reason="trial")] == ["already_excluded"]
    assert [(event.reason, event.until) for event in mapping.happened(ResourceExcluded)] == [
        ("own use", DAY),
        ("trial", None),
    ]
    assert [result["note"] for result in include(mapping, ODIN) + include(mapping, ODIN)] == [None, "not_excluded"]


def test_an_exclusion_ends_by_itself_after_its_last_day_where_the_msp_is(mapping: Mapping) -> None:
    # given
    exclude(mapping, ODIN, until=DAY)
    exclude(mapping, TEAMS)

    # when: its last day, and the first moment after it in the MSP's time zone
    for hours, ended in ((0, 0), (48, 1), (96, 1)):
        mapping.clock.moment = MORNING + timedelta(hours=hours)
        excluding.end_passed(mapping.engine, mapping.clock)
        assert len(mapping.happened(ResourceIncluded)) == ended

    # then
    [envelope] = mapping.log(ResourceIncluded)
    assert (envelope.event.resource_id, envelope.event.reason) == (ODIN.resource_id, "its last day has passed")
    assert (envelope.stream, envelope.stream_version) == ("exclusion/odin/1200000501/1000823/100234", 2)


def test_the_last_day_ends_when_it_ends_where_the_msp_is(mapping: Mapping) -> None:
    # given
    with mapping.engine.begin() as connection:
        connection.execute(text("UPDATE setup.msps SET time_zone = 'America/New_York'"))
    exclude(mapping, ODIN, until=DAY)

    # when: three in the morning in UTC is eleven at night there; five is one in the morning
    for hour, ended in ((3, 0), (5, 1)):
        mapping.clock.moment = datetime(DAY.year, DAY.month, DAY.day, hour, tzinfo=UTC) + timedelta(days=1)
        excluding.end_passed(mapping.engine, mapping.clock)

        # then
        assert len(mapping.happened(ResourceIncluded)) == ended


def test_an_exclusion_follows_a_renewal(mapping: Mapping) -> None:
    exclude(mapping, ODIN, until=DAY)
    mapping.append(discovered(NEW), renewed(ODIN, "1000824"))
    mapping.catch_up()
    moved = mapping.happened(ResourceExcluded, ResourceIncluded)[1:]
    assert [(event.type, event.subscription_id) for event in moved] == [
        ("ResourceIncluded", "1000823"),
        ("ResourceExcluded", "1000824"),
    ]
    assert (moved[1].reason, moved[1].until) == ("own use", DAY)


@pytest.mark.parametrize(
    ("parse", "code"),
    [
        pytest.param(lambda: parse_reason(" ", required=True), "reason_missing", id="no reason"),
        pytest.param(lambda: parse_settings({"rule": {"pack_size": 10}}), "bad_settings", id="no rounding"),
        pytest.param(lambda: parse_settings({"note": "\x00"}), "bad_settings", id="NUL"),
        pytest.param(lambda: parse_until("tomorrow"), "bad_request", id="no day"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused_as_a_whole(parse: Any, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse()
    assert refused.value.refusal.code == code


def test_numbers_of_a_call_are_exact() -> None:
    assert parse_settings({"rule": {"included": "2.50", "minimum": 1}}).rule == UnitRule(Decimal("2.50"), minimum=1)
