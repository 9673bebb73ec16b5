"""I12: no secret is in a log, an event, a row, a message, an error, a file or a mail, whatever goes wrong and whoever echoes it."""

import base64
import json
import os
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit
from xml.sax.saxutils import escape

import kombu
import pytest
import requests
from sqlalchemy import Engine, text

from deploy.sandbox.mailbox.box import Box
from deploy.servers.ports import free_port
from gateway.people.permissions import Role
from plumbing import topology
from tests.flow.echoing import Echo, echoing
from tests.gateway.browser import SIGN_IN, Browser, add_user
from tests.gateway.serving import TOKEN, Answering, gateway
from tests.house import House, MspHouse, running_house
from tests.servers import ROLE_PASSWORD, Postgres, Rabbitmq, fresh_database, fresh_vhost, role_url
from tests.waiting import wait_for

pytestmark = [pytest.mark.flow, pytest.mark.postgres, pytest.mark.rabbitmq]

# With what has to be escaped in URLs, JSON, XML and headers.
_ODD = 'é&<"+ /='
MAIL_PASSWORD = "canary-of-the-mail-server"
ODIN_SAID = ("json_400", "json_401", "json_403", "page_200", "type_200")
ODIN_MODES = (*ODIN_SAID, "json_500", "bad_head", "silence")
PSA_MODES = (
    "fault_of_server",
    "fault_of_client",
    "fault_200",
    "fault_401",
    "errors_200",
    "page_200",
    "bad_head",
    "silence",
)


