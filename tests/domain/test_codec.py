"""Events <-> JSON values: nothing lost on the way, nothing believed that has another shape."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import upcasters
from domain.codec import BadPayload, UnknownEvent, decode, encode
from domain.events import EVENT_TYPES, Event, MspAdded, ResourceCountChanged, SecretsResealed
from tests.domain.strategies import examples
from tests.world import ODIN


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=lambda kind: kind.type)
@given(data=st.data())
def test_any_event_comes_back_from_json_as_it_was(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(examples(kind))
    assert decode(event.type, event.version, json.loads(json.dumps(encode(event)))) == event


def test_an_event_has_its_fields_in_their_order_whatever_the_order_of_the_payload() -> None:
    event = count_changed(Decimal(12))
    turned = dict(reversed(encode(event).items()))
    assert list(encode(decode(event.type, event.version, turned))) == list(encode(event))


def test_of_two_damaged_fields_the_first_is_named() -> None:
    payload = encode(count_changed(Decimal(12))) | {"count": 12, "previous_count": 4}
    with pytest.raises(BadPayload, match=r"^ResourceCountChanged.previous_count: 4 is not a Decimal$"):
        decode("ResourceCountChanged", 1, payload)


def test_the_type_in_the_log_is_written_by_hand_and_equals_the_class_name() -> None:
    assert {name: kind.__name__ for name, kind in EVENT_TYPES.items()} == {name: name for name in EVENT_TYPES}


def test_numbers_days_and_moments_are_plain_text() -> None:
    payload = encode(count_changed(Decimal("1E+1")))
    assert payload["count"] == "10"
    assert payload["previous_count"] is None


@pytest.mark.parametrize(("event_type", "version"), [("NeverHeardOf", 1), ("PolicyChanged", 3), ("PolicyChanged", 0)])
def test_an_event_that_this_program_does_not_know_is_refused(event_type: str, version: int) -> None:
    with pytest.raises(UnknownEvent, match=event_type):
        decode(event_type, version, {})


@pytest.mark.parametrize(
    "damage",
    [
        {"count": 12},
        {"count": "twelve"},
        {"count": "NaN"},
        {"count": "Infinity"},
        {"count": True},
        {"company_name": None},
        {"company_name": 7},
        {"unheard_of": "1"},
    ],
)
def test_a_damaged_payload_is_refused(damage: dict[str, Any]) -> None:
    payload = encode(count_changed(Decimal(12))) | damage
    with pytest.raises(BadPayload):
        decode("ResourceCountChanged", 1, payload)


def test_a_payload_that_lacks_a_field_or_is_no_object_is_refused() -> None:
    payload = encode(count_changed(Decimal(12)))
    del payload["count"]
    with pytest.raises(BadPayload, match="count"):
        decode("ResourceCountChanged", 1, payload)
    with pytest.raises(BadPayload, match="units"):
        decode("ResourceCountChanged", 1, payload | {"units": "12"})
    with pytest.raises(BadPayload):
        decode("ResourceCountChanged", 1, [])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("next_try_at", "2026-08-03T08:00:00"),
        ("next_try_at", "soon"),
        ("next_try_at", 5),
    ],
)
def test_a_moment_without_its_zone_is_refused(field: str, value: Any) -> None:
    payload = golden("AdjustmentFailed") | {field: value}
    with pytest.raises(BadPayload, match=field):
        decode("AdjustmentFailed", 1, payload)


def test_a_moment_of_another_zone_is_read_as_utc() -> None:
    event = decode("AdjustmentFailed", 1, golden("AdjustmentFailed") | {"next_try_at": "2026-08-03T10:00:00+02:00"})
    assert event.next_try_at == datetime(2026, 8, 3, 8, tzinfo=UTC)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "money",
    [
        {"amount": "1"},
        {"amount": "x", "currency": "USD"},
        "3.40",
        {"amount": "NaN", "currency": "USD"},
        {"amount": "1", "currency": "dollars"},
    ],
)
def test_money_of_another_shape_is_refused(money: Any) -> None:
    with pytest.raises(BadPayload):
        decode("ResourceCostChanged", 1, golden("ResourceCostChanged") | {"unit_cost": money})


def test_a_value_that_no_event_may_carry_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        encode(SecretsResealed(place=1.5, place_id="odin", kind="odin", secrets=(), key_id="k"))  # type: ignore[arg-type]


def test_an_old_version_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # given: a type that is at version 3 by now
    monkeypatch.setattr(MspAdded, "version", 3)
    monkeypatch.setitem(upcasters.STEPS, ("MspAdded", 1), lambda old: {"name": old["called"]})
    monkeypatch.setitem(upcasters.STEPS, ("MspAdded", 2), lambda old: old | {"time_zone": "UTC"})
    written = {"called": "Acme"}

    # when
    event = decode("MspAdded", 1, written)

    # then
    assert event == MspAdded(name="Acme", time_zone="UTC")
    assert written == {"called": "Acme"}


def count_changed(count: Decimal) -> ResourceCountChanged:
    """An event with a count."""
    return ResourceCountChanged(**vars(ODIN), previous_count=None, count=count)


def golden(event_type: str) -> dict[str, Any]:
    """The payload of a golden event."""
    from tests.domain.test_golden_events import GOLDEN

    payload: dict[str, Any] = json.loads((GOLDEN / f"{event_type}.v1.json").read_text())
    return payload
