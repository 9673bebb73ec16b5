"""A wish for a port -> a TCP port of the loopback address that nobody listens on."""

import random
import socket

# Below the range from which Linux takes the near end of outgoing connections: a server that is down for a moment
# must find its port free again, and a client that dials it meanwhile must not be connected to itself.
_OWN_RANGE = range(15_000, 32_000)


def free_port(preferred: int | None = None) -> int:
    """The preferred port when it is free, else a free one between 15000 and 32000; RuntimeError after 200 tries."""
    if preferred is not None and is_free(preferred):
        return preferred
    for port in random.SystemRandom().sample(_OWN_RANGE, 200):
        if is_free(port):
            return port
    raise RuntimeError("no free port between 15000 and 32000 on 127.0.0.1: too many servers run on this machine")


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int, host: str = "127.0.0.1", seconds: float = 2.0) -> bool:
    """Whether something accepts connections on this port."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False
