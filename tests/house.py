"""The whole house for a test: relay, five services and their replicas as real processes, both sandboxes over HTTP.

One house serves a run of tests; each test has an MSP of its own in it, with its own marketplace account and PSA database.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import requests
from sqlalchemy import Engine, text

from deploy.sandbox.autotask import autotask_sandbox
from deploy.sandbox.autotask.desk import Desk
from deploy.sandbox.autotask.records import Adjustment
from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin import OdinAccount, odin_sandbox
from deploy.servers.ports import free_port
from domain.keys import CompanyId, ConnectionId, MspId, ResourceId, ResourceKey, SubscriptionId
from domain.policies import WHOLE_MSP, Scope
from gateway.deciding import Deciding
from gateway.draft_policies import PolicyChange
from gateway.set_up import SetUp
from plumbing import rpc
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.outbox import put
from plumbing.secrets import new_key_pair
from tests.msps import loosen_brake
from tests.processes import Process
from tests.servers import role_url
from tests.waiting import wait_for

SERVICES = ("mapping", "reconciler", "psa_writer", "reporting", "poller")
RETRIES = "0,1,1,2,2"
# What a writer that was killed in the middle leaves behind is taken up by others after these, not after minutes.
SHORT_WAITS = {
    "TRUEUP_SECOND_LOOK_SECONDS": "1",
    "TRUEUP_LEASE_SECONDS": "10",
    "TRUEUP_SEND_WITHIN_SECONDS": "10",
    "TRUEUP_OUTCOME_MARGIN_SECONDS": "1",
}


class Part:
    """One process of the house and its health address."""

    def __init__(self, name: str, module: str, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self.name, self.port = name, free_port()
        self.process = Process(module, *arguments, environment=environment | {"TRUEUP_PORT": str(self.port)})
        self.process.start()

    def health(self) -> dict[str, Any]:
        """What /healthz says; not ready when nobody answers."""
        try:
            answer: dict[str, Any] = requests.get(f"http://127.0.0.1:{self.port}/healthz", timeout=5).json()
        except (requests.RequestException, ValueError):
            return {"ready": False}
        return answer

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Waits for its health; shows its output when it never comes."""
        try:
            wait_for(lambda: self.health()["ready"] or not self.process.running, seconds, what=f"the {self.name}")
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.health()}\n{self.process.output[-3000:]}") from None
        assert self.process.running, f"the {self.name} ended:\n{self.process.output[-3000:]}"


@dataclass
class House:
    """The running installation. url: the database, as its owner."""

    url: str
    rabbitmq_url: str
    engine: Engine
    odin: OdinAccount
    psa: Desk
    keys: dict[str, tuple[str, str]]
    settings: dict[str, str] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    ended: list[Part] = field(default_factory=list)

    def start(self, name: str, replica: int = 1) -> Part:
        """Starts a service or the relay (again, when it has been killed); replica counts from 1."""
        environment = {
            "TRUEUP_DATABASE_URL": role_url(self.url, f"trueup_{name}"),
            "TRUEUP_RABBITMQ_URL": self.rabbitmq_url,
            "TRUEUP_SWEEP_SECONDS": "1",
            "TRUEUP_RETRY_SECONDS": RETRIES,
        }
        if name == "psa_writer":
            environment |= SHORT_WAITS
        if name in self.keys:
            environment |= {"TRUEUP_PRIVATE_KEY": self.keys[name][0], "TRUEUP_PRIVATE_ADDRESSES": "true"}
        environment |= self.settings
        module, arguments = ("deploy.run_relay", ()) if name == "relay" else ("deploy.run_service", (name,))
        key = f"{name}-{replica}"
        if key in self.parts:
            self.ended.append(self.parts.pop(key))
        part = self.parts[key] = Part(name, module, arguments, environment)
        return part

    @property
    def all_parts(self) -> list[Part]:
        """Every process that was ever started here: those that run and those that ended."""
        return [*self.ended, *self.parts.values()]

    def ask(self, service: str, method: str, **arguments: Any) -> Any:
        """What a service answers by RPC."""
        return rpc.call(self.rabbitmq_url, service, method, 60, **arguments)

    def add_msp(
        self,
        name: str = "",
        time_zone: str = "UTC",
        *,
        poll_seconds: int = 86400,
        ports: tuple[int, int] | None = None,
        brake: bool = False,
        **psa_settings: str,
    ) -> "MspHouse":
        """A new MSP with a world of one company in the marketplace and an empty PSA database. Polled when asked, unless
        polls are due more often. ports: where marketplace and PSA are said to be, instead of where they are. brake: with
        the limits that every MSP has; else nothing is too large."""
        name = name or f"msp-{uuid4().hex[:10]}"
        account = self.odin.add_account(name, companies=1)
        desk = self.psa.add_tenant(name)
        set_up = SetUp(self.engine, Clock(), "test")
        msp_id = set_up.add_msp(name, name, time_zone)
        if not brake:
            loosen_brake(self.engine, msp_id)
        public = {service: pair[1] for service, pair in self.keys.items()}
        odin = {
            "gateway_url": account.url if ports is None else with_port(account.url, ports[0]),
            "user": account.user,
            "marketplace": account.marketplace,
            "calls_per_minute": "6000",
            "calls_per_day": "500000",
            "poll_seconds": str(poll_seconds),
        }
        set_up.save_connection(
            msp_id, "odin", "odin", odin, {"password": account.password, "secret": account.secret}, public
        )
        autotask = {
            "address": desk.url if ports is None else with_port(desk.url, ports[1]),
            "user": desk.user,
            "calls_per_hour": "100000",
            "longest_execution_seconds": "1",
            "mid_period_rows": "total",
        } | psa_settings
        secrets = {"password": desk.password, "tracking_identifier": desk.tracking_identifier}
        set_up.save_connection(msp_id, "autotask", "autotask", autotask, secrets, public)
        return MspHouse(self, msp_id, account, desk, set_up)


