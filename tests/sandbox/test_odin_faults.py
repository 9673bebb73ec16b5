"""What goes wrong on the way to the sandbox ODIN, by script or by chance, as the caller sees it."""

import time
import zlib
from collections import Counter
from contextlib import suppress

import pytest
import requests

from deploy.sandbox.odin import Fault, odin_sandbox
from deploy.sandbox.odin.faults import KINDS
from tests.sandbox.odin_reader import Reader, ids

BROKEN_LINE = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


@pytest.fixture(scope="module")
def sandbox():
    with odin_sandbox(companies=1) as first:
        yield first


@pytest.fixture
def odin(sandbox):
    return sandbox.add_account(f"msp-{len(sandbox.sandbox.all) + 1}", companies=12)


@pytest.fixture
def reader(odin):
    with Reader(odin) as reader:
        odin.forget_calls()
        yield reader


@pytest.mark.parametrize(
    ("kind", "status", "body", "words"),
    [
        ("error_500", 500, "platform", "Internal server error"),
        ("conflict_500", 500, "platform", "still being provisioned"),
        ("unauthorised", 401, "platform", "token"),
        ("forbidden", 403, "platform", "denied"),
        ("throttled", 429, "gateway", "Try again in 1 seconds"),
        ("day_spent", 403, "gateway", "Out of call volume quota"),
        ("error_502", 502, "html", "502 Bad Gateway"),
        ("error_503", 503, "html", "503 Service"),
        ("error_504", 504, "html", "504 Gateway Time-out"),
        ("html_200", 200, "html", "Maintenance"),
    ],
)
def test_a_refusal_comes_once_in_the_body_of_its_family(reader, kind, status, body, words):
    reader.odin.faults.script(kind)

    answer = reader.ask("subscriptions/1000823")

    assert (answer.status_code, reader.odin.calls[-1].status) == (status, status)
    assert words in answer.text
    assert answer.headers["X-Correlation-ID"] == reader.odin.calls[-1].correlation_id
    if body == "html":
        assert answer.headers["Content-Type"].startswith("text/html")
    else:
        assert ("correlationId" in answer.json()) == (body == "platform")
    assert reader.odin.calls[-1].fault == kind
    assert reader.ask("subscriptions/1000823").status_code == 200


def test_a_429_by_script_comes_with_or_without_its_header(reader):
    reader.odin.faults.script("throttled", retry_after=7)
    reader.odin.faults.script("throttled", retry_after=None)

    assert reader.ask("customers").headers["Retry-After"] == "7"
    second = reader.ask("customers")
    assert (second.status_code, "Retry-After" in second.headers) == (429, False)


def test_truncated_json_is_a_whole_answer_that_cannot_be_parsed(reader):
    reader.odin.faults.script("truncated_json")

    answer = reader.ask("subscriptions/1000823")

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("kind", ["cut_off", "reset_mid_body", "reset"])
def test_a_broken_line_is_an_error_of_the_line_and_the_next_call_goes_well(reader, kind):
    reader.odin.faults.script(kind, after_bytes=20)

    with pytest.raises(BROKEN_LINE):
        reader.ask("subscriptions/1000823")
    assert reader.ask("subscriptions/1000823").status_code == 200
    assert [call.fault for call in reader.odin.calls] == [kind, ""]


@pytest.mark.parametrize("kind", ["hang", "hang_mid_body", "slow"])
def test_silence_lasts_longer_than_the_callers_patience(reader, kind):
    reader.odin.faults.script(kind, seconds=30)

    with pytest.raises((requests.ReadTimeout, requests.ConnectionError)) as error:
        reader.ask("subscriptions/1000823", timeout=0.2)
    assert "timed out" in str(error.value).lower()
    assert reader.ask("subscriptions/1000823").status_code == 200


def test_silence_ends_in_a_closed_line_or_in_the_true_answer(reader):
    reader.odin.faults.script("hang", seconds=0.1)
    with pytest.raises(BROKEN_LINE):
        reader.ask("subscriptions/1000823")

    reader.odin.faults.script("slow", seconds=0.1)
    began = time.monotonic()
    assert reader.product()["quantity"] == 8
    assert time.monotonic() - began >= 0.1


def test_a_trickle_is_whole_in_the_end(reader):
    reader.odin.faults.script("trickle", "/plans/10234", seconds=0.001)

    assert reader.read("plans/10234")["id"] == 10234


def test_a_redirect_leads_elsewhere(reader):
    reader.odin.faults.script("redirect", location="http://127.0.0.1:9/stolen")

    answer = reader.http.get(f"{reader.odin.url}customers", allow_redirects=False, timeout=5)

    assert (answer.status_code, answer.headers["Location"]) == (302, "http://127.0.0.1:9/stolen")


