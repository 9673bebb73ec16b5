"""Dead letters -> the messages that were given up."""

from sqlalchemy import BigInteger, DateTime, LargeBinary, MetaData, Table, Text, func, literal
from sqlalchemy import Column as TableColumn

from services.reporting.reports.columns import Column, Kind, Order, Report, columns, of

dead_letters = Table(
    "dead_letters",
    MetaData(schema="queue"),
    TableColumn("number", BigInteger),
    TableColumn("message_id", Text),
    TableColumn("queue", Text),
    TableColumn("cause", Text),
    TableColumn("body", LargeBinary),
    TableColumn("attempts", BigInteger),
    TableColumn("correlation_id", Text),
    TableColumn("died_at", DateTime(timezone=True)),
    TableColumn("returned_at", DateTime(timezone=True)),
)
DEAD_LETTERS = Report(
    "dead_letters",
    "DeadLetter",
    "Messages that were given up, of the whole installation: a broken one may not even say whose it is.",
    "",
    dead_letters,
    literal(value=True).is_(True),
    columns(
        of(dead_letters, "number", Kind.POSITION, "Its number.", nullable=False),
        of(dead_letters, "message_id", Kind.ID, "The message."),
        of(dead_letters, "queue", Kind.ID, "The queue it came from.", nullable=False),
        of(dead_letters, "cause", Kind.TEXT, "Why it was given up.", nullable=False),
        Column(
            "body",
            Kind.TEXT,
            func.encode(func.substring(dead_letters.c.body, 1, 2000), "escape"),
            nullable=False,
            help="Its first 2,000 bytes; what is not plain text is written as \\ooo.",
        ),
        of(dead_letters, "attempts", Kind.WHOLE, "How often it was tried.", nullable=False),
        of(dead_letters, "correlation_id", Kind.ID, "Where it stands in the logs."),
        of(dead_letters, "died_at", Kind.MOMENT, "When it was given up.", nullable=False),
        of(dead_letters, "returned_at", Kind.MOMENT, "When a person sent it back to its queue."),
    ),
    "number",
    (Order("died_at", descending=True),),
)
