"""A filled log, types of events -> the seconds of PBASE: one bare INSERT ... SELECT of them into a table of 14 columns.

It is the limit of all that folds the log: the least that PostgreSQL can do to turn events into rows with a key.
"""

import time
from collections.abc import Sequence
from contextlib import closing

import psycopg2

_MAKE = """CREATE TABLE public.pbase (position bigint, happened_at timestamptz, c1 text, c2 text, c3 text, c4 text, c5 text,
    c6 text, c7 text, c8 text, c9 text, c10 text, c11 text, c12 text, msp_id text, PRIMARY KEY (msp_id, position))"""
_FOLD = """INSERT INTO public.pbase
    SELECT position, occurred_at, payload ->> 'connection_id', payload ->> 'company_id', payload ->> 'company_name',
        payload ->> 'subscription_id', payload ->> 'subscription_name', payload ->> 'resource_id',
        payload ->> 'resource_name', payload ->> 'psa_connection_id', payload ->> 'psa_product_id',
        payload ->> 'count', payload ->> 'units', payload ->> 'reason', msp_id
    FROM log.events WHERE type = ANY(%s)"""


def pbase(url: str, types: Sequence[str]) -> tuple[int, float]:
    """(how many events, the seconds), one connection; the table goes again."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("SET jit = off")
        cursor.execute(_MAKE)
        connection.commit()
        begun = time.perf_counter()
        cursor.execute(_FOLD, [list(types)])
        folded = cursor.rowcount
        connection.commit()
        seconds = time.perf_counter() - begun
        cursor.execute("DROP TABLE public.pbase")
        connection.commit()
    return folded, seconds
