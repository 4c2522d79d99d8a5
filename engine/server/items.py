"""Conversation items: what a client may create, and how an item is kept.

An item is its wire object without audio, plus one `Clip` per audio part. `conversation.item.retrieve` joins them again.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from engine.audio import AudioFormat
from engine.realtime.client_rules import MAX_APPEND_BYTES
from engine.realtime.events import MAX_ID
from engine.server import pictures
from engine.server.formats import Samples, decode_all
from engine.server.pictures import MAX_URI
from engine.server.recognisers.base import Heard
from engine.server.refusal import Refusal, invalid_value
from engine.server.shapes import Check, array, base64_audio, boolean, fields, nullable, one_of, text

_OLD_FORMAT_NAMES = {AudioFormat.PCM: "pcm16", AudioFormat.PCMU: "g711_ulaw", AudioFormat.PCMA: "g711_alaw"}


@dataclass(slots=True)
class Clip:
    """The sound of one content part, in wire form."""

    format: AudioFormat
    data: bytearray = field(default_factory=bytearray)
    size: int = 0
    """Bytes it is long; stays true after the data was dropped."""
    dropped: bool = False
    """The session's budget was full and this was the oldest."""
    truncated: bool = False
    """A client cut it: nothing is added any more, and its transcript is gone."""

    @property
    def duration_ms(self) -> float:
        """Its length in milliseconds."""
        return self.size / self.format.bytes_per_ms

    def samples(self) -> Samples:
        """The sound as float32 at 24 kHz."""
        return decode_all(bytes(self.data), self.format)


@dataclass(slots=True)
class Item:
    """One item of a conversation or of a response."""

    wire: dict[str, Any]
    clips: dict[int, Clip] = field(default_factory=dict)
    """Sound by content index."""
    understood: str = ""
    """What was said in it, as far as the brain knows; the wire's transcript is another thing, and may come later."""
    recognition: asyncio.Future[Heard] | None = None
    """Its words from the recogniser, once somebody has asked for them."""
    image_tokens: int = 0
    """What its pictures cost to look at."""
    tokens: tuple[int, int, int] | None = None
    """What it costs to read, when that was counted and cannot change any more (see engine.server.usage)."""
    left_out: bool = False
    """Truncation has taken it out of what responses read; in the conversation it stays."""

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.wire["id"])

    @property
    def type(self) -> str:
        """message, function_call or function_call_output."""
        return str(self.wire["type"])

    @property
    def role(self) -> str:
        """user, assistant or system; "" for items that are no message."""
        return str(self.wire.get("role", ""))

    @property
    def in_progress(self) -> bool:
        """Whether a response still writes it."""
        return bool(self.wire.get("status") == "in_progress")

    def json_bytes(self) -> int:
        """Length of its wire object as JSON."""
        return len(msgspec.json.encode(self.wire))

    def text(self) -> str:
        """What is written or known to be said in it."""
        parts = [part.get("text") or part.get("transcript") or "" for part in self.wire.get("content", ())]
        return " ".join(part for part in parts if part)

    def samples(self) -> Samples:
        """All its sound as float32 at 24 kHz, without what was dropped."""
        clips = [clip.samples() for clip in self.clips.values()]
        return np.concatenate(clips) if clips else np.zeros(0, np.float32)

    def retrieved(self) -> dict[str, Any]:
        """The wire object with its audio. Raises Refusal when the sound was dropped."""
        if any(clip.dropped for clip in self.clips.values()):
            message = f"The audio of item '{self.id}' is not kept any more: the session's audio budget was full."
            raise Refusal("item_audio_not_retained", message, "item_id")
        result = dict(self.wire)
        if self.clips:
            result["content"] = [self._with_audio(n, part) for n, part in enumerate(self.wire["content"])]
        return result

    def _with_audio(self, index: int, part: dict[str, Any]) -> dict[str, Any]:
        clip = self.clips.get(index)
        if clip is None:
            return part
        return {**part, "audio": b64encode(clip.data).decode(), "format": _OLD_FORMAT_NAMES[clip.format]}


def user_audio(item_id: str, audio: bytes, format: AudioFormat) -> Item:
    """The user message a commit makes."""
    wire = _message(item_id, "user", [{"type": "input_audio", "transcript": None}])
    return Item(wire, {0: Clip(format, bytearray(audio), len(audio))})


def assistant_message(item_id: str) -> Item:
    """A message the model has only begun."""
    return Item(_message(item_id, "assistant", []) | {"status": "in_progress"})


