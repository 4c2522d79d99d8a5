"""`Client` and `SyncClient`: one method for each endpoint, over the HTTP client that the official SDK uses (httpx2).

That library is imported when a client is made: `import engine` and the webhooks do without it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack
from urllib.parse import urlsplit

from engine.errors import ConfigError, MissingExtraError
from engine.realtime.redaction import redacted
from engine.realtime.types import ClientSecret
from engine.rest import operations
from engine.rest.attempts import Attempts, Failure
from engine.rest.operations import Answer, Operation, Session
from engine.rest.results import CallAnswer, Done, OldSession
from engine.service import (
    CertificateAuthority,
    api_base,
    is_loopback,
    key_for,
    key_headers,
    request_url,
    tls,
    without_secrets,
)

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

MAX_ANSWER_BYTES = 4 * 1024 * 1024  # a longer answer is cut off, and is an error
CONNECT_S = 5.0


class Options(TypedDict, total=False):
    """Keyword arguments of both clients; `Client` says what they mean."""

    base_url: str | None
    organization: str | None
    project: str | None
    headers: Mapping[str, str] | None
    timeout_s: float
    retries: int
    ca: CertificateAuthority | None
    proxy: str | None
    chance: Callable[[], float]
    now: Callable[[], float]


class _Caller:
    """What both clients know: where, with which key, how patiently."""

    def __init__(
        self,
        key: str | None = None,
        *,
        base_url: str | None = None,
        organization: str | None = None,
        project: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        retries: int = 2,
        ca: CertificateAuthority | None = None,
        proxy: str | None = None,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http_library()
        if not isinstance(retries, int) or not 0 <= retries <= 10:
            raise ConfigError(f"retries is {retries!r}: use 0 to 10")
        if not 0 < timeout_s <= 3600:
            raise ConfigError(f"timeout_s is {timeout_s!r}: use seconds, more than 0 and at most 3600")
        self._base = api_base(base_url)
        self._key = key_for(request_url(self._base, "/"), key)
        named = {"OpenAI-Organization": organization, "OpenAI-Project": project}
        given = {**{name: value for name, value in named.items() if value is not None}, **(headers or {})}
        self._headers = key_headers(self._base, self._key, given)
        self._secrets = (self._key or "", *(headers or {}).values())
        self._timeout_s = timeout_s
        self._retries = retries
        self._chance = chance
        self._now = now
        self._settings: dict[str, Any] = {
            "timeout": self._http.Timeout(timeout_s, connect=min(timeout_s, CONNECT_S)),
            "headers": {"User-Agent": "bargein"},
            "follow_redirects": False,  # the key goes where it was meant to go, and nowhere else
            "trust_env": not is_loopback(urlsplit(self._base).hostname),  # the environment's proxy
            "limits": self._http.Limits(max_connections=20, max_keepalive_connections=5),
        }
        if proxy is not None:
            self._settings["proxy"] = proxy
        if (context := tls(ca)) is not None:
            self._settings["verify"] = context

    def __repr__(self) -> str:
        return f"{type(self).__name__}({without_secrets(self._base)!r})"

    def _opened(self, kind: Callable[..., T]) -> T:
        try:
            return kind(**self._settings)
        except (ValueError, TypeError, ImportError) as error:  # the text may hold the proxy's password
            raise ConfigError(f"the proxy cannot be used ({type(error).__name__}): give http://HOST:PORT") from None

    def _attempts(self, operation: Operation[T]) -> Attempts[T]:
        if (self._key or "").startswith("ek_") and not operation.ephemeral:
            raise ConfigError(
                f"cannot {operation.doing} with a client secret (ek_...): it opens sessions, and needs an API key"
            )
        return Attempts(operation, retries=self._retries, chance=self._chance, now=self._now, known=self._secrets)

    def _request(self, operation: Operation[Any]) -> dict[str, Any]:
        headers = {"Accept": operation.accept, **self._headers}
        if operation.content_type is not None:
            headers["Content-Type"] = operation.content_type
        return {"url": request_url(self._base, operation.path), "headers": headers, "content": operation.body}

    def _raw(self, session: Session | None, raw: bool | None) -> bool:
        return raw if raw is not None else session is None and (self._key or "").startswith("ek_")

    def _failure(self, error: Exception) -> Failure:
        http, where = self._http, without_secrets(self._base)
        if isinstance(error, http.ConnectError | http.ConnectTimeout | http.PoolTimeout | http.ProxyError):
            return Failure(f"{where} cannot be reached ({_reason(error, self._secrets)})", sent=False)
        if isinstance(error, http.UnsupportedProtocol | http.InvalidURL | http.LocalProtocolError):
            raise ConfigError(f"{where} cannot be asked ({type(error).__name__}): a URL or header is wrong") from None
        if isinstance(error, http.TimeoutException | TimeoutError):
            return Failure(f"{where} did not answer within {self._timeout_s:g} s", sent=True)
        return Failure(f"{where} broke off ({_reason(error, self._secrets)})", sent=True)


def _reason(error: Exception, known: tuple[str, ...]) -> str:
    return redacted(str(error), known)[:200] or type(error).__name__


def http_library() -> ModuleType:
    """httpx2, or `MissingExtraError` naming the extra. Its log leaves out our requests: it would show whole URLs."""
    try:
        import httpx2
    except ImportError:
        raise MissingExtraError("a REST call", "rest") from None
    logging.getLogger("httpx2").addFilter(_not_ours)  # the same one is added once only
    return httpx2


_asking: ContextVar[bool] = ContextVar("bargein_asking", default=False)


def _not_ours(_record: logging.LogRecord) -> bool:
    return not _asking.get()


@contextmanager
def unlogged() -> Iterator[None]:
    """Requests sent within leave no line in the HTTP library's log, which would show whole URLs."""
    token = _asking.set(True)
    try:
        yield
    finally:
        _asking.reset(token)


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


