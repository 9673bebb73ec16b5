"""What comes in at the door: only POST of JSON with a token, small, modest, and nothing that tells more than it should."""

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
import requests
from graphql import GraphQLObjectType, get_named_type, get_nullable_type, is_list_type
from sqlalchemy import Engine, text

from tests.gateway.asking_all import schema
from tests.gateway.serving import TOKEN, Answering, environment, gateway
from tests.waiting import wait_for

pytestmark = [pytest.mark.postgres]
SMALL = '{ pulse(mspId: "acme") { position } }'


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \u00e9"]
)
def test_without_the_token_nothing_is_answered(served: Answering, header: str) -> None:
    answer = served.post(SMALL, headers={"authorization": header.encode("latin-1")})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert "data" not in answer.json()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_g3_only_post_reaches_graphql(served: Answering, method: str) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = requests.request(method, f"{served.url}/graphql?query={SMALL}", headers=headers, timeout=10)

    assert answer.status_code == 405


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_g3_only_json_is_read(served: Answering, kind: str) -> None:
    answer = served.post(SMALL, headers={"content-type": kind})

    assert answer.status_code == 415


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        '[{"query": "{ __typename }"}]',
        '{"query": 1}',
        '{"query": ""}',
        '{"query": "{a}", "variables": []}',
        '{"query": "{a}", "operationName": 1}',
        '{"query": "\\ud800"}',
    ],
)
def test_a_body_of_another_shape_is_refused(served: Answering, body: str) -> None:
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    answer = requests.post(f"{served.url}/graphql", data=body, headers=headers, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_a_query_of_more_than_32_kilobytes_and_a_body_of_more_than_1024_are_refused(served: Answering) -> None:
    assert served.post(SMALL + " " * 32 * 1024).status_code == 413
    assert served.post(SMALL, {"padding": " " * 1024 * 1024}).status_code == 413


def test_g1_a_body_that_only_trickles_in_is_given_up(served: Answering) -> None:
    address = urlsplit(served.url)
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {TOKEN}\r\n"
        "content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 408"


def test_a_long_body_is_refused_before_it_has_come_whole(served: Answering) -> None:
    address = urlsplit(served.url)
    head = (
        f"POST /graphql HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {TOKEN}\r\n"
        "content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head.encode())
        for _ in range(65):
            connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 413"


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ('{ pulse(mspId: "\\u0000") { position } }', {}),
        ('{ pulse(mspId: "\\u{0}") { position } }', {}),
        ("query($msp: String!) { pulse(mspId: $msp) { position } }", {"msp": "acme\0"}),
        ("query($msp: String!) { pulse(mspId: $msp) { position } }", {"msp": "acme", "deep": [{"er": ["\0"]}]}),
    ],
)
def test_a_letter_that_cannot_be_kept_is_refused(served: Answering, query: str, variables: dict[str, object]) -> None:
    refusal = served.refusal(query, **variables)

    assert (refusal["code"], refusal["fix"]) == ("BAD_REQUEST", "Take it out.")


NESTED = "{ " + "edges { node { " * 30 + "x" + " } }" * 30 + " }"
CIRCLE = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }"
DOUBLING = "{ ...F0 } " + " ".join(
    f"fragment F{n} on Query {{ ...F{n + 1} ... on Query {{ ...F{n + 1} }} }}" for n in range(40)
)
DOUBLING += ' fragment F40 on Query { pulse(mspId: "acme") { position } }'

EMPTY_DOUBLING = DOUBLING.replace('pulse(mspId: "acme") { position }', "...Nothing")
FIVE_GROUPINGS = (
    "{ "
    + " ".join(f'r{n}: subscriptions(mspId: "acme") {{ ...G }}' for n in range(5))
    + " } fragment G on ResourceConnection { groups(by: COMPANY_ID) { rows } }"
)
BOTTOMLESS = "{a" * 333 + "}" * 333


@pytest.mark.parametrize(
    "query",
    [
        NESTED,
        EMPTY_DOUBLING,
        BOTTOMLESS,
        '{ pulse(mspId: "acme") { ' + "... { position } " * 190 + " } }",
        CIRCLE,
        DOUBLING,
        "{ " + " ".join(f'a{n}: pulse(mspId: "acme") {{ position }}' for n in range(60)) + " }",
        '{ pulse(mspId: "acme") { ' + " ".join(f"a{n}: position" for n in range(30)) + " } }",
        '{ pulse(mspId: "acme") { ' + "position " * 900 + " } }",
        "{ " + "x " * 1200 + "}",
        FIVE_GROUPINGS,
        'query A { pulse(mspId: "acme") { position } } query B { pulse(mspId: "acme") { position } }',
    ],
    ids=[
        "deep",
        "empty doubling",
        "bottomless",
        "inline",
        "circle",
        "doubling",
        "lists",
        "aliases",
        "repeats",
        "tokens",
        "groupings",
        "two operations",
    ],
)
def test_g1_an_immodest_request_is_refused_at_once(served: Answering, query: str) -> None:
    served.post(SMALL)

    answer = served.post(query)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] in ("TOO_COMPLEX", "BAD_REQUEST")


