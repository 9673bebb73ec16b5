"""A service with several keys: the newest seals, each opens what was sealed for it, and no blob opens out of its place."""

import base64

import orjson
import pytest
from nacl.public import PublicKey, SealedBox

from domain.keys import ConnectionId, MspId
from plumbing.resealing import held_keys, resealed
from plumbing.secrets import NotForUs, are_keys, key_id, key_ids, new_key_pair, seal, sealed_with, unseal
from plumbing.settings import BadSettings, OutsideSettings, read_settings

ACME, OTHER, ODIN = MspId("acme"), MspId("other"), ConnectionId("odin")
OLD, OLD_PUBLIC = new_key_pair()
NEW, NEW_PUBLIC = new_key_pair()
BOTH = f"{NEW},{OLD}"


def from_before_keys_had_ids(value: str) -> str:
    inside = orjson.dumps([ACME, ODIN, "password", value])
    return base64.b64encode(SealedBox(PublicKey(base64.b64decode(OLD_PUBLIC))).encrypt(inside)).decode()


@pytest.mark.parametrize("public", [OLD_PUBLIC, NEW_PUBLIC], ids=["old", "new"])
def test_each_key_opens_what_was_sealed_for_it(public: str) -> None:
    sealed = seal(public, ACME, ODIN, "password", "s")
    assert sealed_with(sealed) == key_id(public)
    assert unseal(BOTH, ACME, ODIN, "password", sealed) == "s"


def test_what_was_sealed_before_keys_had_ids_still_opens() -> None:
    sealed = from_before_keys_had_ids("s")
    assert sealed_with(sealed) == ""
    assert unseal(OLD, ACME, ODIN, "password", sealed) == unseal(BOTH, ACME, ODIN, "password", sealed) == "s"


def test_a_key_that_is_gone_is_named() -> None:
    sealed = seal(OLD_PUBLIC, ACME, ODIN, "password", "s")
    with pytest.raises(NotForUs) as caught:
        unseal(NEW, ACME, ODIN, "password", sealed)
    assert str(caught.value) == (
        f"password of connection odin does not open with this service's keys {key_id(NEW_PUBLIC)}: "
        f"it was sealed with {key_id(OLD_PUBLIC)}"
    )


def test_secrets_are_sealed_anew_with_the_newest_key_and_stay_what_they_are() -> None:
    # given
    sealed = {"password": from_before_keys_had_ids("p"), "secret": seal(OLD_PUBLIC, ACME, ODIN, "secret", "s")}

    # when
    answer = resealed(BOTH, ACME, ODIN, sealed)

    # then the old key is not needed any more
    assert answer["refusal"] == ""
    opened = {name: unseal(NEW, ACME, ODIN, name, blob) for name, blob in answer["sealed"].items()}
    assert opened == {"password": "p", "secret": "s"}
    assert held_keys(BOTH)["key_ids"] == key_ids(BOTH) == [key_id(NEW_PUBLIC), key_id(OLD_PUBLIC)]


@pytest.mark.parametrize(
    "whose", [(OTHER, ODIN, "password"), (ACME, ConnectionId("second"), "password"), (ACME, ODIN, "secret")]
)
def test_nothing_is_sealed_anew_for_another_place(whose: tuple[MspId, ConnectionId, str]) -> None:
    sealed = seal(OLD_PUBLIC, *whose, "s")
    answer = resealed(BOTH, ACME, ODIN, {"password": sealed})
    assert answer["sealed"] == {}
    assert answer["refusal"] == "password of connection odin was sealed for something else"


@pytest.mark.parametrize(
    "given", ["canary", f"{NEW},canary", f"{NEW},", NEW[:-8]], ids=["no key", "second", "comma", "cut"]
)
def test_what_is_no_key_is_told_at_the_start_and_not_shown(given: str) -> None:
    urls = {"TRUEUP_DATABASE_URL": "postgresql://a@b/c", "TRUEUP_RABBITMQ_URL": "amqp://a@b/"}
    with pytest.raises(BadSettings) as caught:
        read_settings(OutsideSettings, urls | {"TRUEUP_PRIVATE_KEY": given})
    assert "TRUEUP_PRIVATE_KEY is not usable: " in str(caught.value)
    assert given not in str(caught.value)
    assert are_keys(BOTH)