class _TooLong(Exception):
    """The answer is longer than MAX_ANSWER_BYTES."""


class Client(_Caller):
    """The REST endpoints for asyncio. One loop; close it with `aclose` or use it as a block.

        async with Client() as client:
            secret = await client.create_client_secret({"model": "gpt-realtime"}, expires_after_s=60)

    `key`, else OPENAI_API_KEY, goes to `base_url`, else OPENAI_BASE_URL, else the hosted service; Azure's style is
    known by its URL (`engine.service`). `headers` are added to every request, `timeout_s` bounds each attempt,
    `retries` (0 to 10) how often a failed one is repeated where that is safe. `ca` is a PEM file or an SSLContext,
    `proxy` a URL, else the environment's. `chance` and `now` are for tests.

    A session is one of `engine.realtime.types` or a mapping in the wire's shape, held to `engine.realtime.rules` unless
    `validate` is False. Every method raises `ConfigError` before anything is sent, `ApiError` (its kinds are in
    `engine.errors`) for a refusal, and `TransportError` when no answer came.
    """

    def __init__(self, key: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(key, **options)
        self._client: httpx2.AsyncClient = self._opened(self._http.AsyncClient)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def create_client_secret(
        self, session: Session | None = None, *, expires_after_s: int | None = None, validate: bool = True
    ) -> ClientSecret:
        """A short-lived key, 10 to 7200 s (default 600), with a session attached: the starting configuration."""
        return await self._run(operations.create_client_secret(session, expires_after_s, validate=validate))

    async def create_session(self, session: Session | None = None, *, validate: bool = True) -> OldSession:
        """The old way to a key; the session in the beta's shape."""
        return await self._run(operations.create_session(session, validate=validate))

    async def create_transcription_session(
        self, session: Session | None = None, *, validate: bool = True
    ) -> OldSession:
        """The old way to a key for transcription; the session in the beta's shape."""
        return await self._run(operations.create_transcription_session(session, validate=validate))

    async def create_call(
        self, sdp: str, session: Session | None = None, *, raw: bool | None = None, validate: bool = True
    ) -> CallAnswer:
        """Open a WebRTC session with an SDP offer. `raw` posts the offer alone; by default that is done when the key
        is a client secret and no session is given.
        """
        return await self._run(operations.create_call(sdp, session, raw=self._raw(session, raw), validate=validate))

    async def accept_call(self, call_id: str, session: Session, *, validate: bool = True) -> Done:
        """Answer a call with this session. `NotFoundError`: the caller has gone."""
        return await self._run(operations.accept_call(call_id, session, validate=validate))

    async def reject_call(self, call_id: str, status_code: int | None = None) -> Done:
        """Refuse a call with a SIP status, 400 to 699; without one the service says 603, Decline."""
        return await self._run(operations.reject_call(call_id, status_code))

    async def refer_call(self, call_id: str, target_uri: str) -> Done:
        """Transfer a call to tel:... or sip:..."""
        return await self._run(operations.refer_call(call_id, target_uri))

    async def hang_up_call(self, call_id: str) -> Done:
        """End a call."""
        return await self._run(operations.hang_up_call(call_id))

    async def _run(self, operation: Operation[T]) -> T:
        attempts = self._attempts(operation)
        while True:
            wait = attempts.judge(await self._attempt(operation))
            if wait is None:
                return attempts.result
            await asyncio.sleep(wait)

    async def _attempt(self, operation: Operation[Any]) -> Answer | Failure:
        try:
            with unlogged():
                async with (
                    asyncio.timeout(self._timeout_s),
                    self._client.stream("POST", **self._request(operation)) as response,
                ):
                    body = bytearray()
                    async for piece in response.aiter_bytes():
                        body += piece
                        if len(body) > MAX_ANSWER_BYTES:
                            raise _TooLong
                    return _answer(response, bytes(body))
        except _TooLong:
            return Failure(f"the answer is longer than {MAX_ANSWER_BYTES} bytes", sent=True)
        except (self._http.HTTPError, self._http.InvalidURL, TimeoutError) as error:
            return self._failure(error)


class SyncClient(_Caller):
    """The same endpoints for programs without asyncio: see `Client`. One thread; `timeout_s` bounds each read."""

    def __init__(
        self, key: str | None = None, *, sleep: Callable[[float], None] = time.sleep, **options: Unpack[Options]
    ) -> None:
        super().__init__(key, **options)
        self._sleep = sleep
        self._client: httpx2.Client = self._opened(self._http.Client)

    def __enter__(self) -> SyncClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def create_client_secret(
        self, session: Session | None = None, *, expires_after_s: int | None = None, validate: bool = True
    ) -> ClientSecret:
        """See `Client.create_client_secret`."""
        return self._run(operations.create_client_secret(session, expires_after_s, validate=validate))

    def create_session(self, session: Session | None = None, *, validate: bool = True) -> OldSession:
        """See `Client.create_session`."""
        return self._run(operations.create_session(session, validate=validate))

    def create_transcription_session(self, session: Session | None = None, *, validate: bool = True) -> OldSession:
        """See `Client.create_transcription_session`."""
        return self._run(operations.create_transcription_session(session, validate=validate))

    def create_call(
        self, sdp: str, session: Session | None = None, *, raw: bool | None = None, validate: bool = True
    ) -> CallAnswer:
        """See `Client.create_call`."""
        return self._run(operations.create_call(sdp, session, raw=self._raw(session, raw), validate=validate))

    def accept_call(self, call_id: str, session: Session, *, validate: bool = True) -> Done:
        """See `Client.accept_call`."""
        return self._run(operations.accept_call(call_id, session, validate=validate))

    def reject_call(self, call_id: str, status_code: int | None = None) -> Done:
        """See `Client.reject_call`."""
        return self._run(operations.reject_call(call_id, status_code))

    def refer_call(self, call_id: str, target_uri: str) -> Done:
        """See `Client.refer_call`."""
        return self._run(operations.refer_call(call_id, target_uri))

    def hang_up_call(self, call_id: str) -> Done:
        """See `Client.hang_up_call`."""
        return self._run(operations.hang_up_call(call_id))

    def _run(self, operation: Operation[T]) -> T:
        attempts = self._attempts(operation)
        while True:
            wait = attempts.judge(self._attempt(operation))
            if wait is None:
                return attempts.result
            self._sleep(wait)

    def _attempt(self, operation: Operation[Any]) -> Answer | Failure:
        try:
            with unlogged(), self._client.stream("POST", **self._request(operation)) as response:
                body = bytearray()
                for piece in response.iter_bytes():
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise _TooLong
                return _answer(response, bytes(body))
        except _TooLong:
            return Failure(f"the answer is longer than {MAX_ANSWER_BYTES} bytes", sent=True)
        except (self._http.HTTPError, self._http.InvalidURL) as error:
            return self._failure(error)
