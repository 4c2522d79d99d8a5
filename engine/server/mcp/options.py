"""What the owner allows of MCP servers: which may be reached, and how much of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.errors import ConfigError
from engine.server.mcp.hosts import Allowed, Resolve, entry, system_resolve
from engine.service import CertificateAuthority


@dataclass(frozen=True, slots=True)
class McpOptions:
    """Real MCP servers that sessions may use: none, unless `allow` names them; the extra `mcp` is needed then. Those of
    a script need neither. Raises ConfigError for a value out of range, MissingExtraError without the extra.
    """

    allow: Sequence[str] = ()
    """HOST, HOST:PORT, or an address; without a port the scheme's own, 443 for https. Only https leaves this machine. A
    name must have public addresses; `localhost`, and a loopback, private or link-local address, stand for themselves.
    """
    max_servers: int = 8
    """Real MCP servers of one session (1-64); a session.update with more is refused."""
    max_tools: int = 128
    """Tools of one server (1-10,000); one with more fails to list them."""
    max_tools_bytes: int = 256 * 2**10
    """JSON of one server's tools, likewise."""
    max_output_bytes: int = 256 * 2**10
    """UTF-8 of what one call gives; with more it fails."""
    max_receive_bytes: int = 2**20
    """All that may come from one server between two requests to it (16 KiB to 256 MiB); with more the request fails.
    All sessions wait while a message is read: a full one may take a tenth of a second.
    """
    max_calls: int = 8
    """Calls of one session that wait for an answer (1-1000); one more fails."""
    list_s: float = 15.0
    """Seconds to connect and to list the tools (0.1-3600)."""
    call_s: float = 60.0
    """Seconds for a call (0.1-3600)."""
    ca: CertificateAuthority | None = None
    """A PEM file or SSLContext with the certificates to trust; by default the system's."""
    resolve: Resolve = field(default=system_resolve, repr=False)
    """Asked for the addresses of a host name."""

    def __post_init__(self) -> None:
        for name, least, most in _BOUNDS:
            value = getattr(self, name)
            if not least <= value <= most:
                raise ConfigError(f"mcp.{name} is {value!r}: use {least:g} to {most:g}")
        if isinstance(self.allow, str):
            raise ConfigError(f"mcp.allow is {self.allow!r:.100}: use a list of such texts")
        if self.hosts():
            # Now and not in a session: half a second that no sound should wait for.
            from engine.server.mcp.remote import context

            context(self.ca)

    def hosts(self) -> tuple[Allowed, ...]:
        """The list, read."""
        return tuple(entry(text) for text in self.allow)


_BOUNDS = (
    ("max_servers", 1, 64),
    ("max_tools", 1, 10_000),
    ("max_tools_bytes", 2**10, 2**26),
    ("max_output_bytes", 2**10, 2**26),
    ("max_receive_bytes", 2**14, 2**28),
    ("max_calls", 1, 1000),
    ("list_s", 0.1, 3600),
    ("call_s", 0.1, 3600),
)
