"""A WebSocket that has ended -> gone within seconds, even when its client takes nothing of what was sent last.

uvicorn closes a connection once all that was written has been taken. A client that stays and takes nothing would keep its
socket and what waits for it for as long as it pleases, and the gateway from ending.
"""

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

LAST_WORD_SECONDS = 1.5


class Line(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket connection, cut when its last word is not taken in time."""

    async def run_asgi(self) -> None:
        """Talks; after that the line goes."""
        await super().run_asgi()
        self._cut_soon()

    async def send(self, message: ASGISendEvent) -> None:
        """What the application says."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            # Refused and told so. uvicorn would log a fault of the application: it counts only what was taken.
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """A ping was not answered."""
        super().keepalive_timeout()
        self._cut_soon()

    def shutdown(self) -> None:
        """The process ends."""
        super().shutdown()
        self._cut_soon()

    def _cut_soon(self) -> None:
        self.loop.call_later(LAST_WORD_SECONDS, self.transport.abort)
