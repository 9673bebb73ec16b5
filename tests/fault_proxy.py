"""A TCP proxy between two real parts that can delay, cut, freeze and slice what passes: for links that misbehave."""

import contextlib
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass
class Faults:
    """What happens to the bytes. latency in seconds a piece; slice_bytes > 0: pieces of at most so many; frozen: nothing
    passes, nothing is closed (half-open). refused: new connections are closed at once."""

    latency: float = 0
    slice_bytes: int = 0
    frozen: bool = False
    refused: bool = False


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and carries bytes to and from the target."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.faults = Faults()
        self._sockets: set[socket.socket] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def reset_all(self) -> None:
        """Cuts every connection with a TCP reset."""
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.faults.frozen = False
        self.reset_all()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
                if self.faults.refused:
                    client.close()
                    continue
                server = socket.create_connection(self._target, timeout=5)
                server.settimeout(None)
            except OSError:
                continue
            self._sockets |= {client, server}
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._carry, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.faults.frozen:
                    time.sleep(0.02)
                self._pass_on(data, sink)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._sockets.discard(one)

    def _pass_on(self, data: bytes, sink: socket.socket) -> None:
        size = self.faults.slice_bytes or len(data)
        for start in range(0, len(data), size):
            if self.faults.latency:
                time.sleep(self.faults.latency * random.uniform(0.8, 1.2))
            sink.sendall(data[start : start + size])
