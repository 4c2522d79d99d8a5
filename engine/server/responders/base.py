"""The interface between the session and a brain: a read-only view of the conversation in, a stream of parts out.

A brain never sees the socket or the session. It may sleep and await what it likes; when the response is cancelled,
its generator is closed at the await it stands in. It runs on the loop, so long computing belongs in a thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from engine.server.formats import Samples
from engine.server.recognisers.base import Heard, Recogniser
from engine.server.voices.base import Voice


@dataclass(frozen=True, slots=True)
class Say:
    """Words to say: spoken with a transcript when the response is audio, written when it is text.

    Cut into sentences on the way.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Words to write, never spoken, whatever the modality of the response."""

    text: str


@dataclass(frozen=True, slots=True)
class Audio:
    """Sound to send: mono float32 at 24 kHz in [-1, 1]. In a text response only the transcript is sent."""

    samples: Samples
    transcript: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call. `arguments` is JSON text, taken as it is; `call_id` is made when empty."""

    name: str
    arguments: str = "{}"
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the arguments of a function call, sent as soon as it is yielded.

    The first piece of an `index` begins a call, and needs its name; pieces with the same index go on with it, so calls
    may come side by side. All open calls end with the next part that is no ToolCallDelta, or with the stream.
    """

    arguments: str
    name: str = ""
    call_id: str = ""
    """Made when empty; only that of the first piece counts."""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response as failed: `response.done` carries type, code and message. Nothing after it is read."""

    message: str
    code: str = "server_error"
    type: str = "server_error"


@dataclass(frozen=True, slots=True)
class Stop:
    """End the response now. With a reason ("max_output_tokens", "content_filter") it is incomplete, without one
    completed.

    A stream that simply ends is completed as well.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class McpCall:
    """The service calls a tool of the MCP server with this label. The session's require_approval decides whether the
    client is asked before. Only for a server that a script plays: what it answers `delay` seconds later, or the words
    of its `error`; a real one answers for itself.
    """

    server: str
    name: str
    arguments: str = "{}"
    output: str = ""
    error: str = ""
    delay: float = 0.0


Part = Say | Text | Audio | ToolCall | ToolCallDelta | McpCall | Fail | Stop


@dataclass(frozen=True, slots=True)
class Tool:
    """One function the model may call. `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class McpTool:
    """One tool of an MCP server that the model may call, with an McpCall. `parameters` is its JSON schema."""

    server: str
    """The label of its server."""
    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a client's function gave back. `name` is "" when the call is not in the conversation any more."""

    call_id: str
    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What a brain may know when it is asked. A snapshot: later events do not change it."""

    number: int
    """Which response of the conversation this is, from 1; out-of-band responses count on their own."""
    user_turn: int
    """How many user messages the context holds."""
    text: str
    """What the user last wrote, or the words of what they last said; "" when neither is known (yet: `understood`)."""
    instructions: str = ""
    modality: str = "audio"
    """"audio" or "text"."""
    voice: str = "alloy"
    tools: Sequence[Tool] = ()
    mcp_tools: Sequence[McpTool] = ()
    """Tools of the session's MCP servers, as far as they are listed by now and allowed_tools lets them pass."""
    tool_choice: Any = "auto"
    """"none", "auto", "required", {type: function, name} or {type: mcp, server_label, name?}."""
    tool_outputs: Sequence[ToolOutput] = ()
    """Outputs of function calls and MCP calls since the last user message, in order."""
    metadata: Mapping[str, str] | None = None
    items: Sequence[Mapping[str, Any]] = ()
    """The context as wire items without audio bytes, oldest first: what truncation left out is not here. Where words of
    the user's speech are known, they are its `transcript`, also when the session asked for none.
    """
    truncated: Mapping[str, float] = field(default_factory=dict)
    """Items here that the client cut, by id, and how many milliseconds the user has heard of each. Their words are
    gone: how many of them were heard is not known.
    """
    load_audio: Callable[[], Samples] = lambda: np.zeros(0, np.float32)
    load_item: Callable[[str], Samples] = lambda _: np.zeros(0, np.float32)
    heard: Heard | None = None
    """What the recogniser made of what the user last said; None before `understood`, and when they wrote."""
    load_words: Callable[[], Awaitable[Turn]] | None = None

    async def understood(self) -> Turn:
        """This turn with the words of everything that was said in it.

        Waits for the recogniser where words are still to come (the session bounds how long). Then `text` is "" only
        when nothing was understood; `heard.failure` tells when that is the recogniser's fault, or that there is none.
        """
        return self if self.load_words is None else await self.load_words()

    def audio(self) -> Samples:
        """What the user last said as mono float32 at 24 kHz; empty when they wrote, or when the sound has been
        dropped.
        """
        return self.load_audio()

    def audio_of(self, item_id: str) -> Samples:
        """The sound of any item of `items` as mono float32 at 24 kHz; empty when it has none, or none any more."""
        return self.load_item(item_id)


class Responder(Protocol):
    """A brain. One object serves every session, so it keeps nothing about a conversation in itself."""

    @property
    def name(self) -> str:
        """How it is called in the log and in `responder(name)`."""

    def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """Answer one turn: an async generator of parts.

        An exception ends the response as failed; the session lives on.
        """


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What a brain may know about a session when it begins."""

    id: str
    model: str = ""
    """What the client's URL asked for, or the server's default; "" in a transcription session."""
    transcription: bool = False
    """The session only writes down what it hears: no turn will be asked for."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The effective session as session.created will show it."""


@runtime_checkable
class WarmsUp(Protocol):
    """A brain, recogniser or voice that must load, or reach something, before it can serve."""

    async def warm_up(self) -> None:
        """Called once per server, before the first session.created; sessions wait for it. Cheap when it is warm.

        An exception ends the waiting sessions with the error brain_unavailable; the next session calls it again.
        """


@runtime_checkable
class Closes(Protocol):
    """A brain, recogniser or voice that holds connections, processes or threads."""

    async def aclose(self) -> None:
        """Called when its server has closed. Whoever asks it again afterwards finds it open again."""


@runtime_checkable
class PerSession(Protocol):
    """A brain with state of its own for each session."""

    def session(self, info: SessionInfo) -> AbstractAsyncContextManager[Responder]:
        """Entered before session.created and left when the session ends, after its last turn, in the same task.

        The responder it yields answers this session's turns. An exception on entering ends the session with the error
        brain_unavailable.
        """


@runtime_checkable
class HasRecogniser(Protocol):
    """A brain with ears of its own, which are then the session's."""

    @property
    def recogniser(self) -> Recogniser | None:
        """They; None to hear with the server's."""


@runtime_checkable
class HasVoice(Protocol):
    """A brain with a voice of its own, which is then the session's."""

    @property
    def voice(self) -> Voice | None:
        """It; None to speak with the server's."""


def voice_of(responder: object) -> Voice | None:
    """The voice that a brain brings along."""
    return responder.voice if isinstance(responder, HasVoice) else None


def ears_of(responder: object) -> Recogniser | None:
    """The recogniser that a brain brings along."""
    return responder.recogniser if isinstance(responder, HasRecogniser) else None
