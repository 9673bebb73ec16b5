"""(a house, how many) -> an MSP with so many linked products, level and quiet; and all of its counts changed at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from uuid import uuid4

from sqlalchemy import text

from domain.keys import ResourceKey
from tests.chaos.checker import CONSUMERS
from tests.house import House, MspHouse
from tests.waiting import wait_for

UNITS = 5


@dataclass
class Linked:
    """An MSP and its linked products: the resource that feeds each line of the PSA."""

    msp: MspHouse
    lines: dict[ResourceKey, int]

    def change_all(self, chance: Random) -> None:
        """Brings every count to another one."""
        for resource in self.lines:
            self.change(resource, chance)

    def change(self, resource: ResourceKey, chance: Random) -> None:
        """Brings one count to another one."""
        before = int(self.msp.odin.count(resource.subscription_id, resource.resource_id))
        count = chance.choice([each for each in range(1, 40) if each != before])
        self.msp.odin.set_count(resource.subscription_id, resource.resource_id, count)

    def told(self) -> bool:
        """Whether the log tells the count that each resource has now."""
        last = {
            (event["subscription_id"], event["resource_id"]): event["count"]
            for event_type in ("ResourceDiscovered", "ResourceCountChanged")
            for event in self.msp.events(event_type)
        }
        return all(
            last.get((each.subscription_id, each.resource_id))
            == str(self.msp.odin.count(each.subscription_id, each.resource_id))
            for each in self.lines
        )

    def settle(self, seconds: float) -> None:
        """Waits until every change is told and all is quiet."""
        wait_for(self.told, seconds, every=0.5, what="every change to be told")
        try:
            self.msp.quiet(seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.standing()}") from None

    def standing(self) -> str:
        """Where the consumers stand and which requests are open, for the message of a failure."""
        with self.msp.house.engine.connect() as connection:
            found = [
                tuple(row)
                for schema in CONSUMERS
                for row in connection.execute(
                    text(
                        f"""SELECT p.consumer, p.position, h.position, p.stopped_reason FROM {schema}.positions p
                            JOIN log.heads h USING (msp_id) WHERE msp_id = :m AND p.position < h.position"""
                    ),
                    {"m": self.msp.msp_id},
                )
            ]
            kinds = connection.execute(
                text("SELECT type, count(*) FROM log.events WHERE msp_id = :m GROUP BY 1 ORDER BY 1"),
                {"m": self.msp.msp_id},
            ).all()
        return f"behind: {found}\nevents: {dict(map(tuple, kinds))}"


def add_linked(house: House, products: int, *, poll_seconds: int = 86400) -> Linked:
    """A new MSP, each of its resources at a company of its own and linked to a line of that company's contract."""
    msp = house.add_msp(poll_seconds=poll_seconds)
    lines = {}
    for number in range(products):
        resource = msp.add_resource(f"Company {number}", "Exchange Online", UNITS)
        lines[resource] = msp.add_line(f"Company {number}", "Exchange Online", UNITS)
    msp.poll()
    msp.ask_for_catalogue()
    link_all(msp, lines)
    msp.quiet()
    return Linked(msp, lines)


def link_all(msp: MspHouse, lines: Mapping[ResourceKey, int]) -> None:
    """Links each resource to its line, once mapping knows them."""
    wishes = [
        {"id": str(line), "resource_key": str(key), "psa_connection_id": "autotask", "psa_product_id": str(line)}
        for key, line in lines.items()
    ]

    def all_set() -> bool:
        answer = msp.house.ask(
            "mapping", "set_relations", msp_id=msp.msp_id, wishes=wishes, operation_id=uuid4().hex, actor="mara"
        )
        return all(each["ok"] for each in answer["results"])

    wait_for(all_set, 60, every=0.5, what="the relations")
