"""A URL that a person gave -> refused when it leads into the installation's own network."""

import socket
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


class PrivateAddress(ValueError):
    """The URL leads, or may lead, to where only this installation should reach; the message says why."""


def refuse_private(url: str) -> None:
    """PrivateAddress when the URL is not https or its host has, among others, an address that is not of the public internet.
    OSError when the host's name is not known now."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise PrivateAddress("only https addresses are called")
    found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    for text in {str(place[4][0]) for place in found}:
        if not _is_public(text):
            raise PrivateAddress(f"{parts.hostname} leads to {text}, which is not on the public internet")


def _is_public(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address):
        inside = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        address = inside or address
    return address.is_global and not address.is_multicast
