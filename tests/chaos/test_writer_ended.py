"""The writer is told to end, or killed, while a create is under way whose answer never comes: it is posted once all the same."""

from random import Random

import pytest

from tests.chaos.checker import breaches
from tests.chaos.linked import add_linked
from tests.house import running_house
from tests.waiting import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.postgres, pytest.mark.rabbitmq]


@pytest.mark.parametrize("how", ["told to end", "killed"])
def test_m10_a_writer_that_ends_while_a_create_is_under_way_leaves_nothing_doubled_and_nothing_missed(
    database: str, vhost: str, how: str
) -> None:
    # given a create that Autotask applies, and says nothing for a while
    with running_house(database, vhost) as house:
        linked = add_linked(house, 5)
        linked.msp.psa.faults.script("time_out", "create", when="after", seconds=3)
        linked.change_all(Random(10))
        linked.msp.ask_for_poll()
        wait_for(lambda: not linked.msp.psa.faults.scripted, 60, what="the create")

        # when
        writer = house.parts["psa_writer-1"].process
        if how == "killed":
            writer.kill()
        else:
            assert writer.stop(30) == 0
        house.start("psa_writer")

        # then
        linked.settle(90)
        assert breaches(linked.msp) == []
