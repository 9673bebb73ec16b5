"""One marketplace user as the gateway knows it: books, tokens, limits, faults and the calls that came."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Protocol

from deploy.sandbox.books import World
from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin.access import Answer, Throttle, Tokens
from deploy.sandbox.odin.faults import Faults
from deploy.sandbox.odin.marketplace import Marketplace
from deploy.sandbox.odin.state import AccountState

_CALLS_KEPT = 50_000
_ANSWERS_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A call that reached the sandbox. status is 0 when no answer was sent; fault is "" when it went well."""

    at: datetime
    method: str
    path: str
    query: str
    status: int
    fault: str
    correlation_id: str


@dataclass(slots=True)
class Sequel:
    """What happens once the next so many calls to a path have been answered: a change between two pages of one walk."""

    path: str
    calls: int
    do: Callable[[], object]


@dataclass(slots=True)
class Doorway:
    """What the gateway keeps of one account while it runs; a restart begins it anew, as real sessions do."""

    tokens: Tokens = field(default_factory=Tokens)
    throttle: Throttle = field(default_factory=Throttle)
    faults: Faults = field(default_factory=Faults)
    calls: deque[RecordedCall] = field(default_factory=lambda: deque(maxlen=_CALLS_KEPT))
    last_answers: dict[str, Answer] = field(default_factory=dict)
    sequels: list[Sequel] = field(default_factory=list)
    chance: Random = field(default_factory=lambda: Random(1))

    def remember(self, target: str, answer: Answer) -> None:
        """Keep the answer for a later stale one; the oldest are forgotten."""
        self.last_answers[target] = answer
        if len(self.last_answers) > _ANSWERS_KEPT:
            del self.last_answers[next(iter(self.last_answers))]


class Sandbox(Protocol):
    """The marketplace that serves many accounts on one address and one clock."""

    @property
    def address(self) -> str:
        """Its base URL, without a trailing slash."""

    def add_account(self, name: str, world: World | None = None, *, seed: int = 1, companies: int = 1) -> "OdinAccount":
        """A further account."""


class OdinAccount(Marketplace):
    """An MSP's account on the sandbox marketplace: its credentials, its books, and what befalls its calls."""

    def __init__(
        self,
        state: AccountState,
        clock: SandboxClock,
        lock: threading.RLock,
        save: Callable[[], None],
        sandbox: Sandbox,
    ) -> None:
        super().__init__(state, clock, lock, save)
        self.door = Doorway()
        self.sandbox = sandbox

    @property
    def url(self) -> str:
        """The gateway URL as the marketplace's panel shows it: with the region and a trailing slash."""
        return f"{self.sandbox.address}/marketplace/{self._state.region}/"

    @property
    def user(self) -> str:
        """The API user."""
        return self._state.user

    @property
    def password(self) -> str:
        """The API user's password."""
        return self._state.password

    @property
    def secret(self) -> str:
        """The subscription key, which also carries the call limits."""
        return self._state.secret

    @property
    def marketplace(self) -> str:
        """The marketplace code, such as us."""
        return self._state.marketplace

    @property
    def region(self) -> str:
        """The region in the path, such as na."""
        return self._state.region

    @property
    def active(self) -> bool:
        """Whether the API user has been activated and not revoked."""
        return self._state.active

    @property
    def faults(self) -> Faults:
        """The faults that wait for this account's calls."""
        return self.door.faults

    @property
    def tokens(self) -> Tokens:
        """The tokens given to this account."""
        return self.door.tokens

    @property
    def calls(self) -> tuple[RecordedCall, ...]:
        """The calls that came with this account's key, oldest first."""
        return tuple(self.door.calls)

    @property
    def writes(self) -> tuple[RecordedCall, ...]:
        """The calls that tried to change something; every one was refused, and there should be none."""
        return tuple(call for call in self.calls if call.method != "GET" and call.path != "/token")

    def add_account(self, name: str, world: World | None = None, *, seed: int = 1, companies: int = 1) -> "OdinAccount":
        """Another MSP's account on the same sandbox, with this world or a seeded one of so many companies."""
        return self.sandbox.add_account(name, world, seed=seed, companies=companies)

    def forget_calls(self) -> None:
        """Begin the record of calls anew."""
        self.door.calls.clear()

    def kill_tokens(self) -> None:
        """Let every token die before its time."""
        self.tokens.kill()

    def revoke(self) -> None:
        """Deactivate the API user: its tokens die and it gets no new one."""
        self._activate(active=False)
        self.tokens.kill()

    def activate(self) -> None:
        """Let the API user in again."""
        self._activate(active=True)

    def set_password(self, password: str) -> None:
        """Change the API user's password; tokens already given live on."""
        with self._books() as books:
            books.password = password
            self._unsaved = True

    def after(self, path: str, do: Callable[[], object], *, calls: int = 1) -> None:
        """Do this once, right after the next so many calls to this path prefix have been answered."""
        self.door.sequels.append(Sequel(path, calls, do))

    def answered(self, path: str, query: str) -> None:
        """Do what was to follow this call."""
        for sequel in [each for each in self.door.sequels if f"{path}?{query}".startswith(each.path)]:
            sequel.calls -= 1
            if sequel.calls == 0:
                self.door.sequels.remove(sequel)
                sequel.do()

    def _activate(self, *, active: bool) -> None:
        with self._books() as books:
            books.active = active
            self._unsaved = True
