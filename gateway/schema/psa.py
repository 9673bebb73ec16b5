"""The context of a page: which PSA it speaks of -> the MSP's connections of that kind."""

import graphene
from sqlalchemy import Connection

from domain.keys import ConnectionId, MspId
from gateway.connection_kinds import KINDS
from gateway.schema.making import value_of
from plumbing import setup

Psa = graphene.Enum(
    "Psa",
    [(kind.upper(), kind) for kind in KINDS if kind != "odin"],
    description=lambda value: f"The PSA {value_of(value)}." if value else "The PSA that a page speaks of.",
)


def psa_connections(connection: Connection, msp_id: MspId, kind: str | None) -> list[ConnectionId]:
    """The MSP's PSA connections of the kind, or of all kinds, by name."""
    found = setup.connections_of(connection, msp_id)
    return [each.connection_id for each in found if each.kind != "odin" and kind in (None, each.kind)]
