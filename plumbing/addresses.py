"""A URL that a person set, or an address its host has -> whether it leads, or may lead, into the installation's own network."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

#: IPv4 addresses inside IPv6 ones: RFC 6052 (NAT64). The other ways are known to Python.
_NAT64 = ip_network("64:ff9b::/96")
#: All that IANA has given out for the public internet; Python takes more than that for global.
_PUBLIC_IPV6 = ip_network("2000::/3")
#: Kept for protocols and documentation (IANA's special-purpose registries), but global to Python 3.11.
_SPECIAL = tuple(ip_network(each) for each in ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20"))


class PrivateAddress(ValueError):
    """The URL leads, or may lead, to where only this installation should reach, or to a host that it does not call; the message
    says why and names no address."""


def refuse_url(url: str) -> None:
    """PrivateAddress when the URL, by its letters alone, is not https to port 443 of a host that is plainly named."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise PrivateAddress("this is no URL; write it such as https://example.com/path") from None
    if parts.scheme != "https" or not host:
        raise PrivateAddress("only https addresses are called; write https:// and a host")
    if "@" in parts.netloc:
        raise PrivateAddress("the URL has a user or password in it; take away what stands before the @")
    if port not in (None, 443):
        raise PrivateAddress(f"only port 443 is called; take away :{port}")
    if _is_odd_number(host):
        raise PrivateAddress(f"{host} is an address in an unusual form; write a name, or four numbers with dots")


def refuse_host(url: str, hosts: Sequence[str]) -> None:
    """PrivateAddress when the URL's host is neither one of these nor below one of them; none named: any may be."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if hosts and not any(host == each or host.endswith(f".{each}") for each in hosts):
        raise PrivateAddress(f"{host} is not among the hosts that this installation calls here: {', '.join(hosts)}")


def is_public(text: str) -> bool:
    """Whether an IP address, as the system writes it, is one that everybody on the internet can reach."""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        inside = _inside(address)
        if inside is None and address not in _PUBLIC_IPV6:
            return False
        address = inside or address
    return address.is_global and not address.is_multicast and not any(address in each for each in _SPECIAL)


def _inside(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_odd_number(host: str) -> bool:
    """Whether the host is a number that one library reads as an IPv4 address and another as a name: 2130706433, 0177.0.0.1,
    0x7f.1, 127.1 (the WHATWG URL standard, "ends in a number")."""
    last = host.rpartition(".")[2]
    if ":" in host or not (last.isdigit() or last.startswith("0x")):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False
