"""Sounds of the application's own in the conversation: a chime, "one moment", an outage notice.

They go through the same playout as the replies, so echo control hears them, a barge-in ends them, and the ledger has
them as items of their own. The server never hears of them: nothing of them is truncated or deleted there.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import AudioFormat, Inlet, PlayoutQueue, Resampler, alaw_encode, ulaw_encode
from engine.endpoints.wav import read_wav
from engine.errors import ConfigError

MOST_WAITING = 16
LONGEST_S = 120.0

SoundSource = str | os.PathLike[str] | NDArray[Any]
"""A WAV file, or mono samples: int16, or float in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was heard of a sound: `played_ms` of `total_ms`, less when it was `interrupted`."""

    item_id: str
    played_ms: int
    total_ms: int
    interrupted: bool


class LocalSound:
    """A sound that was asked for. `item_id` names it in the ledger and in observers' reports."""

    def __init__(self, item_id: str, data: bytes, total_ms: int) -> None:
        self.item_id = item_id
        self.total_ms = total_ms
        self._data = data
        self._result: asyncio.Future[Played] = asyncio.get_running_loop().create_future()

    async def finished(self) -> Played:
        """Wait until it has been heard, or cut off, or the conversation is over; any number of callers."""
        return await asyncio.shield(self._result)

    def _end(self, played_ms: int) -> None:
        if not self._result.done():
            self._result.set_result(Played(self.item_id, played_ms, self.total_ms, played_ms < self.total_ms))


class LocalSounds:
    """Puts sounds into the playout queue and closes their books. Belongs to the loop thread.

    `busy` says whether a reply is in the middle of arriving: a sound waits for its end rather than part it.
    """

    def __init__(self, queue: PlayoutQueue, inlet: Inlet, busy: Callable[[], bool]) -> None:
        self._queue = queue
        self._inlet = inlet
        self._busy = busy
        self._count = 0
        self._waiting: deque[LocalSound] = deque()  # with those that play at most MOST_WAITING: play() refuses more
        self._playing: dict[str, LocalSound] = {}

    def play(self, samples: NDArray[np.int16], rate: int) -> LocalSound:
        """Queue mono int16 samples. Raises `ConfigError` when too many wait, or for one of over two minutes."""
        if len(self._waiting) + len(self._playing) >= MOST_WAITING:
            raise ConfigError(f"{MOST_WAITING} sounds wait to be played: await finished() of one first")
        if len(samples) > LONGEST_S * rate:
            raise ConfigError(f"the sound has {len(samples) / rate:.1f} s: at most {LONGEST_S:g} s are played")
        form = self._queue.format
        self._count += 1
        data = wire_form(samples, rate, form)
        sound = LocalSound(f"local_{self._count}", data, form.samples_to_ms(len(data) // form.sample_bytes))
        self._waiting.append(sound)
        self.settle()
        return sound

    def interrupt(self) -> None:
        """Forget what has not begun; what sounds is the queue's to end."""
        while self._waiting:
            self._waiting.popleft()._end(0)

    def settle(self) -> None:
        """Begin what may begin, and end what was heard."""
        while self._waiting and not self._busy():
            sound = self._waiting.popleft()
            self._playing[sound.item_id] = sound
            generation = self._queue.open()
            self._inlet.push(sound.item_id, 0, generation, sound._data)  # what has no room even there is not heard
            self._inlet.complete(sound.item_id, 0, generation)
            sound._data = b""
        for item_id, sound in list(self._playing.items()):
            if self._inlet.holds(item_id, 0):
                continue
            position = self._queue.position(item_id, 0)
            if position is None:
                self._done(sound, 0)
            elif position.waiting == 0 and position.ended and self._queue.retire(item_id, 0):
                self._done(sound, position.played_ms)

    def _done(self, sound: LocalSound, played_ms: int) -> None:
        del self._playing[sound.item_id]
        sound._end(played_ms)

    def abandon(self) -> None:
        """The conversation is over."""
        self.interrupt()
        for item_id, sound in list(self._playing.items()):
            position = self._queue.position(item_id, 0)
            self._done(sound, position.played_ms if position is not None else 0)


def samples_of(sound: SoundSource, rate: int | None) -> tuple[NDArray[np.int16], int]:
    """Mono int16 samples and their rate. Raises `ConfigError` or `MediaError` for what is no sound."""
    if not isinstance(sound, np.ndarray):
        if rate is not None:
            raise ConfigError(f"rate is {rate}: leave it out for a file, which knows its own")
        wav = read_wav(sound)
        return wav.samples, wav.rate
    if rate is None:
        raise ConfigError("rate is missing: give the sample rate of the array in Hz, such as rate=24000")
    if sound.ndim != 1 or (sound.dtype != np.int16 and sound.dtype.kind != "f"):
        raise ConfigError(f"sound is {sound.ndim}-D {sound.dtype}: give 1-D int16, or float in [-1, 1]")
    if sound.dtype == np.int16:
        return sound, rate
    scaled = np.nan_to_num(np.asarray(sound, np.float64) * 32768.0, nan=0.0)
    return np.clip(np.rint(scaled), -32768, 32767).astype(np.int16), rate


def wire_form(samples: NDArray[np.int16], rate: int, form: AudioFormat) -> bytes:
    """Samples as a session of this format carries them; the resampler's delay is taken out."""
    resampler = Resampler(rate, form.rate, "file")
    whole = np.concatenate([resampler.process(np.ascontiguousarray(samples)), resampler.flush()])
    delay = round(resampler.latency_ms * form.rate / 1000)
    sound = whole[delay : delay + -(-len(samples) * form.rate // rate)]
    if form is AudioFormat.PCM:
        return sound.astype("<i2").tobytes()
    return (ulaw_encode if form is AudioFormat.PCMU else alaw_encode)(sound).tobytes()


__all__ = ["LocalSound", "LocalSounds", "Played", "SoundSource", "samples_of", "wire_form"]
