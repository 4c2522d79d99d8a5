"""What an application may do to a running conversation: speak to the model, play, mute, hold, interrupt, commit."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from numpy.typing import NDArray

from engine.conversation import pictures
from engine.conversation.commits import Commit, CommitOutcome, Commits
from engine.conversation.local import LocalSound, LocalSounds, SoundSource, samples_of, wire_form
from engine.conversation.replies import Replies
from engine.conversation.settings import Settings, turn_detection
from engine.endpoints import Sound
from engine.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from engine.realtime import Protocol, Role, Session, wire
from engine.realtime import events as ev

if TYPE_CHECKING:
    from engine.conversation.conversation import Conversation
    from engine.realtime.types import Shape

Activation = Callable[["Conversation"], Awaitable[None]]
"""Opens the microphone: runs beside a conversation that begins muted."""

HOP = 240  # samples of one record
ROLES = ("user", "system")


class Spoken:
    """What was said while a button was held: `commit` tells what became of it, None while the server ends turns."""

    def __init__(self) -> None:
        self.commit: Commit | None = None


class Controls:
    """The part of `Conversation` that acts. All of it belongs to the loop thread and returns at once, unless async.

    Beside a call (`connect(call_id=)`) the server has the sound: `play`, `mute`, `hold` and `volume` do nothing.
    """

    sound: Sound
    _settings: Settings
    _replies: Replies
    _local: LocalSounds
    _commits: Commits
    _writable: asyncio.Event
    _muted: bool
    _on_hold: bool
    _volume: float

    @property
    def _protocol(self) -> Protocol:
        raise NotImplementedError

    def _interrupt(self, generation: int) -> None:
        raise NotImplementedError

    def _cancel(self) -> None:
        raise NotImplementedError

    @property
    def _captured(self) -> int:
        """The captured position of now; beside a call nothing is captured, and nothing waited for."""
        return 0 if self._settings.call else self.sound.duplex.captured

    # ---- events and prompts

    def send(self, event: ev.AnyEvent | Mapping[str, Any]) -> None:
        """Send any client event, typed or as a mapping in the wire's shape. Returns at once; not to be awaited.

            text = {"type": "input_text", "text": "What time is it?"}
            item = {"type": "message", "role": "user", "content": [text]}
            conversation.send(events.ConversationItemCreate(item=item))
            conversation.send(events.ResponseCreate())

        A `response.create` waits for the end of the response that is under way, after those that wait already.
        A commit takes all sound captured until now, so it waits some 10 ms for that, and what is sent meanwhile waits
        behind it; `commit` does the same and tells what became of it.
        Raises `LocalProtocolError`, and sends nothing, when it is no event or the session's state does not allow it,
        and `ConfigError` for settings that the rules forbid; `update` has a way round them.
        """
        if isinstance(event, Mapping):
            event = _typed(event)
        if isinstance(event, ev.SessionUpdate):
            self._protocol.check_session(event.session)
        if isinstance(event, ev.InputAudioBufferCommit):
            self._commits.at(self._captured, event)
        elif self._commits.waiting:
            self._commits.behind(event)
        else:
            self._send_now(event)
        self._writable.set()

    def update(
        self, session: Mapping[str, Any] | Shape, *, extra: Mapping[str, Any] | None = None, validate: bool = True
    ) -> bool:
        """Change settings of the running session: `conversation.update(RealtimeSession(instructions="Be brief."))`.

        Only what is not in force already is sent; false when that is nothing. The answer comes as session.updated, and
        what it does not confirm is logged. Raises `ConfigError`, and sends nothing, for what the rules forbid
        (`engine.realtime.rules`): a voice after the first sound, a speed while the model speaks, a value out of range.
        `extra` is merged in last and not checked; `validate=False` turns the rules off, and that is logged.
        """
        event = self._protocol.update_session(session, extra=extra, validate=validate)
        self._writable.set()
        return event is not None

    def _send_now(self, event: ev.AnyEvent) -> ev.AnyEvent:
        """Sound, commits and what waited behind them come here too, once it is their turn."""
        if isinstance(event, ev.ResponseCreate):
            self._protocol.request_response(event)
            return event
        if isinstance(event, ev.InputAudioBufferClear):
            self._commits.cleared()
        return self._protocol.send(event)

    def say(
        self,
        prompt: str | NDArray[Any],
        *,
        rate: int | None = None,
        role: str = "user",
        respond: bool = True,
        images: Sequence[pictures.Picture] = (),
        modality: str | None = None,
    ) -> str:
        """Put a prompt to the model and ask it to answer; returns the id of the new item.

        A string is a typed prompt: the user's words, or with role="system" an instruction ("Greet the caller.").
        An array is a spoken one: mono int16, or float in [-1, 1], at `rate` Hz; the user's, whatever the microphone
        hears. `respond=False` only adds it. `images` go with the user's words: PNG or JPEG by path, or their bytes.
        `modality` is that of this answer: "text" has it written and not spoken. The answer waits for the end of a
        response that is under way; call `interrupt` first to cut that off. Raises `ConfigError`, `MediaError` or
        `LocalProtocolError`.
        """
        if role not in ROLES:
            raise ConfigError(f"role is {role!r}: use {' or '.join(ROLES)}")
        if images and role != "user":
            raise ConfigError("role is 'system', but there are images: only the user shows pictures")
        if modality not in (None, "audio", "text"):
            raise ConfigError(f"modality is {modality!r}: use audio or text")
        if isinstance(prompt, str):
            part = {"type": "input_text", "text": prompt}
        elif role == "user":
            data = wire_form(*samples_of(prompt, rate), self._settings.audio_format)
            part = {"type": "input_audio", "audio": b64encode(data).decode()}
        else:
            raise ConfigError("role is 'system', but the prompt is sound: only the user's words may be spoken")
        item_id = self._protocol.ids("item")
        item = {"id": item_id, "type": "message", "role": role, "content": [part, *map(pictures.part, images)]}
        self.send(ev.ConversationItemCreate(item=item))
        if respond:
            wanted: Any = {"output_modalities": [modality]} if modality else UNSET
            self.send(ev.ResponseCreate(response=wanted))
        return item_id

    # ---- what is heard

    def play(self, sound: SoundSource, rate: int | None = None) -> LocalSound:
        """Play a sound of your own: a WAV file, or mono samples (int16, or float in [-1, 1]) at `rate` Hz.

        It goes through the same queue as the replies, behind what is there; if a reply is in the middle of arriving,
        behind that. A barge-in and `interrupt` end it, echo control cancels it, and the server never hears of it. At
        most 16 wait, of two minutes each; a file is read at once. `await conversation.play("chime.wav").finished()`
        tells how much of it was heard. Raises `ConfigError` or `MediaError`.
        """
        played = self._local.play(*samples_of(sound, rate))
        self._writable.set()
        return played

    def interrupt(self) -> None:
        """Stop what is played now, as a barge-in would, and tell the server how much of it was heard."""
        self._interrupt(self.sound.duplex.queue.newest)
        self._cancel()
        if self._settings.call and self._protocol.session is not Session.CLOSED:
            self.send(ev.OutputAudioBufferClear())  # the server plays the sound, so the server drops it

    @property
    def volume(self) -> float:
        """Loudness of all that is played, linear, 0 to 4; 1 leaves it as it is. Above, a soft limiter keeps it within
        full scale. Changes along a ramp of `BargeIn.ramp_ms`. Setting it raises `ConfigError` outside the range.
        """
        return self._volume

    @volume.setter
    def volume(self, volume: float) -> None:
        self.sound.duplex.set_volume(volume)
        self._volume = volume

    # ---- what is said

    @property
    def muted(self) -> bool:
        """Whether the microphone is closed, by `mute` or by `hold`."""
        return self._muted or self._on_hold

    def mute(self, at: int | None = None) -> None:
        """Send silence in place of the microphone, so that an open turn ends; what was captured before still goes.

        `at`: from this captured sample on (24 kHz, see `sound.duplex.captured`); without it, from now on.
        """
        self._muted = True
        self._set_microphone(at)

    def unmute(self, at: int | None = None) -> None:
        """Open the microphone from captured sample `at` on, or from now on."""
        self._muted = False
        self._set_microphone(at)

    def hold(self) -> None:
        """Put the other side on hold: nobody hears anybody. Silence is sent; what is played stops where it is, and
        what comes waits in the queue, `play`'s sounds too.
        """
        self._on_hold = True
        self.sound.duplex.set_hold(True)
        self._set_microphone(None)

    def resume(self) -> None:
        """End a hold: what was played goes on where it stopped, and the microphone is as it was."""
        self._on_hold = False
        self.sound.duplex.set_hold(False)
        self._set_microphone(None)

    def _set_microphone(self, at: int | None) -> None:
        duplex = self.sound.duplex
        duplex.set_mute(self.muted, duplex.captured if at is None else at)

    async def commit(self, at: int | None = None) -> Commit:
        """Make what was said since the last commit an item of the user's; for sessions without turn detection.

        It takes all sound captured before now (or before captured sample `at`), and is sent once that has left the
        chain and the ring. Under 100 ms, which a server refuses, is thrown away instead: look at the outcome. No
        response starts by itself. Raises `LocalProtocolError` while turn detection is on: then the server commits.
        """
        if turn_detection(self._protocol.effective):
            raise LocalProtocolError("cannot commit: turn detection is on, so the server does; mute() ends a turn")
        self._writable.set()
        return await self._commits.commit(self._captured if at is None else at)

    @asynccontextmanager
    async def push_to_talk(self, *, respond: bool = True) -> AsyncIterator[Spoken]:
        """Open the microphone for the length of the block: `async with conversation.push_to_talk(): await released()`.

        Entering interrupts what is played. Leaving mutes, from the sample that is captured then. Without turn detection
        the item is what was captured in between: entering clears the server's buffer, leaving commits and, unless it
        was too short or `respond` is false, asks for an answer. With turn detection the silence that follows ends the
        turn. The gate sends all of it, however soft. The microphone is muted afterwards, whatever it was.
        """
        spoken = Spoken()
        if self._replies.sounding:
            self.interrupt()
        begin = self._captured
        if not turn_detection(self._protocol.effective):
            self._commits.at(begin // HOP * HOP, ev.InputAudioBufferClear())
        self.unmute(begin)
        self.sound.duplex.set_talk(True, begin)
        try:
            yield spoken
        finally:
            end = self._captured
            self.mute(end)
            self.sound.duplex.set_talk(False, end)
        if not turn_detection(self._protocol.effective):
            spoken.commit = await self.commit(end)
            if respond and spoken.commit.outcome is CommitOutcome.COMMITTED:
                self.send(ev.ResponseCreate())


def _typed(event: Mapping[str, Any]) -> ev.AnyEvent:
    """A client event given in the wire's shape."""
    try:
        return wire.decode(msgspec.json.encode(dict(event)), Role.CLIENT)
    except (RemoteProtocolError, TypeError) as problem:
        raise LocalProtocolError(f"cannot send this mapping: {problem}") from None


__all__ = ["Activation", "Controls", "Spoken"]
