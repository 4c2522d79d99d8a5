"""`chat`: any language model behind an OpenAI-compatible /v1/chat/completions, streamed and spoken clause by clause.

url: http://127.0.0.1:11434/v1        # the base; /chat/completions is added
model: llama3.2
key_env: OPENAI_API_KEY               # the environment variable with the key; left out, none is sent
temperature: 0.7                      # these three are sent only when given
max_tokens: 300
extra: {top_p: 0.9}                   # more members of the request
images: true                          # whether pictures are shown to the model, or only mentioned
thinking_open: false                  # the model's answers begin within a thought that it only closes
not_understood: "Sorry, I did not understand that."
connect_s: 5                          # how long at most: to connect, until the first word,
first_s: 30
idle_s: 15                            # between two pieces,
total_s: 300                          # and for the whole answer
recogniser: pocketsphinx              # see recognisers/configured.py; what the server has, when it is left out
voice: {kind: espeak-ng}              # see voices/configured.py; likewise
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from engine.errors import (
    AccessError,
    ApiError,
    ConfigError,
    EngineError,
    NotFoundError,
    RateLimitError,
    ServerFaultError,
    TransportError,
)
from engine.server.recognisers.base import Recogniser
from engine.server.recognisers.configured import recogniser_from
from engine.server.remote import Service
from engine.server.responders import yamlfile
from engine.server.responders.base import Fail, Part, Say, Stop, Turn
from engine.server.responders.chat_answer import ChatAnswer
from engine.server.responders.chat_messages import mcp_name, messages, tool_choice, tools
from engine.server.responders.places import Place, fields
from engine.server.responders.sse import EventStream
from engine.server.responders.words_out import Spoken, Written
from engine.server.voices.base import Voice
from engine.server.voices.configured import voice_from

T = TypeVar("T")

_log = logging.getLogger("bargein.server")

MAX_BODY_BYTES = 8 * 2**20
"""A stream that is longer is given up: no answer is."""
PATH = "/chat/completions"
_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
OWN = frozenset({"model", "messages", "stream", "tools", "tool_choice", "n"})
"""Members of the request that `extra` may not set."""


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """How to ask. See the module for the meaning of each; times are seconds."""

    url: str
    model: str
    key_env: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    images: bool = True
    thinking_open: bool = False
    not_understood: str = "Sorry, I did not understand that."
    connect_s: float = 5.0
    first_s: float = 30.0
    idle_s: float = 15.0
    total_s: float = 300.0

    def __post_init__(self) -> None:
        for name in ("url", "model"):
            if not getattr(self, name):
                raise ConfigError(f"{name} is empty: it must be given")
        for name in ("connect_s", "first_s", "idle_s", "total_s"):
            if not 0.01 <= getattr(self, name) <= 3600:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: use 0.01 to 3600")
        if taken := OWN.intersection(self.extra):
            raise ConfigError(f"extra has {min(taken)!r}, which is this brain's to set")


class Chat:
    """A language model as a brain. Needs the extra `rest`."""

    def __init__(
        self, settings: ChatSettings, *, recogniser: Recogniser | None = None, voice: Voice | None = None
    ) -> None:
        self.settings = settings
        self.recogniser = recogniser
        self.voice = voice
        self._service = Service(settings.url, key_env=settings.key_env, connect_s=settings.connect_s)

    @classmethod
    def load(cls, path: str | Path) -> Chat:
        """Read a YAML file in the module's form. Raises ConfigError naming file, line and field."""
        return cls.of(*yamlfile.load(path, "the chat responder's YAML file"))

    @classmethod
    def of(cls, data: Mapping[str, Any], place: Place | None = None) -> Chat:
        """From a plain dict in the module's form. Raises ConfigError."""
        place = place or Place("chat", {})
        fields(data, (*ChatSettings.__annotations__, "recogniser", "voice"), place)
        own = {key: value for key, value in data.items() if key in ChatSettings.__annotations__}
        with place.around():
            settings = yamlfile.made(ChatSettings, own, place)
        recogniser = recogniser_from(data["recogniser"], place.at("recogniser")) if "recogniser" in data else None
        voice = voice_from(data["voice"], place.at("voice")) if "voice" in data else None
        with place.around():
            return cls(settings, recogniser=recogniser, voice=voice)

    @property
    def name(self) -> str:
        """ "chat:" and which model where."""
        return f"chat:{self.settings.model} at {self._service.shown}"

    async def warm_up(self) -> None:
        """Whether the service is there and takes the key; a model that it does not list is only warned of, since some
        load theirs when they are asked. The model itself is not asked: that could cost something.
        """
        await self._service.check()
        try:
            listed = _names(await self._service.get("/models"))
        except AccessError:
            raise
        except TransportError as error:
            _log.info("%s lists no models: %s", self.name, error)
            return
        if listed and self.settings.model not in listed:
            shown = ", ".join(sorted(listed)[:5])
            _log.warning("%s: the service does not list this model; it has %s", self.name, shown)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._service.aclose()

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See `Responder.respond`."""
        turn = await turn.understood()
        if answer := self._without_words(turn):
            yield answer
            return
        words: Spoken | Written = (Spoken if turn.modality == "audio" else Written)(
            thinking_open=self.settings.thinking_open
        )
        so_far = ChatAnswer({mcp_name(tool.server, tool.name): (tool.server, tool.name) for tool in turn.mcp_tools})
        try:
            async with aclosing(self._stream(self._request(turn), so_far)) as texts:
                async for text in texts:
                    for part in words.process(text):
                        yield part
                    if pieces := so_far.pieces():
                        for part in (*words.flush(), *pieces):
                            yield part
        except EngineError as error:
            for part in words.flush():
                yield part
            yield _failure(error)
            return
        for part in words.flush():
            yield part
        for call in so_far.rest():
            yield call
        yield Stop(_INCOMPLETE.get(so_far.finish_reason or ""))

    def _without_words(self, turn: Turn) -> Part | None:
        """What to answer when the newest thing is speech that was not understood: the model has nothing to go by."""
        newest = turn.items[-1] if turn.items else {}
        if turn.text or turn.heard is None or newest.get("role") != "user":
            return None
        if turn.heard.failure:
            return Fail(turn.heard.failure, code="transcription_failed")
        return Say(self.settings.not_understood)

    def _request(self, turn: Turn) -> dict[str, Any]:
        settings = self.settings
        body: dict[str, Any] = {
            **settings.extra,
            "model": settings.model,
            "messages": messages(turn, images=settings.images),
            "stream": True,
        }
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            body["max_tokens"] = settings.max_tokens
        if turn.tools or turn.mcp_tools:
            body["tools"] = tools(turn)
            body["tool_choice"] = tool_choice(turn.tool_choice)
        return body

    async def _stream(self, body: Mapping[str, Any], answer: ChatAnswer) -> AsyncGenerator[str, None]:
        """The pieces of text as they come. Closing it closes the HTTP stream, which tells the server to stop."""
        patience, events, size = _Patience(self.settings), EventStream(), 0
        async with AsyncExitStack() as stack:
            response = await patience.wait(stack.enter_async_context(self._service.stream(PATH, body)))
            streamed = "application/json" not in response.headers.get("content-type", "")
            pieces, whole = aiter(response.aiter_bytes()), b""
            while (piece := await patience.wait(anext(pieces, None))) is not None:
                size += len(piece)
                if size > MAX_BODY_BYTES:
                    raise TransportError(f"the model answered more than {MAX_BODY_BYTES} bytes")
                if not streamed:
                    whole += piece
                    continue
                patience.idle()
                for data in events.process(piece):
                    yield answer.add(data)
                    if answer.over:
                        return
            for data in events.flush() if streamed else [whole.decode(errors="replace")]:
                yield answer.add(data)
            if streamed and answer.finish_reason is None and not answer.over:
                raise TransportError("the model's answer broke off in the middle")


class _Patience:
    """How long the model may take. Only waiting for it counts: the listener, who takes as long as speech lasts, is
    waited for elsewhere.
    """

    def __init__(self, settings: ChatSettings) -> None:
        self._left = settings.total_s
        self._now = settings.first_s
        self._idle = settings.idle_s

    def idle(self) -> None:
        """It has begun: from now on only the pause between two pieces is bounded."""
        self._now = self._idle

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of `work`. Raises TimedOut."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(min(self._now, self._left)):
                return await work
        except TimeoutError:
            raise TimedOut("the model took too long") from None
        finally:
            self._left = max(self._left - (loop.time() - began), 0.0)


class TimedOut(TransportError):
    """The model did not answer in time."""


def _names(body: bytes) -> set[str]:
    """The ids of a list of models; none for what is no such list."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return set()
    listed = found.get("data") if isinstance(found, dict) else None
    return {str(each["id"])[:100] for each in listed or () if isinstance(each, dict) and "id" in each}


def _failure(error: EngineError) -> Fail:
    """The end of a response, in the service's own codes. The words hold no key: `Service` has seen to that."""
    _log.warning("the model failed: %s", error or type(error).__name__)
    if isinstance(error, TimedOut):
        return Fail("The language model did not answer in time.", code="timeout")
    message = f"The language model failed: {error}."
    if isinstance(error, AccessError):
        return Fail(message, code="invalid_api_key", type="authentication_error")
    if isinstance(error, RateLimitError):
        later = f" Try again in {error.retry_after_s:g} s." if error.retry_after_s is not None else ""
        return Fail(message + later, code="rate_limit_exceeded", type="rate_limit_error")
    if isinstance(error, NotFoundError):
        return Fail(message, code="model_not_found", type="invalid_request_error")
    if isinstance(error, ServerFaultError):
        return Fail(message, code="server_error")
    if isinstance(error, ApiError):
        return Fail(message, code=error.code or "invalid_request", type="invalid_request_error")
    return Fail(message, code="brain_unavailable")


__all__ = ["Chat", "ChatSettings"]
