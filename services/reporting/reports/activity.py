"""Activity -> who did what, when, before and after, and why."""

from sqlalchemy import func

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, living, of
from services.reporting.tables import activity

ACTIVITY = Report(
    "activities",
    "Activity",
    "Who changed what, when, from what to what, and why: people and services alike.",
    "activity",
    activity,
    living(activity, "activity"),
    columns(
        of(activity, "position", Kind.POSITION, "The place in the MSP's log where it stands."),
        of(activity, "happened_at", Kind.MOMENT, "When."),
        of(activity, "actor", Kind.TEXT, "Who: a person, an API key, or the service itself."),
        of(activity, "actor_kind", Kind.ID, "person, api_key or service."),
        of(activity, "source", Kind.ID, "The part of the house that carried it out: gateway, mapping or psa_writer."),
        of(
            activity,
            "action",
            Kind.ID,
            "relation_set, relation_cleared, renewal_settled, agreement_move_settled, policy_changed, "
            "connection_saved, msp_added, adjustment_posted, "
            "adjustment_parked, adjustment_released, adjustment_retried, adjustment_held, adjustment_approved, "
            "adjustment_refused, adjustment_moved, adjustment_dropped, close_check_accepted, close_signed_off, "
            "close_reopened, close_invoiced, posting_paused, posting_resumed, notification_rule_saved, "
            "notification_rule_removed, user_role_set, user_disabled, user_codes_reset, api_key_made or "
            "api_key_revoked.",
        ),
        of(
            activity,
            "object_kind",
            Kind.ID,
            "relation, question, adjustment, policy, connection, notification_rule, close, posting, user, api_key or msp.",
        ),
        of(
            activity,
            "object_id",
            Kind.ID,
            "Which one: resource key, question, request, policy, connection, rule, PSA connection and month, user, key or MSP.",
        ),
        of(activity, "object_label", Kind.TEXT, "What it is called."),
        Column(
            "changes",
            Kind.TEXT,
            func.reporting.changes_in_words(activity.c.changes),
            nullable=True,
            help="Field by field: before → after; – is nothing, and of secrets it says only that they were replaced.",
        ),
        of(activity, "reason", Kind.TEXT, "Why, or in which words a rule spoke."),
        of(activity, "correlation_id", Kind.ID, "Where it stands in the logs."),
    ),
    "position",
    (Order("position", descending=True),),
)
