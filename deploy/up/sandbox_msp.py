"""(a running house, its sandboxes) -> an MSP that polls the one, writes to the other, and has their resources linked."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import requests
from sqlalchemy import Engine, text

from deploy.sandbox.autotask.app import PASSWORD, TRACKING_IDENTIFIER, USER
from deploy.sandbox.world import make_world
from deploy.servers import ServerError
from deploy.up.site import Site
from domain.keys import MspId
from gateway.set_up import SetUp
from plumbing.clock import Clock

MSP = MspId("sandbox")
_TRUEUP = (sys.executable, "-c", "from deploy.cli import main; main()")


def write_links(site: Site, file: Path) -> None:
    """The world's plausible relations as the operator's import takes them; once, since they belong to the day on which
    the sandboxes were seeded."""
    if file.exists():
        return
    world = make_world(site.seed, datetime.now(UTC).date(), site.companies)
    columns = ("company_id", "subscription_id", "resource_id", "psa_product_id")
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("connection_id", "psa_connection_id", *columns))
        for link in world.links:
            ids = (link.company_id, link.subscription_id, link.product_id, link.contract_service_id)
            rows.writerow(("odin", "autotask", *ids))


def add_sandbox_msp(site: Site, engine: Engine, clock: Clock) -> None:
    """The MSP with a connection to each sandbox. What is there already stays, but for an address that has moved."""
    saved = _saved_settings(engine)
    set_up = SetUp(engine, clock, "operator")
    if saved is None:
        set_up.add_msp(MSP, "Sandbox MSP", "UTC")
    keys = {service: site.secrets[f"{service}_public_key"] for service in ("poller", "psa_writer")}
    for kind, (settings, secrets) in _accounts(site).items():
        before = (saved or {}).get(kind, {})
        if any(before.get(name) != value for name, value in settings.items() if name in {"gateway_url", "address"}):
            set_up.save_connection(MSP, kind, kind, settings, secrets, keys)


def _accounts(site: Site) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    account = requests.get(f"{site.address('odin')}/control/accounts", timeout=10).json()[0]
    odin = {
        "gateway_url": account["url"],
        "user": account["user"],
        "marketplace": account["marketplace"],
        "calls_per_minute": "6000",
        "calls_per_day": "10000000",
        "poll_seconds": "30",
    }
    autotask = {
        "address": f"{site.address('autotask')}/atservices/1.6/atws.asmx",
        "user": USER,
        "currency": "USD",
        "catalogue_seconds": "300",
        "longest_execution_seconds": "30",
    }
    return {
        "odin": (odin, {"password": account["password"], "secret": account["secret"]}),
        "autotask": (autotask, {"password": PASSWORD, "tracking_identifier": TRACKING_IDENTIFIER}),
    }


def _saved_settings(engine: Engine) -> dict[str, dict[str, object]] | None:
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT count(*) FROM setup.msps WHERE msp_id = :msp_id"), {"msp_id": MSP}):
            return None
        asked = text("SELECT connection_id, settings FROM setup.connections WHERE msp_id = :msp_id")
        return {row.connection_id: row.settings for row in connection.execute(asked, {"msp_id": MSP})}


def count_events(engine: Engine, event_type: str) -> int:
    """How many events of the type the MSP's log holds."""
    with engine.connect() as connection:
        asked = text("SELECT count(*) FROM log.events WHERE msp_id = :msp_id AND type = :type")
        return int(connection.scalar(asked, {"msp_id": MSP, "type": event_type}) or 0)


def link_resources(links: Path, environment: dict[str, str], say: Callable[[str], None], seconds: float = 120) -> None:
    """Imports the relations; the rows whose resource or product is not known yet are tried again until they are."""
    deadline = time.monotonic() + seconds
    while True:
        command = [*_TRUEUP, "relations", "import", MSP, str(links)]
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300, check=False
        )
        said = (done.stdout or done.stderr).strip().splitlines()
        if done.returncode == 0:
            return say(said[-1] if said else "")
        if time.monotonic() > deadline:
            raise ServerError(
                f"the sandbox's resources could not be linked: {(done.stderr or done.stdout).strip()[-600:]}"
            )
        time.sleep(1)
