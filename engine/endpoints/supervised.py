"""A running sound device under supervision: told when it dies, reopened when it returns, closed without a trace."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from engine.audio import AudioEvent, DeviceCallback, Duplex, EventKind, ReferenceStats, Stamps, StreamStats
from engine.audio.duplex import SAMPLES
from engine.endpoints.devicereport import DeviceEvent, Opened, report
from engine.endpoints.latency import Probe
from engine.endpoints.negotiate import Pair, Wishes, moved, pair
from engine.endpoints.portaudio import Stream, StreamPlan, devices, devices_now, renew, steady
from engine.endpoints.renewal import RENEWAL
from engine.endpoints.waiting import Abandoned, in_thread
from engine.endpoints.wakeup import Wakeup
from engine.errors import DeviceError, EngineError

WATCH_S = 0.1
STALL_S = 1.0  # without a callback, twice running: dead
CLOSE_S = 8.0  # a sound system that has not closed by then is left behind
LONGEST_PAUSE_S = 2.0
ASK_AGAIN_S = 30.0  # other devices are not disturbed more often
SUSPENDED_S = 0.5
WRONG_RATE_PPM = 1000.0
HOP = 240  # samples at 24 kHz
MOST_EARLY = 16
_log = logging.getLogger("bargein")


@dataclass(frozen=True, slots=True)
class Patience:
    """What to do about a lost device: come back or give up, and how long a reply waits for it."""

    reopen: bool
    hold_s: float


def open_streams(
    duplex: Duplex, plans: Sequence[StreamPlan], priority: int, channels: Sequence[int] | None
) -> list[Stream]:
    """Open, and do not start, all or none. For a thread that may wait."""
    streams: list[Stream] = []
    try:
        for plan in plans:
            sounding = channels if plan.direction in ("playback", "both") else None
            streams.append(Stream(plan, DeviceCallback(duplex, plan.direction, priority=priority, channels=sounding)))
    except BaseException:
        for stream in streams:
            stream.close()
        raise
    return streams


T = TypeVar("T")


class DeviceSound:
    """A `Sound` on a device. Belongs to the loop thread; made by `Device.open`."""

    duplex: Duplex

    def __init__(
        self,
        wishes: Wishes,
        patience: Patience,
        wakeup: Wakeup,
        on_event: Callable[[DeviceEvent], None] | None,
    ) -> None:
        self.streams: list[Stream] = []
        self.closed = False  # and no thread is left that knows its memory
        self._abandoned = False
        self._wishes = wishes
        self._patience = patience
        self._wakeup = wakeup
        self._listeners = [on_event] if on_event is not None else []
        self._told: deque[DeviceEvent] = deque(maxlen=MOST_EARLY)  # the newest, for who follows later; older ones go
        self._watch: asyncio.Task[None] | None = None
        self._started_at = 0.0
        self._told_rate = False
        self._may_ask_at = 0.0
        self._probe: Probe | None = None
        self._slept = _sleep_clock()
        self._away_since: float | None = None
        self._fed = 0  # frames of silence in place of the microphone since then
        self._told_loss = False  # since then

    def opened_with(
        self, duplex: Duplex, streams: Sequence[Stream], found: Pair, priority: int, probe: Probe | None = None
    ) -> None:
        """What `Device` opened."""
        self.duplex, self.streams, self._found, self._priority = duplex, list(streams), found, priority
        self._probe = probe

    # ---- Sound

    async def wait(self, timeout: float) -> None:
        """As `Sound.wait`. Raises `DeviceError` when the device is lost for good."""
        self.duplex.arm()
        await self._wakeup.wait(timeout)
        if self._watch is not None and self._watch.done() and not self._watch.cancelled():
            self._watch.result()

    @property
    def ended(self) -> bool:
        """Never: a device goes on."""
        return False

    @property
    def seconds(self) -> float:
        """Captured time, silence in place of a lost device counted."""
        return self.duplex.capture_stats().frames / self.duplex.config.capture_rate

    # ---- what is known

    @property
    def away(self) -> bool:
        """Whether the device is lost at the moment."""
        return self._away_since is not None

    @property
    def opened(self) -> Opened:
        """What was opened."""
        return report(self._found, self.streams, self.duplex.config, self._priority)

    def stats(self) -> list[StreamStats]:
        """One snapshot of each stream, since it was opened last."""
        return [stream.callback.stats() for stream in self.streams]

    def stamps(self, direction: str) -> Stamps:
        """The filtered time stamps of "capture", "playback" or "reference", with drift in ppm and gaps."""
        stream = next(each for each in self.streams if each.plan.direction in (direction, "both"))
        return stream.callback.stamps(direction)

    def reference(self) -> ReferenceStats | None:
        """One snapshot of the echo reference; None where one stream has both microphone and loudspeaker, and no other
        reference was asked for.
        """
        return self.duplex.reference_stats()

    def follow(self, listener: Callable[[DeviceEvent], None]) -> None:
        """Call `listener` on the loop thread for what happens from now on, and now for the newest 16 that did."""
        for event in self._told:
            listener(event)
        self._listeners.append(listener)

    # ---- life

    async def start(self) -> None:
        """Let sound flow, and watch over it."""
        await self.in_thread(self._start_streams)
        self._watch = asyncio.create_task(self._supervise())

    def _start_streams(self) -> None:
        self._started_at = time.monotonic()
        if self._probe is not None:
            self._probe.started(self._started_at)
        for stream in self.streams:
            stream.start()

    async def stop(self) -> bool:
        """Close everything. False when the sound system does not let go: then an audio thread may live on, with the
        memory it uses.
        """
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
            self._watch = None
        self.closed = await self._close_streams() and not self._abandoned
        if self.closed and hasattr(self, "duplex"):
            self.duplex.settle_stages()
        return self.closed

    async def in_thread(self, work: Callable[[], T], limit_s: float | None = None) -> T:
        """As `waiting.in_thread`; remembers what was left behind."""
        try:
            return await in_thread(work, limit_s)
        except Abandoned:
            self._abandoned = True
            raise

    async def _close_streams(self) -> bool:
        streams, self.streams = self.streams, []

        def close() -> None:
            for stream in streams:
                stream.close()

        try:
            await self.in_thread(close, CLOSE_S)
        except (TimeoutError, DeviceError) as error:
            _log.error("the sound system does not close the device: %s", error or f"no answer in {CLOSE_S:g} s")
            return False
        return True

    # ---- supervision

    async def _supervise(self) -> None:
        sick = 0
        while True:
            await asyncio.sleep(WATCH_S)
            self._look_at_clocks()
            reason = self._complaint()
            sick = sick + 1 if reason else 0
            if sick >= 2:  # twice: a process that was stopped sees old times once
                await self._recover(reason or "")
                sick = 0
            elif reason is None and RENEWAL.wanted:
                await self._step_aside()
            elif reason is None and self._probe is not None:
                await self._follow_probe(self._probe)

    def _complaint(self) -> str | None:
        for stream in self.streams:
            stats = stream.callback.stats()
            if not stream.alive:
                return "it ended by itself" if stats.callbacks else "it died at its start"
            silent = time.monotonic() - max(stats.newest_s, self._started_at)
            if silent > STALL_S + (stream.plan.latency_s or 0.0):
                return f"no callback for {silent:.1f} s"
        return None

    def _look_at_clocks(self) -> None:
        slept = _sleep_clock()
        if slept - self._slept > SUSPENDED_S:
            seconds = slept - self._slept
            self._tell(DeviceEvent("resumed", f"the machine slept for {seconds:.1f} s", seconds))
        self._slept = slept
        for stream in self.streams if not self._told_rate else ():
            for direction in ("capture", "playback") if stream.plan.direction == "both" else (stream.plan.direction,):
                stamps = stream.callback.stamps(direction)
                if 0 < stamps.ppm_error < 0.2 * WRONG_RATE_PPM and abs(stamps.ppm) > WRONG_RATE_PPM:
                    self._told_rate = True
                    self._tell(DeviceEvent("rate", f"{direction} runs {stamps.ppm:+.0f} ppm from the rate it claims"))

    def _tell(self, event: DeviceEvent) -> None:
        _log.warning("sound device: %s", event.text)
        self._told.append(event)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                _log.exception("on_event of the device failed")

    def _tell_loss(self, reason: str) -> None:
        self._told_loss = True
        self._tell(DeviceEvent("lost", f"{self._names} lost: {reason}"))

    def _tell_return(self, usual: DeviceEvent) -> None:
        """`usual`, or that it is back: what was only to be opened again may have been gone just then."""
        event = DeviceEvent("back", f"{self._names} back after {usual.seconds:.1f} s", usual.seconds)
        self._tell(event if self._told_loss else usual)
        self._told_loss = False

    async def _recover(self, reason: str) -> None:
        """Close what is dead, send silence in its place, and come back."""
        plans = [stream.plan for stream in self.streams]
        dead_start = all(stream.callback.stats().callbacks == 0 for stream in self.streams)
        names = self._names
        if not dead_start:
            self._tell_loss(reason)
        await self._go_away()
        if not self._patience.reopen:
            raise DeviceError(f"{names} lost: {reason}")
        away = await self._come_back(plans)
        if self._probe is not None and not dead_start:
            self._probe.died(away, time.monotonic())
        self._tell_return(DeviceEvent("dead start", f"{names} died at its start and was opened again", away))

    async def _step_aside(self) -> None:
        """Another device has come that PortAudio does not know yet, and while this one is open it will not look."""
        plans = [stream.plan for stream in self.streams]
        await self._go_away()
        await self._while_away(asyncio.create_task(RENEWAL.over()))
        away = await self._come_back(plans)
        self._tell_return(
            DeviceEvent("renewed", f"{self._names} opened again, since another device had to be found", away)
        )

    async def _follow_probe(self, probe: Probe) -> None:
        """Open the streams again with more latency, if that is what they need."""
        ms = probe.wants(self.streams, time.monotonic(), self.duplex.queue.waiting > 0)
        if ms is None:
            return
        before = probe.ms
        plans = [replace(stream.plan, latency_s=ms / 1000) for stream in self.streams]
        await self._go_away()
        await self._while_away(asyncio.create_task(self.in_thread(partial(probe.grown, ms))))
        away = await self._come_back(plans)
        text = f"{self._names} lost sound at {before:g} ms, opened with {ms:g} ms"
        self._tell_return(DeviceEvent("latency", text, away))

    @property
    def _names(self) -> str:
        return " and ".join(map(repr, self._found.names))

    async def _go_away(self) -> None:
        """Close the streams; from here on silence is captured."""
        self._away_since, self._fed = time.monotonic(), 0
        if not await self._close_streams():
            names = self._names
            raise DeviceError(f"{names} lost, and the sound system does not let go of them: start the program anew")

    async def _come_back(self, plans: Sequence[StreamPlan]) -> float:
        """Open them again, as soon as that can be done; returns how long they were away."""
        assert self._away_since is not None
        pause = 0.0
        while True:
            try:
                await self._while_away(asyncio.create_task(self.in_thread(partial(self._reopen, plans, pause == 0.0))))
                await self.in_thread(self._start_streams)
                break
            except EngineError as error:
                _log.info("the device is not back yet: %s", error)
                await self._close_streams()
                if not self._patience.reopen:
                    raise
                if not self._told_loss:
                    self._tell_loss(str(error))
            pause = min(pause * 2 or WATCH_S, LONGEST_PAUSE_S)
            await self._while_away(asyncio.create_task(asyncio.sleep(pause)))
        away = time.monotonic() - self._away_since
        self._away_since = None
        return away

    def _reopen(self, plans: Sequence[StreamPlan], first: bool) -> None:
        """The same streams, of devices of the same names. For a thread that may wait."""
        if not first:
            self._found = pair(self._wishes, devices_now())  # are they there, without disturbing anybody?
            if not renew() and self._unlisted(self._found) and time.monotonic() >= self._may_ask_at:
                self._may_ask_at = time.monotonic() + ASK_AGAIN_S
                RENEWAL.together(renew)
        with steady():
            found = pair(self._wishes, devices())
            self.streams = open_streams(
                self.duplex, [moved(plan, found) for plan in plans], self._priority, self._wishes.loudspeaker_channels
            )
        self._found = found

    def _unlisted(self, fresh: Pair) -> bool:
        """Whether PortAudio's own list, which is older, leads to other devices or to none."""
        try:
            return pair(self._wishes, devices()).names != fresh.names
        except DeviceError:
            return True

    async def _while_away(self, task: asyncio.Task[None]) -> None:
        """Until the task is done no audio thread runs, so this thread owns both halves: silence goes in, so that an
        open turn ends and captured time goes on; a reply that has waited long enough is cut off.
        """
        try:
            while not task.done():
                await asyncio.wait([task], timeout=WATCH_S)
                self._feed()
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        task.result()

    def _feed(self) -> None:
        assert self._away_since is not None
        away, config = time.monotonic() - self._away_since, self.duplex.config
        due = int(away * config.capture_rate) - self._fed
        shape = (config.capture_channels,) if config.capture_channels > 1 else ()
        while due > 0:
            frames = min(due, config.max_block)
            self.duplex.capture(np.zeros((frames, *shape), dtype=SAMPLES[config.sample][0]))
            self._fed += frames
            due -= frames
        if away > self._patience.hold_s:
            self._silence(away)

    def _silence(self, away: float) -> None:
        """Cut off what nobody can hear, and report it as the interruption it is, so that the server is told."""
        queue = self.duplex.queue
        if queue.waiting > 0:
            position = self.duplex.capture_stats().hops * HOP
            queue.interrupt()
            self.duplex.report(AudioEvent(EventKind.CONFIRMED, queue.newest, position))
            self._tell(DeviceEvent("silenced", f"the reply was cut off, nobody could hear it for {away:.1f} s", away))
        left = int(WATCH_S * self.duplex.config.playback_rate)
        while left > 0:
            left -= len(self.duplex.playback(min(left, self.duplex.config.max_block)))


def _sleep_clock() -> float:
    """How long the machine has slept since it started; 0 where that cannot be known."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(boot) - time.monotonic() if boot is not None else 0.0
