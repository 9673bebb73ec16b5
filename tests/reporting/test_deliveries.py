"""Notifications from now on are sent once for each rule, signed, tried again under one id, and never by a replay."""

import base64
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, text

from domain.events import Event
from domain.keys import MspId
from domain.notifications import Rule
from gateway.rules import Rules
from plumbing.catch_up import catch_up
from plumbing.clock import FrozenClock
from plumbing.house import House
from plumbing.secrets import new_key_pair
from services.reporting.notifying import deliveries, digests
from services.reporting.notifying.by_hand import resend, try_rule
from services.reporting.notifying.reactor import reactor
from services.reporting.notifying.sending import HELD, PAUSES, Sender
from services.reporting.notifying.settings import ReportingSettings
from services.reporting.replay import replay
from tests.msps import add_msp
from tests.reporting import history as h
from tests.reporting.receiving import Mailbox, Receiver, mailbox, receiver

pytestmark = pytest.mark.postgres
A, P = h.odin("a"), h.psa("p")
SECRET = "whsec_" + base64.b64encode(b"canary-canary-canary-canary").decode()
PRIVATE_KEY, PUBLIC_KEY = new_key_pair()
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Desk:
    """An MSP with rules, and the replicas of the reporting service that tell and send."""

    def __init__(self, engine: Engine, msp_id: MspId, **settings: Any) -> None:
        self.engine, self.msp_id, self.clock = engine, msp_id, FrozenClock(NOW)
        given = {"private_key": PRIVATE_KEY, "private_addresses": True} | settings
        house_settings = ReportingSettings(database_url="", rabbitmq_url="", **given)
        self.house = House("reporting", engine, self.clock, house_settings)

    def rule(self, *kinds: str, operation: str = "o1", rule_id: str | None = None, **more: Any) -> str:
        secret = more.pop("secret", SECRET if more.get("channel") == "webhook" else None)
        rules = Rules(self.engine, self.clock, "mara", PUBLIC_KEY, private_addresses=True)
        return rules.save(self.msp_id, rule_id, Rule(kinds=kinds or ("held",), **more), secret, operation)

    def happens(self, *happened: Event) -> None:
        """Something happens, and the service hears of it."""
        h.append(self.engine, self.msp_id, happened)
        h.project(self.engine, self.msp_id)
        self.react()

    def react(self) -> None:
        catch_up(self.engine, reactor(self.clock), self.msp_id, self.clock)

    def send(self, after: timedelta = timedelta()) -> int:
        self.clock.moment += after
        return Sender(self.house).send_due()

    def deliveries(self) -> list[dict[str, Any]]:
        with self.engine.connect() as connection:
            rows = connection.execute(text("SELECT * FROM reporting.deliveries ORDER BY made_at, occasion")).mappings()
            return [dict(row) for row in rows]

    def delivery(self) -> dict[str, Any]:
        (row,) = self.deliveries()
        return row


@pytest.fixture
def desk(engine: Engine, msp_id: MspId) -> Desk:
    return Desk(engine, msp_id)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as received:
        yield received


@pytest.fixture
def mails() -> Iterator[Mailbox]:
    with mailbox() as taken:
        yield taken


def test_what_no_rule_names_is_sent_to_nobody(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target=hook.url)

    desk.happens(h.failed(A, P, "q1"), h.posted(A, P, "q1"))

    assert (desk.deliveries(), desk.send(), hook.calls) == ([], 0, [])


def test_a_webhook_tells_what_happened_and_is_signed_with_the_secret_of_the_rule(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target=f"{hook.url}/hooks?token=1")

    desk.happens(h.parked(A, P, "q1"))
    desk.send()

    (call,) = hook.calls
    assert (call.path, call.headers["Content-Type"]) == ("/hooks?token=1", "application/json")
    assert call.is_signed_with(SECRET)
    assert not call.is_signed_with("whsec_" + base64.b64encode(b"x" * 24).decode())
    assert call.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert call.told == {
        "type": "notification.held",
        "timestamp": "2026-03-01T08:02:00Z",
        "data": {
            "msp_id": "acme",
            "notification_id": "2/held",
            "kind": "held",
            "severity": "action",
            "text": "Resource a of Company 1200000501: The period is posted.",
            "fix": "Choose the next period.",
            "position": "2",
            "link": {"report": "failures", "column": "request_id", "key": "q1"},
        },
    }
    row = desk.delivery()
    assert (row["state"], row["attempts"], row["last_answer"]) == ("sent", 1, "status 200")
    assert (row["delivery_id"], row["target"]) == (hook.ids()[0], hook.url)


