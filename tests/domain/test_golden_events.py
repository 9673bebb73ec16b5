"""Every version of every event that was ever written stays readable: one file each, kept for ever."""

import json
from pathlib import Path

import pytest

from domain.codec import decode, encode
from domain.events import EVENT_TYPES

GOLDEN = Path(__file__).parents[1] / "golden" / "events"
FILES = sorted(GOLDEN.glob("*.json"))


def type_and_version(file: Path) -> tuple[str, int]:
    """What the name of a golden file says: ("RelationSet", 1) for RelationSet.v1.json."""
    event_type, version, _ = file.name.split(".")
    return event_type, int(version.removeprefix("v"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_event_decodes_and_its_current_version_encodes_to_the_same_payload(file: Path) -> None:
    # given
    event_type, version = type_and_version(file)
    payload = json.loads(file.read_text())

    # when
    event = decode(event_type, version, payload)

    # then
    assert type(event) is EVENT_TYPES[event_type]
    if version == event.version:
        assert encode(event) == payload
    assert decode(event_type, event.version, encode(event)) == event


def test_every_version_of_every_event_type_has_its_golden_file() -> None:
    known = {type_and_version(file) for file in FILES}
    assert known == {(name, v) for name, kind in EVENT_TYPES.items() for v in range(1, kind.version + 1)}
