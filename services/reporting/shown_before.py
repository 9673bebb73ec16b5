"""What a person is shown before deciding -> the read models' part of it: when counts were read, what is open, what was posted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from domain.keys import MspId
from services.reporting.reports.columns import living
from services.reporting.tables import adjustments, requests, resources

Product = tuple[str, str]


def counts_read_at(connection: Connection, msp_id: MspId, resource_keys: Sequence[str]) -> dict[str, datetime]:
    """When ODIN last said something new of each resource that is known."""
    rows = connection.execute(
        select(resources.c.resource_key, resources.c.read_at).where(
            living(resources, "resources"), resources.c.resource_key.in_(resource_keys)
        ),
        {"msp_id": msp_id},
    )
    return {row.resource_key: row.read_at for row in rows}


def open_requests_of(connection: Connection, msp_id: MspId, products: Sequence[Product]) -> dict[Product, int]:
    """How many requests of each product, (PSA connection, product), are open; one without any is missing."""
    product = (requests.c.psa_connection_id, requests.c.psa_product_id)
    rows = connection.execute(
        select(*product, func.count().label("open"))
        .where(living(requests, "adjustments"), requests.c.state == "open", tuple_(*product).in_(products))
        .group_by(*product),
        {"msp_id": msp_id},
    )
    return {(row.psa_connection_id, row.psa_product_id): row.open for row in rows}


def adjustment_at(connection: Connection, msp_id: MspId, position: int) -> dict[str, Any] | None:
    """The adjustment that is recorded at the position of the MSP's log, by the names of its columns; None: there is none."""
    row = connection.execute(
        select(adjustments).where(living(adjustments, "adjustments"), adjustments.c.position == position),
        {"msp_id": msp_id},
    ).first()
    return dict(row._mapping) if row else None
