"""What a person wishes to be told -> rows in setup.notification_rules and events in the MSP's log, in one transaction.

A webhook's secret is sealed here for the reporting service and never stands anywhere else.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Connection, Engine, Row, text

from domain.events import Event, NotificationRuleRemoved, NotificationRuleSaved
from domain.keys import ConnectionId, MspId
from domain.notifications import SECRET, BadRule, Rule, signing_key
from gateway.acts import append_act
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from plumbing.secrets import seal
from plumbing.way_out import WayOut


class NoSuchRule(LookupError):
    """There is no such rule, or it was removed."""


@dataclass(frozen=True)
class Rules:
    """The door through which rules come in. actor: on whose behalf; public_key: of the reporting service; private_addresses:
    whether webhooks may lead to http and into the own network."""

    engine: Engine
    clock: Clock
    actor: str
    public_key: str
    private_addresses: bool

    def save(self, msp_id: MspId, rule_id: str | None, rule: Rule, secret: str | None, operation_id: str) -> str:
        """The id of the rule, made or changed; a secret that is not given stays. BadRule, NoSuchRule, PrivateAddress."""
        rule.check()
        if rule.channel == "webhook" and not self.private_addresses:
            with suppress(OSError):  # its name is not known now: every sending looks again
                WayOut(private_addresses=False).look(rule.target)
        made_id = uuid5(NAMESPACE_URL, f"trueup:{msp_id}/rule/{operation_id}").hex
        with of_msp(self.engine, msp_id).begin() as connection:
            one_at_a_time(connection, msp_id)
            before = _standing(connection, msp_id, rule_id or made_id)
            if before is None and rule_id:
                raise NoSuchRule(rule_id)
            if before is not None and before.operation_id == operation_id:
                return str(before.rule_id)
            known = made_id if before is None else str(before.rule_id)
            sealed = self._sealed(msp_id, known, rule, secret, before.sealed if before else None)
            saved = NotificationRuleSaved(
                rule_id=known,
                rule_version=before.version + 1 if before else 1,
                kinds=rule.kinds,
                channel=rule.channel,
                target=rule.shown_target(),
                hour=rule.hour,
                replaced_secret=rule.channel == "webhook" and secret is not None,
            )
            position = self._append(connection, msp_id, known, saved.rule_version, saved)
            self._keep(connection, msp_id, saved, rule, sealed, position, operation_id)
        return known

    def remove(self, msp_id: MspId, rule_id: str) -> None:
        """Takes the rule away; once more does nothing. NoSuchRule."""
        with of_msp(self.engine, msp_id).begin() as connection:
            one_at_a_time(connection, msp_id)
            row = connection.execute(
                text("SELECT * FROM setup.notification_rules WHERE msp_id = :msp_id AND rule_id = :rule_id"),
                {"msp_id": msp_id, "rule_id": rule_id},
            ).first()
            if row is None:
                raise NoSuchRule(rule_id)
            if row.removed_at is not None:
                return
            rule = Rule(kinds=tuple(row.kinds), channel=row.channel, target=row.target)
            removed = NotificationRuleRemoved(
                rule_id=rule_id, rule_version=row.version + 1, channel=row.channel, target=rule.shown_target()
            )
            self._append(connection, msp_id, rule_id, removed.rule_version, removed)
            connection.execute(
                text(
                    """UPDATE setup.notification_rules SET removed_at = :now, version = :version, sealed = NULL
                       WHERE msp_id = :msp_id AND rule_id = :rule_id"""
                ),
                {
                    "msp_id": msp_id,
                    "rule_id": rule_id,
                    "version": removed.rule_version,
                    "now": self.clock.now(),
                },
            )

    def _sealed(self, msp_id: MspId, rule_id: str, rule: Rule, secret: str | None, before: str | None) -> str | None:
        if rule.channel != "webhook":
            return None
        if secret is None:
            if before is None:
                raise BadRule("a webhook has a secret by which it is signed: give one")
            return before
        signing_key(secret)
        if not self.public_key:
            raise BadRule(
                "this installation cannot seal secrets: TRUEUP_REPORTING_PUBLIC_KEY is not set at the gateway"
            )
        return seal(self.public_key, msp_id, ConnectionId(rule_id), SECRET, secret)

    def _append(self, connection: Connection, msp_id: MspId, rule_id: str, version: int, event: Event) -> int:
        stream = f"notification-rule/{rule_id}"
        return append_act(connection, msp_id, self.actor, self.clock.now(), stream, version, event)

    def _keep(
        self,
        connection: Connection,
        msp_id: MspId,
        saved: NotificationRuleSaved,
        rule: Rule,
        sealed: str | None,
        position: int,
        operation_id: str,
    ) -> None:
        connection.execute(
            text(
                """INSERT INTO setup.notification_rules AS kept (msp_id, rule_id, kinds, channel, target, hour, sealed,
                       after_position, version, operation_id, made_at, saved_at, saved_by)
                   VALUES (:msp_id, :rule_id, :kinds, :channel, :target, :hour, :sealed, :after_position, :version,
                       :operation_id, :now, :now, :actor)
                   ON CONFLICT (msp_id, rule_id) DO UPDATE SET kinds = excluded.kinds, channel = excluded.channel,
                   target = excluded.target, hour = excluded.hour, sealed = excluded.sealed, version = excluded.version,
                   operation_id = excluded.operation_id, saved_at = excluded.saved_at, saved_by = excluded.saved_by"""
            ),
            {
                "msp_id": msp_id,
                "rule_id": saved.rule_id,
                "kinds": list(rule.kinds),
                "channel": rule.channel,
                "target": rule.target,
                "hour": rule.hour,
                "sealed": sealed,
                "after_position": position,
                "version": saved.rule_version,
                "operation_id": operation_id,
                "now": self.clock.now(),
                "actor": self.actor,
            },
        )


def _standing(connection: Connection, msp_id: MspId, rule_id: str) -> Row[Any] | None:
    return connection.execute(
        text(
            """SELECT rule_id, version, sealed, operation_id FROM setup.notification_rules
               WHERE msp_id = :msp_id AND rule_id = :rule_id AND removed_at IS NULL"""
        ),
        {"msp_id": msp_id, "rule_id": rule_id},
    ).first()


def one_at_a_time(connection: Connection, msp_id: MspId) -> None:
    """Rules of an MSP are saved one by one: the same wish sent twice at once finds what the first has made."""
    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 7429))"), {"key": f"{msp_id}/notification-rules"}
    )
