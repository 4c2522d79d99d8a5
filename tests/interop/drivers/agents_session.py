"""openai-agents: its session listens, calls the tool, asks for the answer and truncates; nothing of that is ours.

How much was heard it reckons from the clock, as it does where nobody tells it what was played.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession
from common import BYTES_PER_S, HEARD_S, INSTRUCTIONS, KEY, MODEL, URL, WEATHER, Answer, Loudspeaker, Microphone, tell


@function_tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    tell("tool", name="get_weather", arguments={"city": city})
    return WEATHER


MODEL_CONFIG: Any = {"url": URL, "api_key": KEY, "initial_model_settings": {"model_name": MODEL}}


class Listener:
    """Counts the answers and says what is next."""

    def __init__(self) -> None:
        self.microphone = Microphone()
        self._speaker = Loudspeaker()
        self._answer = Answer()
        self._answers = 0
        self._playing = ""

    def obey(self, event: Any) -> bool:
        """Whether that was the last one."""
        match event.type:
            case "audio":
                self._play(event.audio.item_id, event.audio.data)
            case "audio_interrupted":
                if self._speaker.left_s > 0:
                    tell("interrupted", heard_ms=int(self._speaker.heard_s * 1000))
                self._speaker.stop()
            case "error":
                tell("error", message=str(event.error))
            case "raw_model_event":
                return self._model(event.data)
        return False

    def _model(self, event: Any) -> bool:
        if event.type == "transcript_delta":
            self._answer.text += event.delta
        elif event.type == "input_audio_transcription_completed":
            tell("user", text=event.transcript)
        elif event.type == "turn_started":
            self._answer = Answer()
        elif event.type == "turn_ended":
            self._answer.tell()
            self._answers += 1
            if self._answers in (1, 3):
                self.say("weather" if self._answers == 1 else "trains")
            return self._answers == 5
        return False

    def say(self, name: str, after_s: float = 0.1) -> None:
        """Say it when what is played is over."""
        asyncio.get_running_loop().call_later(self._speaker.left_s + after_s, self.microphone.say, name)

    def _play(self, item_id: str, sound: bytes) -> None:
        if self._answers == 3 and self._playing != item_id:
            self.say("stop", HEARD_S)
        self._playing = item_id
        self._answer.sound(sound)
        self._speaker.play(len(sound) / BYTES_PER_S)


async def speak(session: RealtimeSession, microphone: Microphone) -> None:
    async for frame in microphone.frames():
        await session.send_audio(frame)


async def main() -> None:
    agent = RealtimeAgent(name="desk", instructions=INSTRUCTIONS, tools=[get_weather])
    listener = Listener()
    async with await RealtimeRunner(agent).run(model_config=MODEL_CONFIG) as session:
        speaking = asyncio.create_task(speak(session, listener.microphone))
        listener.say("greeting", 0.3)
        async for event in session:
            if listener.obey(event):
                break
        speaking.cancel()
        for item in session._history:
            if item.type == "message":
                said = " ".join(getattr(part, "transcript", None) or "" for part in item.content)
                tell("history", role=item.role, text=said)
    tell("end")


asyncio.run(main())
