"""Row Z6: marketplace and PSA are both away when the house starts; it starts, tells so in its reports, and catches up."""

from random import Random
from urllib.parse import urlsplit

import pytest

from tests.chaos.checker import breaches
from tests.chaos.linked import Linked, link_all
from tests.fault_proxy import FaultProxy
from tests.house import SERVICES, MspHouse, running_house
from tests.reporting import history as h
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]
PRODUCTS = 5


def away(address: str) -> FaultProxy:
    """The way to an outside world that lets nobody through."""
    where = urlsplit(address)
    proxy = FaultProxy(str(where.hostname), where.port or 80)
    proxy.faults.refused = True
    return proxy


def failing(msp: MspHouse) -> set[str]:
    """What the failure report tells as failing now."""
    return {row["subject"] for row in h.rows(msp.house.engine, "failures", msp.msp_id) if row["state"] != "closed"}


def test_z6_with_both_outside_worlds_away_services_start_tell_it_and_catch_up_when_they_come(
    database: str, vhost: str
) -> None:
    # given
    with (
        running_house(database, vhost, parts=()) as house,
        away(house.odin.sandbox.address) as marketplace,
        away(house.psa.base_url) as psa,
    ):
        msp = house.add_msp(poll_seconds=2, ports=(marketplace.port, psa.port))
        lines = {}
        for number in range(PRODUCTS):
            resource = msp.add_resource(f"Company {number}", "Exchange Online", 5)
            lines[resource] = msp.add_line(f"Company {number}", "Exchange Online", 1)

        # when
        for part in ("relay", *SERVICES):
            house.start(part)

        # then
        for part in house.parts.values():
            part.wait_until_ready()
        wait_for(lambda: failing(msp) == {"poll/odin", "catalogue/autotask"}, 60, what="the report to tell both")

        # when
        marketplace.faults.refused = psa.faults.refused = False

        # then
        wait_for(lambda: failing(msp) == set(), 90, what="the report to be clear again")
        linked = Linked(msp, lines)
        link_all(msp, lines)
        linked.settle(60)
        linked.change_all(Random(6))
        linked.settle(60)
        assert breaches(msp) == []