def forms(secret: str) -> set[bytes]:
    """Every way in which the secret may stand somewhere, also inside of something longer that was encoded."""
    raw = secret.encode()
    plain = {secret, quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], escape(secret)}
    plain |= {
        json.dumps(secret, ensure_ascii=False)[1:-1],
        escape(secret, {'"': "&quot;"}),
        repr(secret)[1:-1],
        repr(raw)[2:-1],
    }
    inside = set()
    for shift in range(3):
        # Characters to which a neighbour adds its bits are left out.
        whole = base64.b64encode(b"." * shift + raw)
        inside |= {whole[-(-shift * 8 // 6) : len(whole.rstrip(b"=")) - 1]}
    return {form.encode() for form in plain} | inside | {raw.hex().encode(), raw.hex().upper().encode()}


@dataclass
class Places:
    """Everything that was ever said or kept, by where: name -> what stands there."""

    canaries: dict[str, str] = field(default_factory=dict)
    said: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, place: str, what: str | bytes) -> None:
        self.said.setdefault(place, []).append(what if isinstance(what, bytes) else what.encode("utf-8", "replace"))

    def found(self, secret: str, place: str = "") -> list[str]:
        """The places in which the secret stands, with what is around it."""
        hits = []
        for where in [place] if place else self.said:
            for what in self.said[where]:
                for form in forms(secret):
                    if (at := what.find(form)) >= 0:
                        hits.append(f"{where}: ...{what[max(0, at - 300) : at + len(form) + 20]!r}")
                        break
        return hits


@contextmanager
def every_message(rabbitmq_url: str, places: Places) -> Iterator[None]:
    """Hears whatever passes through an exchange of the house, RPC and dead letters included."""
    stopping = threading.Event()
    with kombu.Connection(rabbitmq_url) as connection:
        channel = connection.default_channel
        queue = kombu.Queue(f"canaries-{uuid.uuid4().hex}", exclusive=True, channel=channel)
        queue.declare()
        exchanges = {topology.BELLS.name: "#", topology.DEAD.name: "#", "nameko-rpc": "#"}
        for exchange, key in exchanges.items():
            channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
            channel.queue_bind(queue.name, exchange, key)
        for name in topology.WORK_QUEUES:
            channel.queue_bind(queue.name, topology.WORK.name, name)

        def heard(message: Any) -> None:
            body = message.body if isinstance(message.body, bytes) else message.body.encode()
            places.add("broker", body + repr((message.headers, message.properties)).encode())

        consumer = kombu.Consumer(channel, [queue], on_message=heard, no_ack=True)

        def listen() -> None:
            with consumer:
                while not stopping.is_set():
                    try:
                        connection.drain_events(timeout=0.2)
                    except TimeoutError:
                        continue

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(10)


def read_database(engine: Engine, places: Places) -> None:
    """Every row of every table as text, bytes in hexadecimal and as they are, large objects, and what sessions run."""
    with engine.connect() as connection:
        tables = connection.execute(
            text(
                """SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
                   WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')"""
            )
        )
        names = [*tables.scalars(), "pg_largeobject", "pg_stat_activity", "pg_db_role_setting"]
        for name in names:
            for row in connection.execute(text(f"SELECT * FROM {name}")):
                for value in row:
                    if isinstance(value, memoryview | bytes):
                        places.add("database", bytes(value))
                places.add("database", f"{name} " + json.dumps([str(value) for value in row], ensure_ascii=False))
        for name in names:
            rows = connection.execute(text(f"SELECT t::text FROM {name} t")).scalars()
            places.add("database", "\n".join(rows))


@pytest.mark.timeout(300)
def test_no_canary_is_anywhere(postgres: Postgres, rabbitmq: Rabbitmq, migrated_template: str) -> None:
    places, box = Places(), Box()
    mail_port, quiet_port = free_port(), free_port()
    with ExitStack() as stack:
        url = stack.enter_context(fresh_database(postgres, migrated_template))
        vhost = stack.enter_context(fresh_vhost(rabbitmq))
        stack.enter_context(box.taking("127.0.0.1", mail_port))
        stack.enter_context(Box().taking("127.0.0.1", quiet_port))
        house = stack.enter_context(
            running_house(
                url,
                vhost,
                TRUEUP_LOG_LEVEL="DEBUG",
                TRUEUP_HTTP_READ_SECONDS="1",
                TRUEUP_SMTP_URL=f"smtp://trueup:{MAIL_PASSWORD}@127.0.0.1:{quiet_port}",
            )
        )
        stack.enter_context(every_message(vhost, places))
        served = stack.enter_context(
            gateway(
                role_url(url, "trueup_gateway"),
                vhost,
                LOG_LEVEL="DEBUG",
                SMTP_URL=f"smtp://127.0.0.1:{mail_port}",
                REPORTING_PUBLIC_KEY=house.keys["reporting"][1],
                PUBLIC_URL="https://trueup.example",
                PRIVATE_ADDRESSES="true",
            )
        )
        odin = stack.enter_context(echoing(urlsplit(house.odin.url).port or 0))
        psa = stack.enter_context(echoing(urlsplit(house.psa.url).port or 0))
        decoy = f"decoy-{uuid.uuid4().hex[:8]}"
        places.canaries |= {
            "database": ROLE_PASSWORD,
            "broker": urlsplit(vhost).password or "",
            "gateway token": TOKEN,
            "mail server": MAIL_PASSWORD,
            **{f"private key of {name}": private for name, (private, _) in house.keys.items()},
        }

        # when everything goes well, and then wrong in every way
        msp = house.add_msp(decoy, ports=(odin.port, psa.port))
        _odd_passwords(msp, places)
        _work(msp, odin, psa)
        _people(house, msp, served, box, places)
        _poison(house, vhost)
        _cut_off(house)

        # then: what all of them have said and kept
        for part in house.parts.values():
            page = f"http://127.0.0.1:{part.port}"
            places.add("metrics", requests.get(f"{page}/metrics", timeout=10).text)
            places.add("health", requests.get(f"{page}/healthz", timeout=10).text)
        places.add("metrics", requests.get(f"{served.url}/metrics", timeout=10).text)
        places.add("health", requests.get(f"{served.url}/healthz", timeout=10).text)
        read_database(house.engine, places)
        for mail in box.newest():
            places.add("mails", mail.mail.as_bytes())
            places.add("mails", mail.text)
        for part in house.all_parts:
            places.add("output", part.process.output)
        places.add("output", served.ended())
        for log in Path(os.environ["TRUEUP_TEST_RUN"]).rglob("*.log"):
            places.add("servers' logs", log.read_bytes())

    # the search finds what does stand there
    for place in ("output", "database", "broker", "answers", "exports", "mails"):
        assert places.found(decoy, place), f"nothing was really looked at: {place}"
    assert all(b"trueup_" in page for page in places.said["metrics"])
    assert all(b'"ready"' in page for page in places.said["health"])
    for name, secret in places.canaries.items():
        assert len(secret) >= 8, name
        for form in forms(secret):
            assert Places(said={"planted": [b"before." + form + b".after"]}).found(secret), (name, form)
        inside = base64.b64encode(f"user:{secret}@host".encode())
        assert Places(said={"planted": [inside]}).found(secret), name

    # and not what must not
    found = {name: hits for name, secret in places.canaries.items() if (hits := places.found(secret))}
    links = found.pop("link", [])
    assert {hit.partition(":")[0] for hit in links} == {"mails"}, links
    assert not found, "\n".join(f"{name}: {len(hits)} {hits[:3]}" for name, hits in found.items())


def _odd_passwords(msp: MspHouse, places: Places) -> None:
    secrets = {"odin": f"odin{_ODD}{uuid.uuid4().hex[:8]}", "autotask": f"psa{_ODD}{uuid.uuid4().hex[:8]}"}
    public = {service: pair[1] for service, pair in msp.house.keys.items()}
    msp.odin.set_password(secrets["odin"])
    msp.psa.set_password(secrets["autotask"])
    for kind, password in secrets.items():
        msp.set_up.save_connection(msp.msp_id, kind, kind, {}, {"password": password}, public)
    places.canaries |= {
        "ODIN's password": secrets["odin"],
        "ODIN's secret": msp.odin.secret,
        "Autotask's password": secrets["autotask"],
        "Autotask's tracking identifier": msp.psa.tracking_identifier,
    }


def _work(msp: MspHouse, odin: Echo, psa: Echo) -> None:
    """A count becomes units; then each way of failing, at reads and at posts; then it goes on."""
    resource = msp.add_resource("Contoso", "Exchange Online (Plan 1)", 4)
    line = msp.add_line("Contoso", "Exchange Online (Plan 1)", 4)
    msp.poll()
    msp.read_catalogue(line)
    msp.link(resource, line)
    msp.quiet()
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_fail_at_odin, msp, odin), pool.submit(_fail_at_the_psa, msp, psa)]:
            done.result(120)
    psa.mode, psa.only = "fault_of_client", "/create"
    msp.odin.set_count(resource.subscription_id, resource.resource_id, 12)
    msp.poll()
    wait_for(lambda: msp.events("AdjustmentFailed") or msp.events("AdjustmentParked"), 60, what="the post to fail")
    psa.mode = ""
    requests_open = [event["request_id"] for event in msp.events("AdjustmentRequested")]
    msp.house.ask("psa_writer", "retry", msp_id=msp.msp_id, request_ids=requests_open, actor="mara")
    wait_for(lambda: msp.units(line) == 12, 60, what="the post to go out")


