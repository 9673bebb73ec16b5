"""Settings, secrets, clock, logs: the small things every process stands on."""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import ConnectionId, MspId
from plumbing.clock import Clock, FrozenClock
from plumbing.logs import JsonLines, correlated, correlation_id
from plumbing.secrets import NotForUs, new_key_pair, public_key_of, seal, unseal
from plumbing.settings import BadSettings, Settings, masked, read_settings, setting

GIVEN = {"TRUEUP_DATABASE_URL": "postgresql://u:canary@h/d", "TRUEUP_RABBITMQ_URL": "amqp://g:canary@h/"}


@dataclass(frozen=True, kw_only=True)
class _Own(Settings):
    loud: bool = setting(False, help="whether to shout")


def test_defaults_fill_what_is_not_given_and_text_becomes_values() -> None:
    read = read_settings(_Own, GIVEN | {"TRUEUP_SWEEP_SECONDS": "1.5", "TRUEUP_LOUD": "yes", "TRUEUP_PORT": ""})
    assert (read.sweep_seconds, read.loud, read.port) == (Decimal("1.5"), True, 0)


def test_every_missing_or_unreadable_setting_is_named_at_once_and_no_secret_is_shown() -> None:
    with pytest.raises(BadSettings) as caught:
        read_settings(_Own, {"TRUEUP_DATABASE_URL": "canary", "TRUEUP_PORT": "high", "TRUEUP_LOUD": "maybe"})
    message = str(caught.value)
    assert "TRUEUP_RABBITMQ_URL is not set: amqp://user:password@host:port/vhost" in message
    assert "TRUEUP_PORT is 'high'" in message
    assert "TRUEUP_LOUD is 'maybe'" in message
    assert "canary" not in message


def test_settings_are_shown_masked() -> None:
    assert "canary" not in str(masked(read_settings(_Own, GIVEN)))


@given(st.text(max_size=200))
def test_a_sealed_secret_opens_for_its_own_place_only(value: str) -> None:
    # given
    private, public = new_key_pair()
    value = value.encode("utf-8", "ignore").decode()
    sealed = seal(public, MspId("acme"), ConnectionId("odin"), "password", value)

    # then
    assert unseal(private, MspId("acme"), ConnectionId("odin"), "password", sealed) == value
    for place in (("other", "odin", "password"), ("acme", "second", "password"), ("acme", "odin", "secret")):
        with pytest.raises(NotForUs):
            unseal(private, MspId(place[0]), ConnectionId(place[1]), place[2], sealed)
    with pytest.raises(NotForUs):
        unseal(new_key_pair()[0], MspId("acme"), ConnectionId("odin"), "password", sealed)
    assert public_key_of(private) == public


def test_a_billing_day_is_a_day_in_the_msps_time_zone() -> None:
    clock = FrozenClock(datetime(2026, 7, 31, 11, 0, tzinfo=UTC))
    assert clock.today("Pacific/Kiritimati") == date(2026, 8, 1)
    assert clock.today("America/Los_Angeles") == date(2026, 7, 31)


def test_a_sandbox_sets_the_clock_of_all_processes_forward(tmp_path: Path) -> None:
    # given
    file = tmp_path / "clock"
    clock = Clock(str(file))
    before = clock.now()

    # when
    file.write_text("86400")

    # then
    assert (clock.now() - before).days == 1


def test_a_log_line_is_one_line_of_json_with_the_correlation_id() -> None:
    record = logging.getLogger("x").makeRecord(
        "x", logging.INFO, "f", 1, "count\nchanged", (), None, extra={"msp_id": "acme"}
    )
    with correlated("c-1") as current:
        line = JsonLines("poller").format(record)
        assert current == correlation_id() == "c-1"
    assert "\n" not in line
    said = json.loads(line)
    assert (said["action"], said["msp_id"], said["correlation_id"], said["service"]) == (
        "count\nchanged",
        "acme",
        "c-1",
        "poller",
    )
