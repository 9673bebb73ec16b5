"""Work to be shared out -> rows beside the decision that made it; the relay carries them to the broker, at least once.

Whoever takes the work claims its message id in the transaction of the effect, so a doubled message has one effect.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from sqlalchemy import Connection


def put(
    connection: Connection, queue: str, bodies: Sequence[Mapping[str, Any]], *, correlation_id: str, put_at: datetime
) -> list[UUID]:
    """The message ids of the work, put on its way in the caller's transaction. queue: such as "poller.polls"."""
    ids = [uuid4() for _ in bodies]
    connection.exec_driver_sql(
        """INSERT INTO queue.outbox (message_id, queue, body, correlation_id, put_at)
           SELECT m.id, %(queue)s, m.body, %(correlation_id)s, %(put_at)s
           FROM unnest(%(ids)s::uuid[], %(bodies)s::jsonb[]) AS m (id, body)""",
        {
            "queue": queue,
            "correlation_id": correlation_id,
            "put_at": put_at,
            "ids": [str(message_id) for message_id in ids],
            "bodies": [orjson.dumps(body).decode() for body in bodies],
        },
    )
    return ids


def claim(connection: Connection, consumer: str, message_ids: Sequence[str], *, received_at: datetime) -> set[str]:
    """Those of the messages that this consumer has not had before; claims them in the caller's transaction, so the claim
    stands or falls with the effect. A second replica with the same message waits here until the first has committed."""
    claimed = connection.exec_driver_sql(
        """INSERT INTO queue.inbox (consumer, message_id, received_at)
           SELECT %(consumer)s, id, %(received_at)s FROM unnest(%(ids)s::uuid[]) AS m (id) ORDER BY id
           ON CONFLICT DO NOTHING RETURNING message_id::text""",
        {"consumer": consumer, "received_at": received_at, "ids": list(message_ids)},
    )
    return set(claimed.scalars())
