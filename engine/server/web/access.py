"""Who may come in: rules for the request that stands before everything else. No sockets here, and no clock.

A web page on the same machine can reach a server on loopback, so the Host must be a loopback address or a name that
the owner allows (a rebound DNS name is neither), and an Origin, which browsers send, must be the server's own or one
that the owner allows. A server without keys is for programs on this machine: it is not listened for elsewhere, and a
request that a proxy has passed on is refused, since behind a proxy everybody would be from this machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from engine.errors import ConfigError
from engine.server.web.messages import Answer, Headers, Request, refusal
from engine.service import is_loopback

MOST_LISTED = 64
"""Allowed hosts, and allowed origins."""

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,252})")
_TOKENS = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,2000}")


@dataclass(frozen=True, slots=True)
class Access:
    """What the owner allows. Raises ConfigError for a name or an origin that is none."""

    hosts: tuple[str, ...] = ()
    """Names and addresses beside loopback that a Host header may have, with a port or for any: `voice.example.com`."""
    origins: tuple[str, ...] = ()
    """Origins of pages beside the server's own: `https://app.example.com`; `*` for all, on a server with keys."""
    sessions_per_key: int = 16
    """Sessions at a time of one key and its secrets; one more is answered 429. Without keys there is no such limit."""

    def __post_init__(self) -> None:
        for listed, field in ((self.hosts, "allowed host"), (self.origins, "allowed origin")):
            if len(listed) > MOST_LISTED:
                raise ConfigError(f"{len(listed)} {field}s are given: {MOST_LISTED} at most")
        for host in self.hosts:
            if (split := split_host(host)) is None or is_wildcard(split[0]):
                raise ConfigError(f"allowed host is {host!r}: give a name or an address, HOST or HOST:PORT")
        for origin in self.origins:
            if origin != "*" and not _is_origin(origin):
                raise ConfigError(f"allowed origin is {origin!r}: give http(s)://HOST or http(s)://HOST:PORT, or *")
        if not 1 <= self.sessions_per_key <= 10**6:
            raise ConfigError(f"sessions_per_key is {self.sessions_per_key}: use 1 to 1000000")

    def check(self, keys: bool) -> None:
        """Raises ConfigError for what a server without keys may not allow."""
        if "*" in self.origins and not keys:
            raise ConfigError("allowed origin is '*' and there are no keys: every page could use this; name them")

    def answers_host(self, hosts: Sequence[str]) -> bool:
        """Whether these Host headers are one, and name this server."""
        split = split_host(hosts[0]) if len(hosts) == 1 else None
        if split is None:
            return False
        return is_loopback(split[0]) or any(_covers(split_host(each), split) for each in self.hosts)

    def answers_origin(self, origins: Sequence[str], host: str, *, secure: bool = False) -> bool:
        """Whether these Origin headers may be: none, or one that is the server's own or allowed. What is asked over TLS
        (`secure`) is not the own of a page that came without: anybody on the way may have written that one.
        """
        if len(origins) != 1:
            return not origins
        return _same_origin(origins[0], host, secure) or self._lists_origin(origins[0])

    def _lists_origin(self, origin: str) -> bool:
        return "*" in self.origins or origin.lower() in {each.lower() for each in self.origins}

    def refused(self, request: Request, keys: bool) -> Answer | None:
        """The answer for a request that may not be here at all, or None."""
        hosts = request.all("host")
        if not self.answers_host(hosts):
            return refusal(403, f"This server does not answer for this Host{_remedy(self.hosts)}", code="invalid_host")
        if not keys and request.peer and not _from_here(request.peer):
            return refusal(403, "This server has no keys and serves its own machine only.", code="not_local")
        if not keys and any(name == "forwarded" or name.startswith("x-forwarded-") for name, _ in request.headers):
            message = "This server has no keys, so it answers nothing that a proxy has passed on: give it keys."
            return refusal(403, message, code="forwarded")
        if not self.answers_origin(request.all("origin"), hosts[0], secure=request.secure):
            return refusal(403, "This server does not answer pages of other origins.", code="invalid_origin")
        return None

    def shares(self, request: Request) -> Headers:
        """The headers that let a page of another, allowed origin read the answer; call it after `refused`."""
        origin = request.only("origin")
        if origin is None or _same_origin(origin, request.only("host") or "", request.secure):
            return ()
        return (
            ("access-control-allow-origin", origin),
            ("access-control-expose-headers", "Location, Retry-After"),
            ("vary", "Origin"),
        )

    def preflight(self, request: Request, methods: Sequence[str]) -> Answer | None:
        """The answer to a browser that asks whether it may send such a request; None when it does not ask that."""
        wanted = request.only("access-control-request-method")
        if request.method != "OPTIONS" or wanted is None or request.only("origin") is None or not methods:
            return None
        if wanted not in methods:
            allow = (("allow", ", ".join(methods)),)
            return refusal(405, f"Use {allow[0][1]} here.", code="method_not_allowed", headers=allow)
        asked = request.only("access-control-request-headers") or ""
        headers: Headers = (
            ("access-control-allow-methods", ", ".join(methods)),
            ("access-control-allow-headers", asked if _TOKENS.fullmatch(asked) else "Authorization, Content-Type"),
            ("access-control-max-age", "600"),
        )
        return Answer(204, headers=headers)


