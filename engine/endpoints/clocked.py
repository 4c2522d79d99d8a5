"""Samples in memory played against a clock: real time on a C thread, or the loop's virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import clock
from engine.audio import Duplex, DuplexConfig, Hearing, Pacer
from engine.endpoints.endpoint import SoundSettings
from engine.endpoints.wakeup import Wakeup

Sink = Callable[[NDArray[np.int16]], None]
"""Takes what was heard and played: int16 of shape (frames, 2), microphone and loudspeaker."""


def duplex_config(rate: int, settings: SoundSettings, wakeup_descriptor: int = -1) -> DuplexConfig:
    """A mono int16 duplex at one rate."""
    return DuplexConfig(
        capture_rate=rate,
        playback_rate=rate,
        max_block=max(rate // 100, 1),
        send_format=settings.send_format,
        receive_format=settings.receive_format,
        queue_s=settings.queue_s,
        barge_in=settings.barge_in,
        gate=settings.gate,
        hearing=settings.hearing or Hearing(),
        wakeup_descriptor=wakeup_descriptor,
    )


class _Paced:
    """A Sound on a pacer thread."""

    def __init__(self, duplex: Duplex, pacer: Pacer, frames: int, sink: Sink, wakeup: Wakeup) -> None:
        self.duplex = duplex
        self.pacer = pacer
        self._frames = frames
        self._sink = sink
        self._wakeup = wakeup

    async def wait(self, timeout: float) -> None:
        self.duplex.arm()
        await self._wakeup.wait(timeout)
        self.drain()

    def drain(self) -> None:
        """Hand over what was heard and played."""
        pairs = self.pacer.recorded()
        if len(pairs):
            self._sink(pairs)

    @property
    def ended(self) -> bool:
        return self.pacer.stats().frames >= self._frames

    @property
    def seconds(self) -> float:
        return self.pacer.stats().frames / self.duplex.config.capture_rate


class _Virtual:
    """A Sound moved by the loop's virtual time: one block of 10 ms whenever 10 ms have passed."""

    def __init__(self, duplex: Duplex, samples: NDArray[np.int16], sink: Sink) -> None:
        self.duplex = duplex
        self._samples = samples
        self._sink = sink
        self._done = 0
        self._block = max(duplex.config.capture_rate // 100, 1)
        self._woken = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        start, blocks = loop.time(), 0
        seconds = self._block / self.duplex.config.capture_rate
        while True:
            blocks += 1
            await asyncio.sleep(start + blocks * seconds - loop.time())
            self.step()
            if blocks % 2 == 0:
                self._woken.set()

    def step(self) -> None:
        """One block both ways."""
        heard = np.zeros(self._block, dtype=np.int16)
        part = self._samples[self._done : self._done + self._block]
        heard[: len(part)] = part
        played = self.duplex.process(heard)
        self._done += self._block
        self._sink(np.stack([heard, played], axis=1))

    async def wait(self, timeout: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._woken.wait()
        self._woken.clear()
        if self.task.done():
            self.task.result()  # it ends only by a failure, such as a full disk: raised here, where it is noticed

    @property
    def ended(self) -> bool:
        return self._done >= len(self._samples)

    @property
    def seconds(self) -> float:
        return self._done / self.duplex.config.capture_rate


@asynccontextmanager
async def play(
    samples: NDArray[np.int16], rate: int, settings: SoundSettings, sink: Sink, speed: float = 1.0
) -> AsyncIterator[_Paced | _Virtual]:
    """Run `samples` (mono, `rate` Hz) as a microphone: in real time times `speed`, or in virtual time on a virtual
    loop.
    """
    if clock.is_virtual():
        virtual = _Virtual(settings.dress(Duplex(duplex_config(rate, settings))), samples, sink)
        try:
            yield virtual
        finally:
            virtual.task.cancel()
            await asyncio.wait([virtual.task])
        return
    with ExitStack() as stack:
        wakeup = Wakeup()
        stack.callback(wakeup.close)
        duplex = settings.dress(Duplex(duplex_config(rate, settings, wakeup.descriptor)))
        pacer = Pacer(duplex, samples, speed=speed)
        paced = _Paced(duplex, pacer, len(samples), sink, wakeup)
        stack.callback(paced.drain)
        stack.callback(pacer.stop)  # first of all: nothing is given back under a running thread
        pacer.start()
        yield paced


class Memory:
    """An endpoint without a device: `samples` (mono int16) is the microphone; `recorded` afterwards has both
    directions.

    `speed` times real time (0.1..100); on a virtual loop time is virtual and `speed` unused. At most `limit_s`
    seconds are recorded, the rest is not.
    """

    def __init__(
        self, samples: NDArray[np.int16], rate: int = 24000, *, speed: float = 1.0, limit_s: float = 3600.0
    ) -> None:
        self._samples = np.ascontiguousarray(samples, dtype=np.int16)
        self.rate = rate
        self._speed = speed
        self._room = int(limit_s * rate)
        self._parts: list[NDArray[Any]] = []

    def open(self, settings: SoundSettings) -> Any:
        """As `Endpoint.open`."""
        return play(self._samples, self.rate, settings, self._keep, self._speed)

    def _keep(self, pairs: NDArray[np.int16]) -> None:
        kept = pairs[: self._room]
        self._room -= len(kept)
        self._parts.append(kept)

    @property
    def recorded(self) -> NDArray[np.int16]:
        """What was heard and played, int16 of shape (frames, 2)."""
        return np.concatenate(self._parts) if self._parts else np.empty((0, 2), dtype=np.int16)
