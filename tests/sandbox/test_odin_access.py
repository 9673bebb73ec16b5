"""Who gets in to the sandbox ODIN, how often, and what is refused: keys, tokens, limits, writes, many accounts."""

from datetime import UTC, datetime, timedelta

import pytest
import requests

from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin import WroteToOdin, odin_sandbox
from tests.sandbox.odin_reader import Reader


@pytest.fixture
def clock():
    clock = SandboxClock()
    clock.set(datetime(2026, 8, 11, 10, 0, tzinfo=UTC))
    return clock


@pytest.fixture
def odin(clock):
    with odin_sandbox(companies=2, clock=clock) as odin:
        yield odin


@pytest.fixture
def reader(odin):
    with Reader(odin) as reader:
        yield reader


def test_the_gateway_url_has_a_region_and_a_trailing_slash(odin):
    assert odin.url.startswith("http://127.0.0.1:")
    assert odin.url.endswith("/marketplace/na/")


def test_the_right_credentials_give_a_token_for_1500_seconds(reader):
    answer = reader.token()

    assert answer.status_code == 200
    assert answer.json().keys() == {"token", "expiresInSeconds"}
    assert answer.json()["expiresInSeconds"] == 1500
    assert reader.http.post(f"{reader.odin.url}token/", auth=("", ""), timeout=5).status_code == 401


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"auth": ("api@msp-1.example", "wrong")}, 401, "user name or password"),
        ({"auth": ("stranger", "sandbox-msp-1")}, 401, "user name or password"),
        ({"auth": None}, 401, "user name or password"),
        ({"auth": None, "headers": {"Authorization": "Basic not-base64!"}}, 401, "user name or password"),
        ({"json": {"marketplace": "uk"}}, 400, "marketplace code"),
        ({"json": {}}, 400, "marketplace code"),
        ({"json": ["us"]}, 400, "marketplace code"),
        ({"json": None, "data": "{"}, 400, "marketplace code"),
    ],
)
def test_each_wrong_credential_is_refused_in_its_own_way(odin, changes, status, words):
    with Reader(odin, log_in=False) as reader:
        answer = reader.token(**changes)

    assert answer.status_code == status
    assert words in answer.json()["message"]
    assert answer.json()["correlationId"].startswith("a8n-")


@pytest.mark.parametrize(("key", "words"), [(None, "missing subscription key"), ("0" * 32, "invalid subscription key")])
def test_a_missing_or_unknown_key_is_refused_by_the_gateway(odin, key, words):
    headers = {"X-Subscription-Key": key} if key else {}

    answer = requests.get(f"{odin.url}subscriptions", headers=headers, timeout=5)

    assert answer.status_code == 401
    assert answer.json().keys() == {"statusCode", "message"}
    assert words in answer.json()["message"]
    assert answer.headers["X-Correlation-ID"].startswith("a8n-")


def test_a_read_without_a_living_token_is_refused(reader, clock):
    assert reader.ask("subscriptions").status_code == 200

    clock.advance(timedelta(seconds=1501))
    assert reader.ask("subscriptions").status_code == 401

    reader.log_in()
    assert reader.ask("subscriptions").status_code == 200

    reader.http.headers["Authorization"] = "Bearer made-up"
    assert reader.ask("subscriptions").status_code == 401


def test_a_token_can_be_made_short_or_killed_before_its_time(reader, clock):
    reader.odin.kill_tokens()
    assert reader.ask("subscriptions").status_code == 401

    reader.odin.switch(token_seconds=5)
    assert reader.token().json()["expiresInSeconds"] == 5
    reader.log_in()
    clock.advance(timedelta(seconds=6))
    assert reader.ask("subscriptions").status_code == 401


def test_a_revoked_user_loses_its_token_and_gets_no_other_until_activated(reader):
    reader.odin.revoke()
    assert reader.ask("subscriptions").status_code == 401
    assert reader.token().status_code == 401
    assert "not been activated" in reader.token().json()["message"]

    reader.odin.activate()
    assert reader.token().status_code == 200


def test_a_changed_password_counts_from_the_next_token_on(reader):
    old = reader.odin.password
    reader.odin.set_password("another")

    assert reader.ask("subscriptions").status_code == 200
    assert reader.token(auth=(reader.odin.user, old)).status_code == 401
    assert reader.token().status_code == 200


