"""An MSP -> its pulse as it is told: that of the read side, and how many calls are left to each side."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from domain.keys import MspId
from gateway.connection_kinds import KINDS
from plumbing import setup
from plumbing.budget import Window, calls_left
from plumbing.setup import OutsideConnection
from services.reporting.queries import pulse


def beat(connection: Connection, msp_id: MspId, now: datetime) -> dict[str, Any] | None:
    """The read side's pulse with calls {odin_left, psa_left}, in three statements; None: no such MSP."""
    found = pulse(connection, msp_id, now)
    return None if found is None else {**found, "calls": _calls(connection, msp_id, now)}


def _calls(connection: Connection, msp_id: MspId, now: datetime) -> dict[str, int | None]:
    outsides = setup.connections_of(connection, msp_id)
    left = calls_left(connection, {_name(each): _longest_window(each) for each in outsides}, now)
    of_odin = [left[_name(each)] for each in outsides if each.kind == "odin"]
    of_psa = [left[_name(each)] for each in outsides if each.kind != "odin"]
    return {"odin_left": min(of_odin, default=None), "psa_left": min(of_psa, default=None)}


def _name(outside: OutsideConnection) -> str:
    return f"{outside.msp_id}/{outside.connection_id}"


def _longest_window(outside: OutsideConnection) -> Window:
    kind = KINDS[outside.kind]
    setting, (_, seconds) = max(kind.limits.items(), key=lambda limit: limit[1][1])
    return Window(int(outside.settings.get(setting, kind.settings[setting])), seconds)
