"""(a migrated database, a sandbox ODIN) -> an MSP with a marketplace connection that a test can poll, event by event."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Engine, text

from deploy.sandbox.odin import OdinAccount
from domain.events import CallsCounted, Event, PollCompleted, PollFailed
from domain.keys import ConnectionId, MspId
from plumbing import event_log
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.house import House
from plumbing.secrets import new_key_pair, public_key_of, seal
from plumbing.settings import OutsideSettings
from services.poller.place import Place
from services.poller.sources import simple_api
from services.poller.work import PollWork, do_poll
from tests.msps import add_msp

PRIVATE_KEY, PUBLIC_KEY = new_key_pair()
# Of the poller's own work: polls come and go beside the changes they find.
POLL_EVENTS = (PollCompleted.type, PollFailed.type, CallsCounted.type)
RESOURCE_EVENTS = (
    "ResourceDiscovered",
    "ResourceCountChanged",
    "ResourceCostChanged",
    "ResourceRenamed",
    "ResourceDisappeared",
)


@dataclass
class Desk:
    """One MSP's marketplace connection, and the poller's house around it."""

    engine: Engine
    msp_id: MspId
    connection_id: ConnectionId
    house: House
    passed: int = field(default=0)
    clock_file: Path = field(default=Path())

    @property
    def place(self) -> Place:
        return Place(self.msp_id, self.connection_id)

    def poll(self, poll_id: str = "", seconds: float = 60) -> PollCompleted | PollFailed | None:
        """How a poll ended that began and ended here and now."""
        return do_poll(self.house, PollWork(self.place, poll_id or uuid4().hex), seconds)

    def completed(self) -> PollCompleted:
        """A poll that must go through."""
        ended = self.poll()
        assert isinstance(ended, PollCompleted), ended
        return ended

    def failed(self) -> PollFailed:
        """A poll that must fail."""
        ended = self.poll()
        assert isinstance(ended, PollFailed), ended
        return ended

    def news(self, *types: str) -> list[Event]:
        """The events since the last look, polls' own ends left out; with types only those."""
        with self.engine.connect() as connection:
            upto = event_log.head(connection, self.msp_id)
            read = event_log.read(connection, self.msp_id, self.passed, upto)
        self.passed = upto
        return [
            each.event for each in read if (each.event.type in types if types else each.event.type not in POLL_EVENTS)
        ]

    def later(self, **ahead: float) -> None:
        """Sets the poller's clock forward."""
        self.clock_file.write_text(str(float(self.clock_file.read_text() or 0) + timedelta(**ahead).total_seconds()))

    def set_up(self, **settings: Any) -> None:
        """Saves the connection with other settings: its version rises."""
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    """UPDATE setup.connections SET settings = settings || cast(:given AS jsonb), version = version + 1
                       WHERE msp_id = :msp AND connection_id = :connection"""
                ),
                {"given": orjson.dumps(settings).decode(), "msp": self.msp_id, "connection": self.connection_id},
            )

    def policy(self, name: str, value: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(
                text(
                    """INSERT INTO setup.policies (msp_id, policy, value, version, saved_at)
                       VALUES (:msp, :name, :value, 1, now())"""
                ),
                {"msp": self.msp_id, "name": name, "value": value},
            )

    def counts(self) -> dict[tuple[str, str], Decimal | None]:
        """The living counts as the poller knows them, by subscription and resource."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(
                    """SELECT subscription_id, resource_id, count FROM poller.resources
                       WHERE msp_id = :msp AND connection_id = :connection AND NOT ended"""
                ),
                {"msp": self.msp_id, "connection": self.connection_id},
            )
            return {(row[0], row[1]): row[2] for row in rows}


@contextmanager
def desk_for(
    database: str, odin: OdinAccount, msp_id: str = "acme", connection_id: str = "odin", **settings: Any
) -> Iterator[Desk]:
    """A desk whose connection points at the sandbox's account; calls are not limited unless the settings say so."""
    engine = make_engine(database, "test")
    with engine.connect() as connection:
        new = connection.scalar(text("SELECT 1 FROM setup.msps WHERE msp_id = :id"), {"id": msp_id}) is None
    if new:
        add_msp(engine, msp_id)
    save(engine, odin, MspId(msp_id), ConnectionId(connection_id), settings)
    with tempfile.NamedTemporaryFile() as ahead:
        house = House("poller", engine, Clock(ahead.name), poller_settings(database))
        yield Desk(engine, MspId(msp_id), ConnectionId(connection_id), house, clock_file=Path(ahead.name))
    engine.dispose()


def poller_settings(database: str, **more: Any) -> OutsideSettings:
    """The settings of a poller that gives up quickly."""
    patience = {
        "private_addresses": True,
        "http_connect_seconds": Decimal(2),
        "http_read_seconds": Decimal("0.6"),
        "http_total_seconds": Decimal(2),
    }
    return OutsideSettings(database_url=database, rabbitmq_url="", private_key=PRIVATE_KEY, **(patience | more))


def save(
    engine: Engine, odin: OdinAccount, msp_id: MspId, connection_id: ConnectionId, settings: dict[str, Any]
) -> None:
    """Saves a marketplace connection as `trueup connection set` does."""
    given = {
        "gateway_url": odin.url,
        "user": odin.user,
        "marketplace": odin.marketplace,
        "calls_per_minute": 100_000,
        "calls_per_day": 1_000_000,
    } | settings
    sealed = {
        name: seal(public_key_of(PRIVATE_KEY), msp_id, connection_id, name, value)
        for name, value in (("password", odin.password), ("secret", odin.secret))
    }
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.connections (msp_id, connection_id, kind, settings, sealed, version, saved_at)
                   VALUES (:msp, :connection, 'odin', :settings, :sealed, 1, now())"""
            ),
            {
                "msp": msp_id,
                "connection": connection_id,
                "settings": orjson.dumps(given).decode(),
                "sealed": orjson.dumps(sealed).decode(),
            },
        )


def hurried(monkeypatch: Any) -> None:
    """Lets the source try again after hundredths of a second instead of seconds."""
    monkeypatch.setattr(simple_api.SimpleApi.__init__, "__defaults__", (0.01,))
    monkeypatch.setattr(simple_api, "UNTOLD_PAUSE", 0.3)