def test_a_new_rule_tells_nothing_of_the_past(desk: Desk, hook: Receiver) -> None:
    h.append(desk.engine, desk.msp_id, [h.parked(A, P, "q1")])
    desk.rule("held", channel="webhook", target=hook.url)

    desk.happens(h.parked(A, P, "q2"))

    assert [row["occasion"] for row in desk.deliveries()] == ["notification/3/held"]


def test_however_often_the_log_is_heard_there_is_one_delivery_for_each_rule_and_notification(
    desk: Desk, hook: Receiver
) -> None:
    desk.rule("held", "failed", channel="webhook", target=hook.url)
    desk.rule("held", operation="o2", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"), h.failed(A, P, "q2"))
    with desk.engine.begin() as connection:
        connection.execute(text("UPDATE reporting.positions SET position = 0 WHERE consumer = 'reporting.deliveries'"))
    desk.react()

    desk.send()
    desk.send()

    assert sorted(call.told["data"]["notification_id"] for call in hook.calls) == ["3/held", "3/held", "4/failed"]


def test_two_replicas_send_each_delivery_once(desk: Desk, hook: Receiver) -> None:
    for number in range(4):
        desk.rule("failed", operation=f"o{number}", channel="webhook", target=hook.url)
    desk.happens(*(h.failed(A, P, f"q{n}") for n in range(10)))
    replicas = [Desk(desk.engine, desk.msp_id) for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        tried = list(pool.map(Desk.send, replicas))

    assert (sum(tried), len(hook.calls), len(set(hook.ids()))) == (40, 40, 40)


def test_what_one_replica_is_sending_another_passes_by_with_all_that_waits_behind_it(
    desk: Desk, hook: Receiver
) -> None:
    other, tried = Desk(desk.engine, desk.msp_id), []
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"), h.parked(A, P, "q2"))
    hook.while_it_answers = lambda: tried.append(other.send())

    desk.send()

    assert (tried, len(hook.calls)) == ([0, 0], 2)


def test_a_try_that_was_overtaken_tells_only_of_success(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))
    silent = Sender(desk.house)
    (taken,) = silent._take()

    hook.statuses = [500]
    desk.send(HELD)
    silent._record_failure(taken, "late")
    assert (desk.delivery()["attempts"], desk.delivery()["last_answer"]) == (2, "status 500")


def test_the_reactor_waits_for_the_projection_that_it_reads(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    h.append(desk.engine, desk.msp_id, [h.parked(A, P, "q1")])
    desk.react()
    assert desk.deliveries() == []

    h.project(desk.engine, desk.msp_id)
    desk.react()

    assert desk.delivery()["state"] == "waiting"


def test_a_replay_sends_nothing(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))
    desk.send()
    before = desk.deliveries()

    replay(desk.engine, ["all"], desk.msp_id)
    desk.react()

    assert (desk.deliveries(), desk.send(), len(hook.calls)) == (before, 0, 1)

    desk.happens(h.parked(A, P, "q2"))
    desk.send()
    assert len(hook.calls) == 2


def test_a_receiver_that_fails_is_tried_again_later_under_the_same_id(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))
    hook.statuses = [500, 302]

    assert (desk.send(), desk.send(timedelta(seconds=9)), desk.send(timedelta(seconds=1))) == (1, 0, 1)
    row = desk.delivery()
    assert (row["state"], row["attempts"]) == ("waiting", 2)
    assert "redirect (302)" in row["last_answer"]
    desk.send(timedelta(minutes=1))

    assert [call.path for call in hook.calls] == ["/", "/", "/"]
    assert len(set(hook.ids())) == 1
    assert all(call.is_signed_with(SECRET) for call in hook.calls)
    assert len({call.headers["webhook-timestamp"] for call in hook.calls}) == 3
    assert desk.delivery()["state"] == "sent"


