"""(a connection's settings and sealed secrets) -> its source and call budget, ready for one poll."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from plumbing.budget import Budget, Window
from plumbing.calls import Counting
from plumbing.clock import Clock
from plumbing.http import Http, Limits
from plumbing.secrets import NotForUs
from plumbing.settings import OutsideSettings, hosts_of
from plumbing.setup import OutsideConnection
from plumbing.way_out import WayOut
from services.poller.sources.simple_api import Access, SimpleApi

DAY_SECONDS = 86_400


class BadSetUp(Exception):
    """The connection lacks a setting or a secret, or a secret was sealed for another service."""


def call_limits(target: OutsideConnection) -> tuple[int, int]:
    """The calls that a connection's key has per minute and per day (what the vendor recommends unless set)."""
    settings = target.settings
    return int(settings.get("calls_per_minute", 60)), int(settings.get("calls_per_day", 5000))


def budget_of(engine: Engine, target: OutsideConnection, clock: Clock) -> Budget:
    """The budget of the connection's key, shared by all replicas."""
    per_minute, per_day = call_limits(target)
    windows = [Window(per_minute, 60), Window(per_day, DAY_SECONDS)]
    return Budget(engine, f"{target.msp_id}/{target.connection_id}", windows, clock)


@contextmanager
def opened(
    target: OutsideConnection,
    settings: OutsideSettings,
    budget: Budget,
    clock: Clock,
    deadline: float,
    counting: Counting,
) -> Iterator[SimpleApi]:
    """The connection's source until the block ends. deadline: of time.monotonic(). BadSetUp."""
    access = _access(target, settings.private_key)
    limits = Limits(
        float(settings.http_connect_seconds), float(settings.http_read_seconds), float(settings.http_total_seconds)
    )
    way = WayOut(settings.private_addresses, hosts=hosts_of(settings.odin_hosts))
    http = Http("odin", limits, clock, way, (access.password, access.key))
    try:
        yield SimpleApi(access, http, budget, clock, deadline, counting)
    finally:
        http.close()


def _access(target: OutsideConnection, private_key: str) -> Access:
    try:
        return Access(
            address=target.settings["gateway_url"],
            user=target.settings["user"],
            marketplace=target.settings["marketplace"],
            password=target.secret(private_key, "password"),
            key=target.secret(private_key, "secret"),
        )
    except KeyError as missing:
        raise BadSetUp(f"{missing.args[0]} is not set") from None
    except NotForUs as fault:
        raise BadSetUp(str(fault)) from None
