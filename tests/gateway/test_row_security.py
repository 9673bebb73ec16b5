"""PostgreSQL itself refuses the gateway a row of another MSP than the one that is named for the transaction, in every table."""

import ast
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from psycopg2.errors import InsufficientPrivilege
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DatabaseError

from deploy.migrations.rights import ROLES
from domain.keys import MspId
from plumbing.database import make_engine
from plumbing.row_security import ALL_MSPS, of_all_msps, of_msp
from services.reporting.queries import REPORTS, Question, find, read_page
from tests.bench.report_rows import fill_adjustments
from tests.gateway.conftest import tell
from tests.msps import add_msp
from tests.reporting.test_lineage import read_rows
from tests.servers import Postgres, role_url

pytestmark = pytest.mark.postgres
OURS, THEIRS = MspId("acme"), MspId("other")
HOUSE = Path(__file__).parents[2]
#: Where the gateway looks at rows of all MSPs, and why.
LOOKS_AT_ALL = {
    "gateway/door.py": "the MSPs of whoever comes in are not known before",
    "gateway/health.py": "how far the reports of all MSPs are",
    "gateway/people/single_sign_on.py": "whether who comes from the provider may do something in any MSP",
    "gateway/people/users.py": "whether a user is in one MSP only: an admin gets no link to another's",
}
_TABLES = """
SELECT c.oid::regclass::text AS name, c.relkind::text AS kind, c.relrowsecurity AS walled FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'msp_id' AND NOT a.attisdropped
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%' ORDER BY 1
"""


