"""What a session may say about MCP servers: its tools of type mcp, and a tool_choice of theirs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from engine.server.mcp.hosts import Allowed, HostRefused, target
from engine.server.refusal import invalid_value
from engine.server.shapes import Check, array, boolean, fields, mapping, nullable, one_of, text

Config = dict[str, Any]

MAX_HEADERS = 32
MAX_HEADER_BYTES = 8 * 2**10
"""Of all headers of one server."""
SECRETS = ("authorization", "headers")
"""Never shown again: not in session.updated either."""

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?")
_OURS = re.compile(  # what HTTP and MCP themselves say
    r"accept|accept-encoding|connection|content-(encoding|length|type)|cookie|expect|host|keep-alive|last-event-id|"
    r"mcp-protocol-version|mcp-session-id|proxy-authorization|te|trailer|transfer-encoding|upgrade",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class McpRules:
    """What this server has of MCP servers."""

    labels: frozenset[str] = frozenset()
    """Those that the script plays."""
    allowed: tuple[Allowed, ...] = ()
    """The hosts of real ones."""
    max_servers: int = 8
    """Real ones of a session."""


NONE = McpRules()


def mcp_tool(param: str, value: Any, rules: McpRules) -> Config:
    """An entry of the session's tools, as it may be shown: without SECRETS. Raises ProtocolError."""
    checked = fields(param, value, _MCP, required=["type", "server_label"])
    given = [name for name in ("server_url", "connector_id", "tunnel_id") if checked.get(name) is not None]
    if checked["server_label"] not in rules.labels:
        for name in ("connector_id", "tunnel_id"):
            if name in given:
                what = "connectors" if name == "connector_id" else "tunnels"
                raise invalid_value(f"{param}.{name}", f"this server has no {what}; use server_url.")
        _check_known(param, rules)
    if len(given) != 1:
        raise invalid_value(param, "give exactly one of server_url, connector_id and tunnel_id.")
    if checked["server_label"] not in rules.labels:
        try:
            target(checked["server_url"], rules.allowed)
        except HostRefused as refusal:
            raise invalid_value(f"{param}.server_url", f"{refusal}.") from None
    return {name: member for name, member in checked.items() if name not in SECRETS}


def check_servers(param: str, tools: Collection[Mapping[str, Any]], rules: McpRules) -> None:
    """All of a session's tools together. Raises ProtocolError."""
    seen: set[str] = set()
    for number, tool in enumerate(tools):
        if tool["type"] != "mcp":
            continue
        label = tool["server_label"]
        if label in seen:
            raise invalid_value(f"{param}[{number}].server_label", f"two servers are called {label!r:.80}.")
        seen.add(label)
        if len(seen - rules.labels) > rules.max_servers:
            raise invalid_value(param, f"at most {rules.max_servers} MCP servers are taken.")


def mcp_choice(param: str, value: Any) -> Config:
    """A tool_choice of type mcp."""
    return fields(param, value, _CHOICE, required=["type", "server_label"])


def check_choice(param: str, config: Mapping[str, Any]) -> None:
    """A tool_choice must name an MCP server that is there. Raises ProtocolError."""
    choice = config.get("tool_choice")
    if not isinstance(choice, dict) or choice.get("type") != "mcp":
        return
    mcp_choice(param, choice)
    labels = [tool["server_label"] for tool in config["tools"] if tool["type"] == "mcp"]
    if choice["server_label"] not in labels:
        raise invalid_value(
            f"{param}.server_label", f"no tool of type mcp has the label {choice['server_label']!r:.80}."
        )


def _check_known(param: str, rules: McpRules) -> None:
    if rules.allowed:
        return
    if not rules.labels:
        raise invalid_value(f"{param}.type", "this server does not offer MCP tools; use function tools.")
    known = ", ".join(map(repr, sorted(rules.labels)))
    raise invalid_value(f"{param}.server_label", f"the script has only the MCP servers {known}.")


def _label(param: str, value: Any) -> str:
    if not text(param, value, limit=512):
        raise invalid_value(param, "a label has at least one character.")
    return str(value)


def _secret(param: str, value: Any) -> str:
    if not _VALUE.fullmatch(text(param, value, limit=MAX_HEADER_BYTES)):
        raise invalid_value(param, "expected printable ASCII without line ends.")
    return str(value)


def _headers(param: str, value: Any) -> Config:
    """The words of a refusal hold no value."""
    given = mapping(param, value)
    if len(given) > MAX_HEADERS:
        raise invalid_value(param, f"at most {MAX_HEADERS} headers are taken, but got {len(given)}.")
    for name, member in given.items():
        if not _TOKEN.fullmatch(name) or len(name) > 256:
            raise invalid_value(param, "a name is none that a header may have.")
        if _OURS.fullmatch(name):
            raise invalid_value(param, f"{name.lower()} is not a client's to set.")
        _secret(f"{param}.{name}", member)
    if sum(len(name) + len(member) for name, member in given.items()) > MAX_HEADER_BYTES:
        raise invalid_value(param, f"at most {MAX_HEADER_BYTES} bytes of headers are taken.")
    return dict(given)


def _names(param: str, value: Any) -> list[str]:
    return [text(f"{param}[{number}]", name, limit=512) for number, name in enumerate(array(param, value))]


def _filter(param: str, value: Any) -> Config:
    return fields(param, value, {"tool_names": _names, "read_only": nullable(boolean)})


def _allowed(param: str, value: Any) -> Any:
    return _names(param, value) if isinstance(value, list) else _filter(param, value)


def _approval(param: str, value: Any) -> Any:
    if isinstance(value, str):
        return one_of("always", "never")(param, value)
    return fields(param, value, {"always": nullable(_filter), "never": nullable(_filter)})


_MCP: dict[str, Check] = {
    "type": one_of("mcp"),
    "server_label": _label,
    "server_url": nullable(text),
    "connector_id": nullable(text),
    "tunnel_id": nullable(text),
    "server_description": nullable(text),
    "authorization": nullable(_secret),
    "headers": nullable(_headers),
    "allowed_tools": nullable(_allowed),
    "allowed_callers": nullable(_names),
    "require_approval": nullable(_approval),
    "defer_loading": nullable(boolean),
}
_CHOICE: dict[str, Check] = {
    "type": one_of("mcp"),
    "server_label": _label,
    "name": nullable(lambda param, value: text(param, value, limit=512)),
}
