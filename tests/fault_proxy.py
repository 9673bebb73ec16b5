"""A TCP proxy between two real parts that can delay, cut, freeze and slice what passes: for links that misbehave."""

import contextlib
import queue
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
    """What happens to the bytes. latency in seconds, for every piece by itself, so that many are under way; slice_bytes > 0:
    pieces of at most so many; frozen: nothing passes, nothing is closed (half-open); freezes_after > 0: a connection freezes
    for ever when so many bytes have come from the target; refused: new connections are closed at once."""

    latency: float = 0
    slice_bytes: int = 0
    frozen: bool = False
    freezes_after: int = 0
    refused: bool = False


class FaultProxy:
    """Listens on a free port of 127.0.0.1 and carries bytes to and from the target."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.faults = Faults()
        self._sockets: set[socket.socket] = set()
        self._frozen: set[socket.socket] = set()
        self._closed = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def frozen_connections(self) -> int:
        """How many connections are frozen for ever."""
        return len(self._frozen) // 2

    def freeze_all(self) -> None:
        """Lets nothing pass on the connections there are, and closes none: for ever. New ones pass."""
        self._frozen |= self._sockets

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
            for source, sink, passes in ((client, server, 0), (server, client, self.faults.freezes_after)):
                thread = threading.Thread(target=self._carry, args=(source, sink, passes), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, source: socket.socket, sink: socket.socket, passes: int) -> None:
        came = 0
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        deliverer = threading.Thread(target=self._deliver, args=(under_way, sink), daemon=True)
        deliverer.start()
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                came += len(data)
                if passes and came > passes:
                    self._frozen |= {source, sink}
                while (self.faults.frozen or source in self._frozen) and not self._closed:
                    time.sleep(0.02)
                under_way.put((time.monotonic() + self.faults.latency * random.uniform(0.8, 1.2), data))
        under_way.put((0, b""))
        deliverer.join()
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._sockets.discard(one)

    def _deliver(self, under_way: "queue.SimpleQueue[tuple[float, bytes]]", sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = under_way.get()
                if not data:
                    return
                time.sleep(max(0.0, due - time.monotonic()))
                size = self.faults.slice_bytes or len(data)
                for start in range(0, len(data), size):
                    sink.sendall(data[start : start + size])
