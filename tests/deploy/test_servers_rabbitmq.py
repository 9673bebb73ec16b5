"""Our own RabbitMQ: started, found again, killed, restarted; durable messages stay and nobody else's node is touched."""

import stat
import subprocess
from pathlib import Path

import kombu
import pytest

from deploy.servers import ServerError, rabbitmq
from deploy.servers.rabbitmq import GivenRabbitmq, PrivateRabbitmq, find_rabbitmq
from tests.waiting import wait_for

pytestmark = pytest.mark.chaos


def _queue(connection: kombu.Connection) -> kombu.Queue:
    arguments = {"x-queue-type": "quorum"}
    queue = kombu.Queue("kept", durable=True, queue_arguments=arguments).bind(connection.default_channel)
    queue.declare()
    return queue


def test_a_confirmed_message_survives_a_kill_and_a_restart(own_rabbitmq: PrivateRabbitmq) -> None:
    # given
    with kombu.Connection(own_rabbitmq.url, transport_options={"confirm_publish": True}) as connection:
        _queue(connection)
        connection.Producer().publish({"count": 12}, routing_key="kept", delivery_mode=2)
    own_rabbitmq.flush()
    url = own_rabbitmq.url

    # when
    own_rabbitmq.kill()
    down = own_rabbitmq.is_running()
    own_rabbitmq.start()
    own_rabbitmq.restart()

    # then
    assert not down
    assert own_rabbitmq.url == url
    with kombu.Connection(own_rabbitmq.url) as connection:
        queue = _queue(connection)
        message = wait_for(queue.get, 20, what="the message")
        assert message.payload == {"count": 12}


def test_a_second_start_finds_the_node_and_a_second_node_stands_beside_it(
    own_rabbitmq: PrivateRabbitmq, own_folder: Path
) -> None:
    # given
    first = own_rabbitmq.process.pid
    second = PrivateRabbitmq(own_folder / "rabbitmq-second")

    # when
    PrivateRabbitmq(own_rabbitmq.folder).start()
    second.start()
    second.destroy()

    # then
    assert own_rabbitmq.process.pid == first
    assert own_rabbitmq.is_running()


def test_the_memory_alarm_can_be_raised_and_ended(own_rabbitmq: PrivateRabbitmq) -> None:
    # when
    own_rabbitmq.ctl("set_vm_memory_high_watermark", "0.00001")
    raised = wait_for(lambda: "memory" in own_rabbitmq.ctl("eval", "rabbit_alarm:get_local_alarms()."), 20)
    own_rabbitmq.ctl("set_vm_memory_high_watermark", "0.4")

    # then
    assert raised
    wait_for(lambda: "memory" not in own_rabbitmq.ctl("eval", "rabbit_alarm:get_local_alarms()."), 20)


def test_a_stop_ends_the_node_and_its_port_mapper(own_rabbitmq: PrivateRabbitmq) -> None:
    # when
    own_rabbitmq.stop()

    # then
    assert not own_rabbitmq.is_running()
    left = subprocess.run(["pgrep", "-f", str(own_rabbitmq.folder)], capture_output=True, text=True, check=False)
    assert left.stdout == ""


def test_password_and_cookie_are_readable_for_their_owner_only(own_rabbitmq: PrivateRabbitmq) -> None:
    for name in (".erlang.cookie", "server.json", "rabbitmq.conf"):
        assert stat.S_IMODE((own_rabbitmq.folder / name).stat().st_mode) & 0o077 == 0


def test_a_given_broker_that_does_not_answer_is_refused_with_its_address(tmp_path: Path) -> None:
    # given
    server = find_rabbitmq("amqp://guest:hidden-word@127.0.0.1:1/", tmp_path)

    # when / then
    with pytest.raises(ServerError, match=r"127\.0\.0\.1:1") as refusal:
        server.start()
    assert "hidden-word" not in str(refusal.value)
    assert isinstance(server, GivenRabbitmq)


def test_a_machine_without_any_way_to_rabbitmq_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given: nothing on the search path, and the usual folders are empty
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(rabbitmq, "find_scripts", lambda: None)

    # when / then
    with pytest.raises(ServerError, match="apt-get install rabbitmq-server"):
        find_rabbitmq(None, tmp_path)
