"""An installation -> its web app: the services at the root and in two zones, the control API, the page."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from deploy.sandbox.autotask.control import control_routes
from deploy.sandbox.autotask.database import ZONES
from deploy.sandbox.autotask.desk import Desk
from deploy.sandbox.autotask.front import Description, Front
from deploy.sandbox.autotask.installation import Installation
from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.serving import serving

NAME = "Sandbox MSP"
USER = "api@msp.example"
PASSWORD = "sandbox-password"  # noqa: S105 - the sandbox's own
TRACKING_IDENTIFIER = "TRUEUPSANDBOX00000000000001"


def make_app(installation: Installation) -> Starlette:
    """The app. Paths of the services may be written in either of the two ways that are in use."""
    routes = [Route("/", _page), *control_routes(installation)]
    for zone, prefix in ((None, ""), *((zone, f"/zone{zone}") for zone in ZONES)):
        for folder in ("atservices", "ATServices"):
            routes.append(Route(f"{prefix}/{folder}/1.6/atws.asmx", Front(installation, zone)))
            routes.append(Route(f"{prefix}/{folder}/1.6/atws.wsdl", Description(zone)))
    return Starlette(routes=routes)


@contextmanager
def autotask_sandbox(
    name: str = NAME,
    user: str = USER,
    password: str = PASSWORD,
    tracking_identifier: str = TRACKING_IDENTIFIER,
    *,
    clock: SandboxClock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    state: Path | None = None,
) -> Iterator[Desk]:
    """The desk of a served sandbox with one empty database (or those of the state file), until the block ends.

    Port 0 takes a free one; a port that is taken raises OSError. A shared clock makes several sandboxes agree on the day.
    """
    installation = Installation(clock or SandboxClock(), state)
    try:
        database = installation.databases.get(name) or installation.add(name, user, password, tracking_identifier)
        with serving(make_app(installation), host, port) as base_url:
            yield Desk(installation, database, base_url)
    finally:
        installation.close()


async def _page(_request: Request) -> Response:
    return HTMLResponse(files("deploy.sandbox.autotask").joinpath("page.html").read_text())
