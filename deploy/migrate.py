"""A database -> the same database with today's tables, rights and roles; safe to run twice and from two places at once."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from psycopg2 import sql
from sqlalchemy import Connection, NullPool, create_engine, text
from sqlalchemy.engine import make_url

from deploy.migrations.rights import ROLES

# Any number of our own: two migrations of one database wait for each other.
_LOCK = 7_426_001
MIGRATIONS = Path(__file__).parent / "migrations"

# PostgreSQL refuses ("tuple concurrently updated") to alter a role that another transaction has just altered.
_SIGN_IN_WITH = """DO $$ BEGIN FOR try IN 1..50 LOOP
    BEGIN ALTER ROLE {} PASSWORD {}; RETURN;
    EXCEPTION WHEN internal_error THEN PERFORM pg_sleep(0.1); END;
END LOOP; RAISE EXCEPTION 'the roles are being altered all the time'; END $$"""


# The gateway becomes this role for a look at rows of all MSPs; it must not have its rights otherwise. Repeated as above.
_MAY_BECOME = """DO $$ BEGIN FOR try IN 1..50 LOOP
    BEGIN
        IF to_regrole('trueup_gateway_all') IS NULL THEN CREATE ROLE trueup_gateway_all NOLOGIN; END IF;
        ALTER ROLE trueup_gateway NOINHERIT;
        GRANT trueup_gateway_all TO trueup_gateway;
        RETURN;
    EXCEPTION WHEN internal_error OR duplicate_object OR unique_violation THEN PERFORM pg_sleep(0.1); END;
END LOOP; RAISE EXCEPTION 'the roles are being altered all the time'; END $$"""


class BadDatabase(Exception):
    """The database cannot hold Trueup's data; the message says what to do."""


def migrate(url: str, role_password: str = "", revision: str = "head") -> None:
    """Brings the database to a revision, the newest one unless told otherwise, and makes the roles of the processes. With a
    role password the roles sign in with it; without one they have none (trust or peer sign-in). BadDatabase when it is not
    UTF-8."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"), poolclass=NullPool)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        _refuse_other_encodings(connection)
        _make_roles(connection, role_password)
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def _refuse_other_encodings(connection: Connection) -> None:
    encoding = connection.scalar(text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise BadDatabase(
            f"the database keeps text as {encoding}, which cannot hold every name: make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )


def _make_roles(connection: Connection, password: str) -> None:
    """Roles belong to the whole cluster: another database's migration may be making the same one right now."""
    cursor = connection.connection.cursor()
    for role in ROLES:
        create = sql.SQL(
            "DO $$ BEGIN CREATE ROLE {} LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        )
        cursor.execute(create.format(sql.Identifier(role)))
        if password:
            cursor.execute(sql.SQL(_SIGN_IN_WITH).format(sql.Identifier(role), sql.Literal(password)))
    cursor.execute(_MAY_BECOME)
