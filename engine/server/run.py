"""One response as it is produced: its items and parts, the events in their order, and its end.

Every method is synchronous, so nothing comes between an event and the state it reports. After `finish` nothing is
emitted any more: a cancelled producer that still has something in its hands finds the run over.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from engine.realtime import events as ev
from engine.server import items
from engine.server.history import AudioBudget, History
from engine.server.ids import Ids
from engine.server.items import Clip, Item
from engine.server.run_settings import RunSettings
from engine.server.usage import (
    CHARACTERS_PER_TOKEN,
    MS_PER_OUTPUT_TOKEN,
    Usage,
    characters_as_tokens,
    output_audio_tokens,
    text_tokens,
)

Emit = Callable[[ev.Event], None]

ARGUMENTS_DELTA = 40
"""Characters in a delta of arguments that came whole."""


@dataclasses.dataclass(slots=True)
class _OpenCall:
    """A function call whose arguments are still coming."""

    item: Item
    pieces: list[str] = dataclasses.field(default_factory=list)
    size: int = 0
    """Characters of them all."""

    @property
    def tokens(self) -> int:
        return text_tokens(str(self.item.wire["name"])) + characters_as_tokens(self.size)


class ResponseRun:
    """A response in progress. `history` is None for an out-of-band one: then no conversation events are emitted."""

    def __init__(
        self,
        settings: RunSettings,
        *,
        ids: Ids,
        emit: Emit,
        history: History | None,
        budget: AudioBudget,
        usage: Usage,
        ended: Callable[[ResponseRun], None],
    ) -> None:
        self.settings = settings
        self.id = ids.new("resp")
        self.over = False
        self.status = "in_progress"
        self.usage = usage
        self._ids = ids
        self._emit = emit
        self._ended = ended  # called once, right after response.done was emitted
        self._history = history
        self._budget = budget
        self._output: list[Item] = []
        self._message: Item | None = None  # the message that is open
        self._part: dict[str, Any] | None = None  # its open part, as stored
        self._audio_size = 0  # bytes sent
        self._said: list[str] = []  # deltas of the open part
        self._said_size = 0  # characters
        self._mcp_call: Item | None = None  # the call of an MCP server's tool that is open
        self._calls: dict[str, _OpenCall] = {}  # by item id; as many as the brain opens at once

    @property
    def audio_ms(self) -> float:
        """Audio sent so far, in milliseconds."""
        return self._audio_size / self.settings.format.bytes_per_ms

    def begin(self) -> None:
        """Emit response.created."""
        self._emit(ev.ResponseCreated(response=self._wire("in_progress", None)))

    def text(self, delta: str) -> None:
        """More text of a text part."""
        if self.over or not delta:
            return
        self._open_part("text")
        if delta := self._fitting(delta, self._said_size):
            self._say(delta)
            self._emit(ev.ResponseOutputTextDelta(**self._place(), delta=delta))
        self._check_length()

    def transcript(self, delta: str) -> None:
        """More words of an audio part."""
        if self.over or not delta:
            return
        self._open_part("audio")
        if delta := self._fitting(delta, self._said_size):
            self._say(delta)
            self._emit(ev.ResponseOutputAudioTranscriptDelta(**self._place(), delta=delta))
        self._check_length()

    def audio(self, delta: bytes) -> None:
        """More audio, in the response's wire format."""
        if self.over or not delta:
            return
        clip = self._open_part("audio")
        assert clip is not None
        if (left := self._tokens_left()) is not None:
            delta = delta[: max(self._audio_most(left) - self._audio_size, 0)]
        if not clip.truncated:
            clip.size += len(delta)
            if self._history is not None and not clip.dropped:  # out-of-band audio is sent and forgotten
                clip.data += delta
                self._budget.keep(clip, len(delta))
        self._audio_size += len(delta)
        if delta:
            self._emit(ev.ResponseOutputAudioDelta(**self._place(), delta=delta))
        self._check_length()

    def function_call(self, name: str, arguments: str, call_id: str) -> None:
        """A whole function call: added, its arguments in pieces, done."""
        item_id = self.begin_call(name, call_id)
        for start in range(0, len(arguments), ARGUMENTS_DELTA):
            self.call_arguments(item_id, arguments[start : start + ARGUMENTS_DELTA])
        self.end_call(item_id)

    def begin_call(self, name: str, call_id: str) -> str:
        """Begin a function call: the new item's id. Several may be open at once, but no message beside them."""
        if self.over:
            return ""
        self._close_message("completed")
        item = items.function_call(self._ids.new("item"), name, call_id or self._ids.new("call"))
        self._calls[item.id] = _OpenCall(item)
        self._add(item)
        self._check_length()
        return item.id

    def call_arguments(self, item_id: str, delta: str) -> None:
        """More of the arguments of an open call; nothing for one that is closed."""
        call = self._calls.get(item_id)
        if call is None or not delta:
            return
        if delta := self._fitting(delta, call.size):
            call.pieces.append(delta)
            call.size += len(delta)
            call_id = str(call.item.wire["call_id"])
            where = self._place_of(call.item)
            self._emit(ev.ResponseFunctionCallArgumentsDelta(**where, call_id=call_id, delta=delta))
        self._check_length()

    def end_call(self, item_id: str, status: str = "completed") -> None:
        """The arguments are whole; with another status they end where they are, as JSON cut short."""
        call = self._calls.pop(item_id, None)
        if call is None:
            return
        item, arguments = call.item, "".join(call.pieces)
        name, call_id = str(item.wire["name"]), str(item.wire["call_id"])
        self._emit(
            ev.ResponseFunctionCallArgumentsDone(
                **self._place_of(item), call_id=call_id, name=name, arguments=arguments
            )
        )
        item.wire["arguments"] = arguments
        self.usage.output_text += call.tokens
        self._done(item, status)

    def _place_of(self, item: Item) -> dict[str, Any]:
        return {"response_id": self.id, "item_id": item.id, "output_index": self.place_of(item)}

    def fits(self, name: str, arguments: str) -> bool:
        """Whether a call is within max_output_tokens; else the response ends here. A call that the server itself makes
        is made with all of its arguments or not at all.
        """
        left = self._tokens_left()
        if left is not None and text_tokens(name) + text_tokens(arguments) > left:
            self.finish("incomplete", reason="max_output_tokens")
        return not self.over

    def approval_request(self, server: str, name: str, arguments: str) -> str:
        """Ask the client whether a tool of an MCP server may be called; the new item's id."""
        self._close_message("completed")
        item = self._mcp_item("mcp_approval_request", server, name)
        item.wire["arguments"] = arguments
        self._add(item)
        self.usage.output_text += text_tokens(name) + text_tokens(arguments)
        self._done(item, "completed")
        self._check_length()
        return item.id

    def mcp_call(self, server: str, name: str, arguments: str) -> Item:
        """Begin a call of an MCP server's tool: added, its arguments in pieces. `close_item` ends it."""
        self._close_message("completed")
        item = self._mcp_item("mcp_call", server, name)
        item.wire |= {"arguments": "", "approval_request_id": None, "output": None, "error": None}
        self._add(item)
        where = self._place_of(item)
        for start in range(0, len(arguments), ARGUMENTS_DELTA):
            piece = arguments[start : start + ARGUMENTS_DELTA]
            self._emit(ev.ResponseMcpCallArgumentsDelta(**where, delta=piece))
        self._emit(ev.ResponseMcpCallArgumentsDone(**where, arguments=arguments))
        item.wire["arguments"] = arguments
        self.usage.output_text += text_tokens(name) + text_tokens(arguments)
        self._mcp_call = item
        return item

    def place_of(self, item: Item) -> int:
        """Its output_index."""
        return self._output.index(item)

    def close_item(self, item: Item, *, settled: bool = False) -> None:
        """The response is done with a call; the conversation has it whole only when it is `settled`."""
        self._mcp_call = None
        if settled:
            self._done(item, "completed")
        else:
            place = self.place_of(item)
            self._emit(ev.ResponseOutputItemDone(response_id=self.id, output_index=place, item=snapshot(item)))
        self._check_length()

    def _mcp_item(self, kind: str, server: str, name: str) -> Item:
        return Item({"id": self._ids.new("item"), "type": kind, "server_label": server, "name": name})

    def close_part(self) -> None:
        """End the open part, if there is one: its .done events, in order."""
        part, message = self._part, self._message
        if part is None or message is None:
            return
        place = self._place()
        said = "".join(self._said)
        if part["type"] == "output_audio":
            self._emit(ev.ResponseOutputAudioDone(**place))
            self._emit(ev.ResponseOutputAudioTranscriptDone(**place, transcript=said))
            self._emit(ev.ResponseContentPartDone(**place, part={"type": "audio", "transcript": said}))
            if not message.clips[place["content_index"]].truncated:
                part["transcript"] = said
        else:
            part["text"] = said
            self._emit(ev.ResponseOutputTextDone(**place, text=said))
            self._emit(ev.ResponseContentPartDone(**place, part={"type": "text", "text": said}))
        self.usage.output_text += text_tokens(said)
        self._part = None
        self._said = []
        self._said_size = 0

    def _say(self, delta: str) -> None:
        self._said.append(delta)
        self._said_size += len(delta)

    def finish(self, status: str, *, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        """End the response, once: open parts and items first, then response.done. Later calls do nothing."""
        if self.over:
            return
        whole = "completed" if status == "completed" else "incomplete"
        self._close_message(whole)
        for item_id in tuple(self._calls):
            self.end_call(item_id, whole)
        if (item := self._mcp_call) is not None:
            item.wire["error"] = {"type": "tool_execution_error", "message": "The response ended before the call."}
            self._emit(ev.ResponseMcpCallFailed(item_id=item.id, output_index=self.place_of(item)))
            self._done(item, whole)
        self.over = True
        self.status = status
        self.usage.output_audio = output_audio_tokens(self.audio_ms)
        details: dict[str, Any] | None = None
        if status != "completed":
            details = {"type": status}
            details |= {"reason": reason} if reason else {}
            details |= {"error": error} if error else {}
        self._emit(ev.ResponseDone(response=self._wire(status, details)))
        self._ended(self)

    def _open_part(self, kind: str) -> Clip | None:
        stored = "output_audio" if kind == "audio" else "output_text"
        if self._part is not None and self._part["type"] != stored:
            self.close_part()
        if self._message is None:
            self._message = items.assistant_message(self._ids.new("item"))
            self._add(self._message)
        content = self._message.wire["content"]
        if self._part is None:
            self._part = {"type": stored}
            content.append(self._part)
            empty = {"transcript": ""} if kind == "audio" else {"text": ""}
            if kind == "audio":
                self._message.clips[len(content) - 1] = Clip(self.settings.format)
            self._emit(ev.ResponseContentPartAdded(**self._place(), part={"type": kind, **empty}))
        return self._message.clips.get(len(content) - 1)

    def _place(self) -> dict[str, Any]:
        assert self._message is not None
        return {
            "response_id": self.id,
            "item_id": self._message.id,
            "output_index": len(self._output) - 1,
            "content_index": len(self._message.wire["content"]) - 1,
        }

    def _add(self, item: Item) -> None:
        self._output.append(item)
        index = len(self._output) - 1
        self._emit(ev.ResponseOutputItemAdded(response_id=self.id, output_index=index, item=snapshot(item)))
        if self._history is not None:
            self._history.append(item)
            previous = self._history.previous(item.id)  # asked now: the one before may have made room
            self._emit(ev.ConversationItemAdded(previous_item_id=previous, item=snapshot(item)))

    def _close_message(self, status: str) -> None:
        self.close_part()
        if self._message is not None:
            self._done(self._message, status)
            self._message = None

    def _done(self, item: Item, status: str) -> None:
        if not item.type.startswith("mcp_"):  # those have none
            item.wire["status"] = status
        if self._history is not None and item.id in self._history:
            previous = self._history.previous(item.id)
            self._emit(ev.ConversationItemDone(previous_item_id=previous, item=snapshot(item)))
        index = self._output.index(item)
        self._emit(ev.ResponseOutputItemDone(response_id=self.id, output_index=index, item=snapshot(item)))
        if self._history is not None:
            self._history.settle(item)

    # ---- max_output_tokens

    def _tokens_left(self) -> int | None:
        """Tokens that may still be written, the open part, the open calls and the audio counted; None without limit."""
        limit = self.settings.config["max_output_tokens"]
        if limit == "inf":
            return None
        open_calls = sum(call.tokens for call in self._calls.values())
        written = self.usage.output_text + characters_as_tokens(self._said_size) + open_calls
        return int(limit) - written - output_audio_tokens(self.audio_ms)

    def _fitting(self, delta: str, before: int) -> str:
        """What of a delta fits behind the `before` characters of its text."""
        left = self._tokens_left()
        if left is None:
            return delta
        return delta[: max((characters_as_tokens(before) + left) * CHARACTERS_PER_TOKEN - before, 0)]

    def _audio_most(self, left: int) -> int:
        """Bytes of audio that all of the response may have."""
        tokens = output_audio_tokens(self.audio_ms) + left
        return tokens * MS_PER_OUTPUT_TOKEN * self.settings.format.bytes_per_ms

    def _check_length(self) -> None:
        left = self._tokens_left()
        if left is not None and left <= 0 and not self.over:
            self.finish("incomplete", reason="max_output_tokens")

    def _wire(self, status: str, details: dict[str, Any] | None) -> dict[str, Any]:
        config = self.settings.config
        output = config["audio"]["output"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [snapshot(item) for item in self._output],
            "conversation_id": self.settings.conversation_id,
            "output_modalities": config["output_modalities"],
            "max_output_tokens": config["max_output_tokens"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "usage": self.usage.wire() if self.over else None,
            "metadata": self.settings.metadata,
        }


def snapshot(item: Item) -> dict[str, Any]:
    """An item's wire object as it is now, safe from later changes."""
    wire = dict(item.wire)
    if "content" in wire:
        wire["content"] = [dict(part) for part in wire["content"]]
    return wire
