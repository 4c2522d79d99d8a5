"""pipecat: a whole pipeline, from a microphone of ours to a loudspeaker of ours that plays in real time.

Its service calls the tool, asks for the answer and truncates; turns are those of the server. It begins with a response
nobody asked for, as pipecat does.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from common import BYTES_PER_S, FRAME_S, HEARD_S, INSTRUCTIONS, KEY, MODEL, RATE, URL, WEATHER, Answer, Microphone, tell
from loguru import logger
from pipecat.adapters.llm.schemas.function_schema import FunctionSchema
from pipecat.adapters.llm.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    BotStartedSpeakingFrame,
    BotStoppedSpeakingFrame,
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    LLMTextFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner

PARAMS = TransportParams(audio_in_enabled=True, audio_out_enabled=True, audio_in_passthrough=True)


class Ears(BaseInputTransport):
    """The microphone as the pipeline's input."""

    def __init__(self, microphone: Microphone) -> None:
        super().__init__(PARAMS)
        self._microphone = microphone
        self._hearing: asyncio.Task[None] | None = None

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)
        self._hearing = self.create_task(self._hear())

    async def _hear(self) -> None:
        async for sound in self._microphone.frames():
            await self.push_audio_frame(InputAudioRawFrame(audio=sound, sample_rate=RATE, num_channels=1))

    async def stop(self, frame: EndFrame) -> None:
        if self._hearing is not None:
            await self.cancel_task(self._hearing)
        await super().stop(frame)


class Mouth(BaseOutputTransport):
    """A loudspeaker: takes a frame when the one before has been played."""

    def __init__(self) -> None:
        super().__init__(PARAMS)
        self._due = 0.0

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(max(self._due - now, 0))
        self._due = max(self._due, now) + len(frame.audio) / BYTES_PER_S
        return True


class Onlooker(FrameProcessor):
    """Beside the service: what of the conversation comes by."""

    def __init__(self, microphone: Microphone) -> None:
        super().__init__()
        self.microphone = microphone
        self.over = asyncio.Event()
        self.items: list[str] = []
        self.cut = ""
        self._answer = Answer()
        self._speeches = 0
        self._speaking = False

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case TTSAudioRawFrame():
                self._answer.sound(frame.audio)
            case LLMTextFrame():
                self._answer.text += frame.text
            case LLMFullResponseEndFrame() if self._answer.bytes:
                self._answer.tell()
                self._answer = Answer()
            case InterruptionFrame() if self._speaking:
                self.cut = self.items[-1]
                tell("interrupted")
            case BotStartedSpeakingFrame():
                self._speaking = True
                if self._speeches == 3:
                    self._say("stop", HEARD_S)
            case BotStoppedSpeakingFrame() if self._speaking:
                self._speaking = False
                self._speeches += 1
                self._go_on()
        await self.push_frame(frame, direction)

    def _go_on(self) -> None:
        if self._speeches <= 3:
            self._say(("greeting", "weather", "trains")[self._speeches - 1], FRAME_S)
        elif self._speeches == 5:  # the fourth was interrupted
            self.over.set()

    def _say(self, name: str, after_s: float) -> None:
        asyncio.get_running_loop().call_later(after_s, self.microphone.say, name)


class Writer(FrameProcessor):
    """Before the service: what it understood goes that way."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            tell("user", text=frame.text)
        if isinstance(frame, ErrorFrame):
            tell("error", message=frame.error)
        await self.push_frame(frame, direction)


async def get_weather(params: Any) -> None:
    tell("tool", name=params.function_name, arguments=dict(params.arguments))
    await params.result_callback(WEATHER)


def service() -> OpenAIRealtimeLLMService:
    heard = events.AudioConfiguration(
        input=events.AudioInput(
            transcription=events.InputAudioTranscription(), turn_detection=events.SemanticTurnDetection()
        )
    )
    settings = OpenAIRealtimeLLMService.Settings(
        model=MODEL, system_instruction=INSTRUCTIONS, session_properties=events.SessionProperties(audio=heard)
    )
    made = OpenAIRealtimeLLMService(api_key=KEY, base_url=URL, settings=settings)
    made.register_function("get_weather", get_weather)
    return made


async def main() -> None:
    microphone = Microphone()
    llm, onlooker = service(), Onlooker(microphone)
    city = {"city": {"type": "string"}}
    tool = FunctionSchema(name="get_weather", description="The weather in a city.", properties=city, required=["city"])
    pair = LLMContextAggregatorPair(LLMContext(tools=ToolsSchema(standard_tools=[tool])))

    @llm.event_handler("on_conversation_item_created")
    async def created(_service: object, item_id: str, item: Any) -> None:
        if item.role == "assistant":
            onlooker.items.append(item_id)

    parts = [Ears(microphone), pair.user(), Writer(), llm, onlooker, Mouth(), pair.assistant()]
    params = PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE)
    worker = PipelineWorker(Pipeline(parts), params=params)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    await worker.queue_frames([LLMRunFrame()])
    await onlooker.over.wait()
    await llm.retrieve_conversation_item(onlooker.cut)
    await worker.queue_frames([EndFrame()])
    await running
    tell("end")


logger.remove()
logger.add(sys.stderr, level="WARNING")
asyncio.run(main())
