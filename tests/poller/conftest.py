"""A sandbox ODIN with the example company, and a desk from which it is polled."""

from collections.abc import Iterator

import pytest

from deploy.sandbox.odin import OdinAccount, odin_sandbox
from tests.poller.desk import Desk, desk_for, hurried


@pytest.fixture
def odin() -> Iterator[OdinAccount]:
    with odin_sandbox(companies=3) as account:
        yield account


@pytest.fixture
def desk(database: str, odin: OdinAccount, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    hurried(monkeypatch)
    with desk_for(database, odin) as made:
        yield made
