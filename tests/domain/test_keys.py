"""Ids <-> keys as text, whatever letters the ids have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.keys import BadKey, PsaAgreementKey, PsaProductKey, ResourceKey, SubscriptionKey

KEYS = [ResourceKey, SubscriptionKey, PsaProductKey, PsaAgreementKey]
parts = st.text(min_size=1, max_size=10) | st.sampled_from(["/", "%", "%2F", "%25", "a/b", "%252F", "//"])


@pytest.mark.parametrize("kind", KEYS)
@given(data=st.data())
def test_a_key_written_as_text_is_read_back_the_same(kind: type, data: st.DataObject) -> None:
    key = data.draw(st.builds(kind, **dict.fromkeys(kind.__dataclass_fields__, parts)))
    assert kind.parse(str(key)) == key


@given(first=st.lists(parts, min_size=3, max_size=3), second=st.lists(parts, min_size=3, max_size=3))
def test_two_keys_are_never_written_alike(first: list[str], second: list[str]) -> None:
    assert (str(PsaProductKey(*first)) == str(PsaProductKey(*second))) == (first == second)


def test_a_key_begins_with_the_msp() -> None:
    assert str(ResourceKey("acme", "odin", "1200000501", "1000823", "100234")) == "acme/odin/1200000501/1000823/100234"


@pytest.mark.parametrize("text", ["", "acme", "acme/odin", "acme/odin/1/2", "acme/odin/", "/odin/1", "acme//1"])
def test_text_with_too_many_too_few_or_empty_parts_is_no_key(text: str) -> None:
    with pytest.raises(BadKey, match="PsaProductKey"):
        PsaProductKey.parse(text)
