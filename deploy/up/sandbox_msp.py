"""(a running house, its sandboxes) -> an MSP that polls the one, writes to the other, and has their resources linked."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, text

from deploy.sandbox.autotask.app import PASSWORD, TRACKING_IDENTIFIER, USER
from deploy.sandbox.world import make_world
from deploy.servers import loopback
from deploy.up.screen import step, wait_until
from domain.keys import MspId
from gateway.deciding import Deciding
from gateway.draft_policies import PolicyChange
from gateway.people.breached import Breached
from gateway.people.links import choose_password
from gateway.people.permissions import Role
from gateway.people.users import Users, users_of
from gateway.set_up import SetUp
from plumbing.clock import Clock

MSP = MspId("sandbox")
ADMIN = "admin@sandbox.example"
POLL_SECONDS = 30
_TRUEUP = (sys.executable, "-m", "deploy.cli")


@dataclass(frozen=True)
class Sandboxes:
    """Where the stand-in marketplace and PSA answer, and which world they were seeded with."""

    odin: str
    autotask: str
    seed: int
    companies: int


def write_links(sandboxes: Sandboxes, file: Path) -> None:
    """The world's plausible relations as the operator's import takes them; once, since they belong to the day on which
    the sandboxes were seeded."""
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    world = make_world(sandboxes.seed, datetime.now(UTC).date(), sandboxes.companies)
    columns = ("company_id", "subscription_id", "resource_id", "psa_product_id")
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(("connection_id", "psa_connection_id", *columns))
        for link in world.links:
            ids = (link.company_id, link.subscription_id, link.product_id, link.contract_service_id)
            rows.writerow(("odin", "autotask", *ids))


def fill(
    sandboxes: Sandboxes,
    links: Path,
    engine: Engine,
    clock: Clock,
    operator: Mapping[str, str],
    keys: Mapping[str, str],
) -> None:
    """Returns when the MSP is set up, its marketplace polled, its PSA's catalogue read and its resources linked.

    operator: the settings of the command `trueup`; keys: the public key of each service that opens secrets."""
    with step("the sandbox's MSP and connections"):
        add_sandbox_msp(sandboxes, engine, clock, keys)
    for event, what in (("PollCompleted", "first poll"), ("PsaProductObserved", "first catalogue of the PSA")):
        with step(what):
            wait_until(partial(_not_yet, engine, event), what, 180)
    # Once only: a relation that somebody cleared since must stay cleared.
    imported = links.with_suffix(".imported")
    if not imported.exists():
        with step("relations"):
            wait_until(partial(_not_linked, links, operator), "every relation", 120)
        imported.touch()


def add_sandbox_msp(sandboxes: Sandboxes, engine: Engine, clock: Clock, keys: Mapping[str, str]) -> None:
    """The MSP with a connection to each sandbox. What is there already stays, but for an address that has moved."""
    saved = _saved_settings(engine)
    set_up = SetUp(engine, clock, "operator")
    if saved is None:
        set_up.add_msp(MSP, "Sandbox MSP", "UTC")
        # Changes shall arrive while somebody watches, in the last hours of a month too.
        Deciding(engine, clock, "operator").save(MSP, [PolicyChange("freeze_hours", "0")])
    for kind, (settings, secrets) in _accounts(sandboxes).items():
        before = (saved or {}).get(kind, {})
        if any(before.get(name) != value for name, value in settings.items() if name in {"gateway_url", "address"}):
            set_up.save_connection(MSP, kind, kind, settings, secrets, keys)


def add_sandbox_admin(engine: Engine, clock: Clock, password: str) -> None:
    """Somebody who can sign in; whoever is there already keeps the password that was chosen since."""
    with engine.connect() as connection:
        if any(row["email"] == ADMIN for row in users_of(connection, MSP)):
            return
    invited = Users(engine, clock, "operator").invite(MSP, ADMIN, "Sandbox Admin", Role.ADMIN)
    choose_password(engine, clock, Breached(""), invited.link, password)


def _accounts(sandboxes: Sandboxes) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    account = loopback.get(f"{sandboxes.odin}/control/accounts", 10).json()[0]
    odin = {
        "gateway_url": sandboxes.odin + urlsplit(account["url"]).path,
        "user": account["user"],
        "marketplace": account["marketplace"],
        "calls_per_minute": "6000",
        "calls_per_day": "10000000",
        "poll_seconds": str(POLL_SECONDS),
    }
    autotask = {
        "address": f"{sandboxes.autotask}/atservices/1.6/atws.asmx",
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


def _not_yet(engine: Engine, event_type: str) -> str:
    with engine.connect() as connection:
        asked = text("SELECT EXISTS (SELECT FROM log.events WHERE msp_id = :msp_id AND type = :type)")
        return "" if connection.scalar(asked, {"msp_id": MSP, "type": event_type}) else f"no {event_type} yet"


def _not_linked(links: Path, operator: Mapping[str, str]) -> str:
    """Why not all relations are set; those whose resource or product is not known yet are refused until they are."""
    command = [*_TRUEUP, "relations", "import", MSP, str(links)]
    environment = {**os.environ, **operator}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    said = f"{done.stderr}\n{done.stdout}".strip().splitlines() or ["the import said nothing"]
    return "" if done.returncode == 0 else f"{said[0]} ({said[-1]})"
