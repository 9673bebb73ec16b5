"""(folder, wishes) -> what an installation keeps for good: its ports, keys, passwords and token, chosen once."""

import json
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from deploy.migrations.rights import SERVICES
from deploy.servers import ServerError
from deploy.servers.ports import free_port, is_free
from deploy.servers.process import write_private
from deploy.up.parts import Folder
from gateway.resealing import OPENERS
from plumbing.secrets import each_key, new_key_pair, public_key_of

#: Where each part listens when nobody wishes otherwise and nobody else listens there; None: any free port.
DEFAULT_PORTS: dict[str, int | None] = {
    "gateway": 8080,
    **{service: 8081 + place for place, service in enumerate(SERVICES)},
    "relay": 8086,
    "odin": 8090,
    "autotask": 8091,
    "mailbox": 8092,
    "mailbox_smtp": None,
    "postgres": None,
    "rabbitmq": None,
    "rabbitmq_management": None,
}


@dataclass(frozen=True)
class Site:
    """One installation on this machine. database_url, rabbitmq_url: servers that somebody else runs, or "". sandbox:
    whether the stand-in marketplace and PSA belong to it; seed, companies: their world; changes_every: seconds."""

    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    database_url: str = ""
    rabbitmq_url: str = ""
    sandbox: bool = True
    seed: int = 1
    companies: int = 24
    changes_every: int = 20

    def address(self, part: str) -> str:
        """Where a part answers."""
        return f"http://127.0.0.1:{self.ports[part]}"


def read_site(folder: Folder) -> Site | None:
    """The installation in the folder as it was last started; None when there is none."""
    try:
        return Site(**json.loads((folder.path / "site.json").read_text()))
    except FileNotFoundError:
        return None


def open_site(folder: Folder, ports: Mapping[str, int | None], wishes: Mapping[str, Any]) -> Site:
    """The installation in the folder, made when it is new. Wishes that are None keep what was. A port that is taken
    gives way to a free one, unless it was wished for: then ServerError."""
    known = read_site(folder) or Site({}, {})
    # A secret that an older Trueup did not know yet is made now; the others stay.
    known = replace(known, secrets={**_new_secrets(), **known.secrets})
    site = replace(known, **{name: value for name, value in wishes.items() if value is not None})
    site = replace(site, ports=_choose_ports(known.ports, ports))
    save_site(folder, site)
    return site


def save_site(folder: Folder, site: Site) -> None:
    """Keeps the choices, readable for their owner only."""
    write_private(
        folder.path / "site.json",
        json.dumps({field.name: getattr(site, field.name) for field in fields(site)}, indent=1),
    )


def add_key(folder: Folder, site: Site, service: str) -> None:
    """Gives a service a new key, with which secrets are sealed from the next start on; the older ones still open."""
    private, public = new_key_pair()
    older = site.secrets[f"{service}_private_key"]
    _save_keys(folder, site, service, f"{private},{older}", public)


def keep_newest_key(folder: Folder, site: Site, service: str) -> None:
    """Takes all but the newest key from a service, from the next start on."""
    newest = each_key(site.secrets[f"{service}_private_key"])[0]
    _save_keys(folder, site, service, newest, public_key_of(newest))


def _save_keys(folder: Folder, site: Site, service: str, private: str, public: str) -> None:
    keys = {f"{service}_private_key": private, f"{service}_public_key": public}
    save_site(folder, replace(site, secrets={**site.secrets, **keys}))


def _choose_ports(known: Mapping[str, int], wished: Mapping[str, int | None]) -> dict[str, int]:
    chosen: dict[str, int] = {}
    for name, default in DEFAULT_PORTS.items():
        wish = wished.get(name)
        if wish is not None and (wish in chosen.values() or not is_free(wish)):
            raise ServerError(
                f"port {wish}, wished for {name}, is taken: choose another, or leave the choice to Trueup"
            )
        port = wish or known.get(name) or default
        chosen[name] = free_port(None if port in chosen.values() else port)
    return chosen


def _new_secrets() -> dict[str, str]:
    made = {"token": random.token_urlsafe(24), "role_password": random.token_urlsafe(18)}
    made["admin_password"] = random.token_urlsafe(12)
    for service in (*OPENERS, "gateway"):
        made[f"{service}_private_key"], made[f"{service}_public_key"] = new_key_pair()
    return made