@dataclass
class MspHouse:
    """One MSP in the house."""

    house: House
    msp_id: MspId
    odin: OdinAccount
    psa: Desk
    set_up: SetUp

    def decide(self, policy: str, value: str | None, scope: Scope = WHOLE_MSP) -> None:
        """Gives a policy another value, as an admin does."""
        change = PolicyChange(policy, value, scope)
        Deciding(self.house.engine, Clock(), "test").save(self.msp_id, [change])

    def add_resource(
        self, company: str, name: str, count: int, *, cost: str = "3.40", price: str = "4.00", begun_days_ago: int = 0
    ) -> ResourceKey:
        """A company with one subscription of one resource in the marketplace."""
        company_id = self.odin.add_company(company)
        self.odin.clock.advance(timedelta(days=-begun_days_ago))
        subscription_id = self.odin.add_subscription(company_id, name, monthly=True)
        self.odin.clock.advance(timedelta(days=begun_days_ago))
        return self.add_to(company_id, subscription_id, "100234", name, count, cost=cost, price=price)

    def add_to(
        self, company_id: str, subscription_id: str, resource_id: str, name: str, count: int, *, cost: str, price: str
    ) -> ResourceKey:
        """One more resource of a subscription."""
        self.odin.add_resource(subscription_id, resource_id, name, count, price=price, cost=cost)
        return ResourceKey(
            self.msp_id,
            ConnectionId("odin"),
            CompanyId(company_id),
            SubscriptionId(subscription_id),
            ResourceId(resource_id),
        )

    def add_line(self, account: str, service: str, units: int, *, cost: str = "3.40", price: str = "10.00") -> int:
        """A customer with a monthly contract, of this year and the next, and one line of it in the PSA."""
        today = self.psa.clock.today()
        account_id = self.psa.add_account(account)
        contract_id = self.psa.add_contract(account_id, date(today.year, 1, 1), date(today.year + 1, 12, 31))
        return self.psa.add_line(contract_id, service, units, cost, price)

    def poll(self) -> None:
        """Asks for a poll and waits until that very poll has completed."""
        poll_id = self.ask_for_poll()
        wait_for(lambda: self.events("PollCompleted", poll_id=poll_id), 60, what="the poll")

    def ask_for_poll(self) -> str:
        """The id of a poll that is asked for."""
        return self._put("poller.polls", "odin")

    def ask_for_catalogue(self) -> None:
        """Asks for a reading of the catalogue."""
        self._put("psa_writer.catalogue", "autotask")

    def read_catalogue(self, line_id: int) -> None:
        """Asks for the catalogue and waits until mapping can know the line."""
        self.ask_for_catalogue()
        wait_for(lambda: self.events("PsaProductObserved", psa_product_id=str(line_id)), 60, what="the catalogue")

    def link(self, resource: ResourceKey, line_id: int) -> str:
        """The id of the relation, set by RPC once both sides are known."""
        wish = {
            "id": "1",
            "resource_key": str(resource),
            "psa_connection_id": "autotask",
            "psa_product_id": str(line_id),
        }

        def tried() -> str:
            answer = self.house.ask(
                "mapping",
                "set_relations",
                msp_id=self.msp_id,
                wishes=[wish],
                operation_id=uuid4().hex,
                actor="mara",
            )
            return answer["results"][0]["relation_id"] or ""

        return wait_for(tried, 60, every=0.5, what="the relation")

    def clear(self, relation_id: str) -> None:
        """Clears a relation by RPC."""
        answer = self.house.ask(
            "mapping",
            "clear_relations",
            msp_id=self.msp_id,
            relation_ids=[relation_id],
            reason="test",
            operation_id=uuid4().hex,
            actor="mara",
        )
        assert answer["results"][0]["ok"], answer

    def events(self, event_type: str, **payload: Any) -> list[dict[str, Any]]:
        """The payloads of the MSP's events of a type, in order; only those with the given fields."""
        with self.house.engine.connect() as connection:
            rows = connection.scalars(
                text("SELECT payload FROM log.events WHERE msp_id = :m AND type = :t ORDER BY position"),
                {"m": self.msp_id, "t": event_type},
            )
            return [row for row in rows if payload.items() <= row.items()]

    def count_of(self, event_type: str) -> int:
        """How many events of a type there are."""
        return len(self.events(event_type))

    def ledger(self, line_id: int) -> list[Adjustment]:
        """What Autotask applied to the line."""
        return self.psa.ledger(line_id)

    def settled(self) -> bool:
        """Whether every request has come to its end."""
        open_requests = {event["request_id"] for event in self.events("AdjustmentRequested")}
        for event_type in ("UnitsFoundEqual", "AdjustmentSuperseded"):
            open_requests -= {event["request_id"] for event in self.events(event_type)}
        open_requests -= {e["request_id"] for e in self.events("AdjustmentPosted") if e["completes_request"]}
        return not open_requests

    def quiet(self, seconds: float = 60) -> None:
        """Waits until all consumers have read the log to its end and no request is open."""
        wait_for(lambda: self._caught_up() and self.settled() and self._caught_up(), seconds, what="quiet")

    def units(self, line_id: int, on: date | None = None) -> int:
        """Units that Autotask bills on the day (default: today)."""
        return self.psa.units(line_id, on or self.psa.clock.today())

    def next_period_start(self) -> date:
        """The first day of the next month."""
        return (self.psa.clock.today().replace(day=1) + timedelta(days=32)).replace(day=1)

    def _caught_up(self) -> bool:
        with self.house.engine.connect() as connection:
            head = connection.scalar(text("SELECT position FROM log.heads WHERE msp_id = :m"), {"m": self.msp_id})
            for schema in ("mapping", "reconciler", "psa_writer", "reporting"):
                positions = list(
                    connection.scalars(
                        text(f"SELECT position FROM {schema}.positions WHERE msp_id = :m"), {"m": self.msp_id}
                    )
                )
                if not positions or min(positions) != head:
                    return False
        return True

    def _put(self, queue: str, connection_id: str) -> str:
        poll_id = uuid4().hex
        body = {"msp_id": self.msp_id, "connection_id": connection_id, "poll_id": poll_id, "reason": "test"}
        with self.house.engine.begin() as connection:
            put(connection, queue, [body], correlation_id=poll_id, put_at=datetime.now(UTC))
        return poll_id


def with_port(url: str, port: int) -> str:
    """The same address at another port."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.hostname}:{port}"))


@contextmanager
def running_house(
    url: str, rabbitmq_url: str, parts: tuple[str, ...] = ("relay", *SERVICES), **settings: str
) -> Iterator[House]:
    """A house on the given database and vhost; every process is gone afterwards. settings: for each of its processes."""
    with ExitStack() as stack:
        clock = SandboxClock()
        odin = stack.enter_context(odin_sandbox(clock=clock, companies=1))
        psa = stack.enter_context(autotask_sandbox(clock=clock))
        engine = make_engine(url, "test", pool_size=5)
        stack.callback(engine.dispose)
        keys = {service: new_key_pair() for service in ("poller", "psa_writer", "reporting")}
        house = House(url, rabbitmq_url, engine, odin, psa, keys, settings)
        try:
            for name in parts:
                house.start(name)
            for part in list(house.parts.values()):
                part.wait_until_ready()
            yield house
        except BaseException:
            for part in house.all_parts:
                print(f"--- {part.name}\n{part.process.output[-3000:]}")
            raise
        finally:
            for part in house.all_parts:
                part.process.__exit__(None, None, None)