def check_bind(host: str, *, keys: bool, access: Access) -> None:
    """Refuse to listen beyond loopback without keys, and where no client could name the server."""
    if is_loopback(host):
        return
    if not keys:
        raise ConfigError(
            f"host is {host!r}, and there are no keys: without keys this server listens on loopback only; use "
            "127.0.0.1, ::1 or localhost, or give keys"
        )
    if not access.hosts:
        raise ConfigError(f"host is {host!r}, and no host is allowed: name how clients reach it with --allowed-host")


def split_host(host: str) -> tuple[str, int | None] | None:
    """Name and port of a Host header; None when it is none. IPv6 addresses, and only they, stand in brackets."""
    name, separator, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    if separator and port and not (len(port) <= 5 and port.isascii() and port.isdigit() and int(port) < 65536):
        return None
    if name.startswith("[") and name.endswith("]"):
        try:
            address = IPv6Address(name[1:-1])
        except ValueError:
            return None
        return str(address), int(port) if port else None
    name = name.lower()
    return (name, int(port) if port else None) if _NAME.fullmatch(name) else None


def is_wildcard(name: str) -> bool:
    """Whether an address means all of a machine's."""
    return name in ("0.0.0.0", "::")


def offered(request: Request) -> list[str]:
    """The subprotocols that a client offers."""
    return [part.strip() for header in request.all("sec-websocket-protocol") for part in header.split(",")]


def _covers(allowed: tuple[str, int | None] | None, asked: tuple[str, int | None]) -> bool:
    return allowed is not None and allowed[0] == asked[0] and allowed[1] in (None, asked[1])


def _from_here(peer: str) -> bool:
    """Whether an address is this machine; what is no address (a Unix socket, a test) is not judged."""
    try:
        address = ip_address(peer.partition("%")[0])
    except ValueError:
        return True
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback


def _same_origin(origin: str, host: str, secure: bool) -> bool:
    """Without TLS of ours there may be a proxy's, so that both schemes are right."""
    scheme, separator, authority = origin.partition("://")
    schemes = ("https",) if secure else ("http", "https")
    return separator != "" and scheme.lower() in schemes and authority.lower() == host.lower()


def _is_origin(origin: str) -> bool:
    scheme, _, authority = origin.partition("://")
    return scheme.lower() in ("http", "https") and split_host(authority) is not None and not authority.endswith(":")


def _remedy(hosts: Sequence[str]) -> str:
    names = ", ".join(hosts[:3])
    return f": use localhost, 127.0.0.0/8, [::1]{', ' + names if names else ''}, or allow it with --allowed-host."


__all__ = [
    "Access",
    "check_bind",
    "offered",
    "split_host",
]