def function_call(item_id: str, name: str, call_id: str) -> Item:
    """A call the model has only begun."""
    wire = {"id": item_id, "object": "realtime.item", "type": "function_call", "status": "in_progress"}
    return Item(wire | {"name": name, "call_id": call_id, "arguments": ""})


def _message(item_id: str, role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    head = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed"}
    return head | {"role": role, "content": content}


def from_client(param: str, value: Mapping[str, Any], new_id: str, format: AudioFormat) -> Item:
    """Make an Item of one that a client wrote; audio parts are in the session's input format.

    client_rules has checked types, roles, kinds of parts and that nothing needed is missing; here follow the values
    and the members that this server does not know. Raises ProtocolError.
    """
    kind = value["type"]
    if kind == "message":
        return _message_from_client(param, value, new_id, format)
    if kind == "function_call":
        checks = _COMMON | {"name": _name, "call_id": _id, "arguments": text}
        given = fields(param, value, checks)
        given.setdefault("call_id", new_id.replace("item_", "call_", 1))
    elif kind == "function_call_output":
        given = fields(param, value, _COMMON | {"call_id": _id, "output": text})
    elif kind == "mcp_approval_response":
        checks = {"approval_request_id": _id, "approve": boolean, "reason": nullable(text)}
        return Item({"id": new_id, **fields(param, value, _COMMON | checks)})
    else:
        known = "'message', 'function_call', 'function_call_output' and 'mcp_approval_response'"
        raise invalid_value(f"{param}.type", f"supported values are {known}, but got {kind!r:.80}.")
    return Item(_completed(given, new_id))


def _message_from_client(param: str, value: Mapping[str, Any], new_id: str, format: AudioFormat) -> Item:
    given = fields(param, value, _COMMON | {"role": text, "content": array})
    clips: dict[int, Clip] = {}
    content: list[dict[str, Any]] = []
    image_tokens = 0
    for index, part in enumerate(given["content"]):
        checked = _part(f"{param}.content[{index}]", part, given["role"])
        if checked["type"] == "input_image":
            picture = pictures.inspect(f"{param}.content[{index}].image_url", checked["image_url"])
            image_tokens += picture.tokens(checked.get("detail"))
        audio = checked.pop("audio", None)
        if audio is not None:
            clips[index] = Clip(format, bytearray(audio), len(audio))
        content.append(checked)
    return Item(_completed(given | {"content": content}, new_id), clips, image_tokens=image_tokens)


def _completed(given: dict[str, Any], new_id: str) -> dict[str, Any]:
    given = {key: value for key, value in given.items() if value is not None}
    return {"id": new_id, "object": "realtime.item", **given, "status": "completed"}


def _part(param: str, value: Mapping[str, Any], role: str) -> dict[str, Any]:
    checks, required = _PARTS[role][value["type"]]
    return fields(param, value, checks, required=required)


def _id(param: str, value: Any) -> str:
    if not text(param, value, limit=MAX_ID):
        raise invalid_value(param, "an id has at least one character.")
    return str(value)


def _name(param: str, value: Any) -> str:
    return text(param, value, limit=512)


def _audio(param: str, value: Any) -> bytes:
    return base64_audio(param, value, MAX_APPEND_BYTES)


def _image(param: str, value: Any) -> str:
    return text(param, value, limit=MAX_URI)


_COMMON: dict[str, Check] = {
    "id": nullable(_id),
    "object": nullable(one_of("realtime.item")),
    "type": text,
    "status": nullable(one_of("completed", "incomplete", "in_progress")),
}
_TEXT: tuple[dict[str, Check], list[str]] = ({"type": text, "text": text}, ["text"])
_USER_AUDIO: dict[str, Check] = {"type": text, "audio": _audio, "transcript": nullable(text)}
_USER_IMAGE: dict[str, Check] = {"type": text, "image_url": _image, "detail": nullable(one_of("auto", "low", "high"))}
# The same roles and kinds as in client_rules, which refuses all others.
_PARTS: dict[str, dict[str, tuple[dict[str, Check], list[str]]]] = {
    "system": {"input_text": _TEXT},
    "assistant": {"output_text": _TEXT, "text": _TEXT},
    "user": {
        "input_text": _TEXT,
        "input_audio": (_USER_AUDIO, ["audio"]),
        "input_image": (_USER_IMAGE, ["image_url"]),
    },
}