def _fail_at_odin(msp: MspHouse, odin: Echo) -> None:
    # What may pass is tried again at reads, which takes long; a token is asked for once.
    for odin.mode, odin.only in [(mode, "/token") for mode in ODIN_MODES] + [
        (mode, "/subscriptions") for mode in ODIN_SAID
    ]:
        before = odin.echoed
        msp.house.ask("poller", "test_connection", msp_id=msp.msp_id, connection_id="odin")
        assert odin.echoed > before, odin
    # The work itself leaves its failures in the log of events.
    for odin.mode, odin.only in (("json_500", "/subscriptions"), ("json_401", "/token")):
        failed = msp.count_of("PollFailed")
        msp.ask_for_poll()
        wait_for(lambda before=failed: msp.count_of("PollFailed") > before, 60, what="the poll to fail")
    odin.mode = ""
    _save_again(msp, "odin")


def _fail_at_the_psa(msp: MspHouse, psa: Echo) -> None:
    for psa.mode in PSA_MODES:
        for psa.only in ("/getThresholdAndUsageInfo", "/query"):
            msp.house.ask("psa_writer", "test_connection", msp_id=msp.msp_id, connection_id="autotask")
    assert psa.echoed > len(PSA_MODES)
    psa.only = "/query"
    for psa.mode in ("fault_of_client", "errors_200", "fault_of_server", "fault_401"):
        failed = msp.count_of("CatalogueReadFailed")
        _save_again(msp, "autotask")
        msp.ask_for_catalogue()
        wait_for(lambda before=failed: msp.count_of("CatalogueReadFailed") > before, 60, what="the reading to fail")
    psa.mode = ""
    _save_again(msp, "autotask")


def _save_again(msp: MspHouse, kind: str) -> None:
    """As a person does who has corrected something."""
    msp.set_up.save_connection(msp.msp_id, kind, kind, {}, {}, {})


REPORT = "query ($msp: String!) { activities(mspId: $msp) { edges { node { actor action objectLabel changes } } } }"
INVITE = """mutation ($msp: String!, $email: String!, $name: String!) { inviteUser(mspId: $msp, operationId: "i", email: $email,
  name: $name, role: OPERATOR) { link results { ok } } }"""
KEY = """mutation ($msp: String!) { createApiKey(mspId: $msp, operationId: "k", name: "BI", scopes: [READ],
  endsOn: "%s") { key } }"""
RULE = """mutation ($msp: String!, $rule: NotificationRuleWish!, $operation: String!) { saveNotificationRule(mspId: $msp,
  rule: $rule, operationId: $operation) { results { id ok refusal { message } } } }"""
TRY_RULE = """mutation ($msp: String!, $rule: String!, $operation: String!) { testNotificationRule(mspId: $msp, ruleId: $rule,
  operationId: $operation) { results { ok } } }"""
RESET = "mutation ($token: String!, $new: String!) { resetPassword(token: $token, newPassword: $new) { ok } }"
FORGOT = "mutation ($email: String!) { requestPasswordReset(email: $email) { ok } }"