def test_a_gzip_bomb_is_small_on_the_line_and_huge_when_unpacked(reader):
    reader.odin.faults.script("gzip_bomb")

    with reader.http.get(f"{reader.odin.url}customers", stream=True, timeout=5) as answer:
        packed = answer.raw.read(decode_content=False)

    unpacker = zlib.decompressobj(wbits=31)
    assert len(packed) < 1_000_000
    assert len(unpacker.decompress(packed, 50_000_000)) == 50_000_000


def test_an_endless_body_goes_on_until_the_caller_hangs_up(reader):
    reader.odin.faults.script("endless", seconds=0)

    with reader.http.get(f"{reader.odin.url}customers", stream=True, timeout=5) as answer:
        assert answer.raw.read(5000) == b" " * 5000
    assert reader.ask("customers").status_code == 200


def test_the_true_json_can_come_under_a_wrong_content_type(reader):
    reader.odin.faults.script("wrong_content_type")

    answer = reader.ask("subscriptions/1000823")

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.json()["id"] == "1000823"


def test_a_stale_answer_is_that_of_before_the_change(reader):
    assert reader.product()["quantity"] == 8
    reader.odin.set_count("1000823", "100234", 12)
    reader.odin.faults.script("stale", "/subscriptions/", calls=2)

    assert [reader.product()["quantity"] for _ in range(3)] == [8, 8, 12]


def test_a_lying_total_is_off_by_so_many(reader):
    true = reader.read("orders", limit=2)
    reader.odin.faults.script("lying_total", "/orders", total_by=-3)

    lie = reader.read("orders", limit=2)

    assert ids(lie) == ids(true)
    assert lie["pagination"]["total"] == true["pagination"]["total"] - 3


def test_an_empty_list_can_claim_the_true_total(reader):
    true = reader.read("subscriptions")
    reader.odin.faults.script("empty_list", "/subscriptions?")

    assert reader.read("subscriptions") == {"data": [], "pagination": true["pagination"]}


def test_a_fault_of_lists_leaves_a_detail_true(reader):
    reader.odin.faults.script("empty_list", calls=None)

    assert reader.product()["quantity"] == 8


def test_a_script_befalls_the_next_calls_to_its_path_only(reader):
    reader.odin.faults.script("error_504", "/subscriptions/", calls=2)

    statuses = [
        reader.ask(path).status_code
        for path in ("customers", "subscriptions", *["subscriptions/1000823"] * 3, "customers")
    ]

    assert statuses == [200, 200, 504, 504, 200, 200]
    assert reader.odin.faults.waiting == ()


def test_a_script_can_skip_calls_and_pick_a_page(reader):
    reader.odin.faults.script("error_500", "/orders?", skip=2)
    reader.odin.faults.script("error_503", "/orders?", query="offset=20")

    statuses = [reader.ask("orders", offset=offset, limit=10).status_code for offset in (0, 10, 20, 20, 20)]

    assert statuses == [200, 200, 500, 503, 200]


def test_the_token_can_meet_a_fault_too(reader):
    reader.odin.faults.script("error_503", "/token")

    assert reader.token().status_code == 503
    assert reader.token().status_code == 200


def test_a_rate_befalls_about_its_share_of_the_calls_the_same_ones_for_the_same_seed(reader):
    def run():
        reader.odin.faults.rate("error_500", 0.3, path="/plans", seed=7)
        statuses = [reader.ask("plans").status_code for _ in range(100)]
        reader.odin.faults.clear()
        return statuses

    first, second = run(), run()

    assert first == second
    assert 15 < Counter(first)[500] < 45
    assert reader.ask("plans").status_code == 200


def test_an_unknown_fault_is_refused_with_those_that_there_are(odin):
    with pytest.raises(ValueError, match="error_504"):
        odin.faults.script("bad_hair_day")
    assert odin.faults.waiting == ()


def test_a_fault_that_is_refused_by_the_limits_first_is_not_used_up(reader):
    reader.odin.switch(calls_per_minute=1)
    reader.odin.faults.script(Fault("error_500"))
    assert reader.ask("customers").status_code == 429

    reader.odin.switch(calls_per_minute=None)
    assert reader.ask("customers").status_code == 500


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"endless", "gzip_bomb"}))
def test_no_fault_changes_the_books_or_takes_the_server_down(reader, kind):
    reader.odin.faults.script(kind, seconds=0)
    with suppress(requests.RequestException):
        reader.ask("subscriptions")

    assert reader.product()["quantity"] == 8
    assert reader.odin.ledger == ()
