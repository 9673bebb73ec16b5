"""(an MSP, a stretch of its log) -> the notifications that stand there, as they are told."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from domain.keys import MspId
from services.reporting.reports.columns import living
from services.reporting.reports.notifications import NOTIFICATION_ID, TEXT
from services.reporting.tables import notifications as n

News = Mapping[str, Any]
MOST = 1000


def news_between(connection: Connection, msp_id: MspId, after: int, upto: int) -> list[News]:
    """The living notifications at (after, upto], the oldest first; at most the newest MOST."""
    wanted = (
        select(
            NOTIFICATION_ID.label("notification_id"),
            TEXT.label("text"),
            *(n.c[name] for name in ("position", "kind", "severity", "happened_at", "fold_key", "fix")),
            *(n.c[name] for name in ("link_report", "link_column", "link_key")),
        )
        .where(living(n, "notifications"), n.c.position > after, n.c.position <= upto)
        .order_by(n.c.position.desc(), n.c.kind)
        .limit(MOST)
    )
    found = connection.execute(wanted, {"msp_id": msp_id, "at": None}).mappings().all()
    return [dict(row) for row in reversed(found)]
