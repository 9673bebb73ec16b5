"""The bell: how much is unread, marking it read, the rules by which people are told, and what was sent for them."""

from collections.abc import Callable
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from domain.keys import MspId
from domain.notifications import CHANNELS, KINDS, BadRule, Rule
from gateway.rules import NoSuchRule, Rules
from gateway.schema.context import Context
from gateway.schema.making import made_type, value_of
from gateway.schema.outcomes import MSP, OPERATION, Outcome, checked, outcome, texts
from gateway.schema.scalars import Position
from plumbing.addresses import PrivateAddress
from plumbing.row_security import of_msp
from services.reporting.queries import bell_kinds, mark_read, unread

NotificationKind = graphene.Enum(
    "NotificationKind",
    [(kind.upper(), kind) for kind in KINDS],
    description=lambda value: KINDS[value_of(value)] if value else "What people are told of.",
)
Channel = graphene.Enum(
    "NotificationChannel",
    [(channel.upper(), channel) for channel in CHANNELS],
    description=lambda value: CHANNELS[value_of(value)] if value else "How people are told.",
)
UnreadNotifications = made_type(
    "UnreadNotifications",
    "What the caller has not read yet.",
    {
        "count": graphene.Int(required=True, description="How many, of those for which the bell rings."),
        "read_upto": Position(required=True, description="The place in the log up to which all is read."),
        "kinds": graphene.Field(
            graphene.NonNull(graphene.List(graphene.NonNull(NotificationKind))),
            description="The kinds for which the bell rings.",
        ),
    },
)


class NotificationRuleWish(graphene.InputObjectType):
    """What shall be told by which channel and where."""

    rule_id = graphene.String(description="The rule to change; none: a new one.")
    kinds = graphene.List(
        graphene.NonNull(NotificationKind), required=True, description="The kinds of notifications, at least one."
    )
    channel = graphene.Field(Channel, required=True, description="How.")
    target = graphene.String(
        default_value="", description="A mail address, or the https URL of a webhook; empty in app."
    )
    hour = graphene.Int(description="Of a digest: from which hour of the day, 0 to 23, in the MSP's time zone.")
    secret = graphene.String(
        description="Of a webhook: whsec_ and base64 of 24 to 64 random bytes, by which it is signed (Standard Webhooks). "
        "Never shown again; not given, it stays as it was."
    )


def unread_field() -> tuple[Any, Callable[..., dict[str, Any]]]:
    """The field of the root query, and its resolver."""
    field = graphene.Field(
        graphene.NonNull(UnreadNotifications), description="How much the caller has not read yet.", **MSP
    )
    return field, _resolve_unread


def _resolve_unread(_root: object, info: GraphQLResolveInfo, msp_id: str) -> dict[str, Any]:
    context: Context = info.context
    with context.reading(msp_id) as connection:
        context.refuse_unknown(connection, msp_id)
        found = unread(connection, MspId(msp_id), context.caller.name)
        kinds = bell_kinds(connection, MspId(msp_id))
    return {"count": found.count, "read_upto": found.read_upto, "kinds": kinds}


