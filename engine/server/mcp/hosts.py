"""Which MCP servers may be reached: the list of the owner, what a URL may be, and what a name may resolve to.

A client of ours names a URL, and this process goes there: from inside the owner's network. So nothing is allowed that
the owner has not listed; a listed name must resolve to public addresses, and an address of the owner's own network
must be listed itself. A name is resolved once, all of its addresses are judged, and those are what is connected to
(`http`): a DNS answer that changes afterwards changes nothing.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from engine.errors import ConfigError

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host name, as texts. Raises OSError."""

MAX_ADDRESSES = 8
"""Of a name with more, the others are not used."""
MAX_URL = 2048

_PORTS = {"http": 80, "https": 443}
_GLOBAL_UNICAST = IPv6Network("2000::/3")  # everything else is somebody's own, or no host at all
_METADATA = frozenset({ip_address("169.254.169.254"), ip_address("169.254.170.2"), ip_address("fd00:ec2::254")})


class HostRefused(Exception):
    """A URL or an address must not be reached; the text says why, without the URL's user, password and query."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be reached."""

    url: str
    scheme: str
    host: str
    """As it was listed: lower case; an IPv6 address without brackets."""
    port: int

    @property
    def shown(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Allowed:
    """One entry of the list."""

    host: str
    port: int | None
    """None: the scheme's own."""

    @property
    def address(self) -> Address | None:
        """The host, when it is an address."""
        return _address(self.host)

    def covers(self, host: str, port: int, scheme: str) -> bool:
        """Whether a URL with these parts is meant."""
        return host == self.host and port == (self.port or _PORTS[scheme])


def entry(text: str) -> Allowed:
    """An entry from HOST, HOST:PORT, ADDRESS or [ADDRESS]:PORT. Raises ConfigError."""
    if any(sign in text for sign in "/@*?#% ") or not text:
        raise ConfigError(f"mcp allow is {text!r:.100}: use HOST or HOST:PORT, such as mcp.example.com")
    try:
        parts = urlsplit(f"//[{text}]" if text.count(":") > 1 and not text.startswith("[") else f"//{text}")
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError:
        raise ConfigError(f"mcp allow is {text!r:.100}: use HOST or HOST:PORT") from None
    if not host or port == 0:
        raise ConfigError(f"mcp allow is {text!r:.100}: use HOST or HOST:PORT, with a port from 1 to 65535")
    if (address := _address(host)) is not None and (problem := _never(address)):
        raise ConfigError(f"mcp allow is {text!r:.100}: it {problem}, and is never connected to")
    return Allowed(host, port)


def target(url: str, allowed: Collection[Allowed]) -> Target:
    """Check a URL against the list. Raises HostRefused."""
    if len(url) > MAX_URL or not url.isascii() or any(sign <= " " for sign in url):
        raise HostRefused(f"the URL must be ASCII without blanks, of at most {MAX_URL} characters")
    try:
        parts = urlsplit(url)
        host, port = _host(parts.hostname or ""), parts.port
    except ValueError:
        raise HostRefused("the URL cannot be parsed") from None
    if parts.scheme not in _PORTS or not host:
        raise HostRefused("expected a URL such as https://mcp.example.com/mcp")
    if parts.username is not None or parts.password is not None:
        raise HostRefused("a URL with a user or password is not taken: use authorization or headers")
    found = Target(url, parts.scheme, host, _PORTS[parts.scheme] if port is None else port)
    if not any(each.covers(host, found.port, found.scheme) for each in allowed):
        raise HostRefused(f"this server may not reach {host:.100} port {found.port}: its owner has not allowed it")
    if found.scheme == "http" and not _may_be_here(host, allowed):
        raise HostRefused(f"{host:.100} is another machine: use https")
    return found


async def addresses(where: Target, allowed: Collection[Allowed], resolve: Resolve) -> tuple[Address, ...]:
    """Resolve the host and judge every address it has. Raises HostRefused, and OSError when it has none."""
    literal = _address(where.host)
    texts = [where.host] if literal is not None else list(await resolve(where.host, where.port))[:MAX_ADDRESSES]
    if not texts:
        raise OSError(f"{where.host:.100} has no address")
    try:
        found = tuple(dict.fromkeys(_plain(ip_address(text)) for text in texts))
    except ValueError:
        raise HostRefused(f"{where.host:.100} has an address that is none") from None
    listed = {each.address for each in allowed if each.covers(each.host, where.port, where.scheme)} - {None}
    for address in found:
        _judge(address, where, listed)
    if where.scheme == "http" and not all(address.is_loopback for address in found):
        raise HostRefused(f"{where.host:.100} is another machine: use https")
    return found


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """What the system says, without IPv6 addresses of a zone."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found if "%" not in str(address[0])]


def _may_be_here(host: str, allowed: Collection[Allowed]) -> bool:
    """Whether a host may turn out to be this machine."""
    addresses = [_address(host)] if _address(host) else [each.address for each in allowed]
    return host == "localhost" or any(address is not None and address.is_loopback for address in addresses)


def _judge(address: Address, where: Target, listed: Collection[Address | None]) -> None:
    """Raise when a connection to the address would be a surprise to the owner."""
    if problem := _never(address):
        raise HostRefused(f"{where.host:.100} is at an address that {problem}")
    if where.host == "localhost":
        if not address.is_loopback:
            raise HostRefused("localhost is not at a loopback address")
    elif not _public(address) and address not in listed:
        kind = "loopback" if address.is_loopback else "link-local" if address.is_link_local else "private"
        raise HostRefused(f"{where.host:.100} is at a {kind} address: its owner must allow the address itself")


def _never(address: Address) -> str:
    """Why nobody may want to reach an address; "" otherwise."""
    if _plain(address) in _METADATA:
        return "gives away a cloud machine's secrets"
    if address.is_multicast or address.is_unspecified or address == ip_address("255.255.255.255"):
        return "belongs to no single machine"
    if isinstance(address, IPv6Address) and _embeds(address):
        return "hides an IPv4 address"
    return ""


def _embeds(address: IPv6Address) -> bool:
    """6to4, Teredo, NAT64 and the two old forms: they would lead past a judgement of the address inside."""
    hidden = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("::ffff:0:0:0/96"))
    compatible = address in IPv6Network("::/96") and not address.is_loopback
    return bool(address.sixtofour or address.teredo or compatible or any(address in net for net in hidden))


def _public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_reserved


def _plain(address: Address) -> Address:
    """::ffff:1.2.3.4 is 1.2.3.4."""
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def _address(host: str) -> Address | None:
    try:
        return _plain(ip_address(host))
    except ValueError:
        return None


def _host(name: str) -> str:
    """A host as it is compared: lower case, no closing dot, an address in its one spelling."""
    if "%" in name:
        raise ValueError
    name = name.lower().removesuffix(".")
    try:
        return str(_plain(ip_address(name)))
    except ValueError:
        return name if len(name) <= 253 else ""


__all__ = ["Address", "Allowed", "HostRefused", "Resolve", "Target", "addresses", "entry", "system_resolve", "target"]
