"""A server of the older dialect: the server inside, its messages rewritten on its own side of the connection.

Written from the list of differences and not from the client's translation, which is tested against it: a member or name
of today's that reaches this server is a failure, as it would be there.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.server import ServerOptions, responder, serve_connection
from engine.server.responders import Responder
from engine.server.voices import ToneVoice
from engine.transport import Connection, pair

Message = dict[str, Any]

SESSION = {
    "modalities", "instructions", "voice", "speed", "input_audio_format", "output_audio_format", "tools", "tool_choice",
    "input_audio_transcription", "input_audio_noise_reduction", "turn_detection", "temperature", "tracing",
    "max_response_output_tokens",
}  # fmt: skip
RESPONSE = {
    "modalities", "instructions", "voice", "output_audio_format", "tools", "tool_choice", "temperature", "conversation",
    "max_output_tokens", "metadata", "input",
}  # fmt: skip
FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}


class Loud:
    """Whatever is loud is speech: what is kept of a conversation must not depend on a network's weights."""

    def __init__(self) -> None:
        self._rest = np.empty(0, np.float32)

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """See SpeechDetector."""
        sound = np.concatenate([self._rest, samples])
        hops = sound[: len(sound) // 240 * 240].reshape(-1, 240)
        self._rest = sound[hops.size :]
        return np.asarray((hops**2).mean(axis=1) > 1e-5, np.float32)


class Older:
    """The server's end of a connection."""

    def __init__(self, connection: Connection, wire: list[tuple[str, Message]]) -> None:
        self._connection = connection
        self._wire = wire

    async def receive(self) -> bytes | str:
        """What the client says, as the server inside understands it."""
        message = json.loads(await self._connection.receive())
        self._wire.append(("client", json.loads(json.dumps(message))))
        return json.dumps(understood(message))

    async def send(self, data: bytes | str) -> None:
        """What the server inside says, in the older words."""
        message = older(json.loads(data))
        if message is not None:
            self._wire.append(("server", json.loads(json.dumps(message))))
            await self._connection.send(json.dumps(message))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See Connection."""
        await self._connection.close(code, reason)


def understood(message: Message) -> Message:
    """A client's message of the older dialect as one of today's."""
    if message["type"] == "session.update":
        old = message["session"]
        assert set(old) <= SESSION, f"unknown parameter: {set(old) - SESSION}"
        listening: Message = {
            new: old[name]
            for name, new in (("input_audio_transcription", "transcription"), ("turn_detection", "turn_detection"),
                              ("input_audio_noise_reduction", "noise_reduction"))
            if name in old
        }  # fmt: skip
        speaking: Message = {name: old[name] for name in ("voice", "speed") if name in old}
        kinds = {name: kind for kind, name in FORMATS.items()}
        if "input_audio_format" in old:
            listening["format"] = {"type": kinds[old["input_audio_format"]]}
        if "output_audio_format" in old:
            speaking["format"] = {"type": kinds[old["output_audio_format"]]}
        session: Message = {"type": "realtime"}
        session |= {name: old[name] for name in ("instructions", "tools", "tool_choice") if name in old}
        if "modalities" in old:
            assert old["modalities"] in (["text"], ["text", "audio"])
            session["output_modalities"] = ["audio"] if "audio" in old["modalities"] else ["text"]
        if "max_response_output_tokens" in old:
            session["max_output_tokens"] = old["max_response_output_tokens"]
        session["audio"] = {"input": listening, "output": speaking}
        return {**message, "session": session}
    if message["type"] == "response.create" and "response" in message:
        old = message["response"]
        assert set(old) <= RESPONSE, f"unknown parameter: {set(old) - RESPONSE}"
        response = {name: value for name, value in old.items() if name not in ("modalities", "voice")}
        if "modalities" in old:
            response["output_modalities"] = ["audio"] if "audio" in old["modalities"] else ["text"]
        if "voice" in old:
            response["audio"] = {"output": {"voice": old["voice"]}}
        return {**message, "response": response}
    if message["type"] == "conversation.item.create" and message["item"].get("role") == "assistant":
        parts = message["item"]["content"]
        assert all(part["type"] == "text" for part in parts)
        content = [{**part, "type": "output_text"} for part in parts]
        return {**message, "item": {**message["item"], "content": content}}
    return message


def older(message: Message) -> Message | None:
    """A message of the server inside in the older dialect; None for what that does not have."""
    kind = message["type"]
    if kind == "conversation.item.done":
        return None
    if kind == "conversation.item.added":
        kind = "conversation.item.created"
    for part in ("audio", "audio_transcript", "text"):
        kind = kind.replace(f"response.output_{part}.", f"response.{part}.")
    result = {**message, "type": kind}
    if kind in ("session.created", "session.updated"):
        result["session"] = flat(message["session"])
    if "response" in message:
        result["response"] = flat_response(message["response"])
    if "item" in message:
        result["item"] = old_item(message["item"])
    if "part" in message:
        result["part"] = old_part(message["part"])
    return result


def flat(session: Message) -> Message:
    """A session as it was reported."""
    listening, speaking = session["audio"]["input"], session["audio"]["output"]
    return {
        "id": session["id"], "object": "realtime.session", "model": session["model"],
        "expires_at": session["expires_at"],
        "modalities": ["text", "audio"] if session["output_modalities"] == ["audio"] else ["text"],
        "instructions": session["instructions"], "voice": speaking["voice"], "speed": speaking["speed"],
        "input_audio_format": FORMATS[listening["format"]["type"]],
        "output_audio_format": FORMATS[speaking["format"]["type"]],
        "input_audio_transcription": listening["transcription"], "turn_detection": listening["turn_detection"],
        "input_audio_noise_reduction": listening["noise_reduction"], "tools": session["tools"],
        "tool_choice": session["tool_choice"], "temperature": 0.8,
        "max_response_output_tokens": session["max_output_tokens"],
    }  # fmt: skip


def flat_response(response: Message) -> Message:
    """A response as it was reported."""
    result = {name: value for name, value in response.items() if name not in ("output_modalities", "audio")}
    output = response.get("audio", {}).get("output", {})
    result["modalities"] = ["text", "audio"] if response.get("output_modalities") == ["audio"] else ["text"]
    result["voice"] = output.get("voice")
    result["output_audio_format"] = FORMATS[output.get("format", {}).get("type", "audio/pcm")]
    result["output"] = [old_item(item) for item in response["output"]]
    return result


def old_item(item: Message) -> Message:
    """An item as it was."""
    if item.get("role") != "assistant":
        return item
    return {**item, "content": [old_part(part) for part in item["content"]]}


def old_part(part: Message) -> Message:
    """A part of an assistant's message as it was."""
    return {**part, "type": part["type"].replace("output_", "")}


class Servers:
    """Opens a server, of the older dialect or of today's; `wire` has all that went over it, and who said it."""

    def __init__(self, brain: str | Responder, options: ServerOptions | None = None, *, older: bool) -> None:
        self.wire: list[tuple[str, Message]] = []
        self._brain = brain
        self._options = options
        self._older = older

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Connection]:
        ours, theirs = pair()
        brain = responder(self._brain) if isinstance(self._brain, str) else self._brain
        end = Older(theirs, self.wire) if self._older else Heard(theirs, self.wire)
        serving = asyncio.create_task(
            serve_connection(
                end, responder=brain, voice=ToneVoice(), rng=random.Random(1), options=self._options, detector=Loud
            )
        )
        try:
            yield ours
        finally:
            await ours.close()
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving


class Heard(Older):
    """A server of today's that is only listened to."""

    async def receive(self) -> bytes | str:
        data = await self._connection.receive()
        self._wire.append(("client", json.loads(data)))
        return data

    async def send(self, data: bytes | str) -> None:
        self._wire.append(("server", json.loads(data)))
        await self._connection.send(data)