def _people(house: House, msp: MspHouse, served: Answering, box: Box, places: Places) -> None:
    """Users sign in, rightly and wrongly, forget passwords, make keys and rules, ask what cannot be answered."""
    password, wrong, chosen = (
        f"{word} four tall giraffes {uuid.uuid4().hex[:6]}" for word in ("right", "wrong", "chosen")
    )
    places.canaries |= {"a user's password": password, "a wrong password": wrong, "a chosen password": chosen}
    add_user(house.engine, msp.msp_id, "ada@acme.example", Role.ADMIN, password)
    browser = Browser(served.url)

    def ask(query: str, **variables: Any) -> Any:
        answer = browser.post(query, **variables)
        places.add("answers", answer.content)
        return answer.json()

    ask(SIGN_IN, email="ada@acme.example", password=wrong)
    ask(SIGN_IN, email="ada@acme.example", password=password)
    assert browser.cookies, places.said["answers"]
    (places.canaries["session"], *_) = [value for name, value in browser.cookies.items() if "trueup" in name]
    ask(INVITE, msp=msp.msp_id, email="bea@acme.example", name=msp.msp_id)
    (mail,) = wait_for(lambda: [m for m in box.newest() if "bea@acme.example" in m.to], what="the mail")
    token = places.canaries["link"] = mail.text.partition("#token=")[2].split()[0]
    ask(RESET, token=token[:-4] + "AAAA", new=chosen)
    ask(RESET, token=token, new="short")
    ask(RESET, token=token, new=chosen)
    ask(FORGOT, email="bea@acme.example")
    day = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    made = browser.post(KEY % day, msp=msp.msp_id).json()
    key = places.canaries["API key"] = made["data"]["createApiKey"]["key"]
    secret = base64.b64encode(f"canary{uuid.uuid4().hex[:20]}".encode()).decode()
    places.canaries["webhook"] = secret
    for number, (channel, target) in enumerate((("WEBHOOK", "http://127.0.0.1:9/hook"), ("MAIL", "ada@acme.example"))):
        wish = {"kinds": ["HELD"], "channel": channel, "target": target}
        wish |= {"secret": f"whsec_{secret}"} if channel == "WEBHOOK" else {}
        saved = ask(RULE, msp=msp.msp_id, rule=wish, operation=f"r{number}")
        (result,) = saved["data"]["saveNotificationRule"]["results"]
        assert result["ok"], result
        ask(TRY_RULE, msp=msp.msp_id, rule=result["id"], operation=f"t{number}")
    wait_for(lambda: _tried(house.engine), 60, what="both deliveries to fail")
    # What cannot be answered: of another MSP, beyond the schema, with a secret where none belongs, with a service away.
    ask("{ nothing(password: " + json.dumps(password) + ") { x } }")
    ask(REPORT, msp="nobody")
    house.parts["reporting-1"].process.stop()
    ask(TRY_RULE, msp=msp.msp_id, rule="none", operation="t9")
    house.start("reporting").wait_until_ready()
    for headers in ({"authorization": f"Bearer {key}"}, {"authorization": f"Bearer {key}x"}):
        answer = requests.get(f"{served.url}/export/activities.csv?msp={msp.msp_id}", headers=headers, timeout=60)
        places.add("exports", answer.content)
        asked = requests.post(
            f"{served.url}/graphql", json={"query": REPORT, "variables": {"msp": msp.msp_id}}, headers=headers
        )
        places.add("answers", asked.content)
    places.add(
        "answers",
        requests.post(f"{served.url}/graphql", data=f'{{"query": "{key}', headers=headers, timeout=60).content,
    )


def _tried(engine: Engine) -> bool:
    with engine.connect() as connection:
        tried = "SELECT count(DISTINCT channel) FROM reporting.deliveries WHERE last_answer IS NOT NULL"
        return connection.scalar(text(tried)) == 2


def _poison(house: House, vhost: str) -> None:
    """Messages that no worker can take, until they are dead letters."""
    with kombu.Connection(vhost) as connection, connection.Producer() as producer:
        for name in topology.WORK_QUEUES:
            producer.publish(
                b'{"broken', routing_key=name, exchange=topology.WORK.name, content_type="application/json"
            )
    wait_for(lambda: _dead(house.engine) >= len(topology.WORK_QUEUES), 60, what="dead letters")


def _dead(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(text("SELECT count(*) FROM queue.dead_letters")) or 0


def _cut_off(house: House) -> None:
    """Every session with the database dies under whoever works with it; they come back."""
    with house.engine.connect() as connection:
        connection.execute(
            text(
                """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()"""
            )
        )
    for part in house.parts.values():
        part.wait_until_ready()
