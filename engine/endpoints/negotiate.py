"""Which streams to open: one where microphone and loudspeaker share a clock, else two; int16 at 48 kHz first, then what
the devices offer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from engine.endpoints.portaudio import DeviceEntry, StreamPlan, find, supported
from engine.errors import DeviceError

RATES = (48000, 44100, 32000, 24000, 16000, 96000, 8000)
SAMPLES = ("int16", "float32")
HIDDEN_LATENCY_S = 0.1  # behind a sound server 20 to 30 ms lose pieces without a flag; 100 ms was always exact
MOST_CHANNELS = 32


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked of a device; see `Device`."""

    microphone: str | None
    loudspeaker: str | None
    rate: int | None
    block_ms: float
    latency_ms: float | None
    microphone_channel: int | None
    loudspeaker_channels: tuple[int, ...] | None
    one_stream: bool | None
    reference_channel: int | None = None
    reference_device: str | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """The devices that were found: two, and a third where the echo reference comes from one."""

    microphone: DeviceEntry
    loudspeaker: DeviceEntry
    reference: DeviceEntry | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """As listed, with the card numbers."""
        more = (self.reference.name,) if self.reference is not None else ()
        return (self.microphone.name, self.loudspeaker.name, *more)

    @property
    def hidden(self) -> bool:
        """Whether either is behind a sound server or a plug."""
        return self.microphone.hidden or self.loudspeaker.hidden

    @property
    def one_clock(self) -> bool:
        """The same hardware, or both behind the same server, which has one clock for all."""
        if self.microphone.host_api != self.loudspeaker.host_api:
            return False
        same = self.microphone.stable_name == self.loudspeaker.stable_name
        return same or (self.microphone.hidden and self.loudspeaker.hidden)


def pair(wishes: Wishes, entries: Sequence[DeviceEntry]) -> Pair:
    """The devices that the wishes name. Raises `DeviceError`."""
    reference = find(entries, wishes.reference_device, "input") if wishes.reference_device is not None else None
    return Pair(find(entries, wishes.microphone, "input"), find(entries, wishes.loudspeaker, "output"), reference)


def negotiate(wishes: Wishes, found: Pair) -> Iterator[list[StreamPlan]]:
    """Sets of streams that the devices say they can do, the best first; last in each that of the reference, where it
    has one. Raises `DeviceError` when there is none.
    """
    if found.reference is None:
        yield from _both_halves(wishes, found)
        return
    for plans in _both_halves(wishes, found):
        yield [*plans, _reference(plans[0], wishes, found.reference)]


def _both_halves(wishes: Wishes, found: Pair) -> Iterator[list[StreamPlan]]:
    one = found.one_clock if wishes.one_stream is None else wishes.one_stream
    refusals: list[str] = []
    offered = False
    for sample in SAMPLES if one else ():
        for plan in _offers("both", sample, wishes, found, refusals):
            offered = True
            yield [plan]
    for sample in SAMPLES:  # one for both halves
        capture = next(_offers("capture", sample, wishes, found, refusals), None)
        playback = next(_offers("playback", sample, wishes, found, refusals), None)
        if capture is not None and playback is not None:
            offered = True
            yield [capture, playback]
    if not offered:
        asked = f"{wishes.rate} Hz" if wishes.rate else "any rate"
        raise DeviceError(
            f"{found.microphone.name!r} and {found.loudspeaker.name!r} offer no format at {asked}: "
            f"{refusals[-1] if refusals else 'nothing to ask for'}"
        )


def _reference(beside: StreamPlan, wishes: Wishes, device: DeviceEntry) -> StreamPlan:
    """The stream of a device that is heard as the echo reference: in the microphone's sample type, at a rate of its
    own. Raises `DeviceError`.
    """
    refusals: list[str] = []
    for rate, channels in product(
        dict.fromkeys((beside.rate, device.default_rate, *RATES)),
        _counts(device, device.inputs, wishes.reference_channel, "reference_channel"),
    ):
        plan = replace(
            beside,
            direction="reference",
            microphone=device.index,
            loudspeaker=None,
            capture_channels=channels,
            playback_channels=0,
            rate=rate,
            block=max(round(rate * wishes.block_ms / 1000), 1),
        )
        refusal = supported(plan) if 8000 <= rate <= 192000 else f"{rate} Hz is no rate"
        if refusal is None:
            return plan
        refusals.append(refusal)
    raise DeviceError(f"reference_device {device.name!r} offers no {beside.sample}: {refusals[-1]}")


