"""Command line -> a running sandbox Autotask: `python -m deploy.sandbox.autotask --help`."""

import signal
import sqlite3
import sys
import threading
from pathlib import Path

import click

from deploy.sandbox.autotask.app import NAME, PASSWORD, TRACKING_IDENTIFIER, USER, autotask_sandbox
from deploy.sandbox.autotask.records import Contract
from deploy.sandbox.autotask.seeding import seed_database


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8091, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option(
    "--state", type=click.Path(dir_okay=False, path_type=Path), help="Keep everything in this file over restarts."
)
@click.option("--seed", type=int, help="Fill an empty database with the world of this seed.")
@click.option("--companies", default=24, show_default=True, type=click.IntRange(1), help="Size of that world.")
@click.option(
    "--name", default=NAME, show_default=True, help="The MSP whose database this is; /control/databases adds more."
)
@click.option("--user", default=USER, show_default=True, help="API user.")
@click.option("--password", default=PASSWORD, show_default=True, help="API user's password.")
@click.option("--tracking-identifier", default=TRACKING_IDENTIFIER, show_default=True, help="Integration code.")
def main(
    host: str,
    port: int,
    state: Path | None,
    seed: int | None,
    companies: int,
    name: str,
    user: str,
    password: str,
    tracking_identifier: str,
) -> None:
    """Serve a stand-in Autotask (SOAP 1.6) until it is stopped with Ctrl-C or SIGTERM.

    A page at / shows contracts, the ledger of applied adjustments, switches and faults; /control is its API.
    """
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with autotask_sandbox(name, user, password, tracking_identifier, host=host, port=port, state=state) as desk:
            if seed is not None and not desk.database.books.all(Contract):
                seed_database(desk, seed, companies)
            print(f"Sandbox Autotask: {desk.url}\n  user {desk.user}, tracking identifier {desk.tracking_identifier}")
            print(f"  page {desk.base_url}/, control API {desk.base_url}/control/", flush=True)
            stopped.wait()
    except sqlite3.Error as failed:
        sys.exit(f"cannot use the state file {state}: {failed}; name another --state, or remove it")
    except OSError as failed:
        sys.exit(f"cannot serve at {host}:{port}: {failed}; choose another --port, or stop what listens there")


if __name__ == "__main__":
    main()
