"""Notifications, the rules by which they are sent, and what became of each sending."""

from sqlalchemy import Column as TableColumn
from sqlalchemy import ColumnElement, DateTime, Integer, MetaData, Table, Text, and_, case, func, literal
from sqlalchemy import cast as sql_cast
from sqlalchemy.types import BigInteger

from services.reporting.reports.columns import MSP, Column, Kind, Order, Report, columns, living, of
from services.reporting.tables import deliveries, notifications

rules = Table(
    "notification_rules",
    MetaData(schema="setup"),
    TableColumn("msp_id", Text, nullable=False),
    TableColumn("rule_id", Text(collation="C"), nullable=False),
    # A Text on purpose: only array_to_string looks at it.
    TableColumn("kinds", Text, nullable=False),
    TableColumn("channel", Text, nullable=False),
    TableColumn("target", Text, nullable=False),
    TableColumn("hour", Integer),
    TableColumn("sealed", Text),
    TableColumn("after_position", BigInteger, nullable=False),
    TableColumn("made_at", DateTime(timezone=True), nullable=False),
    TableColumn("saved_at", DateTime(timezone=True), nullable=False),
    TableColumn("saved_by", Text, nullable=False),
    TableColumn("removed_at", DateTime(timezone=True)),
)
NOTIFICATION_ID: ColumnElement[str] = (
    sql_cast(notifications.c.position, Text).op("||")(literal("/")).op("||")(notifications.c.kind).collate("C")
)
TEXT: ColumnElement[str] = func.concat(
    notifications.c.about,
    case((notifications.c.things > 1, func.concat(" and ", notifications.c.things - 1, " more")), else_=""),
    ": ",
    notifications.c.message,
)

NOTIFICATIONS = Report(
    "notifications",
    "Notification",
    "What people should know, each told once: equal ones share a foldKey, so group by it to fold them.",
    "notifications",
    notifications,
    living(notifications, "notifications"),
    columns(
        Column("notification_id", Kind.ID, NOTIFICATION_ID, False, "What tells it from all others of the MSP."),
        of(notifications, "position", Kind.POSITION, "The place in the MSP's log where it stands."),
        of(notifications, "happened_at", Kind.MOMENT, "When it happened."),
        of(notifications, "severity", Kind.ID, "action (waits for a person), warning or info."),
        of(
            notifications,
            "kind",
            Kind.ID,
            "failed, held, plan_refused, drift, unlinked_found, renewal_unclear, agreement_unclear, poll_failed, "
            "catalogue_failed, quota_low, "
            "poll_late, close_red, consumer_stopped or consumer_resumed.",
        ),
        of(notifications, "fold_key", Kind.ID, "The same for equal ones, such as failed/unreachable."),
        Column("text", Kind.TEXT, TEXT, False, "What happened, in names and figures."),
        of(notifications, "fix", Kind.TEXT, "What to do, where that is known."),
        of(notifications, "link_report", Kind.ID, "The report in which to look; close: the checklist of a month."),
        of(notifications, "link_column", Kind.ID, "The column to filter there; null: the whole report."),
        of(notifications, "link_key", Kind.ID, "The value to filter by."),
    ),
    "notification_id",
    (Order("position", descending=True),),
)
RULES = Report(
    "notification_rules",
    "NotificationRule",
    "Which kinds of notifications are told by which channel and where. A webhook's secret is never shown.",
    "deliveries",
    rules,
    and_(rules.c.msp_id == MSP, rules.c.removed_at.is_(None)),
    columns(
        of(rules, "rule_id", Kind.ID, "The rule."),
        Column(
            "kinds",
            Kind.TEXT,
            func.array_to_string(rules.c.kinds, ","),
            nullable=False,
            help="The kinds of notifications that it tells, with commas between them.",
        ),
        of(rules, "channel", Kind.ID, "in_app, mail, digest or webhook."),
        of(rules, "target", Kind.TEXT, "The mail address or the URL; empty in app."),
        of(rules, "hour", Kind.WHOLE, "Of a digest: from which hour of the day, in the MSP's time zone."),
        Column(
            "has_secret",
            Kind.FLAG,
            rules.c.sealed.is_not(None),
            nullable=False,
            help="Whether it has a secret by which its webhooks are signed.",
        ),
        of(rules, "after_position", Kind.POSITION, "What happened up to this place in the log it does not tell."),
        of(rules, "made_at", Kind.MOMENT, "When it was made."),
        of(rules, "saved_at", Kind.MOMENT, "When it was last changed."),
        of(rules, "saved_by", Kind.TEXT, "By whom."),
    ),
    "rule_id",
    (Order("made_at"),),
)
DELIVERIES = Report(
    "webhook_deliveries",
    "WebhookDelivery",
    "What was sent for notification rules, by webhook and by mail: how often it was tried, and what came back.",
    "deliveries",
    deliveries,
    deliveries.c.msp_id == MSP,
    columns(
        of(
            deliveries,
            "delivery_id",
            Kind.ID,
            "The delivery. A webhook carries it as webhook-id, the same at every try, so that a receiver can drop doubles.",
        ),
        of(deliveries, "rule_id", Kind.ID, "The rule."),
        of(deliveries, "occasion", Kind.ID, "What it tells: notification/<id>, digest/<day> or test/<operation>."),
        of(deliveries, "channel", Kind.ID, "mail, digest or webhook."),
        of(deliveries, "target", Kind.TEXT, "The mail address; of a URL only scheme and host."),
        of(deliveries, "subject_line", Kind.TEXT, "What it says, in one line."),
        of(
            deliveries,
            "state",
            Kind.ID,
            "waiting (for its first or next try), sent, given_up (resend it by hand), or empty (a digest with nothing to tell).",
        ),
        of(deliveries, "attempts", Kind.WHOLE, "How often it was tried."),
        of(deliveries, "made_at", Kind.MOMENT, "When it was put on its way."),
        of(deliveries, "next_try_at", Kind.MOMENT, "When it is tried next."),
        of(deliveries, "tried_at", Kind.MOMENT, "When it was tried last."),
        of(deliveries, "sent_at", Kind.MOMENT, "When it was taken."),
        of(deliveries, "last_answer", Kind.TEXT, "What the last try met with, in words."),
    ),
    "delivery_id",
    (Order("made_at", descending=True),),
)