def test_after_the_last_try_it_is_given_up_and_says_so_and_a_person_may_send_it_again(
    desk: Desk, hook: Receiver
) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))
    hook.statuses = [500] * 8
    for pause in (timedelta(), *PAUSES):
        assert desk.send(pause) == 1

    row = desk.delivery()
    assert (row["state"], row["next_try_at"]) == ("given_up", None)
    assert row["last_answer"] == "given up after 8 tries: status 500"
    assert desk.send(timedelta(days=9)) == 0

    (result,) = resend(desk.house, desk.msp_id, [row["delivery_id"]])
    assert (result["ok"], desk.send(), len(set(hook.ids())), desk.delivery()["state"]) == (True, 1, 1, "sent")


def test_while_a_target_fails_what_else_waits_for_it_waits_too_and_follows_it_at_once(
    desk: Desk, hook: Receiver
) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(*(h.parked(A, P, f"q{n}") for n in range(30)))
    hook.statuses = [503] * 5
    for pause in (timedelta(), *PAUSES[:2], *[timedelta(minutes=5)] * 2):
        assert desk.send(pause) == 1
    assert len(set(hook.ids())) == 2  # the first, and from its half hour on the next

    desk.send(timedelta(minutes=5))

    assert [row["state"] for row in desk.deliveries()] == ["sent"] * 30
    assert [call.told["data"]["notification_id"] for call in hook.calls[-3:]] == ["29/held", "30/held", "31/held"]


def test_a_target_that_fails_does_not_hold_up_those_of_other_rules(desk: Desk, hook: Receiver) -> None:
    desk.rule("held", channel="webhook", target="http://127.0.0.1:1")
    desk.rule("held", operation="o2", channel="webhook", target=hook.url)
    desk.happens(*(h.parked(A, P, f"q{n}") for n in range(20)))

    desk.send()

    assert len(hook.calls) == 20


def test_a_process_that_dies_after_sending_leaves_it_to_be_sent_again_under_the_same_id(
    desk: Desk, hook: Receiver
) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))

    sender = Sender(desk.house)
    (taken,) = sender._take()
    sender._send(taken)  # and nothing is written down

    assert desk.send(timedelta(minutes=2)) == 0
    assert desk.send(timedelta(minutes=2)) == 1
    assert (len(hook.calls), len(set(hook.ids()))) == (2, 1)


def test_only_what_is_there_is_sent_again(desk: Desk, hook: Receiver, engine: Engine) -> None:
    other = Desk(engine, add_msp(engine, "other"))
    other.rule("held", channel="webhook", target=hook.url)
    other.happens(h.parked(A, P, "q1"))

    foreign = resend(desk.house, desk.msp_id, [other.delivery()["delivery_id"], "nothing"])
    Sender(desk.house)._take()
    in_hand = resend(other.house, other.msp_id, [other.delivery()["delivery_id"]])

    assert [row["refusal"]["code"] for row in (*foreign, *in_hand)] == [
        "NO_SUCH_DELIVERY",
        "NO_SUCH_DELIVERY",
        "IN_HAND",
    ]


def test_what_waits_for_a_rule_that_was_removed_is_given_up(desk: Desk, hook: Receiver) -> None:
    rule_id = desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))
    Rules(desk.engine, desk.clock, "mara", "", private_addresses=True).remove(desk.msp_id, rule_id)

    desk.send()
    desk.happens(h.parked(A, P, "q2"))

    row = desk.delivery()
    assert (hook.calls, row["state"], row["last_answer"]) == (
        [],
        "given_up",
        "given up after 1 tries: the rule was removed",
    )


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("https://127.0.0.1/hook", "not on the public internet"),
        ("https://localhost/hook", "not on the public internet"),
        ("https://[::ffff:10.0.0.1]/hook", "not on the public internet"),
        ("https://169.254.169.254/latest", "not on the public internet"),
        ("https://100.64.0.1/hook", "not on the public internet"),
        ("https://2130706433/hook", "unusual form"),
        ("http://example.com/hook", "only https"),
    ],
)
def test_no_webhook_leads_into_the_own_network(engine: Engine, msp_id: MspId, target: str, why: str) -> None:
    desk = Desk(engine, msp_id, private_addresses=False)
    desk.rule("held", channel="webhook", target=target)
    desk.happens(h.parked(A, P, "q1"))

    desk.send()

    row = desk.delivery()
    assert (row["state"], why in row["last_answer"]) == ("waiting", True), row["last_answer"]