def _offers(direction: str, sample: str, wishes: Wishes, found: Pair, refusals: list[str]) -> Iterator[StreamPlan]:
    for rate, capture, playback in product(
        _rates(wishes, found),
        _capture_channels(wishes, found.microphone),
        _playback_channels(wishes, found.loudspeaker),
    ):
        plan = _plan(direction, rate, sample, (capture, playback), wishes, found)
        refusal = supported(plan)
        if refusal is None:
            yield plan
        else:
            refusals.append(refusal)


def _plan(direction: str, rate: int, sample: str, channels: tuple[int, int], wishes: Wishes, found: Pair) -> StreamPlan:
    hidden = found.hidden if direction == "both" else _of(direction, found).hidden
    default = HIDDEN_LATENCY_S if hidden else None
    return StreamPlan(
        direction=direction,
        microphone=found.microphone.index if direction != "playback" else None,
        loudspeaker=found.loudspeaker.index if direction != "capture" else None,
        capture_channels=channels[0],
        playback_channels=channels[1],
        rate=rate,
        sample=sample,
        block=max(round(rate * wishes.block_ms / 1000), 1),
        latency_s=default if wishes.latency_ms is None else wishes.latency_ms / 1000,
    )


def _of(direction: str, found: Pair) -> DeviceEntry:
    return found.microphone if direction == "capture" else found.loudspeaker


def _rates(wishes: Wishes, found: Pair) -> list[int]:
    if wishes.rate is not None:
        return [wishes.rate]
    own = [found.microphone.default_rate, found.loudspeaker.default_rate]
    usable = [rate for rate in own if 8000 <= rate <= 192000]
    return list(dict.fromkeys((*RATES[:1], *usable, *RATES[1:])))


def _capture_channels(wishes: Wishes, device: DeviceEntry) -> list[int]:
    """The fewest first: one channel is the device's own choice, a named one needs all up to it."""
    loopback = wishes.reference_channel if wishes.reference_device is None else None
    named = _counts(device, device.inputs, wishes.microphone_channel, "microphone_channel")
    if loopback is None:
        return named
    needed = [count for count in _counts(device, device.inputs, loopback, "reference_channel") if count >= min(named)]
    return needed or named[-1:]


def _counts(device: DeviceEntry, most: int, channel: int | None, field: str) -> list[int]:
    most = min(most, MOST_CHANNELS)
    if channel is None:
        return list(dict.fromkeys(count for count in (1, 2, most) if count <= most))
    if channel >= most:
        raise DeviceError(f"{field} is {channel}: {device.name!r} has channels 0 to {most - 1}")
    return list(dict.fromkeys(max(count, channel + 1) for count in (1, 2, most)))


def _playback_channels(wishes: Wishes, device: DeviceEntry) -> list[int]:
    most = min(device.outputs, MOST_CHANNELS)
    named = wishes.loudspeaker_channels
    if named is None:
        return list(dict.fromkeys(count for count in (1, 2, most) if count <= most))
    if max(named) >= most:
        raise DeviceError(f"loudspeaker_channels has {max(named)}: {device.name!r} has channels 0 to {most - 1}")
    return list(dict.fromkeys(max(count, max(named) + 1) for count in (1, 2, most)))


def moved(plan: StreamPlan, found: Pair) -> StreamPlan:
    """The same stream on devices found anew, whose numbers may have changed."""
    if plan.direction == "reference":
        assert found.reference is not None  # the plans came from a pair that had one
        return replace(plan, microphone=found.reference.index)
    return replace(
        plan,
        microphone=found.microphone.index if plan.microphone is not None else None,
        loudspeaker=found.loudspeaker.index if plan.loudspeaker is not None else None,
    )
