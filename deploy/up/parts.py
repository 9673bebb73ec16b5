"""A folder -> the processes that shall run there: written once by `make up`, read by the supervisor and by `make down`."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from deploy.servers import loopback
from deploy.servers.process import Detached, write_private


@dataclass(frozen=True)
class Part:
    """One process of the house. address: where it answers; health: the path there that says whether it is ready."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    address: str
    health: str = "/healthz"


class Folder:
    """The ignored folder of an installation: what it is, where each process logs, and how each is known again."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    @property
    def project(self) -> Path:
        """Where the processes run."""
        return Path(__file__).parents[2]

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.path / "logs" / f"{name}.log"

    def process(self, name: str) -> Detached:
        """The process of that name, whether it runs or not."""
        return Detached(self.path / "run" / f"{name}.pid")

    def save_parts(self, parts: list[Part]) -> None:
        """Writes down what shall run; their settings hold secrets, so only the owner can read it."""
        write_private(self.path / "parts.json", json.dumps([asdict(part) for part in parts], indent=1))

    def parts(self) -> list[Part]:
        """What shall run; nothing when nothing was ever started here."""
        try:
            known = json.loads((self.path / "parts.json").read_text())
        except FileNotFoundError:
            return []
        return [Part(**{**each, "command": tuple(each["command"])}) for each in known]

    def start(self, part: Part) -> None:
        """Starts the process of a part; its output goes to its log."""
        self.log(part.name).parent.mkdir(parents=True, exist_ok=True)
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.process(part.name).start(
            part.command, self.log(part.name), {**environment, **part.environment}, self.project
        )


def not_ready(part: Part, seconds: float = 5) -> str:
    """Why a part is not ready, in its own words; "" when it is."""
    try:
        answer = loopback.get(part.address + part.health, seconds)
    except requests.RequestException:
        return "does not answer yet"
    if answer.ok:
        return ""
    try:
        checks = answer.json()["checks"]
    except (ValueError, KeyError, TypeError):
        return f"answers {answer.status_code}"
    return "; ".join(f"{name}: {said}" for name, said in checks.items() if said != "ready")
