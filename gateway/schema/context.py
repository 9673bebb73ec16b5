"""What a resolver may use: who asks, the database read only, the services by name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine

from domain.keys import MspId
from gateway.door import Visit
from gateway.errors import BadSetup, Refusal
from gateway.live import Live
from gateway.people.breached import Breached
from gateway.people.callers import NOBODY, Caller
from gateway.people.codes import Codes
from gateway.post import Post
from gateway.set_up import setup_msp
from plumbing import rpc
from plumbing.clock import Clock
from plumbing.row_security import of_msp


@dataclass(frozen=True)
class Context:
    """One request's view of the house. public_keys: of the services that open connections' secrets, "" where not set.
    sign_on_label: of the single sign-on provider, "" for none."""

    engine: Engine
    reader: Engine
    clock: Clock
    rabbitmq_url: str
    rpc_seconds: float
    live: Live
    caller: Caller = NOBODY
    correlation_id: str = ""
    reporting_public_key: str = ""
    public_keys: Mapping[str, str] = field(default_factory=dict)
    private_addresses: bool = False
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    post: Post = Post("", "", "")
    codes: Codes = Codes("")
    breached: Breached = Breached("")
    sign_on_label: str = ""
    visit: Visit = field(default_factory=Visit)

    @contextmanager
    def reading(self, msp_id: str = "") -> Iterator[Connection]:
        """A connection for statements that only read, each by itself, and find rows of the MSP alone; "": of none."""
        with of_msp(self.reader, msp_id).connect() as connection:
            yield connection

    def refuse_unknown(self, connection: Connection, msp_id: str) -> None:
        """Refusal NO_SUCH_MSP when there is none of this id."""
        try:
            setup_msp(connection, MspId(msp_id))
        except BadSetup as error:
            raise Refusal("NO_SUCH_MSP", f"There is no MSP {msp_id!r}.", "Add it with `trueup msp add`.") from error

    def ask(self, service: str, method: str, **arguments: Any) -> Any:
        """What the service answers; ServiceSilent or ServiceRefused."""
        return rpc.call(self.rabbitmq_url, service, method, self.rpc_seconds, **arguments)