@pytest.mark.parametrize("answer", ["status 500", "it cannot be reached"])
def test_neither_secret_nor_path_of_a_target_stands_anywhere_in_clear(
    desk: Desk, hook: Receiver, caplog: pytest.LogCaptureFixture, answer: str
) -> None:
    caplog.set_level(logging.DEBUG)
    place = hook.url if answer == "status 500" else "http://127.0.0.1:1"
    desk.rule("held", channel="webhook", target=f"{place}/path-canary")
    desk.happens(h.parked(A, P, "q1"))
    hook.statuses = [500]
    desk.send()
    assert desk.delivery()["last_answer"] == answer

    said = [
        record.getMessage() + str(vars(record)) for record in caplog.records if record.name != "urllib3.connectionpool"
    ]
    with desk.engine.connect() as connection:
        for table in ("log.events", "reporting.deliveries", "reporting.notifications"):
            said += connection.scalars(text(f"SELECT t::text FROM {table} t"))
        sealed = connection.scalars(text("SELECT t::text FROM setup.notification_rules t")).all()
    assert not [line for line in said if SECRET[6:] in line or "path-canary" in line]
    assert not [line for line in sealed if SECRET[6:] in line]


def test_a_rule_sealed_for_another_key_says_so(desk: Desk, hook: Receiver, engine: Engine, msp_id: MspId) -> None:
    desk.rule("held", channel="webhook", target=hook.url)
    desk.happens(h.parked(A, P, "q1"))

    Sender(Desk(engine, msp_id, private_key=new_key_pair()[0]).house).send_due()

    assert (hook.calls, "set it anew" in desk.delivery()["last_answer"]) == ([], True)


def test_a_mail_tells_one_notification_at_once(engine: Engine, msp_id: MspId, mails: Mailbox) -> None:
    desk = Desk(engine, msp_id, smtp_url=mails.url, mail_from="trueup@example.com")
    desk.rule("held", channel="mail", target="mara@example.com")
    names = A | {"company_name": "Acme\r\nBcc: all@example.com"}
    desk.happens(h.parked(names, P, "q1"))
    mails.refuses = True
    desk.send()
    assert "451" in desk.delivery()["last_answer"]
    mails.refuses = False
    desk.send(PAUSES[0])

    (mail,) = mails.mails
    assert (mail["To"], mail["From"], mail["Bcc"]) == ("mara@example.com", "trueup@example.com", None)
    assert mail["Subject"] == "Held: Resource a of Acme Bcc: all@example.com: The period is posted."
    assert mail["Message-ID"] == f"<{desk.delivery()['delivery_id']}@trueup>"
    assert "What to do: Choose the next period." in mail.get_content()


def test_without_a_mail_server_a_delivery_says_which_setting_is_missing(desk: Desk) -> None:
    desk.rule("held", channel="mail", target="mara@example.com")
    desk.happens(h.parked(A, P, "q1"))
    desk.send()

    assert "TRUEUP_SMTP_URL" in desk.delivery()["last_answer"]


def test_a_password_is_not_given_to_a_mail_server_without_tls(engine: Engine, msp_id: MspId, mails: Mailbox) -> None:
    desk = Desk(engine, msp_id, smtp_url=mails.url.replace("//", "//user:canary@"))
    desk.rule("held", channel="mail", target="mara@example.com")
    desk.happens(h.parked(A, P, "q1"))
    desk.send()

    assert ("offers no TLS" in desk.delivery()["last_answer"], mails.mails) == (True, [])


