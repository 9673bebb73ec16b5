"""Command line -> a sandbox ODIN that serves the seeded world until it is stopped."""

import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin import FIRST_ACCOUNT, Accounts, BadStateFile, Switches, odin_app
from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.odin.changes import keep_changing
from deploy.sandbox.serving import serving


@click.command(help="Serve a stand-in ODIN marketplace with a seeded world. A page to look at it stands at /.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8090, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="File that keeps it over a restart.")
@click.option("--seed", default=1, show_default=True, help="Which world; used when the state file is new.")
@click.option("--companies", default=24, show_default=True, help="How many companies that world has.")
@click.option("--changes-every", type=float, default=0, help="Change a count each so many seconds; 0: never.")
@click.option("--calls-per-minute", default=60, show_default=True, help="The gateway's limit per key; 0: none.")
@click.option("--calls-per-day", default=5000, show_default=True, help="The gateway's limit per key; 0: none.")
@click.option("--latency", default=0.0, show_default=True, help="1: as slow as the real one; 0: not at all.")
def main(
    *,
    host: str,
    port: int,
    state: Path | None,
    seed: int,
    companies: int,
    changes_every: float,
    calls_per_minute: int,
    calls_per_day: int,
    latency: float,
) -> None:
    """Serve until SIGTERM or SIGINT."""
    limits = Switches(calls_per_minute=calls_per_minute or None, calls_per_day=calls_per_day or None, latency=latency)
    accounts, account = _opened(state, seed, companies, limits)
    with ExitStack() as running:
        try:
            accounts.address = running.enter_context(serving(odin_app(accounts), host, port))
        except OSError as problem:
            raise click.ClickException(
                f"cannot listen on {host}:{port} ({problem.strerror}); choose another --port"
            ) from None
        if changes_every > 0:
            running.enter_context(keep_changing(account, changes_every, seed))
        click.echo(f"Sandbox ODIN at {accounts.address}/ with {len(account.companies)} companies")
        click.echo(f"Gateway URL {account.url}  user {account.user}  marketplace {account.marketplace}")
        _stop_signal().wait()


def _opened(state: Path | None, seed: int, companies: int, limits: Switches) -> tuple[Accounts, OdinAccount]:
    try:
        accounts = Accounts(SandboxClock(), state)
        if not accounts.all:
            accounts.add_account(FIRST_ACCOUNT, seed=seed, companies=companies)
    except (BadStateFile, ValueError, OSError) as problem:
        raise click.ClickException(str(problem)) from None
    account = accounts.all[0]
    account.switch(calls_per_minute=limits.calls_per_minute, calls_per_day=limits.calls_per_day, latency=limits.latency)
    return accounts, account


def _stop_signal() -> threading.Event:
    stopped = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return stopped


if __name__ == "__main__":
    main()