def test_a_long_text_is_not_parsed_to_its_end(served: Answering) -> None:
    refusal = served.refusal('{ pulse(mspId: "acme", x: [' + "1 " * 1200 + "]) { position } ")

    assert refusal["code"] == "TOO_COMPLEX"
    assert "1000 tokens" in refusal["message"]


def test_rows_hold_no_pages_of_their_own_so_that_what_is_asked_for_does_not_multiply() -> None:
    known = schema()

    def paged_below(kind: GraphQLObjectType, seen: frozenset[str], *, of_rows: bool) -> Iterator[str]:
        for name, field in kind.fields.items():
            if of_rows and {"first", "last"} & set(field.args):
                yield f"{kind.name}.{name}"
            below, rows = get_named_type(field.type), of_rows or is_list_type(get_nullable_type(field.type))
            if isinstance(below, GraphQLObjectType) and below.name not in seen:
                yield from paged_below(below, seen | {below.name}, of_rows=rows)

    assert list(paged_below(known.query_type, frozenset(), of_rows=False)) == []


def test_what_only_reads_begins_no_statement_when_its_time_is_over(own: Answering, engine: Engine) -> None:
    fields = [f'{name}(mspId: "acme") {{ totalCount }}' for name in ("subscriptions", "adjustments", "failures")]
    query = f"{{ {' '.join(fields)} }}"

    with ThreadPoolExecutor(1) as asking, engine.connect() as one, engine.connect() as two:
        one.execute(text("LOCK TABLE reporting.resources IN ACCESS EXCLUSIVE MODE"))
        two.execute(text("LOCK TABLE reporting.adjustments IN ACCESS EXCLUSIVE MODE"))
        answer = asking.submit(own.post, query)
        # Each of the two waits for less than a statement may take, both together for longer than the answer may.
        for connection in (one, two):
            time.sleep(3)
            connection.rollback()
        (error,) = answer.result().json()["errors"]

    assert (error["path"], error["extensions"]["code"]) == (["failures"], "TOO_SLOW")
    assert own.data(query)


def test_the_schema_is_not_told_nor_guessed_at(served: Answering) -> None:
    told = served.post("{ __schema { types { name } } }")
    guessed = served.post('{ pulse(mspId: "acme") { positio } }')

    assert told.status_code == guessed.status_code == 400
    assert "Did you mean" not in guessed.text


def test_the_schema_is_told_when_the_installation_says_so(standing: str) -> None:
    with gateway(standing, INTROSPECTION="true") as open_gateway:
        assert open_gateway.data("{ __schema { queryType { name fields { name type { name } } } } }")


def test_an_answer_carries_its_correlation_id_and_is_not_kept(served: Answering) -> None:
    answer = served.post(SMALL)

    assert len(answer.headers["x-correlation-id"]) == 32
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


def test_health_says_ready_and_names_what_waits(own: Answering, engine: Engine) -> None:
    ready = requests.get(f"{own.url}/healthz", timeout=10)
    with engine.begin() as connection:
        connection.execute(
            text(
                """INSERT INTO queue.outbox (message_id, queue, body, correlation_id, put_at)
                   VALUES (gen_random_uuid(), 'poller.polls', '{}', 'c', now() - interval '5 minutes')"""
            )
        )
        connection.execute(
            text("UPDATE reporting.positions SET stopped_at = now(), stopped_reason = 'an unknown event'")
        )
    told = requests.get(f"{own.url}/healthz", timeout=10).json()

    assert (ready.status_code, ready.json()["checks"]["broker"]) == (200, "ready")
    assert "carried to RabbitMQ" in told["checks"]["broker"]
    assert "an unknown event" in told["checks"]["reports"]


def test_metrics_tell_the_lag_of_each_read_model(served: Answering) -> None:
    answer = requests.get(f"{served.url}/metrics", timeout=10)

    assert 'trueup_report_lag_positions{consumer="reporting.resources"} 0.0' in answer.text
    assert "trueup_outbox_oldest_seconds" in answer.text


def test_the_token_stands_in_no_log_line(standing: str) -> None:
    with gateway(standing) as answering:
        answering.post(SMALL)
        answering.post('{ pulse(mspId: "nobody") { position } }')

    assert "starting" in answering.output
    assert TOKEN not in answering.output


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"GATEWAY_TOKEN": "short"}, "less than 16"),
        ({"PRIVATE_KEY": "c2hvcnQ="}, "TRUEUP_PRIVATE_KEY is not usable"),
        ({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "TRUEUP_DATABASE_URL"),
    ],
)
def test_bad_settings_end_with_what_to_do(standing: str, change: dict[str, str], said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "gateway"],
        env=environment(standing) | {f"TRUEUP_{name}": value for name, value in change.items()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_ends_when_told_to(standing: str) -> None:
    with gateway(standing) as answering:
        answering.process.terminate()
        assert wait_for(lambda: answering.process.poll() is not None, seconds=30)


def test_a_client_that_pauses_between_two_requests_keeps_its_connection(served: Answering) -> None:
    client = http.client.HTTPConnection(urlsplit(served.url).netloc, timeout=10)
    client.request("GET", "/healthz")
    assert client.getresponse().read()
    # It shall not connect anew.
    client.auto_open = 0

    time.sleep(6)  # longer than a server waits that is not told otherwise

    client.request("GET", "/healthz")
    assert client.getresponse().status == 200
    client.close()
