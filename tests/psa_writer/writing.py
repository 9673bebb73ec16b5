"""A database, a sandbox Autotask and a clock that is set -> a writer at work in this process, and what it did.

Everything is real but the clock: PostgreSQL, the SOAP client over HTTP, the log. Requests come the way they do in the house,
as events that the writer's own reactor reads.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Engine, text

from deploy.sandbox.autotask import Desk
from domain.events import (
    AdjustmentFailed,
    AdjustmentHeld,
    AdjustmentParked,
    AdjustmentPosted,
    AdjustmentRequested,
    AdjustmentShadowed,
    AdjustmentSuperseded,
    Cause,
    RelationCleared,
    RelationFrozen,
    RelationSet,
    RelationUnfrozen,
    UnitsFoundEqual,
)
from domain.keys import ConnectionId, MspId
from domain.money import Money
from gateway.pausing import Pausing
from plumbing import secrets
from plumbing.calls import Calls
from plumbing.catch_up import catch_up
from plumbing.clock import FrozenClock
from plumbing.settings import OutsideSettings
from services.psa_writer.outside import opener
from services.psa_writer.posting import post_due
from services.psa_writer.reactor import reactor
from services.psa_writer.writer import Writer
from tests.world import World, odin, psa

TODAY = date(2026, 7, 11)
NOON = datetime(2026, 7, 11, 12, tzinfo=UTC)
AUTOTASK = ConnectionId("autotask")
TOLD = (AdjustmentPosted, AdjustmentFailed, AdjustmentParked, AdjustmentHeld, AdjustmentShadowed, UnitsFoundEqual)
PRIVATE_KEY, PUBLIC_KEY = secrets.new_key_pair()
SETTINGS = OutsideSettings(
    database_url="",
    rabbitmq_url="",
    private_key=PRIVATE_KEY,
    private_addresses=True,
    http_connect_seconds=Decimal(2),
    http_read_seconds=Decimal(1),
    http_total_seconds=Decimal(2),
)


@dataclass
class Writing:
    """One MSP, its Autotask, and a writer."""

    engine: Engine
    msp_id: MspId
    desk: Desk
    clock: FrozenClock = field(default_factory=lambda: FrozenClock(NOON))
    pauses: list[float] = field(default_factory=list)
    calls: Calls = field(default_factory=Calls)
    settings: OutsideSettings = SETTINGS

    def __post_init__(self) -> None:
        self.world = World(self.engine, self.msp_id)
        self.desk.clock.set(self.clock.moment)
        self.agreements: dict[int, int] = {}

    def writer(self, **changes: Any) -> Writer:
        """A writer of its own: another replica."""
        opened = opener(self.engine, self.clock, self.settings, self.calls)
        return Writer(self.engine, self.clock, opened, self.pauses.append, **changes)

    def add_agreement(
        self, start: date = date(2026, 1, 1), end: date = date(2026, 12, 31), period: str = "monthly"
    ) -> int:
        """A recurring agreement of a new customer."""
        return self.desk.add_contract(self.desk.add_account("Contoso Ltd"), start, end, period)

    def add_product(self, units: int, agreement: int | None = None, name: str = "Hosted mail") -> int:
        """A product with these units at a cost of 3.40 and a price of 10.00, linked to a resource."""
        agreement = agreement or self.add_agreement()
        line = self.desk.add_line(agreement, name, units, "3.40", "10.00")
        self.agreements[line] = agreement
        self.link(line)
        return line

    def link(self, line: int) -> None:
        """A relation on the product."""
        names = {**vars(odin(resource_id=f"r{line}")), **vars(self.names(line))}
        self.world.append(
            (
                f"relation/{line}",
                RelationSet(**names, relation_id=f"relation-{line}", followed_from=None, hold_first=False, score=None),
            )
        )

    def clear(self, line: int) -> None:
        """Takes the relation of the product away."""
        names = {**vars(odin(resource_id=f"r{line}")), **vars(self.names(line))}
        event = RelationCleared(**names, relation_id=f"relation-{line}", reason="a test", followed_to=None)
        self.world.append((f"relation/{line}", event))

    def names(self, line: int):
        """The PSA names of a product."""
        return psa(psa_agreement_id=str(self.agreements[line]), psa_product_id=str(line))

    def freeze(self, line: int) -> None:
        """Freezes the relation of the product."""
        self.world.append(self._of_relation(line, RelationFrozen))

    def unfreeze(self, line: int) -> None:
        """And unfreezes it."""
        self.world.append(self._of_relation(line, RelationUnfrozen))

    def _of_relation(self, line: int, event: type[RelationFrozen] | type[RelationUnfrozen]) -> tuple[str, Any]:
        names = {**vars(odin(resource_id=f"r{line}")), **vars(self.names(line))}
        return f"relation/{line}", event(**names, relation_id=f"relation-{line}", reason="a test")

    def request(self, line: int, units: int, cost: str | None = None, price: str | None = None, **changes: Any) -> str:
        """The id of a wish for these units, as reconciler appends it after a poll."""
        request_id = uuid4().hex
        wish = replace(self.wish(request_id, line, units, cost, price), **changes)
        self.world.append((f"request/autotask/{line}", wish), correlation_id=f"poll-{request_id}")
        return request_id

    def request_many(self, wishes: Iterable[tuple[int, int]], poll_id: str = "of-a-test") -> list[str]:
        """The same for many products in one append, after one poll."""
        made = [(uuid4().hex, line, units) for line, units in wishes]
        asked = [(f"request/autotask/{line}", self.wish(i, line, units)) for i, line, units in made]
        self.world.append(*asked, correlation_id=poll_id)
        return [request_id for request_id, _, _ in made]

    def wish(
        self, request_id: str, line: int, units: int, cost: str | None = None, price: str | None = None
    ) -> AdjustmentRequested:
        """The event."""
        resource = odin(resource_id=f"r{line}")
        cause = Cause(
            connection_id=resource.connection_id,
            company_id=resource.company_id,
            subscription_id=resource.subscription_id,
            resource_id=resource.resource_id,
            resource_name=resource.resource_name,
            count=Decimal(units),
        )
        return AdjustmentRequested(
            **vars(resource),
            **vars(self.names(line)),
            request_id=request_id,
            target_units=units,
            target_unit_cost=None if cost is None else Money(Decimal(cost), "USD"),
            target_unit_price=None if price is None else Money(Decimal(price), "USD"),
            hold_first=False,
            reason="count changed",
            causes=(cause,),
        )

    def pause(self, reason: str = "Autotask is being upgraded.") -> None:
        """A person pauses the MSP's posts."""
        Pausing(self.engine, self.clock, "mara").pause(self.msp_id, uuid4().hex, reason)

    def resume(self) -> None:
        """And lets them go on."""
        Pausing(self.engine, self.clock, "mara").resume(self.msp_id, uuid4().hex)

    def supersede(self, request_id: str, line: int, by: str | None = None) -> None:
        """The request gives way to another, or to none."""
        event = AdjustmentSuperseded(
            request_id=request_id,
            superseded_by=by,
            psa_connection_id=AUTOTASK,
            psa_product_id=str(line),
            reason="a test",
        )
        self.world.append((f"request/autotask/{line}", event))

    def work(self, writer: Writer | None = None) -> None:
        """Reads the log and posts what is due."""
        catch_up(self.engine, reactor(self.clock), self.msp_id, self.clock)
        post_due(writer or self.writer(), self.msp_id, AUTOTASK)

    def wait(self, seconds: float) -> None:
        """Lets time go by, for us and for the sandbox."""
        self.clock.moment += timedelta(seconds=seconds)
        self.desk.clock.set(self.clock.moment)

    def settle(self, seconds: float = 1000, step: float = 20, writer: Writer | None = None) -> None:
        """Works again and again while so much time goes by, as the timer of the service does."""
        writer = writer or self.writer()
        for _ in range(int(seconds / step)):
            self.work(writer)
            self.wait(step)

    def told(self, *types: type) -> list[Any]:
        """What was told of adjustments, in order."""
        return self.world.happened(*(types or TOLD))

    def posted(self) -> list[tuple[str, int, date, int]]:
        """(product, unit change, effective date, attempt) of every AdjustmentPosted."""
        return [(e.psa_product_id, e.unit_change, e.effective_date, e.attempt) for e in self.told(AdjustmentPosted)]

    def states(self) -> dict[str, str]:
        """The state of each request."""
        with self.engine.connect() as connection:
            return dict(connection.execute(text("SELECT request_id, state FROM psa_writer.requests")).all())

    def intents(self) -> list[str]:
        """The state of each intent, in the order in which they were sent."""
        with self.engine.connect() as connection:
            return list(connection.scalars(text("SELECT state FROM psa_writer.intents ORDER BY sent_at")))

    def units(self, line: int, on: date = TODAY) -> int:
        """The units that the PSA has on the day."""
        return self.desk.units(line, on)


def save_connection(engine: Engine, msp_id: MspId, desk: Desk, password: str | None = None, **settings: object) -> None:
    """Sets the connection up as the gateway does, one version later each time."""
    values = {
        "address": desk.url,
        "user": desk.user,
        "currency": "USD",
        "longest_execution_seconds": 5,
        **settings,
    }
    sealed = {
        name: secrets.seal(PUBLIC_KEY, msp_id, AUTOTASK, name, value)
        for name, value in {
            "password": password or desk.password,
            "tracking_identifier": desk.tracking_identifier,
        }.items()
    }
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO setup.connections AS c (msp_id, connection_id, kind, settings, sealed, version, saved_at)
                   VALUES (:m, :c, 'autotask', CAST(:settings AS jsonb), CAST(:sealed AS jsonb), 1, now())
                   ON CONFLICT (msp_id, connection_id) DO UPDATE SET settings = excluded.settings,
                   sealed = excluded.sealed, version = c.version + 1"""
            ),
            {
                "m": msp_id,
                "c": AUTOTASK,
                "settings": orjson.dumps(values).decode(),
                "sealed": orjson.dumps(sealed).decode(),
            },
        )
