"""Where a service is and how it is asked: URLs, the header that the key goes into, and which key may travel where.

A base is an API base (https://host/v1) or a WebSocket URL (wss://host/v1/realtime). Azure's two styles are known by
host or `api-version`: GA (https://NAME.openai.azure.com/openai/v1, model in the query) and preview
(https://NAME.openai.azure.com/openai?api-version=2025-04-01-preview, deployment in the query). Their keys go into
the header `api-key`; short-lived secrets (ek_) and tokens of Entra ID (eyJ) are bearers there too.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from engine.errors import ConfigError

OPENAI = "https://api.openai.com/v1"
CertificateAuthority = str | os.PathLike[str] | ssl.SSLContext
"""A PEM file with the certificates to trust, or a context of your own."""

_AZURE_HOSTS = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_BEARERS = ("ek_", "eyJ")
_KEY_HEADERS = frozenset({"authorization", "api-key"})

# ---- URLs


def api_base(given: str | None = None) -> str:
    """The base to use: the given one, else OPENAI_BASE_URL, else the hosted service."""
    return given or os.environ.get("OPENAI_BASE_URL") or OPENAI


def socket_url(base: str, *, model: str | None = None, call_id: str | None = None, transcription: bool = False) -> str:
    """The WebSocket URL of a session: a conversation with `model`, the sideband of a call, or a transcription.

    Only one of the three is asked for: a call has its model already, and a transcription names it in the session. A
    WebSocket URL whose query says what it wants is taken as it is, unless a call is named. Raises `ConfigError`.
    """
    parts = _split(base, "ws://HOST:PORT/v1/realtime or https://HOST/v1")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    path = parts.path.rstrip("/")
    if parts.scheme in ("http", "https") or not path:
        path = _api_path(parts, path) + "/realtime"
    return parts._replace(scheme=scheme, path=path, query=_query(parts, path, model, call_id, transcription)).geturl()


def _query(parts: SplitResult, path: str, model: str | None, call_id: str | None, transcription: bool) -> str:
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    as_it_is = parts.scheme in ("ws", "wss") and bool(given) and set(given) != {"api-version"}
    if call_id is not None:
        kept = {name: value for name, value in given.items() if name not in ("model", "deployment", "intent")}
        asked = {"call_id": checked_call_id(call_id)}
    elif as_it_is or not {"model", "deployment", "call_id", "intent"}.isdisjoint(given):
        return parts.query
    else:
        kept = given
        deployed = "api-version" in given and not path.endswith("/v1/realtime")
        asked = {"intent": "transcription"} if transcription else {}
        if model is not None and (deployed or not transcription):
            asked["deployment" if deployed else "model"] = model
    return urlencode({**kept, **asked}, quote_via=quote)


def request_url(base: str, path: str) -> str:
    """The URL of a REST call; `path` begins with a slash. A WebSocket URL as base means its HTTP sibling."""
    parts = _split(base, "https://HOST/v1")
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    root = parts.path.rstrip("/")
    if parts.scheme in ("ws", "wss"):
        root = root.removesuffix("/realtime")
    query = urlencode(
        [(name, value) for name, value in parse_qsl(parts.query) if name == "api-version" or scheme == parts.scheme],
        quote_via=quote,
    )
    return parts._replace(scheme=scheme, path=_api_path(parts, root) + path, query=query, fragment="").geturl()


def _api_path(parts: SplitResult, path: str) -> str:
    return path or ("/openai/v1" if is_azure(parts.geturl()) else "/v1")


def _split(base: str, expected: str) -> SplitResult:
    try:
        parts = urlsplit(base)
        _ = parts.port  # raises when it is no number
    except ValueError:
        raise ConfigError(f"url cannot be parsed: give {expected}") from None
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ConfigError(f"url is {without_secrets(base)!r}: give {expected}")
    return parts


def checked_call_id(call_id: str) -> str:
    """The id, or `ConfigError` when it can be no call's: it becomes a part of URLs."""
    if isinstance(call_id, str) and 0 < len(call_id) <= 256 and all(sign.isalnum() or sign in "_-" for sign in call_id):
        return call_id
    raise ConfigError(f"call_id is {call_id!r:.80}: give the id of realtime.call.incoming or of the call, as rtc_...")


def is_azure(url: str) -> bool:
    """Whether the URL is in Azure's style: by host, or by an `api-version`."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    return host.endswith(_AZURE_HOSTS) or "api-version" in dict(parse_qsl(parts.query, keep_blank_values=True))


def is_loopback(host: str | None) -> bool:
    """Whether a host name or address means this machine."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def without_secrets(url: str) -> str:
    """The URL as it may be shown: no user, password or query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    netloc = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
    return parts._replace(netloc=netloc, query="", fragment="").geturl()


# ---- keys


def key_headers(url: str, key: str | None, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Headers with the key in the one that the service expects. A `given` key header stands; no other is added."""
    headers = dict(given or {})
    if key is None or not _KEY_HEADERS.isdisjoint(name.lower() for name in headers):
        return headers
    if is_azure(url) and not key.startswith(_BEARERS):
        return {"api-key": key, **headers}
    return {"Authorization": f"Bearer {key}", **headers}


def key_for(url: str, key: str | None = None) -> str | None:
    """The key that goes to `url`: the given one, else the environment's (AZURE_OPENAI_API_KEY first for a URL in
    Azure's style, then OPENAI_API_KEY), which never travels unencrypted to another machine unless OPENAI_BASE_URL
    names that machine too.

    Raises `ConfigError`, without showing it, for something that is no key.
    """
    secret, where = (key, "key") if key is not None else _from_environment(url)
    secret = secret.strip() if secret else None
    if not secret:
        return None
    if not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ConfigError(f"{where} holds no key: one line of letters, digits and signs is expected")
    return secret if key is not None or _trusted(url) else None


def _from_environment(url: str) -> tuple[str | None, str]:
    names = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY") if is_azure(url) else ("OPENAI_API_KEY",)
    name = next((name for name in names if os.environ.get(name)), "OPENAI_API_KEY")
    return os.environ.get(name), name


def _trusted(url: str) -> bool:
    parts = urlsplit(url)
    if parts.scheme in ("wss", "https") or is_loopback(parts.hostname):
        return True
    named = urlsplit(os.environ.get("OPENAI_BASE_URL", ""))
    return named.scheme in ("ws", "http") and named.netloc == parts.netloc


# ---- TLS


def tls(ca: CertificateAuthority | None) -> ssl.SSLContext | None:
    """A context that trusts `ca` alone; None for None, which means the system's authorities. Raises `ConfigError`."""
    if ca is None or isinstance(ca, ssl.SSLContext):
        return ca
    try:
        return ssl.create_default_context(cafile=str(Path(ca)))
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or "it holds no PEM certificate"
        raise ConfigError(f"ca is {str(ca)!r}: {reason}; give a PEM file with the certificate to trust") from None
