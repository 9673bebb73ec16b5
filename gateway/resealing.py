"""(a service that opens secrets, its new key) -> every secret sealed for it, sealed with that key, and an event that says so.

Only the service opens them: it is asked by RPC, gets sealed text and answers sealed text. Each place (a connection, a
notification rule) is one transaction, so this may be ended at any moment and done again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, text

from domain.events import SecretsResealed
from domain.keys import MspId
from domain.notifications import SECRET
from gateway.acts import append_act
from gateway.connection_kinds import KINDS
from gateway.rules import one_at_a_time
from plumbing.clock import Clock
from plumbing.secrets import sealed_with

OPENERS = ("poller", "psa_writer", "reporting")
# An answer comes from whichever replica is free: so many are asked for each one that runs.
_ASKED_A_REPLICA = 20

_PLACES = """
SELECT 'connection' AS place, msp_id, connection_id AS place_id, kind, sealed FROM setup.connections
WHERE kind = ANY(:kinds)
UNION ALL
SELECT 'notification_rule', msp_id, rule_id, channel, jsonb_build_object(CAST(:secret AS text), sealed)
FROM setup.notification_rules WHERE CAST(:rules AS boolean) AND sealed IS NOT NULL
ORDER BY msp_id, place, place_id
"""
# Only what was read is replaced: whoever has saved it anew meanwhile has the last word.
_REPLACE = {
    "connection": """UPDATE setup.connections SET sealed = CAST(:before AS jsonb) || CAST(:anew AS jsonb)
        WHERE msp_id = :msp_id AND connection_id = :place_id AND sealed = CAST(:before AS jsonb)""",
    "notification_rule": """UPDATE setup.notification_rules SET sealed = CAST(:anew AS jsonb) ->> :secret
        WHERE msp_id = :msp_id AND rule_id = :place_id AND sealed = CAST(:before AS jsonb) ->> :secret""",
}
_NEXT = "SELECT coalesce(max(stream_version), 0) + 1 FROM log.events WHERE msp_id = :msp_id AND stream = :stream"


class KeyNotHeld(Exception):
    """Not every replica of the service holds the new key as its newest: a secret sealed with it could not be opened there."""


@dataclass(frozen=True)
class Place:
    """Where sealed secrets stand: place is connection or notification_rule; sealed: name -> sealed text."""

    place: str
    msp_id: MspId
    place_id: str
    kind: str
    sealed: Mapping[str, str]

    def older(self, key_id: str) -> dict[str, str]:
        """Its secrets that are not sealed with this key."""
        return {name: blob for name, blob in self.sealed.items() if sealed_with(blob) != key_id}


@dataclass(frozen=True)
class Resealing:
    """Seals anew what is sealed for one service. ask: (method, **arguments) -> what the service answers; key_id: of the new
    key."""

    engine: Engine
    clock: Clock
    actor: str
    service: str
    key_id: str
    ask: Callable[..., Any]

    def refuse_unless_held(self, replicas: int) -> bool:
        """Whether the replicas hold older keys too. KeyNotHeld unless the new one is the newest of each; replicas: how many
        there are."""
        held: dict[str, list[str]] = {}
        for _ in range(replicas * _ASKED_A_REPLICA):
            answer = self.ask("held_keys")
            held[answer["replica"]] = answer["key_ids"]
            if len(held) == replicas:
                break
        behind = sorted(replica for replica, key_ids in held.items() if key_ids[:1] != [self.key_id])
        if behind:
            newest = ", ".join(sorted({(held[replica] or ["none"])[0] for replica in behind}))
            raise KeyNotHeld(
                f"the newest key of {self.service} ({', '.join(behind)}) is {newest}, not {self.key_id}: put the new private"
                f" key first in its TRUEUP_PRIVATE_KEY, start every replica again, and set"
                f" TRUEUP_{self.service.upper()}_PUBLIC_KEY to the new public half"
            )
        if len(held) < replicas:
            raise KeyNotHeld(f"only {len(held)} of {replicas} replicas of {self.service} answer: try again")
        return any(len(key_ids) > 1 for key_ids in held.values())

    def places(self) -> list[Place]:
        """Everything that is sealed for the service, of all MSPs."""
        kinds = [name for name, kind in KINDS.items() if kind.opened_by == self.service]
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(_PLACES), {"kinds": kinds, "secret": SECRET, "rules": self.service == "reporting"}
            )
            return [Place(row.place, MspId(row.msp_id), row.place_id, row.kind, row.sealed) for row in rows]

    def reseal(self, places: list[Place]) -> Iterator[str]:
        """For each place, when it is done: "" or why its secrets could not be sealed anew."""
        for place in places:
            older = place.older(self.key_id)
            answer = self.ask("reseal", msp_id=place.msp_id, connection_id=place.place_id, sealed=older)
            if answer["refusal"]:
                yield f"{place.msp_id}: {answer['refusal']}"
                continue
            with self.engine.begin() as connection:
                self._replace(connection, place, answer["sealed"])
            yield ""

    def _replace(self, connection: Connection, place: Place, anew: Mapping[str, str]) -> None:
        if place.place == "notification_rule":
            one_at_a_time(connection, place.msp_id)
        own = {"msp_id": place.msp_id, "place_id": place.place_id, "secret": SECRET}
        blobs = {"before": orjson.dumps(place.sealed).decode(), "anew": orjson.dumps(anew).decode()}
        if not connection.execute(text(_REPLACE[place.place]), own | blobs).rowcount:
            return
        stream = f"sealing/{place.place}/{place.place_id}"
        version = connection.scalar(text(_NEXT), {"msp_id": place.msp_id, "stream": stream})
        event = SecretsResealed(
            place=place.place,
            place_id=place.place_id,
            kind=place.kind,
            secrets=tuple(sorted(anew)),
            key_id=self.key_id,
        )
        append_act(connection, place.msp_id, self.actor, self.clock.now(), stream, int(version or 1), event)
