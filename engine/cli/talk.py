"""`bargein talk`: a spoken conversation through this machine's microphone and loudspeaker, on a screen or as lines."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from engine import connect
from engine.cli.config import ears, hearing
from engine.cli.file import known_secrets, turn_json, turn_line
from engine.cli.main import Interrupts, say
from engine.cli.talkcontrols import Hands
from engine.cli.talkend import summary
from engine.cli.talkmodel import Model
from engine.cli.terminal import Painter, Terminal, in_foreground, silence, stderr_kept, takes
from engine.cli.trace import Trace
from engine.conversation import Conversation
from engine.endpoints import Device, DeviceSound
from engine.endpoints.negotiate import pair
from engine.endpoints.portaudio import devices
from engine.endpoints.waiting import in_thread
from engine.errors import EngineError, MissingExtraError
from engine.realtime.event_base import Unknown
from engine.realtime.redaction import without
from engine.realtime.usage import Prices

LOOK_S, LOOKS_A_FRAME = 0.04, 3
OWN = "bargein."  # begins the types of events that are not the server's
OPENAI_HOST, TRANSCRIBER = "api.openai.com", "gpt-4o-mini-transcribe"


async def run(options: Namespace, interrupts: Interrupts) -> int:
    """Talk until a key, a signal or the server ends it; `options.url` is what `whom` gave. 0 when it was the user."""
    model = Model(_server(options), Prices(**options.prices) if options.prices else None, None, known_secrets(options))
    device = _device(options, model)
    await in_thread(lambda: pair(device.wishes, devices()))  # a name that is not there: told before anybody is called
    with ExitStack() as stack:
        if options.events:
            model.trace = stack.enter_context(Trace(options.events, known_secrets(options)))
        hands = Hands(model, closed=options.push_to_talk)
        drawing = stack.enter_context(_face(options, interrupts, hands))
        painting = asyncio.create_task(_paint(drawing, model))
        painting.add_done_callback(lambda _: hands.leave())
        try:
            return await _converse(options, device, model, hands, drawing is None)
        except asyncio.CancelledError:  # a signal is how this command ends, in a service always
            return 0
        finally:
            painting.cancel()
            await asyncio.wait([painting])
            stack.close()
            summary(options, model)
            if not painting.cancelled():
                painting.result()  # raises what went wrong with the screen


async def _converse(options: Namespace, device: Device, model: Model, hands: Hands, plain: bool) -> int:
    async with connect(
        device,
        url=options.url if options.url is not None else "inside",
        key=options.key,
        model=options.model,
        instructions=options.instructions,
        voice=options.voice,
        audio_format=options.format,
        session=_session(options),
        responder=options.responder or options.inside,
        observer=model,
        activation=hands.button if options.push_to_talk else None,
        hearing=hearing(options),
        **ears(options),
    ) as conversation:
        conversation.volume = options.volume
        model.conversation = conversation
        hands.take(conversation)
        if plain:
            _announce(conversation, model)
        tasks = [
            asyncio.create_task(_follow(options, conversation, model, plain)),
            asyncio.create_task(hands.released()),
        ]
        tasks.append(asyncio.create_task(_watch_line(conversation, model)))
        tasks += [] if options.push_to_talk else [asyncio.create_task(hands.button(conversation))]
        try:
            await asyncio.wait(tasks[:2], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            model.finish()
        if tasks[0].cancelled():
            return 0
        tasks[0].result()  # raises what ended it badly
    say("the server ended the conversation")
    return 1


async def _follow(options: Namespace, conversation: Conversation, model: Model, plain: bool) -> None:
    known = known_secrets(options)
    async for turn in conversation.turns():
        model.turn(turn)
        if plain:
            print(without(turn_json(turn) if options.json else turn_line(turn), known), flush=True)


async def _watch_line(conversation: Conversation, model: Model) -> None:
    """Tell of connections that are lost, opened again and replaced."""
    with suppress(EngineError):  # what ends the conversation is told by its turns
        async for event in conversation.events():
            if isinstance(event, Unknown) and event.type.startswith(OWN):
                model.line_changed(event.type.removeprefix(OWN), event.fields)


# ---- what is asked for


def _device(options: Namespace, model: Model) -> Device:
    return Device(
        options.microphone,
        options.loudspeaker,
        rate=options.rate,
        block_ms=options.block_ms,
        latency_ms=None if options.latency_ms == "low" else options.latency_ms,
        microphone_channel=options.microphone_channel,
        loudspeaker_channels=options.loudspeaker_channels,
        reference_channel=options.reference_channel,
        reference_device=options.reference_device,
        priority=options.priority,
        on_event=lambda event: model.notice(event.text),
    )


def _server(options: Namespace) -> str:
    if options.url is None:
        return f"server inside, {(options.responder or options.inside).partition(':')[0]}"
    return f"{urlsplit(options.url).hostname}, {options.model}"


def _session(options: Namespace) -> dict[str, Any]:
    """What is asked of the session besides what `connect` takes."""
    listening: dict[str, Any] = {}
    hosted = options.url is not None and urlsplit(options.url).hostname == OPENAI_HOST
    transcription = options.transcription or (TRANSCRIBER if hosted else "off")
    if transcription != "off":
        listening["transcription"] = {"model": transcription}
    if options.push_to_talk:
        listening["turn_detection"] = None  # the button says when a turn is over
    return {"audio": {"input": listening}} if listening else {}


def _announce(conversation: Conversation, model: Model) -> None:
    sound = conversation.sound
    assert isinstance(sound, DeviceSound)
    opened = sound.opened
    say(f"talking through {opened.microphone} and {opened.loudspeaker} with {model.server}; Ctrl-C ends it")
    model.on_complaint = say


# ---- the face


def screen_wanted(options: Namespace) -> bool:
    """Whether to draw: asked for nothing else, and this is a terminal that can show it."""
    if options.plain or options.json:
        return False
    if not (in_foreground(0) and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    if not (sys.stdout.encoding or "").lower().startswith("utf"):
        return False
    try:
        import engine.cli.screen  # noqa: F401
    except MissingExtraError as missing:
        say(f"{missing}; here are lines instead")
        return False
    return True


@contextmanager
def _face(options: Namespace, interrupts: Interrupts, hands: Hands) -> Iterator[tuple[Painter, Any] | None]:
    """A screen with keys, keys alone on a terminal without, or nothing, as in a service."""
    screen = screen_wanted(options)
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        loop.add_signal_handler(signal.SIGHUP, hands.leave)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)
        if not (screen or in_foreground(0)):
            yield None
            return
        if os.isatty(1):
            stack.callback(lambda: None if os.isatty(1) and takes(1) else silence())  # gone, or it takes nothing
        if screen:
            stack.enter_context(stderr_kept(options.debug))
            stack.enter_context(_told_on_screen(hands.model))
        terminal = Terminal(screen)
        interrupts.leave = terminal.leave  # should a third Ctrl-C end it all at once
        stack.callback(terminal.leave)
        terminal.enter()
        terminal.listen(hands.key)
        stack.callback(terminal.deaf)
        if not screen:
            yield None
            return
        from engine.cli.screen import Drawer

        painter = Painter(sys.stdout.fileno())
        stack.callback(painter.close)
        hands.on_redraw = painter.clear

        def suspend() -> None:
            terminal.leave()
            os.kill(os.getpid(), signal.SIGSTOP)
            terminal.enter()
            painter.clear()

        loop.add_signal_handler(signal.SIGTSTP, suspend)
        stack.callback(loop.remove_signal_handler, signal.SIGTSTP)
        yield painter, Drawer(_colours())


async def _paint(drawing: tuple[Painter, Any] | None, model: Model) -> None:
    """Draw until cancelled; without a screen, do nothing until then."""
    if drawing is None:
        await asyncio.get_running_loop().create_future()
        return
    painter, drawer = drawing
    looks, before = 0, os.terminal_size((0, 0))
    while True:
        model.look()
        if looks % LOOKS_A_FRAME == 0:
            with suppress(OSError):
                size = os.get_terminal_size(sys.stdout.fileno())
                if size != before:
                    painter.clear()
                before = size
            painter.paint(drawer.lines(model.view(), max(before.columns, 20), max(before.lines, 3)))
        looks += 1
        await asyncio.sleep(LOOK_S)


def _colours() -> str | None:
    if os.environ.get("NO_COLOR"):
        return None
    if os.environ.get("COLORTERM") in ("truecolor", "24bit"):
        return "truecolor"
    return "256" if "256" in os.environ.get("TERM", "") else "standard"


class _OnScreen(logging.Handler):
    def __init__(self, model: Model) -> None:
        super().__init__(logging.WARNING)
        self._model = model

    def emit(self, record: logging.LogRecord) -> None:
        self._model.notice(record.getMessage())


@contextmanager
def _told_on_screen(model: Model) -> Iterator[None]:
    """Warnings of the engine as notices too."""
    handler, log = _OnScreen(model), logging.getLogger("bargein")
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
