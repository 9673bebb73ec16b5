"""Worlds and a state file -> the accounts that one sandbox marketplace serves, kept across restarts."""

import re
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec

from deploy.sandbox.books import World
from deploy.sandbox.clock import SandboxClock
from deploy.sandbox.odin.account import OdinAccount
from deploy.sandbox.odin.opening import open_account
from deploy.sandbox.odin.register import UnknownRecord
from deploy.sandbox.odin.state import AccountState, Switches
from deploy.sandbox.world import make_world


class BadStateFile(ValueError):
    """The state file was not written by this sandbox; delete it to begin anew."""


@dataclass(frozen=True, slots=True)
class _SavedState:
    clock_offset: timedelta
    accounts: list[AccountState]


class Accounts:
    """All accounts of one sandbox, on one clock. With a state file every change is on disk before the act returns."""

    def __init__(self, clock: SandboxClock, state_file: Path | None = None) -> None:
        self.clock = clock
        self.address = ""
        self._state_file = state_file
        self._states: list[AccountState] = []
        self._accounts: dict[str, OdinAccount] = {}
        self._keys: dict[str, OdinAccount] = {}
        self._lock = threading.RLock()
        if state_file is not None and state_file.exists():
            self._load(state_file)

    @property
    def all(self) -> tuple[OdinAccount, ...]:
        """Every account, the first one first."""
        return tuple(self._accounts.values())

    def named(self, name: str) -> OdinAccount:
        """The account of this name; "" is the first. UnknownRecord when there is none."""
        if not name and self._accounts:
            return self.all[0]
        if name not in self._accounts:
            raise UnknownRecord(f"this sandbox has no account {name!r}; POST /control/accounts adds one")
        return self._accounts[name]

    def by_key(self, secret: str) -> OdinAccount | None:
        """The account that this subscription key belongs to."""
        return self._keys.get(secret)

    def add_account(
        self,
        name: str,
        world: World | None = None,
        *,
        seed: int = 1,
        companies: int = 1,
        switches: Switches | None = None,
    ) -> OdinAccount:
        """A new account with this world, or with that of the seed as it stands today by the sandbox's clock.

        Raises ValueError when the name is taken or would not fit a URL.
        """
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
            raise ValueError(f"an account's name is made of a-z, 0-9 and -, not {name!r}")
        with self._lock:
            if name in self._accounts:
                raise ValueError(f"there is an account {name} already")
            opening = world or make_world(seed, self.clock.today(), companies)
            account = self._open(open_account(name, opening, switches or Switches()))
            self.save()
            return account

    def save(self) -> None:
        """Write the state file, if there is one: whole or not at all."""
        if self._state_file is None:
            return
        with self._lock:
            content = msgspec.json.encode(_SavedState(self.clock.offset, self._states))
            unfinished = self._state_file.with_name(self._state_file.name + ".new")
            unfinished.write_bytes(content)
            unfinished.replace(self._state_file)

    def _open(self, state: AccountState) -> OdinAccount:
        account = OdinAccount(state, self.clock, self._lock, self.save, self)
        self._states.append(state)
        self._accounts[state.name] = self._keys[state.secret] = account
        return account

    def _load(self, state_file: Path) -> None:
        try:
            saved = msgspec.json.decode(state_file.read_bytes(), type=_SavedState)
        except msgspec.DecodeError as problem:
            raise BadStateFile(f"{state_file} is not a state file of this sandbox ({problem}); delete it") from None
        self.clock.advance(saved.clock_offset)
        for state in saved.accounts:
            self._open(state)
