"""An application of a client that hands over raw events: it plays, calls tools and truncates by itself.

The same for both clients of the official Python package; each carries out the commands in its own way.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

from common import BYTES_PER_S, HEARD_S, INSTRUCTIONS, TOOL, WEATHER, Answer, Loudspeaker, Microphone, tell

Command = tuple[str, dict[str, Any]]
"""A method of the connection, and its arguments."""

SESSION: dict[str, Any] = {
    "type": "realtime",
    "instructions": INSTRUCTIONS,
    "tools": [TOOL],
    "audio": {
        "input": {"transcription": {"model": "gpt-4o-mini-transcribe"}, "turn_detection": {"type": "server_vad"}},
        "output": {"voice": "marin"},
    },
}


class Application:
    """One conversation: what to do at every event. `later` calls something after so many seconds."""

    def __init__(self, later: Callable[[float, Callable[[], None]], object]) -> None:
        self.microphone = Microphone()
        self.over = False
        self._later = later
        self._speaker = Loudspeaker()
        self._answer = Answer()
        self._answers = 0
        self._playing = self._cut = ""

    def obey(self, event: Any) -> Iterator[Command]:
        """What a server event leads to."""
        match event.type:
            case "session.created":
                yield "session.update", {"session": SESSION}
            case "session.updated":
                tell("session", voice=event.session.audio.output.voice)
                self._say("greeting")
            case "response.created":
                self._answer = Answer()
            case "response.output_audio.delta":
                self._play(event.item_id, base64.b64decode(event.delta))
            case "response.output_audio_transcript.delta":
                self._answer.text += event.delta
            case "conversation.item.input_audio_transcription.completed":
                tell("user", text=event.transcript)
            case "input_audio_buffer.speech_started" if self._speaker.left_s > 0:
                yield self._hush()
            case "response.function_call_arguments.done":
                tell("tool", name=event.name, arguments=json.loads(event.arguments))
                item = {"type": "function_call_output", "call_id": event.call_id, "output": WEATHER}
                yield "conversation.item.create", {"item": item}
            case "response.done":
                self._answer.tell(status=event.response.status)
                self._answers += 1
                yield from self._go_on()
            case "conversation.item.retrieved":
                tell("retrieved", item=event.item.id)
                self.over = True
            case "error":
                tell("error", code=event.error.code, message=event.error.message)

    def _say(self, name: str) -> None:
        self._later(self._speaker.left_s + 0.1, lambda: self.microphone.say(name))

    def _go_on(self) -> Iterator[Command]:
        """After an answer."""
        if self._answers == 1:
            self._say("weather")
        elif self._answers == 2:  # the call
            yield "response.create", {}
        elif self._answers == 3:
            self._say("trains")
        elif self._answers == 5:  # the fourth was interrupted
            yield "conversation.item.retrieve", {"item_id": self._cut}

    def _play(self, item_id: str, sound: bytes) -> None:
        if self._answers == 3 and self._playing != item_id:
            self._later(HEARD_S, lambda: self.microphone.say("stop"))
        self._playing = item_id
        self._answer.sound(sound)
        self._speaker.play(len(sound) / BYTES_PER_S)

    def _hush(self) -> Command:
        """Somebody speaks: what they have not heard is taken back."""
        heard_ms = int(self._speaker.heard_s * 1000)
        self._speaker.stop()
        self._cut = self._playing
        tell("interrupted", heard_ms=heard_ms)
        return (
            "conversation.item.truncate",
            {"item_id": self._cut, "content_index": 0, "audio_end_ms": heard_ms},
        )
