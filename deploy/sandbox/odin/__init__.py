"""A world -> a stand-in ODIN: the marketplace's Simple API over real HTTP, with switches, faults and a ledger of the truth.

with odin_sandbox() as odin:
    odin.set_count("1000823", "100234", 12)
    ...poll odin.url as odin.user with odin.password and odin.secret...
    assert [change.new for change in odin.ledger] == ["12"]
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount, Route

from deploy.sandbox.books import World
from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin.account import OdinAccount, RecordedCall
from deploy.sandbox.odin.accounts import Accounts, BadStateFile
from deploy.sandbox.odin.control import Control
from deploy.sandbox.odin.faults import Fault
from deploy.sandbox.odin.gateway import Gateway
from deploy.sandbox.odin.page import Page
from deploy.sandbox.odin.register import UnknownRecord
from deploy.sandbox.odin.state import Switches, TrueChange
from deploy.sandbox.serving import serving

__all__ = [
    "Accounts",
    "BadStateFile",
    "Fault",
    "OdinAccount",
    "RecordedCall",
    "Switches",
    "TrueChange",
    "UnknownRecord",
    "WroteToOdin",
    "odin_app",
    "odin_sandbox",
]
FIRST_ACCOUNT = "msp-1"
_ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]


class WroteToOdin(AssertionError):
    """Something other than a token was written to ODIN, which Trueup never does."""


def odin_app(accounts: Accounts) -> Starlette:
    """The marketplace for all accounts under /marketplace, the control API under /control, the page at /."""
    gateway = Gateway(accounts)
    return Starlette(
        routes=[
            *Page(accounts).routes(),
            Mount("/control", routes=Control(accounts).routes()),
            Route("/marketplace/{region}/{path:path}", gateway.marketplace, methods=_ANY_METHOD),
            Route("/reportfiles/{account}/{file}", gateway.report_file),
        ]
    )


@contextmanager
def odin_sandbox(
    world: World | None = None,
    *,
    seed: int = 1,
    companies: int = 24,
    clock: SandboxClock | None = None,
    port: int = 0,
    state_file: Path | None = None,
    switches: Switches | None = None,
) -> Iterator[OdinAccount]:
    """The first account of a sandbox that serves until the block ends; add_account() on it adds further MSPs.

    Its world is the one given or that of the seed; with a state file that exists, what the file holds. Raises
    WroteToOdin at the end when an account was written to.
    """
    accounts = Accounts(clock or SandboxClock(), state_file)
    if not accounts.all:
        accounts.add_account(FIRST_ACCOUNT, world, seed=seed, companies=companies, switches=switches)
    with serving(odin_app(accounts), port=port) as address:
        accounts.address = address
        yield accounts.all[0]
    written = [call for account in accounts.all for call in account.writes]
    if written:
        raise WroteToOdin(", ".join(f"{call.method} {call.path}" for call in written))
