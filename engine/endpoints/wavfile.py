"""A WAV file as one end of a conversation."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from engine.endpoints.clocked import play
from engine.endpoints.endpoint import Sound, SoundSettings
from engine.endpoints.wav import WavWriter, read_wav

Path = str | os.PathLike[str]


class WavFile:
    """Speaks `input` into the conversation, then silence; writes what the loudspeaker played to `output`.

    `channel` counts from 0 and chooses one of several; without it they are averaged. `conversation` gets both sides
    (left = microphone, right = loudspeaker). Files are mono at the rate of `input`. `speed` 0.1..100 times real
    time; on a virtual loop time is virtual. Raises `MediaError` when the file cannot be used.
    """

    def __init__(
        self,
        input: Path,
        output: Path | None = None,
        *,
        conversation: Path | None = None,
        channel: int | None = None,
        speed: float = 1.0,
    ) -> None:
        self.input = input
        self.output = output
        self.conversation = conversation
        self.channel = channel
        self.speed = speed

    @asynccontextmanager
    async def open(self, settings: SoundSettings) -> AsyncIterator[Sound]:
        """As `Endpoint.open`."""
        wav = read_wav(self.input, channel=self.channel)
        with ExitStack() as files:
            loudspeaker = files.enter_context(WavWriter(self.output, wav.rate, 1)) if self.output else None
            both = files.enter_context(WavWriter(self.conversation, wav.rate, 2)) if self.conversation else None

            def write(pairs: NDArray[np.int16]) -> None:
                if loudspeaker is not None:
                    loudspeaker.write(pairs[:, 1])
                if both is not None:
                    both.write(pairs)

            async with play(wav.samples, wav.rate, settings, write, self.speed) as sound:
                yield sound
