"""A gateway that is restarted while it answers, or loses its database: the client gets its answer or a clear error, and what it
asks again is done once."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import Engine, text

from domain.keys import MspId
from plumbing.secrets import new_key_pair
from tests.fault_proxy import FaultProxy
from tests.gateway.connecting import SAVE, pairs
from tests.gateway.serving import gateway
from tests.servers import role_url
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
KEYS = {"POLLER_PUBLIC_KEY": new_key_pair()[1], "PSA_WRITER_PUBLIC_KEY": new_key_pair()[1]}
WISH = {
    "id": "odin",
    "kind": "ODIN",
    "version": 0,
    "operation": "once",
    "settings": pairs({"gateway_url": "https://192.0.43.8/", "user": "api@acme.example"}),
    "secrets": pairs({"password": "p", "secret": "s"}),
}


@contextmanager
def held(engine: Engine) -> Iterator[None]:
    """Nothing is appended to the log meanwhile: whoever wishes something waits with all of it still to be committed."""
    with engine.begin() as connection:
        connection.execute(text("SELECT FROM log.heads FOR UPDATE"))
        yield


def waits(engine: Engine) -> bool:
    """Whether the gateway's statement waits for the log."""
    with engine.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'trueup_gateway'"
        return bool(connection.scalar(text(query)))


def saves(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT count(*) FROM log.events WHERE type = 'ConnectionSaved'")) or 0)


def row(answer: dict[str, Any]) -> dict[str, Any]:
    return answer["saveConnection"]["results"][0] | {"version": answer["saveConnection"]["version"]}


def again(url: str) -> dict[str, Any]:
    with gateway(url, **KEYS) as restarted:
        return row(restarted.data(SAVE, **WISH))


def test_g9_a_gateway_that_is_killed_in_the_middle_has_done_nothing_and_what_is_asked_again_is_done_once(
    engine: Engine, told: MspId, database: str
) -> None:
    url = role_url(database, "trueup_gateway")
    with gateway(url, **KEYS) as first, ThreadPoolExecutor(1) as pool, held(engine):
        answer = pool.submit(first.post, SAVE, WISH)
        wait_for(lambda: waits(engine), what="the gateway to wait for the log")
        first.process.send_signal(signal.SIGKILL)

        # the client hears of it at once
        with pytest.raises(requests.ConnectionError):
            answer.result(30)
    wait_for(lambda: not waits(engine), what="the database to give up what the dead one had asked")
    assert saves(engine) == 0

    done = again(url)

    assert (done["ok"], done["version"], saves(engine)) == (True, 1, 1)


def test_g9_a_gateway_that_is_told_to_end_answers_first_and_what_is_asked_again_is_not_done_twice(
    engine: Engine, told: MspId, database: str
) -> None:
    url = role_url(database, "trueup_gateway")
    with gateway(url, **KEYS) as first, ThreadPoolExecutor(1) as pool:
        with held(engine):
            answer = pool.submit(first.post, SAVE, WISH)
            wait_for(lambda: waits(engine), what="the gateway to wait for the log")
            first.process.send_signal(signal.SIGTERM)
            assert not answer.done()
        said = row(answer.result(30).json()["data"])
    assert (said["ok"], said["version"]) == (True, 1)

    assert again(url) == said
    assert saves(engine) == 1


def test_g5_without_the_database_what_needs_none_is_answered_and_the_rest_says_so_until_it_is_back(
    told: MspId, database: str
) -> None:
    url = urlsplit(role_url(database, "trueup_gateway"))
    ask = '{ subscriptions(mspId: "acme") { totalCount } }'
    with FaultProxy(url.hostname or "", url.port or 0) as proxy:
        by_proxy = url._replace(netloc=f"{url.username}:{url.password}@127.0.0.1:{proxy.port}").geturl()
        with gateway(by_proxy) as door:
            before = door.data(ask)
            proxy.faults.refused = True
            proxy.reset_all()

            for _ in range(3):
                refusal = door.refusal(ask)
                assert (refusal["code"], refusal["message"]) == ("UNAVAILABLE", "The database does not answer in time.")
                assert "/healthz" in refusal["fix"]
            assert door.data("{ signInOptions { mail } }") == {"signInOptions": {"mail": False}}
            assert requests.get(f"{door.url}/healthz", timeout=30).status_code == 503

            proxy.faults.refused = False
            assert wait_for(lambda: door.post(ask).json().get("data"), what="the database") == before
            assert requests.get(f"{door.url}/healthz", timeout=30).status_code == 200
