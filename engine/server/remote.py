"""A service of the OpenAI kind over HTTP: language model, recogniser or voice. Extra `rest` (httpx2).

Keys come from an environment variable that a setting names; they go to that service only, never unencrypted to another
machine, never into a log or an error. Redirects are not followed, answers are bounded.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies
from weakref import WeakKeyDictionary

import msgspec

from engine.errors import (
    AccessError,
    ApiError,
    ConfigError,
    NotFoundError,
    RateLimitError,
    ServerFaultError,
    TransportError,
)
from engine.realtime.redaction import redacted
from engine.rest.client import http_library, unlogged
from engine.service import is_loopback, key_for, key_headers, request_url, without_secrets

if TYPE_CHECKING:
    import httpx2

MAX_ANSWER_BYTES = 32 * 2**20
"""A longer whole answer is given up: half an hour of speech fits."""
MAX_ERROR_BYTES = 2**16
SHOWN = 300
"""Characters of a service's words that an error shows."""


class Service:
    """Requests below one base URL, such as http://127.0.0.1:11434/v1. Connections are kept, for each loop its own.

    `key_env` names the environment variable with the key; None sends none. `connect_s` bounds connecting, `timeout_s` a
    whole request with `post`. Raises ConfigError for what can never work.
    """

    def __init__(
        self, url: str, *, key_env: str | None = None, connect_s: float = 5.0, timeout_s: float = 30.0
    ) -> None:
        self._http = http_library()
        request_url(url, "/x")  # checks it
        self.url = url
        self.shown = without_secrets(url)
        """The URL for people: without user, password and query."""
        self._connect_s = connect_s
        self._timeout_s = timeout_s
        self._key = _key(url, key_env)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = WeakKeyDictionary()

    @asynccontextmanager
    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[httpx2.Response]:
        """POST JSON; yields the answer once its head is there, and closes it with the block. Raises ApiError for an
        answer that is an error, TransportError when there is none.
        """
        async with self._asked(path, content=msgspec.json.encode(body)) as response:
            yield response

    async def post(self, path: str, **request: Any) -> tuple[bytes, str]:
        """POST and read the whole answer: its bytes and its content type. `request` is the HTTP library's (`files`,
        `data`, `content`). Raises as `stream`.
        """
        return await self._whole(path, **request)

    async def get(self, path: str) -> bytes:
        """GET and read the whole answer. Raises as `stream`."""
        return (await self._whole(path, method="GET"))[0]

    async def _whole(self, path: str, **request: Any) -> tuple[bytes, str]:
        try:
            async with asyncio.timeout(self._timeout_s), self._asked(path, **request) as response:
                body = bytearray()
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise TransportError(f"{self.shown} answered more than {MAX_ANSWER_BYTES} bytes")
                return bytes(body), response.headers.get("content-type", "")
        except TimeoutError:
            raise TransportError(f"{self.shown} did not answer within {self._timeout_s:g} s") from None

    async def check(self) -> None:
        """Whether somebody listens there; raises TransportError. A key is not tried: that could cost something. Behind
        a proxy of the environment's nothing can be said beforehand.
        """
        parts = urlsplit(request_url(self.url, ""))
        if getproxies().get(parts.scheme) and not is_loopback(parts.hostname):
            return
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            async with asyncio.timeout(self._connect_s):
                _, writer = await asyncio.open_connection(parts.hostname, port)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise TransportError(f"{self.shown} cannot be reached ({_reason(error)})") from None

    async def aclose(self) -> None:
        """Close the connections of this loop. Asking again opens new ones."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def _asked(self, path: str, method: str = "POST", **request: Any) -> AsyncIterator[httpx2.Response]:
        http = self._http
        headers = key_headers(self.url, self._key, {"Accept-Encoding": "identity"})
        if "content" in request:
            headers["Content-Type"] = "application/json"
        client = self._client()
        try:
            with unlogged():
                asked = client.build_request(method, request_url(self.url, path), headers=headers, **request)
                response = await client.send(asked, stream=True)
            try:
                if not 200 <= response.status_code < 300:
                    raise await self._refused(response)
                yield response
            finally:
                await response.aclose()
        except (http.ConnectError, http.ConnectTimeout, http.PoolTimeout, http.ProxyError) as error:
            raise TransportError(f"{self.shown} cannot be reached ({self._safe(_reason(error))})") from None
        except (http.HTTPError, http.InvalidURL, http.StreamError) as error:
            raise TransportError(f"{self.shown} broke off ({self._safe(_reason(error))})") from None

    def _client(self) -> httpx2.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            timeout = self._http.Timeout(None, connect=self._connect_s)  # callers bound the rest
            direct = is_loopback(urlsplit(self.url).hostname)
            client = self._http.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=not direct)
            self._clients[loop] = client
        return client

    async def _refused(self, response: httpx2.Response) -> ApiError:
        body = bytearray()
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > MAX_ERROR_BYTES:
                break
        told = _error_object(bytes(body))
        status = response.status_code
        said = self._safe(told.get("message") or "")
        if status in (401, 403):  # what a service says of a key may show it: its words are left out
            said = "the key is missing, wrong, or may not do this"
        words = f"{self.shown} answered {status}" + (f": {said}" if said else "")
        return _kind(status)(
            words,
            status=status,
            code=self._safe(told["code"]) if "code" in told else None,
            retry_after_s=_seconds(response.headers.get("retry-after")),
        )

    def _safe(self, text: str) -> str:
        return redacted(text, (self._key,) if self._key else ())[:SHOWN]


def _key(url: str, key_env: str | None) -> str | None:
    if key_env is None:
        return None
    value = os.environ.get(key_env, "")
    if not value:
        raise ConfigError(f"key_env is {key_env!r}, and there is no such environment variable: set it, or leave it out")
    try:
        key = key_for(url, value)
    except ConfigError:
        raise ConfigError(f"{key_env} holds no key: one line of letters, digits and signs is expected") from None
    parts = urlsplit(url)
    if parts.scheme != "https" and not is_loopback(parts.hostname):
        raise ConfigError(f"url is {without_secrets(url)!r}: a key would travel unencrypted; use https, or no key_env")
    return key


def _kind(status: int) -> type[ApiError]:
    if status in (401, 403):
        return AccessError
    if status == 404:
        return NotFoundError
    if status == 429:
        return RateLimitError
    return ServerFaultError if status >= 500 else ApiError


def _error_object(body: bytes) -> dict[str, str]:
    """message and code of an error answer, where they are texts."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    error = found.get("error", found) if isinstance(found, dict) else {}
    if isinstance(error, str):
        return {"message": error}
    if not isinstance(error, dict):
        return {}
    return {key: error[key] for key in ("message", "code") if isinstance(error.get(key), str)}


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() and len(value) < 8 else None


def _reason(error: BaseException) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__)[:SHOWN]


__all__ = ["MAX_ANSWER_BYTES", "Service"]
