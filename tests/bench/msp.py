"""(two sandboxes, a database) -> one MSP whose poller, mapping, reconciler and writer work in this process, step by step."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Engine

from deploy.sandbox.autotask import Desk
from deploy.sandbox.odin import OdinAccount
from domain.events import AdjustmentPosted, PollCompleted
from domain.keys import ConnectionId, ResourceKey
from gateway.set_up import SetUp
from plumbing import event_log
from plumbing.calls import Calls
from plumbing.catch_up import catch_up
from plumbing.clock import Clock
from plumbing.database import make_engine
from plumbing.house import House
from plumbing.secrets import public_key_of
from plumbing.settings import OutsideSettings
from services.mapping import operations
from services.mapping.wishes import Ask, parse_wishes
from services.poller.place import Place
from services.poller.work import PollWork, do_poll
from services.psa_writer.catalogue import read_catalogue
from services.psa_writer.outside import opener
from services.psa_writer.posting import post_due
from services.psa_writer.reactor import reactor as writers_reactor
from services.psa_writer.writer import Writer
from services.reconciler.reactor import reactor as reconcilers_reactor
from tests.bench.append import MSP
from tests.msps import loosen_brake

ODIN, AUTOTASK = ConnectionId("odin"), ConnectionId("autotask")
_LINKS_A_CALL = 500
# Once a day: what is measured is what was asked for.
_SELDOM = "86400"


@dataclass
class MspAtWork:
    """One MSP with its two sandboxes."""

    engine: Engine
    clock: Clock
    odin: OdinAccount
    psa: Desk
    poller: House
    writer: Writer

    def poll(self) -> PollCompleted:
        """One poll that reads all that should be read."""
        ended = do_poll(self.poller, PollWork(Place(MSP, ODIN), uuid4().hex), 3_000)
        assert isinstance(ended, PollCompleted), ended
        assert ended.complete, ended
        return ended

    def read_catalogue(self) -> None:
        """The writer's own reading, so that products can be linked."""
        read_catalogue(self.writer, MSP, AUTOTASK)

    def link(self, links: Sequence[tuple[ResourceKey, int]]) -> list[int]:
        """Places of those links (a resource, a line) that could be set."""
        wishes = [
            {"id": str(place), "resource_key": str(key), "psa_connection_id": AUTOTASK, "psa_product_id": str(line)}
            for place, (key, line) in enumerate(links)
        ]
        done: list[int] = []
        for start in range(0, len(wishes), _LINKS_A_CALL):
            given = parse_wishes(wishes[start : start + _LINKS_A_CALL])
            answer = operations.set_relations(self.engine, self.clock, Ask(MSP, uuid4().hex, "bench"), given)
            done += [int(row["id"]) for row in answer["results"] if row["ok"]]
        return done

    def level(self) -> int:
        """The adjustments posted until nothing is left to be done."""
        before = self.happened(AdjustmentPosted.type)
        catch_up(self.engine, reconcilers_reactor(self.clock), MSP, self.clock)
        catch_up(self.engine, writers_reactor(self.clock), MSP, self.clock)
        post_due(self.writer, MSP, AUTOTASK)
        return self.happened(AdjustmentPosted.type) - before

    def happened(self, event_type: str) -> int:
        """How many events of a type the log has."""
        with self.engine.connect() as connection:
            upto = event_log.head(connection, MSP)
            return len(event_log.read(connection, MSP, 0, upto, [event_type]))


@contextmanager
def msp_at_work(
    url: str, odin: OdinAccount, psa: Desk, private_keys: Mapping[str, str], poll_seconds: str = _SELDOM
) -> Iterator[MspAtWork]:
    """The MSP, newly set up. Budgets and bounds are far away: what is measured is what the house does of its own accord."""
    logging.getLogger().setLevel(logging.ERROR)
    clock, engine = Clock(), make_engine(url, "bench")
    settings = {
        name: OutsideSettings(database_url=url, rabbitmq_url="", private_key=key, private_addresses=True)
        for name, key in private_keys.items()
    }
    _set_up(SetUp(engine, clock, "bench"), odin, psa, private_keys, poll_seconds)
    loosen_brake(engine, MSP)
    writer = Writer(engine, clock, opener(engine, clock, settings["psa_writer"], Calls()), lambda _: None)
    yield MspAtWork(engine, clock, odin, psa, House("poller", engine, clock, settings["poller"]), writer)
    engine.dispose()


def _set_up(
    set_up: SetUp,
    odin: OdinAccount,
    psa: Desk,
    private_keys: Mapping[str, str],
    poll_seconds: str,
) -> None:
    keys = {name: public_key_of(key) for name, key in private_keys.items()}
    set_up.add_msp(MSP, "Bench", "UTC")
    pace = {"calls_per_minute": "1000000", "calls_per_day": "10000000", "reread_hours": "100000"}
    account = {"gateway_url": odin.url, "user": odin.user, "marketplace": odin.marketplace}
    own = {"password": odin.password, "secret": odin.secret}
    set_up.save_connection(MSP, ODIN, "odin", account | pace | {"poll_seconds": poll_seconds}, own, keys)
    database = {"address": psa.url, "user": psa.user, "mid_period_rows": "total"}
    pace = {"calls_per_hour": "1000000", "catalogue_seconds": _SELDOM}
    own = {"password": psa.password, "tracking_identifier": psa.tracking_identifier}
    set_up.save_connection(MSP, AUTOTASK, "autotask", database | pace, own, keys)
