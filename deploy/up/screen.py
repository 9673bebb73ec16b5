"""Steps of a start -> one line each, with how long it took: what a person sees while the house comes up."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from deploy.servers import ServerError

_QUIET_SECONDS = 10.0


@contextmanager
def step(name: str) -> Iterator[None]:
    """A line when the step is done, with its seconds; on a terminal its name stands there meanwhile."""
    began = time.monotonic()
    if sys.stdout.isatty():
        click.echo(f"  {name} ...\r", nl=False)
    yield
    done(name, began)


def done(name: str, began: float, note: str = "") -> None:
    """The line of a step that is done. began: the monotonic second at which it was begun."""
    click.echo(f"  {name:<32} ready after {time.monotonic() - began:5.1f} s  {note}".rstrip())


def wait_until(reason: Callable[[], str], what: str, seconds: float) -> None:
    """Returns when there is no reason left to wait, telling it now and then; ServerError when it is still there."""
    began = said_at = time.monotonic()
    while waiting_for := reason():
        now = time.monotonic()
        if now - began > seconds:
            raise ServerError(f"{what} is not there after {seconds:.0f} s: {waiting_for}")
        if now - said_at > _QUIET_SECONDS:
            said_at = now
            click.echo(f"    waiting: {waiting_for}")
        time.sleep(0.2)