def test_the_limit_of_a_minute_slides_and_tells_when_to_come_back(reader, clock):
    reader.odin.switch(calls_per_minute=5)
    for _ in range(4):  # the token was the first
        assert reader.ask("customers").status_code == 200
        clock.advance(timedelta(seconds=5))

    refused = reader.ask("customers")
    assert refused.status_code == 429
    assert refused.json() == {
        "statusCode": 429,
        "message": f"Rate limit is exceeded. Try again in {refused.headers['Retry-After']} seconds.",
    }
    assert 35 <= int(refused.headers["Retry-After"]) <= 40

    clock.advance(timedelta(seconds=int(refused.headers["Retry-After"])))
    assert reader.ask("customers").status_code == 200
    assert [call.status for call in reader.odin.calls].count(429) == 1


def test_a_429_may_leave_out_when_to_come_back(reader):
    reader.odin.switch(calls_per_minute=1, tell_retry_after=False)

    refused = reader.ask("customers")

    assert refused.status_code == 429
    assert "Retry-After" not in refused.headers


def test_the_limit_of_a_day_is_a_403_in_the_gateways_body_until_midnight(reader, clock):
    reader.odin.switch(calls_per_day=3)
    assert [reader.ask("customers").status_code for _ in range(3)] == [200, 200, 403]

    refused = reader.ask("customers")
    assert refused.json().keys() == {"statusCode", "message"}
    assert "Out of call volume quota" in refused.json()["message"]
    assert "14:00:00" in refused.json()["message"] or "13:59:00" in refused.json()["message"]

    clock.set(datetime(2026, 8, 12, 0, 0, 1, tzinfo=UTC))
    reader.odin.switch(calls_per_day=10)
    reader.log_in()
    assert reader.ask("customers").status_code == 200


def test_accounts_share_the_server_and_nothing_else(reader):
    other = reader.odin.add_account("msp-2", companies=2)
    with Reader(other) as other_reader:
        other.set_count("1000823", "100234", 20)
        reader.odin.switch(calls_per_minute=1)

        assert reader.ask("customers").status_code == 429
        assert other_reader.product()["quantity"] == 20
        reader.odin.switch(calls_per_minute=None)
        assert reader.product()["quantity"] == 8
        assert reader.odin.ledger == ()
        assert len(other.calls) == 2

        other_reader.http.headers["Authorization"] = reader.http.headers["Authorization"]
        assert other_reader.ask("subscriptions").status_code == 401, "a token is good for its own account only"
        assert other_reader.token(auth=(reader.odin.user, reader.odin.password)).status_code == 401


@pytest.mark.parametrize("name", ["msp-1", "Up", "a/b", "", "../x"])
def test_an_account_needs_a_name_of_its_own_that_fits_a_url(odin, name):
    with pytest.raises(ValueError, match="account"):
        odin.add_account(name)


def test_every_call_is_recorded_with_what_it_was_answered(reader):
    reader.odin.forget_calls()
    reader.ask("subscriptions", limit=2)
    reader.ask("subscriptions/9")

    listed, missed = reader.odin.calls
    assert (listed.method, listed.path, listed.query, listed.status) == ("GET", "/subscriptions", "limit=2", 200)
    assert (missed.path, missed.status, missed.fault) == ("/subscriptions/9", 404, "")
    assert listed.at <= missed.at <= reader.odin.clock.now()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "orders"), ("PATCH", "subscriptions/1000823"), ("PUT", "customers/1200000501"), ("DELETE", "orders/700001"),
     ("POST", "reports")],
)  # fmt: skip
def test_a_write_is_refused_recorded_and_fails_the_run(clock, method, path):
    def write():
        with odin_sandbox(companies=1, clock=clock) as odin, Reader(odin) as reader:
            answer = reader.http.request(method, f"{odin.url}{path}", json={}, timeout=5)
            assert answer.status_code == 403
            assert [call.path for call in odin.writes] == [f"/{path}"]
            assert odin.ledger == ()

    with pytest.raises(WroteToOdin, match=f"{method} /{path}"):
        write()


def test_a_moment_without_a_zone_cannot_be_set(clock):
    with pytest.raises(ValueError, match="zone"):
        clock.set(datetime(2026, 8, 1))  # noqa: DTZ001
