"""A link to the broker on which nothing passes any more -> given up within seconds and made anew.

A frozen link (a switch that died, a firewall that forgot) is never closed by anyone. nameko would notice by the missed
heartbeats, but then says goodbye to the broker and waits for an answer for ever. And when an acknowledgement meets the
broken link before the reader does, kombu makes a new connection under the reader's hands, on which nobody consumes.
Either way a consumer would be silently dead.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from nameko.messaging import QueueConsumer as NamekoQueueConsumer

from plumbing import topology

# Two missed in a row end a connection, so that work goes on within half a minute.
HEARTBEAT_SECONDS = 8
# Between two tries to reach a broker that is away: what it brings back is not left waiting for longer.
LONGEST_PAUSE_SECONDS = 5


class LinkedConsumer(NamekoQueueConsumer):
    """nameko's consumer thread, on a link that is let go of when it froze."""

    _link: Any = None
    _made_on: Any = None

    @contextmanager
    def Consumer(self) -> Iterator[Any]:  # noqa: N802 kombu's name
        """Connection, channel and consumers. It waits for a broker that is away for as long as that takes; one that is there
        must answer in time."""
        with ExitStack() as opened:
            self._link = opened.enter_context(self._linked())
            with topology.in_time():
                ready = opened.enter_context(super().Consumer())
            self._made_on = self._link.connection
            yield ready

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """The connection that stands, for kombu's part in making the consumers."""
        yield self._link

    @contextmanager
    def _linked(self) -> Iterator[Any]:
        """A connection that is dropped without a goodbye once it broke."""
        with self.create_connection() as connection:
            connection.ensure_connection(self.on_connection_error, interval_max=LONGEST_PAUSE_SECONDS)
            try:
                yield connection
            except connection.connection_errors:
                connection.collect()
                raise

    def on_iteration(self) -> None:
        """Ends the loop, to begin it anew, when the consumers were made on another connection than the one that is read."""
        super().on_iteration()
        if self._link.connection is not self._made_on:
            self._made_on.collect()
            raise ConnectionResetError("the link broke while something was sent")
