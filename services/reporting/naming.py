"""Ids of companies and resources -> what they are called, as resources were last read: those that are not known are left out."""

from collections.abc import Iterable
from typing import TypeVar

from sqlalchemy import Connection, text

from domain.keys import CompanyId, MspId, ResourceId

Id = TypeVar("Id", bound=str)

_END = "\U0010ffff"
_LIVING = "msp_id = :msp_id AND generation = (SELECT reporting.living_generation('resources', :msp_id))"
# The rows of a company are a stretch of the resources' keys.
_BEGIN = " || ".join(f"reporting.key_part({part}) || '/'" for part in (":msp_id", "c.connection_id", "wanted.id"))
_COMPANIES = f"""
SELECT DISTINCT ON (wanted.id) wanted.id, its.name FROM unnest(CAST(:ids AS text[])) AS wanted (id)
JOIN setup.connections c ON c.msp_id = :msp_id AND c.kind = 'odin'
CROSS JOIN LATERAL (
    SELECT company_name AS name FROM reporting.named_resources
    WHERE {_LIVING} AND resource_key >= {_BEGIN} AND resource_key < {_BEGIN} || :end LIMIT 1
) its ORDER BY wanted.id, c.connection_id
"""
_RESOURCES = f"""
SELECT wanted.id, its.name FROM unnest(CAST(:ids AS text[])) AS wanted (id)
CROSS JOIN LATERAL (
    SELECT resource_name AS name FROM reporting.named_resources WHERE {_LIVING} AND resource_id = wanted.id LIMIT 1
) its
"""


def company_names(connection: Connection, msp_id: MspId, ids: Iterable[CompanyId]) -> dict[CompanyId, str]:
    """The names of companies of any of the MSP's marketplaces."""
    return _names(connection, _COMPANIES, msp_id, ids)


def resource_names(connection: Connection, msp_id: MspId, ids: Iterable[ResourceId]) -> dict[ResourceId, str]:
    """The names of resources, whoever buys them."""
    return _names(connection, _RESOURCES, msp_id, ids)


def _names(connection: Connection, statement: str, msp_id: MspId, ids: Iterable[Id]) -> dict[Id, str]:
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    rows = connection.execute(text(statement), {"msp_id": msp_id, "ids": wanted, "end": _END})
    return {row.id: row.name for row in rows}
