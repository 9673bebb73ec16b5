"""Units rows <-> the JSON in which they are kept beside an intent."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from domain.keys import PsaProductId
from services.psa_writer.psa.port import UnitsRow


def to_json(rows: Iterable[UnitsRow]) -> list[list[Any]]:
    """The rows as lists, money as text."""
    return [
        [
            row.first_day.isoformat(),
            row.last_day.isoformat(),
            row.row_id,
            row.units,
            None if row.cost is None else str(row.cost),
            None if row.price is None else str(row.price),
            row.posted,
        ]
        for row in sorted(rows)
    ]


def from_json(product_id: PsaProductId, kept: Sequence[Sequence[Any]]) -> tuple[UnitsRow, ...]:
    """The rows of one product."""
    return tuple(
        UnitsRow(
            product_id,
            date.fromisoformat(first),
            date.fromisoformat(last),
            row_id,
            units,
            None if cost is None else Decimal(cost),
            None if price is None else Decimal(price),
            posted,
        )
        for first, last, row_id, units, cost, price, posted in kept
    )


def by_product(rows: Iterable[UnitsRow]) -> Mapping[PsaProductId, tuple[UnitsRow, ...]]:
    """The rows of each product."""
    found: dict[PsaProductId, list[UnitsRow]] = {}
    for row in rows:
        found.setdefault(row.psa_product_id, []).append(row)
    return {product_id: tuple(sorted(its)) for product_id, its in found.items()}