def test_a_digest_tells_the_day_folded_and_what_waits_for_a_person_first(
    engine: Engine, msp_id: MspId, mails: Mailbox
) -> None:
    desk = Desk(engine, msp_id, smtp_url=mails.url)
    desk.rule("held", "failed", channel="digest", target="mara@example.com", hour=8)
    desk.happens(*(h.failed(A, P, f"q{n}") for n in range(7)), h.parked(A, P, "q9"), h.poll_failed())
    assert digests.put_due(engine, desk.clock) == 0  # made after today's hour

    desk.clock.moment = datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert (digests.put_due(engine, desk.clock), digests.put_due(engine, desk.clock)) == (1, 0)
    desk.send()

    (mail,) = mails.mails
    lines = mail.get_content().splitlines()
    assert mail["Subject"] == "8 notifications of acme"
    assert lines[0] == "1 x held (rejected)"
    assert lines[3] == "7 x failed (unreachable)"
    assert "  and 2 before" in lines

    desk.clock.moment = datetime(2026, 3, 3, 8, tzinfo=UTC)
    digests.put_due(engine, desk.clock)
    assert (desk.send(), [row["state"] for row in desk.deliveries()]) == (0, ["sent", "empty"])


@pytest.mark.parametrize(
    ("first", "hour"),
    [
        (datetime(2026, 3, 28, tzinfo=UTC), 2),
        (datetime(2026, 10, 24, tzinfo=UTC), 2),
        (datetime(2026, 10, 24, tzinfo=UTC), 8),
    ],
    ids=["the hour that is left out", "the hour that comes twice", "another hour"],
)
def test_a_digest_comes_once_a_day_also_when_the_clocks_change(engine: Engine, first: datetime, hour: int) -> None:
    desk = Desk(engine, add_msp(engine, "berlin", "Europe/Berlin"))
    desk.clock.moment = first - timedelta(days=1)
    desk.rule("failed", channel="digest", target="mara@example.com", hour=hour)
    made = []
    for quarter in range(4 * 24 * 4):
        desk.clock.moment = first + timedelta(minutes=15 * quarter)
        if digests.put_due(engine, desk.clock) or len(desk.deliveries()) > len(made):
            made.append(desk.clock.moment)

    local = [moment.astimezone(ZoneInfo("Europe/Berlin")) for moment in made]
    assert len(desk.deliveries()) == len({moment.date() for moment in local}) >= 4
    left_out = {date(2026, 3, 29): 3} if hour == 2 else {}
    assert [moment.hour for moment in local[1:]] == [left_out.get(moment.date(), hour) for moment in local[1:]]


def test_a_test_of_a_rule_is_sent_once_for_each_operation(desk: Desk, hook: Receiver) -> None:
    rule_id = desk.rule("held", channel="webhook", target=hook.url)

    answers = [try_rule(desk.house, desk.msp_id, rule_id, "o9", "mara") for _ in range(2)]
    nobody = try_rule(desk.house, desk.msp_id, "nothing", "o9", "mara")
    desk.send()

    assert [answer["ok"] for answer in answers] == [True, True]
    assert nobody["refusal"]["code"] == "NO_SUCH_RULE"
    (call,) = hook.calls
    assert (call.told["type"], call.is_signed_with(SECRET)) == ("notification.test", True)


def test_deliveries_of_long_ago_are_dropped_but_what_waits_and_what_a_rule_told_last_stays(
    engine: Engine, msp_id: MspId
) -> None:
    # given
    desk = Desk(engine, msp_id)
    desk.rule(channel="webhook", target="http://127.0.0.1:1/")
    for request in ("q1", "q2", "q3"):
        desk.happens(h.requested(A, P, request), h.parked(A, P, request))
    with engine.begin() as connection:
        connection.execute(text("UPDATE reporting.deliveries SET state = 'sent'"))
        numbers = list(connection.scalars(text("SELECT number FROM reporting.deliveries ORDER BY number")))
        connection.execute(
            text("UPDATE reporting.deliveries SET state = 'waiting' WHERE number = :n"), {"n": numbers[1]}
        )

    # when
    with engine.begin() as connection:
        soon = deliveries.forget_old(connection, NOW + deliveries.KEPT)
        late = deliveries.forget_old(connection, NOW + deliveries.KEPT + timedelta(seconds=1))
        left = list(connection.scalars(text("SELECT number FROM reporting.deliveries ORDER BY number")))

    # then
    assert (soon, late) == (0, 1)
    assert left == numbers[1:]
