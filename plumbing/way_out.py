"""A URL that a person set -> a connection to the very address that was judged; the one way by which such requests leave.

The name is looked up once, in the same step that connects: an answer that is another one the second time (DNS rebinding) has
no second time. Host, SNI and the name in the certificate stay the URL's. No proxy of the environment is used.
"""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError
from urllib3.util.connection import create_connection

from plumbing.addresses import PrivateAddress, is_public, refuse_host, refuse_url


def look_up(host: str, port: int) -> list[str]:
    """The addresses that the host has now, best first. OSError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, "no name is written like this") from error
    return list(dict.fromkeys(str(place[4][0]) for place in found))


@dataclass(frozen=True)
class WayOut:
    """How requests leave. private_addresses: whether they may go by http, into the own network and to any host (sandbox only).
    hosts: the only ones, with all that is below them; none: any. resolve and dial: the edge of the process, (host, port) ->
    addresses and (address, port), seconds -> socket."""

    private_addresses: bool
    resolve: Callable[[str, int], Sequence[str]] = look_up
    dial: Callable[..., socket.socket] = create_connection
    hosts: tuple[str, ...] = ()

    def look(self, url: str) -> None:
        """Whether the URL may be called as it is now: PrivateAddress; OSError when its host's name is not known."""
        self.check(url)
        self._judged(urlsplit(url).hostname or "", 443)

    def check(self, url: str) -> None:
        """The part of `look` for which nothing is looked up. PrivateAddress."""
        if not self.private_addresses:
            refuse_url(url)
            refuse_host(url, self.hosts)

    def connect(self, host: str, port: int, timeout: Any, **options: Any) -> socket.socket:
        """A connection to the first address that takes one; none unless all of them may be called. PrivateAddress, OSError."""
        failure = OSError("the host has no address")
        for address in self._judged(host, port):
            try:
                return self.dial((address, port), timeout, **options)
            except OSError as error:
                failure = error
        raise failure

    def _judged(self, host: str, port: int) -> Sequence[str]:
        found = self.resolve(host, port)
        if not self.private_addresses and not all(is_public(address) for address in found):
            raise PrivateAddress(f"{host} leads to an address that is not on the public internet; use one that is")
        return found


def session(way: WayOut) -> requests.Session:
    """A keep-alive session whose requests all leave by this way; they raise PrivateAddress as well."""
    made = requests.Session()
    made.trust_env = False
    adapter = _Adapter(way)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class _Connection(HTTPConnection):
    def __init__(self, *given: Any, way: WayOut, **more: Any) -> None:
        super().__init__(*given, **more)
        self._way = way

    def _new_conn(self) -> socket.socket:
        try:
            return self._way.connect(self.host, self.port, self.timeout, socket_options=self.socket_options)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"it took too long to connect to {self.host}") from error
        except OSError as error:
            raise NewConnectionError(self, f"no connection to {self.host}: {error}") from error


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    def __init__(self, way: WayOut) -> None:
        self._way = way
        super().__init__()

    def init_poolmanager(self, *given: Any, **more: Any) -> None:
        super().init_poolmanager(*given, **more)
        # A pool hands what it does not know to its connections.
        self.poolmanager.pool_classes_by_scheme = {
            "http": partial(_Pool, way=self._way),
            "https": partial(_TlsPool, way=self._way),
        }

    def send(self, request: requests.PreparedRequest, *given: Any, **more: Any) -> requests.Response:
        self._way.check(request.url or "")
        return super().send(request, *given, **more)
