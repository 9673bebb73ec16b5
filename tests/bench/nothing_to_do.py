"""The whole house with all its links level -> P16: CPU seconds and rows written in a cycle in which nothing has changed.

Every process runs as `make up` runs it, with its default settings. A cycle is one poll that finds nothing, and the half
minute around it, in which every process has looked for lost bells twice.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from uuid import uuid4

import psutil
from sqlalchemy import Engine, text

from deploy.migrate import migrate
from deploy.sandbox.autotask import Desk, autotask_sandbox
from deploy.sandbox.odin import OdinAccount, odin_sandbox
from deploy.servers.ports import free_port
from deploy.up.house import house_parts
from deploy.up.parts import Folder, not_ready
from deploy.up.site import DEFAULT_PORTS, Site, open_site
from domain.events import PollCompleted
from domain.keys import CompanyId, ResourceId, ResourceKey, SubscriptionId
from plumbing import outbox
from tests.bench.append import MSP
from tests.bench.goals import Goal, Measured
from tests.bench.ground import Ground
from tests.bench.msp import AUTOTASK, ODIN, MspAtWork, msp_at_work
from tests.waiting import wait_for

CPU = Goal("P16", "nothing-to-do cycle, CPU of all our processes", "", "s", 2.0, 0.5, at_most=True)
ROWS = Goal("P16", "nothing-to-do cycle, rows written", "", "rows", 0, 0, at_most=True)

RESOURCES = 5
SUBSCRIPTIONS = 5
POLLS, CATALOGUES = "poller.polls", "psa_writer.catalogue"
CYCLE_SECONDS = 30
# After so many idle seconds a PostgreSQL session has told what it wrote.
TOLD_SECONDS = 12


def quiet_house(ground: Ground, rounds: int, *, quick: bool) -> list[Measured]:
    """10,000 links (quick: 1,000) of 2,000 subscriptions, all of them level."""
    links = 1_000 if quick else 10_000
    with (
        ground.database() as url,
        ground.vhost() as vhost,
        odin_sandbox(companies=1) as odin,
        autotask_sandbox() as psa,
    ):
        folder = Folder(ground.folder / "house")
        site = _site(folder)
        migrate(url, site.secrets["role_password"])
        keys = {name: site.secrets[f"{name}_private_key"] for name in ("poller", "psa_writer")}
        with msp_at_work(url, odin, psa, keys) as msp:
            _level_links(msp, links)
            with _running(folder, site, url, vhost):
                _wait_until_read(msp.engine)
                cycles = [_cycle(folder, msp.engine, POLLS) for _ in range(rounds)]
                catalogue, _ = _cycle(folder, msp.engine, CATALOGUES)
    cpu, rows = zip(*cycles, strict=True)
    notes = [
        f"by process, last round: {_shares(cpu[-1])}",
        f"a reading of the catalogue instead of a poll: {catalogue.total():.1f} s; {_shares(catalogue)}",
    ]
    told = [f"by table, last round: {', '.join(f'{table} {count}' for table, count in rows[-1].most_common())}"]
    return [
        Measured(CPU, [each.total() for each in cpu], [], notes),
        Measured(ROWS, [each.total() for each in rows], [], told),
    ]


def _site(folder: Folder) -> Site:
    folder.path.mkdir(parents=True, exist_ok=True)
    return open_site(folder, {name: free_port() for name in DEFAULT_PORTS}, {"sandbox": False})


def _level_links(msp: MspAtWork, how_many: int) -> None:
    """As many links as are wanted, count and units the same, everything told and read once."""
    links: list[tuple[ResourceKey, int]] = []
    while len(links) < how_many:
        links += _company(msp.odin, msp.psa, len(links))
    msp.poll()
    msp.read_catalogue()
    linked = msp.link(links[:how_many])
    assert len(linked) == how_many, f"only {len(linked)} of {how_many} links could be set"
    msp.level()
    msp.poll()


def _company(odin: OdinAccount, psa: Desk, number: int) -> Iterator[tuple[ResourceKey, int]]:
    today = psa.clock.today()
    company = odin.add_company(f"Company {number}")
    with psa.installation.lock, psa.database.books.transaction():
        account = psa.add_account(f"Company {number}")
        for _ in range(SUBSCRIPTIONS):
            subscription = odin.add_subscription(company, "Microsoft 365", monthly=True)
            contract = psa.add_contract(account, date(today.year, 1, 1), date(today.year + 1, 12, 31))
            for place in range(RESOURCES):
                resource, name = str(100_000 + place), f"Microsoft 365 plan {place}"
                odin.add_resource(subscription, resource, name, 5, price="10.00", cost="3.40")
                key = ResourceKey(MSP, ODIN, CompanyId(company), SubscriptionId(subscription), ResourceId(resource))
                yield key, psa.add_line(contract, name, 5, "3.40", "10.00")


@contextmanager
def _running(folder: Folder, site: Site, url: str, vhost: str) -> Iterator[None]:
    parts = house_parts(folder, site, url, vhost)
    try:
        for part in parts:
            folder.start(part)
        for part in parts:
            wait_for(lambda part=part: not not_ready(part), 120, 0.5, f"{part.name} to be ready")
        folder.save_parts(parts)
        yield
    finally:
        for part in parts:
            # Its data are thrown away with it: nothing needs a clean end.
            folder.process(part.name).kill()


def _wait_until_read(engine: Engine) -> None:
    """All consumers stand at the head of the log."""
    schemas = ("mapping", "reconciler", "psa_writer", "reporting")
    lowest = " UNION ALL ".join(f"SELECT min(position) AS p FROM {schema}.positions" for schema in schemas)

    def read() -> bool:
        with engine.connect() as connection:
            found = connection.scalar(
                text(f"SELECT (SELECT min(p) FROM ({lowest}) l) = (SELECT max(position) FROM log.heads)")
            )
        return bool(found)

    wait_for(read, 300, 0.5, "all consumers to read the log")
    time.sleep(TOLD_SECONDS)


def _cycle(folder: Folder, engine: Engine, queue: str) -> tuple[Counter[str], Counter[str]]:
    """CPU seconds by process and rows by table, from the moment in which the work is put, that row included."""
    cpu_before, rows_before, polls = _cpu(folder), _rows(engine), _polls(engine)
    begun = time.monotonic()
    connection_id = ODIN if queue == POLLS else AUTOTASK
    body = {"msp_id": MSP, "connection_id": connection_id, "poll_id": uuid4().hex, "reason": "bench"}
    with engine.begin() as connection:
        outbox.put(connection, queue, [body], correlation_id=uuid4().hex, put_at=datetime.now(UTC))
    if queue == POLLS:
        wait_for(lambda: _polls(engine) > polls, 120, 0.5, "the poll")
    time.sleep(max(0.0, CYCLE_SECONDS - (time.monotonic() - begun)))
    cpu = Counter({name: seconds - cpu_before[name] for name, seconds in _cpu(folder).items()})
    time.sleep(TOLD_SECONDS)
    return cpu, _rows(engine) - rows_before


def _cpu(folder: Folder) -> dict[str, float]:
    found = {}
    for part in folder.parts():
        times = psutil.Process(folder.process(part.name).pid).cpu_times()
        found[part.name] = times.user + times.system
    return found


def _rows(engine: Engine) -> Counter[str]:
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT schemaname || '.' || relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables")
        )
        return Counter({table: int(count) for table, count in rows})


def _polls(engine: Engine) -> int:
    with engine.connect() as connection:
        asked = text("SELECT count(*) FROM log.events WHERE msp_id = :msp_id AND type = :type")
        return connection.scalar(asked, {"msp_id": MSP, "type": PollCompleted.type}) or 0


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.2f}" for name, seconds in Counter(shares).most_common())