@pytest.fixture(scope="module")
def owner(postgres: Postgres, migrated_template: str) -> Iterator[Engine]:
    """A database in which every table with an msp_id has a row of ours and one of theirs, and is the owner's to change."""
    name = f"rows_{uuid.uuid4().hex[:12]}"
    postgres.execute("CREATE DATABASE {} TEMPLATE {}", name, migrated_template)
    tell(postgres.database_url(name))
    engine = make_engine(postgres.database_url(name), "test")
    add_msp(engine, THEIRS)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))  # no foreign keys meanwhile
        for table, kind in _tables(engine):
            if kind == "r":
                _copy_a_row_to_both(connection, table)
    yield engine
    engine.dispose()
    postgres.execute("DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture(scope="module")
def gateway(owner: Engine) -> Iterator[Engine]:
    """The same database for the gateway's role."""
    engine = make_engine(role_url(owner.url.render_as_string(hide_password=False), "trueup_gateway"), "test")
    yield engine
    engine.dispose()


def _tables(engine: Engine) -> list[tuple[str, str]]:
    """All tables and views that say of a row whose it is, with their kind."""
    with engine.connect() as connection:
        return [(row.name, row.kind) for row in connection.execute(text(_TABLES))]


def _copy_a_row_to_both(connection, table: str) -> None:
    """A row of ours and one of theirs, made up where there is none."""
    for msp_id in (OURS, THEIRS):
        if connection.scalar(text(f"SELECT count(*) FROM {table} WHERE msp_id = :m"), {"m": msp_id}):
            continue
        columns = connection.execute(
            text(
                """SELECT a.attname AS name, format_type(a.atttypid, NULL) AS type,
                       (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k
                        WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum] LIMIT 1) AS held
                   FROM pg_attribute a WHERE a.attrelid = CAST(:t AS regclass) AND a.attnum > 0 AND NOT a.attisdropped
                       AND a.attnotnull AND a.attidentity = ''"""
            ),
            {"t": table},
        ).all()
        made = {c.name: _value(c.type, c.held, msp_id) if c.name != "msp_id" else f"'{msp_id}'" for c in columns}
        connection.exec_driver_sql(f"INSERT INTO {table} ({', '.join(made)}) VALUES ({', '.join(made.values())})")


def _value(kind: str, held: str | None, msp_id: str) -> str:
    match kind:
        case "text" if held:  # one of a few words: the first
            return "'" + held.split("'")[1] + "'"
        case "integer" if held:  # generations of sides are below zero
            return "-1"
        case "text":
            return f"'of {msp_id}'"
        case "boolean":
            return "false"
        case "jsonb":
            return "'{}'"
        case "uuid":
            return "gen_random_uuid()"
        case "bytea":
            return f"'{msp_id}'::bytea"
        case "date" | "timestamp with time zone":
            return "now()"
        case _ if kind.endswith("[]"):
            return "'{}'"
        case _:
            return "1"


def _with(owner: Engine, right: str, kinds: str = "rv") -> list[str]:
    """The tables, and views, on which the gateway has this right."""
    has = "has_table_privilege" if right == "DELETE" else "has_any_column_privilege"
    with owner.connect() as connection:
        return [
            table
            for table, kind in _tables(owner)
            if kind in kinds
            and connection.scalar(text(f"SELECT {has}('trueup_gateway', :t, :r)"), {"t": table, "r": right})
        ]


def _whose(engine: Engine, table: str) -> set[str]:
    """Of whom a statement sees rows that asks for no MSP."""
    with engine.connect() as connection:
        return set(connection.scalars(text(f"SELECT DISTINCT msp_id FROM {table}")))


def test_every_table_of_msps_has_its_wall_and_a_policy_for_each_role_with_rights_on_it(owner: Engine) -> None:
    with owner.connect() as connection:
        tables = [row for row in connection.execute(text(_TABLES)) if row.kind != "v"]
        policies = {
            (row.table, role): row.qual
            for row in connection.execute(
                text("SELECT format('%s.%s', schemaname, tablename) AS table, roles, qual FROM pg_policies")
            )
            for role in row.roles
        }
        rights = {
            (table.name, role)
            for table in tables
            for role in (*ROLES, ALL_MSPS)
            if connection.scalar(
                text("SELECT has_any_column_privilege(:r, :t, 'SELECT, INSERT, UPDATE')"), {"r": role, "t": table.name}
            )
        }

    assert len(tables) > 60
    assert [table.name for table in tables if not table.walled] == []
    assert rights - policies.keys() == set()
    assert {policies[key] for key in policies if key[1] == "trueup_gateway"} == {
        "(msp_id = current_setting('trueup.msp_id'::text, true))"
    }


def test_no_process_owns_what_it_reads_nor_may_it_pass_the_wall(owner: Engine) -> None:
    with owner.connect() as connection:
        passing = connection.scalars(
            text(
                """SELECT rolname FROM pg_roles r WHERE rolname LIKE 'trueup%' AND (rolsuper OR rolbypassrls
                   OR EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid))"""
            )
        ).all()

    assert passing == []


def test_both_have_rows_in_every_table(owner: Engine) -> None:
    """Or what follows would show nothing."""
    found = {table: _whose(owner, table) for table, kind in _tables(owner) if kind == "r"}

    assert {table: whose for table, whose in found.items() if not {OURS, THEIRS} <= whose} == {}


def test_a_statement_without_its_filter_sees_rows_of_the_named_msp_alone(owner: Engine, gateway: Engine) -> None:
    tables = _with(owner, "SELECT")

    ours = {table: _whose(of_msp(gateway, OURS), table) for table in tables}

    assert len(ours) > 40
    assert {table: whose for table, whose in ours.items() if whose != {OURS}} == {}
    assert _whose(of_msp(gateway, THEIRS), "reporting.resources") == {THEIRS}


def test_nothing_named_is_no_row(owner: Engine, gateway: Engine) -> None:
    with of_msp(gateway, OURS).begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM reporting.resources"))

    for unnamed in (gateway, of_msp(gateway, ""), of_msp(gateway, "nobody")):
        assert {table for table in _with(owner, "SELECT") if _whose(unnamed, table)} == set()


def test_a_name_ends_with_its_transaction(gateway: Engine) -> None:
    autocommit = gateway.execution_options(isolation_level="AUTOCOMMIT")
    asked = text("SELECT DISTINCT msp_id FROM setup.msps")

    for engine in (gateway, autocommit):
        for msp_id in (OURS, THEIRS):
            with of_msp(engine, msp_id).connect() as connection:
                assert connection.scalars(asked).all() == [msp_id]
            with engine.connect() as connection:
                assert connection.scalars(asked).all() == []
                assert connection.scalar(text("SELECT current_user")) == "trueup_gateway"


def test_a_name_is_data_whatever_it_is(gateway: Engine) -> None:
    for name in ("x'; SELECT 1; --", "%s", "%(msp_id)s", "\\", "acme%", 'a"b'):
        assert _whose(of_msp(gateway, name), "setup.msps") == set()


def test_no_row_of_another_is_changed_or_deleted(owner: Engine, gateway: Engine) -> None:
    changed, deleted = _with(owner, "UPDATE", "r"), _with(owner, "DELETE", "r")
    assert len(changed) >= 10
    assert len(deleted) >= 3

    for table in changed:
        column = _changeable(owner, table)
        with of_msp(gateway, OURS).connect() as connection:
            found = connection.execute(text(f"UPDATE {table} SET {column} = {column} WHERE msp_id = :m"), {"m": THEIRS})
            assert found.rowcount == 0, table
            assert connection.execute(text(f"UPDATE {table} SET {column} = {column}")).rowcount >= 1, table
    for table in deleted:
        with of_msp(gateway, OURS).connect() as connection:
            assert connection.execute(text(f"DELETE FROM {table} WHERE msp_id = :m"), {"m": THEIRS}).rowcount == 0


def _changeable(owner: Engine, table: str) -> str:
    with owner.connect() as connection:
        return str(
            connection.scalar(
                text(
                    """SELECT attname FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0
                       AND NOT attisdropped AND attname <> 'msp_id'
                       AND has_column_privilege('trueup_gateway', attrelid, attnum, 'UPDATE') ORDER BY attnum DESC LIMIT 1"""
                ),
                {"t": table},
            )
        )


def test_no_row_is_put_in_for_another_nor_handed_over(owner: Engine, gateway: Engine) -> None:
    tables = _with(owner, "INSERT", "r")
    assert len(tables) >= 12

    for table in tables:
        with owner.begin() as connection:
            connection.execute(
                text(f"CREATE TEMPORARY TABLE one AS SELECT * FROM {table} WHERE msp_id = :m"), {"m": THEIRS}
            )
            row = dict(connection.execute(text("SELECT * FROM one LIMIT 1")).mappings().one())
            connection.execute(text("DROP TABLE one"))
            identity = connection.scalar(
                text("SELECT count(*) FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attidentity = 'a'"),
                {"t": table},
            )
        assert not identity
        put = f"INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL\\:\\:{table}, CAST(:row AS jsonb))"
        refused = _refusal(gateway, put, row=orjson.dumps(row, default=_as_json).decode())
        assert "row-level security" in refused, table
    for table in set(tables) & set(_with(owner, "UPDATE", "r")):
        refused = _refusal(gateway, f"UPDATE {table} SET msp_id = :m", m=THEIRS)
        assert "row-level security" in refused or "permission denied" in refused, table


def _refusal(gateway: Engine, statement: str, **given: str) -> str:
    with pytest.raises(DatabaseError) as refused, of_msp(gateway, OURS).begin() as connection:
        connection.execute(text(statement), given)
    return str(refused.value.orig)


def _as_json(value: object) -> str:
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def test_a_look_at_all_msps_sees_who_comes_in_and_how_far_reports_are_and_no_more(
    owner: Engine, gateway: Engine
) -> None:
    seen = {"people.api_keys", "people.roles", "reporting.positions", "log.heads"}

    for table in _with(owner, "SELECT"):
        if table in seen:
            assert {OURS, THEIRS} <= _whose(of_all_msps(gateway), table), table
        else:
            with pytest.raises(DatabaseError) as refused:
                _whose(of_all_msps(gateway), table)
            assert isinstance(refused.value.orig, InsufficientPrivilege), table


def test_who_looks_at_all_msps_is_known() -> None:
    callers = set()
    for file in (*HOUSE.glob("gateway/**/*.py"), *HOUSE.glob("services/**/*.py"), *HOUSE.glob("plumbing/**/*.py")):
        tree = ast.parse(file.read_text("utf-8"))
        words = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        words |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        if words & {"of_all_msps", "ALL_MSPS"} and file.name != "row_security.py":
            callers.add(file.relative_to(HOUSE).as_posix())

    assert callers == LOOKS_AT_ALL.keys()


def test_the_gateway_has_no_right_that_nobody_uses(gateway: Engine) -> None:
    refused = [
        ("DELETE", "people.users"),
        ("DELETE", "people.roles"),
        ("DELETE", "people.api_keys"),
        ("UPDATE", "setup.msps"),
        ("UPDATE", "queue.dead_letters"),
        ("SELECT", "reporting.rebuilds"),
        ("SELECT", "reporting.closed_requests"),
    ]

    with gateway.connect() as connection:
        had = [
            one
            for one in refused
            if connection.scalar(text("SELECT has_table_privilege(:t, :r)"), {"r": one[0], "t": one[1]})
        ]

    assert had == []


def test_a_page_and_a_search_enter_the_same_indexes_behind_the_wall(database: str) -> None:
    """By the plans that the gateway gets: row security keeps an index from what might tell of rows that are not shown."""
    # given
    fill_adjustments(database, 20_000)
    owner = make_engine(database, "test")
    with owner.begin() as connection:
        connection.execute(text(_MANY_RESOURCES))
        connection.execute(text("ANALYZE reporting.resources"))
    gateway = make_engine(role_url(database, "trueup_gateway"), "test")
    asked: list[tuple[str, dict[str, object]]] = []
    event.listen(
        gateway, "before_cursor_execute", lambda _c, _u, statement, given, *_: asked.append((statement, given))
    )

    # when
    with of_msp(gateway, "bench").connect() as connection:
        page = Question(first=100, wanted=frozenset({"as_of"}))
        cursor = read_page(connection, REPORTS["adjustments"], "bench", page).cursors[-1]
        read_page(connection, REPORTS["adjustments"], "bench", replace(page, after=cursor))
        assert find(connection, MspId("bench"), "resource 77", 10)

        # then
        statements = [(statement.partition("true); ")[2], given) for statement, given in asked]
        assert len(statements) == 4
        for statement, given in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given).scalar()
            assert read_rows(plan[0]["Plan"]) < 1_000, statement
    gateway.dispose()
    owner.dispose()


_MANY_RESOURCES = """
INSERT INTO reporting.resources (msp_id, generation, resource_key, connection_id, company_id, company_name, subscription_id,
    subscription_name, resource_id, resource_name, status, usage_based, first_seen_at, read_at)
SELECT 'bench', 0, 'bench/odin/' || n, 'odin', 'c', 'Company', 's', 'Subscription', n, 'Resource ' || n, 'active', false,
    now(), now() FROM generate_series(1, 20000) n
"""
