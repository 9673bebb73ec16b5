"""How people like to see a report -> rows in setup.saved_views, private or shared, and one default a person and report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson
from psycopg2 import errors
from sqlalchemy import Connection, Engine, Row, text
from sqlalchemy.exc import IntegrityError

from gateway.errors import Refusal
from plumbing.clock import Clock
from plumbing.row_security import of_msp
from services.reporting.queries import Report

MOST_VIEWS = 200

_VIEWS = """
SELECT v.*, d.view_id IS NOT NULL AS is_default, v.owner = :person AS mine
FROM setup.saved_views v LEFT JOIN setup.default_views d
    ON d.msp_id = v.msp_id AND d.view_id = v.view_id AND d.person = :person AND d.report = v.report
WHERE v.msp_id = :msp_id AND (v.shared OR v.owner = :person)
"""
_GONE = Refusal("VIEW_GONE", "There is no such view, or it is another's.", "Load the list of views again.")


@dataclass(frozen=True)
class Settings:
    """What a view shows, as in a page's URL: cols, sort, f.<column>, group and range. Columns as in GraphQL."""

    columns: Sequence[str]
    sort: Sequence[str]
    filters: Mapping[str, str]
    group: Sequence[str]
    range: str | None


@dataclass(frozen=True)
class Wish:
    """A view as it shall be saved. view_id: None makes a new one; version: the one that was changed."""

    view_id: str | None
    version: int | None
    name: str
    shared: bool
    settings: Settings


@dataclass(frozen=True)
class By:
    """Who does it. operation_id: sent again, it acts once."""

    msp_id: str
    person: str
    operation_id: str


def saved_views(connection: Connection, msp_id: str, person: str, report: str) -> list[dict[str, Any]]:
    """The person's own views of the report and the shared ones, by name."""
    rows = connection.execute(
        text(f'{_VIEWS} AND v.report = :report ORDER BY lower(v.name) COLLATE "C", v.view_id'),
        {"msp_id": msp_id, "person": person, "report": report},
    )
    return [_shown(row) for row in rows]


def save(engine: Engine, clock: Clock, report: Report, by: By, wish: Wish) -> dict[str, Any]:
    """The view as it is saved now. Refusal VIEW_CHANGED, VIEW_GONE, NOT_YOURS, NAME_TAKEN, TOO_MANY_VIEWS."""
    view_id = wish.view_id or uuid5(NAMESPACE_URL, f"view:{by.msp_id}/{by.person}/{by.operation_id}").hex
    values = {
        "msp_id": by.msp_id,
        "person": by.person,
        "operation_id": by.operation_id,
        "view_id": view_id,
        "report": report.name,
        "name": wish.name.strip(),
        "shared": wish.shared,
        "settings": orjson.dumps(asdict(wish.settings)).decode(),
        "now": clock.now(),
    }
    try:
        with of_msp(engine, by.msp_id).begin() as connection:
            if wish.view_id is None:
                _add(connection, values)
            elif not _changed_before(connection, by, values, wish):
                connection.execute(text(_CHANGE), values)
            return _shown(_view(connection, by, view_id))
    except IntegrityError as error:
        if not isinstance(error.orig, errors.UniqueViolation):
            raise
        raise Refusal("NAME_TAKEN", f"You have a view {wish.name!r} already.", "Choose another name.") from error


def delete(engine: Engine, by: By, view_id: str) -> None:
    """Deletes a view of the person's own, also for those whose default it is. Refusal VIEW_GONE, NOT_YOURS."""
    with of_msp(engine, by.msp_id).begin() as connection:
        if not _view(connection, by, view_id).mine:
            raise Refusal("NOT_YOURS", "Only its owner may delete a shared view.", "Ask them, or save your own.")
        connection.execute(
            text("DELETE FROM setup.saved_views WHERE msp_id = :msp_id AND view_id = :view_id"),
            {"msp_id": by.msp_id, "view_id": view_id},
        )


def set_default(engine: Engine, by: By, report: Report, view_id: str | None) -> None:
    """From now on the person's pages of the report open with this view; None: as the report comes. Refusal VIEW_GONE."""
    values = {"msp_id": by.msp_id, "person": by.person, "report": report.name, "view_id": view_id}
    with of_msp(engine, by.msp_id).begin() as connection:
        if view_id is None:
            connection.execute(
                text(
                    """DELETE FROM setup.default_views
                       WHERE msp_id = :msp_id AND person = :person AND report = :report"""
                ),
                values,
            )
            return
        if _view(connection, by, view_id).report != report.name:
            raise _GONE
        connection.execute(
            text(
                """INSERT INTO setup.default_views (msp_id, person, report, view_id)
                   VALUES (:msp_id, :person, :report, :view_id)
                   ON CONFLICT (msp_id, person, report) DO UPDATE SET view_id = excluded.view_id"""
            ),
            values,
        )


_CHANGE = """
UPDATE setup.saved_views SET name = :name, shared = :shared, settings = :settings, version = version + 1,
    operation_id = :operation_id, saved_by = :person, saved_at = :now
WHERE msp_id = :msp_id AND view_id = :view_id
"""


def _add(connection: Connection, values: Mapping[str, Any]) -> None:
    """A new view; the same operation again finds it there."""
    added = connection.execute(
        text(
            """INSERT INTO setup.saved_views (msp_id, view_id, report, owner, name, shared, settings, version, operation_id,
                   saved_by, saved_at)
               VALUES (:msp_id, :view_id, :report, :person, :name, :shared, :settings, 1, :operation_id, :person, :now)
               ON CONFLICT (msp_id, view_id) DO NOTHING"""
        ),
        values,
    ).rowcount
    many = text("SELECT count(*) FROM setup.saved_views WHERE msp_id = :msp_id AND owner = :person")
    if added and (connection.scalar(many, values) or 0) > MOST_VIEWS:
        raise Refusal("TOO_MANY_VIEWS", f"You have {MOST_VIEWS} views already.", "Delete some first.")


def _changed_before(connection: Connection, by: By, values: Mapping[str, Any], wish: Wish) -> bool:
    """Whether this very operation has changed the view before; Refusal when it may not."""
    row = _view(connection, by, values["view_id"])
    if row.report != values["report"]:
        raise _GONE
    if row.operation_id == by.operation_id:
        return True
    if row.version != wish.version:
        raise Refusal(
            "VIEW_CHANGED",
            f"{row.saved_by} saved this view as version {row.version} meanwhile.",
            "Load it again, or save yours under another name.",
        )
    if not row.mine and not wish.shared:
        raise Refusal("NOT_YOURS", "Only its owner may stop sharing a view.", "Save it under another name instead.")
    return False


def _view(connection: Connection, by: By, view_id: str) -> Row[Any]:
    """The view, when the person may see it, locked against others who change it; Refusal VIEW_GONE."""
    row = connection.execute(
        text(f"{_VIEWS} AND v.view_id = :view_id FOR UPDATE OF v"),
        {"msp_id": by.msp_id, "person": by.person, "view_id": view_id},
    ).first()
    if row is None:
        raise _GONE
    return row


def _shown(row: Row[Any]) -> dict[str, Any]:
    shown = {**row._mapping, **row.settings}
    return shown | {
        "filters": [{"column": column, "value": value} for column, value in row.settings["filters"].items()]
    }