class NotificationMutations:
    """What can be changed about notifications, the rules they are told by and their deliveries."""

    mark_notifications_read = graphene.Field(
        graphene.NonNull(Outcome),
        upto=Position(required=True, description="The position of the newest notification that was read."),
        description="Mark all notifications up to a place in the log as read, for the caller only.",
        **MSP,
        **OPERATION,
    )
    save_notification_rule = graphene.Field(
        graphene.NonNull(Outcome),
        rule=graphene.Argument(NotificationRuleWish, required=True, description="The rule."),
        description="Make or change a rule. It tells what happens from now on, never the past. The result's id is the rule's.",
        **MSP,
        **OPERATION,
    )
    remove_notification_rule = graphene.Field(
        graphene.NonNull(Outcome),
        rule_id=graphene.String(required=True, description="The rule."),
        description="Take a rule away; what still waits to be sent for it is given up.",
        **MSP,
        **OPERATION,
    )
    test_notification_rule = graphene.Field(
        graphene.NonNull(Outcome),
        rule_id=graphene.String(required=True, description="The rule."),
        description="Send a test by the rule; webhookDeliveries tells what became of it.",
        **MSP,
        **OPERATION,
    )
    resend_delivery = graphene.Field(
        graphene.NonNull(Outcome),
        delivery_ids=texts("The deliveries, at most 200."),
        description="Send deliveries once more, each under its id, whether they were sent, given up or wait.",
        **MSP,
        **OPERATION,
    )

    @staticmethod
    def resolve_mark_notifications_read(
        _root: object, info: GraphQLResolveInfo, msp_id: str, upto: int, operation_id: str
    ) -> dict[str, Any]:
        """Concerns nobody else: no event."""
        known, context = checked(info, msp_id, operation_id, 1)
        with of_msp(context.engine, known).begin() as connection:
            mark_read(connection, known, context.caller.name, upto, context.clock.now())
        return _done(operation_id, str(upto))

    @staticmethod
    def resolve_save_notification_rule(
        _root: object, info: GraphQLResolveInfo, msp_id: str, rule: dict[str, Any], operation_id: str
    ) -> dict[str, Any]:
        """Kept and recorded here; the secret is sealed at once."""
        known, context = checked(info, msp_id, operation_id, 1)
        wish = Rule(
            kinds=tuple(dict.fromkeys(value_of(kind) for kind in rule["kinds"])),
            channel=value_of(rule["channel"]),
            target=rule["target"],
            hour=rule.get("hour"),
        )
        given = rule.get("rule_id")
        try:
            return _done(operation_id, _rules(context).save(known, given, wish, rule.get("secret"), operation_id))
        except BadRule as fault:
            return _refused(operation_id, given, "BAD_RULE", fault, "Change the rule and save it again.")
        except PrivateAddress as fault:
            return _refused(operation_id, given, "PRIVATE_ADDRESS", fault, "Give an https address on the internet.")
        except NoSuchRule:
            return _no_such_rule(operation_id, str(given))

    @staticmethod
    def resolve_remove_notification_rule(
        _root: object, info: GraphQLResolveInfo, msp_id: str, rule_id: str, operation_id: str
    ) -> dict[str, Any]:
        """Once more does nothing."""
        known, context = checked(info, msp_id, operation_id, 1)
        try:
            _rules(context).remove(known, rule_id)
        except NoSuchRule:
            return _no_such_rule(operation_id, rule_id)
        return _done(operation_id, rule_id)

    @staticmethod
    def resolve_test_notification_rule(
        _root: object, info: GraphQLResolveInfo, msp_id: str, rule_id: str, operation_id: str
    ) -> dict[str, Any]:
        """reporting puts it on its way, once for each operation."""
        known, context = checked(info, msp_id, operation_id, 1)
        asked = {"msp_id": known, "rule_id": rule_id, "operation_id": operation_id, "actor": context.caller.name}
        return outcome(operation_id, context.ask("reporting", "test_rule", **asked)["results"])

    @staticmethod
    def resolve_resend_delivery(
        _root: object, info: GraphQLResolveInfo, msp_id: str, delivery_ids: list[str], operation_id: str
    ) -> dict[str, Any]:
        """reporting decides each row; a receiver knows a double by its webhook-id."""
        known, context = checked(info, msp_id, operation_id, len(delivery_ids))
        answer = context.ask("reporting", "resend_deliveries", msp_id=known, delivery_ids=delivery_ids)
        return outcome(operation_id, answer["results"])


def _rules(context: Context) -> Rules:
    return Rules(
        context.engine,
        context.clock,
        context.caller.name,
        context.reporting_public_key,
        context.private_addresses,
    )


def _done(operation_id: str, row_id: str) -> dict[str, Any]:
    return outcome(operation_id, [{"id": row_id, "ok": True}])


def _refused(operation_id: str, row_id: str | None, code: str, message: object, fix: str) -> dict[str, Any]:
    said = str(message)
    refusal = {"code": code, "message": f"{said[:1].upper()}{said[1:]}.", "fix": fix}
    return outcome(operation_id, [{"id": row_id or "new", "ok": False, "refusal": refusal}])


def _no_such_rule(operation_id: str, rule_id: str) -> dict[str, Any]:
    return _refused(operation_id, rule_id, "NO_SUCH_RULE", "there is no such rule", "Look at notificationRules.")
