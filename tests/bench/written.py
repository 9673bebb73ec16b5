"""A database -> how many rows were written to it so far, by PostgreSQL's own count."""

from contextlib import closing

import psycopg2

from tests.waiting import wait_for


def rows_written(url: str) -> int:
    """Rows inserted, updated and deleted in all tables since the database was made. Sessions tell their count when they
    end, so nobody else may be connected: dispose of engines first."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True

        def alone() -> bool:
            cursor.execute(
                """SELECT count(*) = 1 FROM pg_stat_activity
                   WHERE datname = current_database() AND backend_type = 'client backend'"""
            )
            return bool(cursor.fetchone()[0])

        wait_for(alone, what="other sessions to end")
        cursor.execute("SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables")
        return int(cursor.fetchone()[0])
