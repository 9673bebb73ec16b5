"""News -> what a webhook, a mail and a digest say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from domain.keys import MspId
from services.reporting.notifying.news import News

# Of equal ones a digest tells so many, and how many more there are.
TOLD_EACH = 5
LONGEST_SUBJECT = 150


@dataclass(frozen=True)
class Message:
    """One line and the whole: of a mail its subject and text, of a webhook its JSON."""

    subject_line: str
    body: str


def message_of(channel: str, msp_id: MspId, news: News) -> Message:
    """What one notification says by webhook or mail."""
    line = _line(f"{_words(news['kind'])}: {news['text']}")
    if channel == "webhook":
        return Message(line, _payload(f"notification.{news['kind']}", msp_id, news))
    parts = [news["text"], news["fix"] and f"What to do: {news['fix']}", _where(news), f"MSP: {msp_id}"]
    return Message(line, "\n\n".join(part for part in parts if part) + "\n")


def trial_of(channel: str, msp_id: MspId, actor: str) -> Message:
    """What the test of a rule says."""
    line = f"Test: {actor} tried this rule of {msp_id}"
    if channel == "webhook":
        body = {"type": "notification.test", "data": {"msp_id": msp_id, "text": line}}
        return Message(line, orjson.dumps(body).decode())
    return Message(line, f"{line}. Nothing happened.\n")


def digest_of(msp_id: MspId, time_zone: str, news: Sequence[News]) -> Message:
    """What a day's digest says: equal ones folded, what waits for a person first."""
    zone = ZoneInfo(time_zone)
    ranks = {"action": 0, "warning": 1, "info": 2}
    ordered = sorted(news, key=lambda one: (ranks[one["severity"]], one["fold_key"]))
    parts = []
    for fold_key, equal in groupby(ordered, key=lambda one: one["fold_key"]):
        same = list(equal)
        kind, _, cause = fold_key.partition("/")
        head = f"{len(same)} x {_words(kind).lower()}" + (f" ({_words(cause).lower()})" if cause else "")
        lines = [f"  {one['happened_at'].astimezone(zone):%d %b %H:%M}  {one['text']}" for one in same[-TOLD_EACH:]]
        more = [f"  and {len(same) - TOLD_EACH} before"] if len(same) > TOLD_EACH else []
        parts.append("\n".join([head, *lines, *more]))
    return Message(
        f"{len(news)} notifications of {msp_id}", "\n\n".join(parts) + f"\n\nTimes are in {time_zone}. MSP: {msp_id}\n"
    )


def _payload(kind: str, msp_id: MspId, news: News) -> str:
    told: dict[str, Any] = {name: news[name] for name in ("notification_id", "kind", "severity", "text", "fix")}
    link = {"report": news["link_report"], "column": news["link_column"], "key": news["link_key"]}
    data = {"msp_id": msp_id, **told, "position": str(news["position"]), "link": link}
    return orjson.dumps(
        {"type": kind, "timestamp": news["happened_at"], "data": data}, option=orjson.OPT_UTC_Z
    ).decode()


def _where(news: News) -> str:
    key = f", {news['link_column']} {news['link_key']}" if news["link_column"] else ""
    return f"Where to look: report {news['link_report']}{key}"


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _line(text: str) -> str:
    """One line, without what would end the header of a mail."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST_SUBJECT else flat[: LONGEST_SUBJECT - 1] + "…"
