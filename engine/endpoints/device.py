"""A sound device as one end of a conversation: a microphone and a loudspeaker, by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Literal

from engine import clock
from engine.audio import Duplex, DuplexConfig, Hearing, Reference
from engine.audio.checks import checked
from engine.endpoints.devicereport import DeviceEvent
from engine.endpoints.endpoint import SoundSettings
from engine.endpoints.latency import Latencies, Probe, state_file
from engine.endpoints.negotiate import Pair, Wishes, negotiate, pair
from engine.endpoints.portaudio import DeviceEntry, Stream, StreamPlan, checked_name, devices, steady
from engine.endpoints.supervised import DeviceSound, Patience, open_streams
from engine.endpoints.wakeup import Wakeup
from engine.errors import ConfigError, DeviceError


class Device:
    """The microphone and loudspeaker of this machine, or of its sound server.

    `microphone` and `loudspeaker` are names, patterns (`*`, `?`) or parts of names (`Device.list()` shows them), None
    the system's default. Opened is what the devices offer, int16 at 48 kHz first, or `rate` alone; one stream where
    both share a clock, else two (`one_stream` decides it otherwise). `microphone_channel` counts from 0 and takes
    that channel alone; `loudspeaker_channels` are those that sound, the rest is silent. `block_ms` 1..100;
    `latency_ms` 1..2000, None for the device's low one, or 100 behind a sound server, which loses sound below that.
    "auto" begins at two blocks (100 ms behind a sound server), opens the device again with more when it loses sound,
    and remembers for a month what it came to: in the XDG state folder (`~/.local/state/bargein/latency.json`), in the
    file that `remember` names, or, False, not at all.

    `reference_channel` is the one of the microphone's channels that carries what the loudspeaker plays (arrays with a
    loopback), or, with `reference_device`, that of a second device, such as a sink's monitor ("*monitor*"), which then
    lives and dies with the others. It stands beside the microphone, hop by hop: `DeviceSound.reference`, and the
    echo canceller takes it instead of what this side plays itself; with `pairs_ms` (100..10000) both are kept for
    `Duplex.read_pairs`.

    The echo of the loudspeaker is cancelled unless `connect(hearing=engine.Hearing(...))` says otherwise: its `echo` is
    "auto" here when no `hearing` is given.

    `priority` 1..99 asks for SCHED_FIFO for the audio thread, 0 does not; a refusal is reported in `Opened.realtime`.

    A device that dies or is unplugged is told to `on_event` (called on the loop thread; the conversation's `events`
    have it as `DeviceChanged`) and reopened by name when it returns; the conversation goes on. While it is away silence
    is sent, and the reply waits for `hold_s`, then it is cut off. With `reopen=False` its death ends the conversation
    with `DeviceError`. Several may be open.

    Needs the extra `device` and PortAudio: entering raises `MissingExtraError` or `DeviceError`, with the remedy.
    """

    def __init__(
        self,
        microphone: str | None = None,
        loudspeaker: str | None = None,
        *,
        rate: int | None = None,
        block_ms: float = 10.0,
        latency_ms: float | Literal["auto"] | None = None,
        remember: bool | str | PathLike[str] = True,
        microphone_channel: int | None = None,
        loudspeaker_channels: Sequence[int] | None = None,
        one_stream: bool | None = None,
        reference_channel: int | None = None,
        reference_device: str | None = None,
        pairs_ms: int = 0,
        priority: int = 70,
        reopen: bool = True,
        hold_s: float = 3.0,
        on_event: Callable[[DeviceEvent], None] | None = None,
    ) -> None:
        if loudspeaker_channels is not None and not loudspeaker_channels:
            raise ConfigError("loudspeaker_channels is empty: name one at least, or leave it out for all")
        for channel in loudspeaker_channels or ():
            checked("loudspeaker_channels", channel, 0, 31)
        self.wishes = Wishes(
            microphone=checked_name("microphone", microphone),
            loudspeaker=checked_name("loudspeaker", loudspeaker),
            rate=None if rate is None else int(checked("rate", rate, 8000, 192000)),
            block_ms=checked("block_ms", block_ms, 1, 100),
            latency_ms=_latency(latency_ms),
            microphone_channel=_channel("microphone_channel", microphone_channel),
            loudspeaker_channels=None if loudspeaker_channels is None else tuple(loudspeaker_channels),
            one_stream=one_stream,
            reference_channel=_channel("reference_channel", reference_channel),
            reference_device=checked_name("reference_device", reference_device),
        )
        self._pairs_ms = int(checked("pairs_ms", pairs_ms, 100, 10000)) if pairs_ms else 0
        self._latencies = Latencies(_memory(remember)) if latency_ms == "auto" else None
        self._priority = int(checked("priority", priority, 0, 99))
        self._patience = Patience(reopen, checked("hold_s", hold_s, 0, 3600))
        self._on_event = on_event

    @staticmethod
    def list() -> Sequence[DeviceEntry]:
        """The devices that PortAudio knew when it was first used. Raises `DeviceError`."""
        return devices()

    @asynccontextmanager
    async def open(self, settings: SoundSettings) -> AsyncIterator[DeviceSound]:
        """As `Endpoint.open`. Opening and closing wait for the sound system in a thread, the loop goes on."""
        if clock.is_virtual():
            raise ConfigError("a sound device runs in real time: use WavFile or Memory on a virtual loop")
        with ExitStack() as stack:
            wakeup = Wakeup()
            stack.callback(wakeup.close)
            sound = DeviceSound(self.wishes, self._patience, wakeup, self._on_event)
            try:
                await sound.in_thread(lambda: self._open(sound, settings, wakeup))
                await sound.start()
                yield sound
            finally:
                try:
                    await sound.stop()
                finally:
                    if not sound.closed:
                        stack.pop_all()  # an audio thread that does not end may still write to the pipe: it stays open

    def _open(self, sound: DeviceSound, settings: SoundSettings, wakeup: Wakeup) -> None:
        """Try what the devices offer, the best first."""
        with steady():
            found = pair(self.wishes, devices())
            probe = Probe(found, self.wishes.block_ms, self._latencies) if self._latencies is not None else None
            wishes = replace(self.wishes, latency_ms=probe.ms) if probe is not None else self.wishes
            duplex, streams = self._open_best(wishes, found, settings, wakeup)
        sound.opened_with(duplex, streams, found, self._priority, probe)

    def _open_best(
        self, wishes: Wishes, found: Pair, settings: SoundSettings, wakeup: Wakeup
    ) -> tuple[Duplex, Sequence[Stream]]:
        refusal: DeviceError | None = None
        for tries, plans in enumerate(negotiate(wishes, found)):
            duplex = settings.dress(Duplex(self._config(plans, settings, wakeup.descriptor, found.hidden)))
            try:
                return duplex, open_streams(duplex, plans, self._priority, wishes.loudspeaker_channels)
            except DeviceError as error:
                refusal = refusal or error
                if tries >= 8:
                    break
        assert refusal is not None  # negotiate raises when it has nothing to offer
        raise refusal

    def _config(
        self, plans: Sequence[StreamPlan], settings: SoundSettings, descriptor: int, hidden: bool
    ) -> DuplexConfig:
        capture = plans[0]
        playback = next(plan for plan in plans if plan.direction in ("playback", "both"))
        return DuplexConfig(
            capture_rate=capture.rate,
            playback_rate=playback.rate,
            capture_channels=capture.capture_channels,
            playback_channels=playback.playback_channels,
            capture_channel=self.wishes.microphone_channel or 0,
            sample=capture.sample,
            max_block=max(capture.block, playback.block, 1),
            send_format=settings.send_format,
            receive_format=settings.receive_format,
            queue_s=settings.queue_s,
            barge_in=settings.barge_in,
            gate=settings.gate,
            hearing=settings.hearing or Hearing(echo="auto"),
            wakeup_descriptor=descriptor,
            reference=self._reference(plans),
            pairs_ms=self._pairs_ms,
            two_clocks=playback.direction != "both",
            follow_gaps=not hidden,
        )

    def _reference(self, plans: Sequence[StreamPlan]) -> Reference | None:
        channel = self.wishes.reference_channel
        for plan in plans:
            if plan.direction == "reference":
                return Reference(channel or 0, plan.rate, plan.capture_channels)
        return Reference(channel) if channel is not None else None


def _channel(field: str, value: int | None) -> int | None:
    return None if value is None else int(checked(field, value, 0, 31))


def _latency(value: float | str | None) -> float | None:
    if value is None or value == "auto":
        return None
    if isinstance(value, str):
        raise ConfigError(f"latency_ms is {value!r}: give 1 to 2000, 'auto', or None for the device's low one")
    return checked("latency_ms", value, 1, 2000)


def _memory(remember: bool | str | PathLike[str]) -> Path | None:
    if isinstance(remember, bool):
        return state_file() if remember else None
    return Path(remember)
