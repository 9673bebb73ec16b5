"""The settings -> what the operator's commands work on, and their errors as one line that says what to do."""

from collections.abc import Callable
from functools import cached_property, wraps
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import click
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from deploy.migrate import BadDatabase
from domain.keys import ConnectionId, MspId
from domain.policies import BadPolicy
from gateway.errors import BadSetup, Refusal
from gateway.set_up import SetUp, setup_msp
from plumbing import rpc
from plumbing.clock import Clock
from plumbing.database import explain, make_engine
from plumbing.outbox import put
from plumbing.settings import BadSettings, OperatorSettings, read_settings

P = ParamSpec("P")
R = TypeVar("R")


class Installation:
    """What the commands work on; made from the settings when a command first needs them."""

    @cached_property
    def settings(self) -> OperatorSettings:
        """The operator's settings."""
        return read_settings(OperatorSettings)

    @cached_property
    def engine(self) -> Engine:
        """The database, as its owner."""
        return make_engine(self.settings.database_url, "trueup command", statement_seconds=600)

    @cached_property
    def clock(self) -> Clock:
        """The installation's clock."""
        return Clock(self.settings.clock_file)

    @property
    def set_up(self) -> SetUp:
        """The door for MSPs and connections."""
        return SetUp(self.engine, self.clock, "operator")

    def connections(self, msp_id: MspId) -> dict[ConnectionId, str]:
        """The kind of each connection of the MSP; BadSetup when there is no such MSP."""
        with self.engine.connect() as connection:
            setup_msp(connection, msp_id)
            rows = connection.execute(
                text("SELECT connection_id, kind FROM setup.connections WHERE msp_id = :msp_id ORDER BY 1"),
                {"msp_id": msp_id},
            )
            return {ConnectionId(row.connection_id): row.kind for row in rows}

    def put_work(self, msp_id: MspId, kind: str, queue: str) -> int:
        """Puts one piece of work for each connection of the kind into the outbox; BadSetup when there is none."""
        found = [connection_id for connection_id, k in self.connections(msp_id).items() if k == kind]
        if not found:
            raise BadSetup(f"MSP {msp_id} has no {kind} connection: make one with `trueup connection set`")
        bodies = [
            {
                "msp_id": msp_id,
                "connection_id": connection_id,
                "poll_id": uuid4().hex,
                "reason": "asked by the operator",
            }
            for connection_id in found
        ]
        with self.engine.begin() as connection:
            put(connection, queue, bodies, correlation_id=uuid4().hex, put_at=self.clock.now())
        return len(bodies)

    def ask(self, service: str, method: str, seconds: float = 30, **arguments: Any) -> Any:
        """What a service answers."""
        return rpc.call(self.settings.rabbitmq_url, service, method, seconds, **arguments)


def told(command: Callable[P, R]) -> Callable[P, R]:
    """Turns what can go wrong in a command into one line that says what to do."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except (BadDatabase, BadSettings, BadSetup, BadPolicy, rpc.ServiceSilent, rpc.ServiceRefused) as error:
            raise click.ClickException(str(error)) from None
        except Refusal as refusal:
            raise click.ClickException(f"{refusal.message} {refusal.fix}") from None
        except OperationalError as error:
            url = read_settings(OperatorSettings).database_url
            raise click.ClickException(explain(error, url)) from None
        except ProgrammingError as error:
            message = str(error.orig).splitlines()[0]
            raise click.ClickException(f"{message}. Are the tables there? Run `trueup migrate`.") from None

    return run
