"""(site, server addresses) -> the processes of the house with their settings, and the operator's environment file."""

import shlex
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from deploy.migrations.rights import SERVICES
from deploy.servers.process import write_private
from deploy.up.parts import Folder, Part
from deploy.up.site import Site


def house_parts(folder: Folder, site: Site, database_url: str, rabbitmq_url: str) -> list[Part]:
    """Every process that shall run, in the order of their lines on the screen."""
    return [
        *(_sandbox_parts(folder, site) if site.sandbox else []),
        *_service_parts(folder, site, database_url, rabbitmq_url),
    ]


def operator_settings(folder: Folder, site: Site, database_url: str, rabbitmq_url: str) -> dict[str, str]:
    """What the operator's command `trueup` needs in its environment."""
    return {
        "TRUEUP_DATABASE_URL": database_url,
        "TRUEUP_RABBITMQ_URL": rabbitmq_url,
        "TRUEUP_ROLE_PASSWORD": site.secrets["role_password"],
        "TRUEUP_POLLER_PUBLIC_KEY": site.secrets["poller_public_key"],
        "TRUEUP_PSA_WRITER_PUBLIC_KEY": site.secrets["psa_writer_public_key"],
        "TRUEUP_REPORTING_PUBLIC_KEY": site.secrets["reporting_public_key"],
        "TRUEUP_CLOCK_FILE": str(folder.path / "clock"),
    }


def write_environment(folder: Folder, site: Site, database_url: str, rabbitmq_url: str) -> None:
    """The operator's settings as a file for a shell: `. .trueup/environment`."""
    settings = operator_settings(folder, site, database_url, rabbitmq_url)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    write_private(folder.path / "environment", "\n".join(lines) + "\n")


def as_role(database_url: str, role: str, password: str) -> str:
    """The same database, signed in to as one of the processes' roles."""
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.hostname}:{parts.port or 5432}"))


def _service_parts(folder: Folder, site: Site, database_url: str, rabbitmq_url: str) -> Iterator[Part]:
    commands = {"relay": ("deploy.run_relay",), **{name: ("deploy.run_service", name) for name in SERVICES}}
    commands["gateway"] = ("gateway",)
    for name, command in commands.items():
        settings = {
            "TRUEUP_DATABASE_URL": as_role(database_url, f"trueup_{name}", site.secrets["role_password"]),
            "TRUEUP_RABBITMQ_URL": rabbitmq_url,
            "TRUEUP_PORT": str(site.ports[name]),
            "TRUEUP_CLOCK_FILE": str(folder.path / "clock"),
        }
        if f"{name}_private_key" in site.secrets:
            settings["TRUEUP_PRIVATE_KEY"] = site.secrets[f"{name}_private_key"]
        if name == "gateway":
            settings["TRUEUP_GATEWAY_TOKEN"] = site.secrets["token"]
            for service in ("poller", "psa_writer", "reporting"):
                settings[f"TRUEUP_{service.upper()}_PUBLIC_KEY"] = site.secrets[f"{service}_public_key"]
            settings["TRUEUP_PUBLIC_URL"] = site.address("gateway")
        if site.sandbox and name in ("poller", "psa_writer", "reporting", "gateway"):
            settings["TRUEUP_PRIVATE_ADDRESSES"] = "true"
        if site.sandbox and name in ("reporting", "gateway"):
            settings["TRUEUP_SMTP_URL"] = f"smtp://127.0.0.1:{site.ports['mailbox_smtp']}"
        yield Part(name, (sys.executable, "-m", *command), settings, site.address(name), "/healthz")


def _sandbox_parts(folder: Folder, site: Site) -> Iterator[Part]:
    state = folder.path / "sandbox"
    state.mkdir(parents=True, exist_ok=True)
    world = ("--seed", str(site.seed), "--companies", str(site.companies))
    # The real marketplace takes 60 calls a minute; a sandbox that kept to it would need minutes for its first poll.
    pace = ("--changes-every", str(site.changes_every), "--calls-per-minute", "0", "--calls-per-day", "0")
    for name, file, more, health in (
        ("odin", "odin.json", (*world, *pace), "/control/clock"),
        ("autotask", "autotask.state", world, "/control/health"),
    ):
        command = (sys.executable, "-m", f"deploy.sandbox.{name}", "--port", str(site.ports[name]))
        yield Part(name, (*command, "--state", str(state / file), *more), {}, site.address(name), health)
    ports = ("--port", str(site.ports["mailbox"]), "--smtp-port", str(site.ports["mailbox_smtp"]))
    mailbox = (sys.executable, "-m", "deploy.sandbox.mailbox", *ports)
    yield Part("mailbox", mailbox, {}, site.address("mailbox"), "/mails")
