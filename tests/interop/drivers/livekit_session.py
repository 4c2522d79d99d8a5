"""livekit-agents with its plugin for the Realtime API: an AgentSession without a room, with ears and a mouth of ours.

The session calls the tool, asks for the answer and truncates at what the mouth says was played.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
from common import FRAME, HEARD_S, INSTRUCTIONS, KEY, MODEL, RATE, URL, WEATHER, Answer, Microphone, tell
from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice import io
from livekit.plugins import openai


class Ears(io.AudioInput):
    """The microphone as the session's input."""

    def __init__(self, microphone: Microphone) -> None:
        super().__init__(label="ears")
        self._frames = microphone.frames()

    async def __anext__(self) -> rtc.AudioFrame:
        return rtc.AudioFrame(await anext(self._frames), RATE, 1, FRAME // 2)


class Mouth(io.AudioOutput):
    """A loudspeaker that plays in real time and says how far it came."""

    def __init__(self) -> None:
        super().__init__(label="mouth", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE)
        self.segments = 0
        self.answer = Answer()
        self._began = 0.0
        self._seconds = 0.0
        self._over: asyncio.TimerHandle | None = None
        self.on_first: Any = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self.segments += 1
            self._began = time.monotonic()
            self.on_playback_started(created_at=time.time())
            self.on_first(self.segments)
        self._seconds += frame.duration
        self.answer.sound(bytes(frame.data))

    def flush(self) -> None:
        super().flush()
        if self._seconds and self._over is None:
            left = self._began + self._seconds - time.monotonic()
            self._over = asyncio.get_running_loop().call_later(max(left, 0), self._finish, False)

    def clear_buffer(self) -> None:
        if self._seconds:
            self._finish(True)

    def _finish(self, interrupted: bool) -> None:
        if self._over is not None:
            self._over.cancel()
            self._over = None
        played = min(time.monotonic() - self._began, self._seconds)
        self._seconds = 0.0
        if interrupted:
            tell("interrupted", heard_ms=int(1000 * played))
        self.on_playback_finished(playback_position=played, interrupted=interrupted)


class Desk(Agent):
    """The agent, with its one tool."""

    def __init__(self) -> None:
        super().__init__(instructions=INSTRUCTIONS)

    @function_tool
    async def get_weather(self, city: str) -> str:
        """The weather in a city.

        Args:
            city: Its name.
        """
        tell("tool", name="get_weather", arguments={"city": city})
        return WEATHER


async def main() -> None:
    loop = asyncio.get_running_loop()
    microphone, mouth = Microphone(), Mouth()
    spoken: asyncio.Queue[str] = asyncio.Queue()
    async with aiohttp.ClientSession() as http:
        model = openai.realtime.RealtimeModel(model=MODEL, base_url=URL, api_key=KEY, http_session=http)
        session: AgentSession[None] = AgentSession(llm=model, vad=None)
        session.input.audio, session.output.audio = Ears(microphone), mouth
        desk, kept, cut = Desk(), asyncio.Event(), []

        def added(event: Any) -> None:
            item = event.item
            if item.type != "message":
                return
            if item.role == "user":
                tell("user", text=item.text_content)
            elif item.role == "assistant":
                mouth.answer.text = item.text_content or ""
                mouth.answer.tell()
                mouth.answer = Answer()
                cut.extend([item.id] if item.interrupted else [])
                spoken.put_nowait(mouth.answer.text)

        def first(segment: int) -> None:
            if segment == 3:
                loop.call_later(HEARD_S, microphone.say, "stop")

        mouth.on_first = first
        session.on("conversation_item_added", added)
        session.on("error", lambda event: tell("error", message=str(event.error)))
        await session.start(desk)
        for name in ("greeting", "weather", "trains"):
            await asyncio.sleep(0.3)
            microphone.say(name)
            await spoken.get()
        await spoken.get()
        line = desk.realtime_llm_session
        line.on(
            "openai_server_event_received", lambda e: kept.set() if e["type"] == "conversation.item.retrieved" else 0
        )
        line.send_event({"type": "conversation.item.retrieve", "item_id": cut[0]})
        await kept.wait()
        await session.aclose()
    tell("end")


asyncio.run(main())
