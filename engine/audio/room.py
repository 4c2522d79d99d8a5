"""A simulated room with a loudspeaker, a microphone and somebody in it: for tests, examples and training.

    room = Room(RoomConfig(t60_s=0.4, delay_s=0.08, skew_ppm=50), seed=1)
    heard = room.process(reference, near)          # as much at a time as you like
    heard.microphone, heard.echo, heard.near

    reference ─▶ dropped pieces ─▶ band, resonances ─▶ soft clipping ─▶ playback delay, clock skew ─▶ room ─┐
    near ────────────────────────────────────────────────────────── room, from the talker's place ─┤
    noise ──────────────────────────────────────────────────────────────────────────────────┴▶ microphone

The first 50 ms of a room are image sources (J. Allen, D. Berkley, "Image method for efficiently simulating small-room
acoustics", JASA 1979) whose walls absorb what Eyring's formula says, each to the nearest sample; after them comes noise
that decays by 60 dB in `t60_s`. T60 measured on the response (slope from -5 to -25 dB) is within 20 % of what was asked
for from 0.15 s on; a smaller room is shorter or longer by up to 40 ms. A response has an energy of 1: white noise comes
out as loud as it went in, times `echo_db` or `near_db`.

Sound is mono float32 in [-1, 1] at 24 kHz. One room serves one stream on one thread. Same seed and configuration, same
sound, to 1e-5 however it is cut in pieces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import checked
from engine.audio.imagesource import RATE, Point, Sound, response
from engine.errors import ConfigError

FADE = 480  # samples from one place to the next
PIECE = 40000  # samples in one transform at most
TAPS, PHASES = 16, 1024  # of the interpolation between samples
LONGEST_DELAY_S = 2.0


@dataclass(frozen=True)
class DelayJump:
    """From `at_s` on (seconds of the microphone's sound) the playback delay is `delay_s`, 0 to 1."""

    at_s: float
    delay_s: float


@dataclass(frozen=True)
class Move:
    """At `at_s` things are somewhere else, within 20 ms. None: where they were."""

    at_s: float
    loudspeaker_m: Point | None = None
    microphone_m: Point | None = None
    talker_m: Point | None = None


@dataclass(frozen=True)
class Drop:
    """From `at_s` on `length_s` of the reference are not played: silence in their place."""

    at_s: float
    length_s: float


@dataclass(frozen=True)
class Resonance:
    """A peak (or a hole) of the loudspeaker: 20 to 12 000 Hz, -30 to 30 dB, width by `q`, 0.1 to 50."""

    hz: float
    gain_db: float
    q: float


@dataclass(frozen=True)
class RoomConfig:
    """The room and what stands in it. Raises `ConfigError` naming field, value and range."""

    size_m: Point = (5.0, 4.0, 2.7)  # 1 to 20 each
    t60_s: float = 0.3  # time in which sound falls by 60 dB, 0.05 to 1.5; 0: no walls
    loudspeaker_m: Point = (2.0, 1.5, 0.9)  # places from one corner, inside the room
    microphone_m: Point = (2.2, 1.7, 0.9)
    talker_m: Point = (2.9, 2.5, 1.3)
    delay_s: float = 0.05  # from the reference to the loudspeaker, 0 to 1, to the sample; the way in air comes on top
    skew_ppm: float = 0.0  # how much faster the microphone's clock is than the loudspeaker's, -500 to 500
    echo_db: float = 0.0  # -100 to 40
    near_db: float = 0.0  # -100 to 40
    band_hz: tuple[float, float] | None = None  # of the loudspeaker, 12 dB an octave beyond; 20 to 12 000
    resonances: tuple[Resonance, ...] = ()
    drive: float = 0.0  # of its soft clipping, tanh(drive x) / drive, 0 to 20; 0: none
    noise_db: float | None = -75.0  # of the room, dBFS, -120 to 0, falling by 3 dB an octave; None: none
    events: tuple[DelayJump | Move | Drop, ...] = field(default=())

    def __post_init__(self) -> None:
        for axis, length in zip("xyz", self.size_m, strict=True):
            checked(f"size_m.{axis}", length, 1.0, 20.0)
        for name in ("loudspeaker_m", "microphone_m", "talker_m"):
            self._inside(name, getattr(self, name))
        if self.t60_s != 0:
            checked("t60_s", self.t60_s, 0.05, 1.5)
        checked("delay_s", self.delay_s, 0.0, 1.0)
        checked("skew_ppm", self.skew_ppm, -500.0, 500.0)
        checked("echo_db", self.echo_db, -100.0, 40.0)
        checked("near_db", self.near_db, -100.0, 40.0)
        checked("drive", self.drive, 0.0, 20.0)
        if self.noise_db is not None:
            checked("noise_db", self.noise_db, -120.0, 0.0)
        if self.band_hz is not None:
            checked("band_hz[0]", self.band_hz[0], 20.0, 12000.0)
            checked("band_hz[1]", self.band_hz[1], self.band_hz[0], 12000.0)
        for each in self.resonances:
            checked("resonances.hz", each.hz, 20.0, 12000.0)
            checked("resonances.gain_db", each.gain_db, -30.0, 30.0)
            checked("resonances.q", each.q, 0.1, 50.0)
        for event in self.events:
            self._possible(event)

    def _inside(self, name: str, place: Point) -> None:
        for axis, x, length in zip("xyz", place, self.size_m, strict=True):
            if not 0.0 < x < length:
                raise ConfigError(f"{name}.{axis} is {x}: the room is {length:g} m long there, give a place inside")

    def _possible(self, event: DelayJump | Move | Drop) -> None:
        checked("at_s", event.at_s, 0.0, 1e6)
        if isinstance(event, DelayJump):
            checked("delay_s", event.delay_s, 0.0, 1.0)
        elif isinstance(event, Drop):
            checked("length_s", event.length_s, 0.0, 10.0)
        else:
            for name in ("loudspeaker_m", "microphone_m", "talker_m"):
                if (place := getattr(event, name)) is not None:
                    self._inside(name, place)


@dataclass(frozen=True)
class Heard:
    """What reaches the microphone, by where it comes from. Arrays of the same length."""

    echo: Sound
    near: Sound
    noise: Sound

    @property
    def microphone(self) -> Sound:
        """All of it, as a converter takes it: cut at -1 and 1."""
        return np.asarray(np.clip(self.echo + self.near + self.noise, -1.0, 1.0), np.float32)

    def at_ser(self, ser_db: float) -> Heard:
        """The same with the near end `ser_db` above the echo (-60 to 60), each measured where it sounds."""
        checked("ser_db", ser_db, -60.0, 60.0)
        near, echo = active_rms(self.near), active_rms(self.echo)
        if near == 0.0 or echo == 0.0:
            return self
        return replace(self, near=self.near * np.float32(10 ** (ser_db / 20) * echo / near))


def active_rms(sound: Sound) -> float:
    """RMS of the frames of 20 ms within 30 dB of the loudest; 0 for silence."""
    power = (np.asarray(sound[: len(sound) // 480 * 480], np.float64).reshape(-1, 480) ** 2).mean(axis=1)
    loud = power[power > (power.max() / 1000 if len(power) else 0)]
    return float(np.sqrt(loud.mean())) if len(loud) else 0.0


def _minimum_phase(gain: NDArray[np.float64], taps: int) -> Sound:
    """The causal filter of this gain (over 0 to 12 kHz evenly) whose energy comes soonest."""
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, 1e-4)))
    half = len(cepstrum) // 2
    cepstrum[1:half] *= 2
    cepstrum[half + 1 :] = 0
    return np.asarray(np.fft.irfft(np.exp(np.fft.rfft(cepstrum)))[:taps], np.float32)


def _loudspeaker(config: RoomConfig) -> Sound:
    hz = np.linspace(0, RATE / 2, 2049)
    hz[0] = hz[1] / 4
    gain = np.ones_like(hz)
    if config.band_hz is not None:
        low, high = config.band_hz
        gain /= np.sqrt(1 + (low / hz) ** 4) * np.sqrt(1 + (hz / high) ** 4)
    for each in config.resonances:
        away = each.q * (hz / each.hz - each.hz / hz)
        gain *= 10 ** (each.gain_db / 20 / (1 + away**2))
    return _minimum_phase(gain, 1024)


def _interpolation() -> Sound:
    """(PHASES, TAPS): a windowed sinc for each fraction of a sample."""
    t = np.arange(TAPS)[None, :] - (TAPS // 2 - 1) - np.arange(PHASES)[:, None] / PHASES
    table = np.sinc(t) * np.cos(np.pi * t / (TAPS + 1)) ** 2
    return np.asarray(table / table.sum(axis=1, keepdims=True), np.float32)


class _Path:
    """A filter in pieces of any length, exchanged along a ramp."""

    def __init__(self, taps: Sound) -> None:
        self.taps, self.former, self.since = taps, taps, FADE
        self.rest = np.zeros(0, np.float32)

    def change(self, taps: Sound) -> None:
        self.former, self.taps, self.since = self.taps, taps, 0

    def process(self, sound: Sound) -> Sound:
        if self.since < FADE:
            share = np.clip((self.since + 1 + np.arange(len(sound))) / FADE, 0.0, 1.0).astype(np.float32)
            self.since += len(sound)
            self._add(sound * (1 - share), self.former)
            self._add(sound * share, self.taps)
        else:
            self._add(sound, self.taps)
        out, self.rest = self.rest[: len(sound)], self.rest[len(sound) :]
        return out

    def _add(self, sound: Sound, taps: Sound) -> None:
        length = len(sound) + len(taps) - 1
        if len(self.rest) < length:
            self.rest = np.concatenate([self.rest, np.zeros(length - len(self.rest), np.float32)])
        if not sound.any():
            return
        size = 1 << (length - 1).bit_length()
        if size > 4096 and size * 3 // 4 >= length:
            size = size * 3 // 4
        more = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(taps, size), size)[:length]
        self.rest[:length] += more.astype(np.float32)


class Room:
    """Sound in, sound at the microphone out. `seed` is of the noise and of the decays."""

    def __init__(self, config: RoomConfig | None = None, seed: int = 0) -> None:
        self.config = config = config or RoomConfig()
        self._seed = seed
        self._rng = np.random.default_rng([seed, 1])
        self._speaker = _Path(_loudspeaker(config)) if config.band_hz or config.resonances else None
        self._places = {name: getattr(config, name) for name in ("loudspeaker_m", "microphone_m", "talker_m")}
        self._echo, self._near = _Path(self._from("loudspeaker_m")), _Path(self._from("talker_m"))
        pink = 1 / np.sqrt(np.maximum(np.linspace(0, RATE / 2, 513), 50.0))
        taps = _minimum_phase(pink / math.sqrt((pink**2).mean()), 512)
        self._colour = _Path(taps)
        self._played = np.zeros(round(LONGEST_DELAY_S * RATE), np.float32)  # newest last
        self._delay = round(config.delay_s * RATE)
        self._now = 0  # samples heard
        self._silent_until = 0
        self._events = sorted(config.events, key=lambda event: event.at_s)
        self._table = _interpolation() if config.skew_ppm else None

    def _from(self, place: str) -> Sound:
        config = self.config
        return response(config.size_m, self._places[place], self._places["microphone_m"], config.t60_s, self._seed)

    def process(self, reference: Sound, near: Sound | None = None) -> Heard:
        """The next piece: what the loudspeaker is given, and what the talker says (None: nothing), of the same length.

        Raises `ConfigError` for arrays that are not one channel of float32, or differ in length.
        """
        near = np.zeros_like(reference) if near is None else near
        for name, sound in (("reference", reference), ("near", near)):
            if sound.ndim != 1 or sound.dtype != np.float32:
                raise ConfigError(f"{name} has shape {sound.shape} and {sound.dtype}: give one channel of float32")
        if len(near) != len(reference):
            raise ConfigError(f"near has {len(near)} samples: give {len(reference)}, as many as reference has")
        pieces: list[tuple[Sound, Sound, Sound]] = []
        at = 0
        while at < len(reference) or not pieces:
            self._happen()
            upto = min([len(reference), at + PIECE, *(at + round(e.at_s * RATE) - self._now for e in self._events[:1])])
            if self._silent_until > self._now:
                upto = min(upto, at + self._silent_until - self._now)
            pieces.append(self._piece(reference[at:upto], near[at:upto]))
            at = upto
        return Heard(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))

    def _happen(self) -> None:
        """What is due by now."""
        while self._events and round(self._events[0].at_s * RATE) <= self._now:
            event = self._events.pop(0)
            if isinstance(event, DelayJump):
                self._delay = round(event.delay_s * RATE)
            elif isinstance(event, Drop):
                self._silent_until = self._now + round(event.length_s * RATE)
            else:
                self._places |= {name: place for name in self._places if (place := getattr(event, name)) is not None}
                self._echo.change(self._from("loudspeaker_m"))
                self._near.change(self._from("talker_m"))

    def _piece(self, reference: Sound, near: Sound) -> tuple[Sound, Sound, Sound]:
        config, count = self.config, len(reference)
        if self._silent_until > self._now:
            reference = np.zeros_like(reference)
        sound = self._speaker.process(reference) if self._speaker else reference
        if config.drive:
            sound = np.tanh(np.float32(config.drive) * sound) / np.float32(config.drive)
        echo = self._echo.process(self._late(sound)) * np.float32(10 ** (config.echo_db / 20))
        noise = np.zeros_like(near)
        if config.noise_db is not None:
            noise = self._colour.process(self._rng.standard_normal(count).astype(np.float32))
            noise = noise * np.float32(10 ** (config.noise_db / 20))
        self._now += count
        return echo, self._near.process(near) * np.float32(10 ** (config.near_db / 20)), noise

    def _late(self, sound: Sound) -> Sound:
        """By the playback delay, on the microphone's clock."""
        past = len(self._played)
        whole = np.concatenate([self._played, sound])
        self._played = whole[len(sound) :]
        if self._table is None:
            return whole[past - self._delay : past - self._delay + len(sound)]
        count = np.arange(len(sound))
        late = self._delay + (self._now + count) * (self.config.skew_ppm * 1e-6)
        # what is not played yet cannot be heard: half the interpolation is the least; nor what is forgotten
        place = past + count - np.clip(late, TAPS // 2, past - TAPS)
        first = np.floor(place).astype(np.int64)
        phase = ((place - first) * PHASES).astype(np.int64)
        first -= TAPS // 2 - 1
        out = np.zeros(len(sound), np.float32)
        for tap in range(TAPS):
            out += whole[first + tap] * self._table[phase, tap]
        return out


def random_room(seed: int, seconds: float = 30.0) -> RoomConfig:
    """A room drawn by seed, none of the easy ones: T60 0.08 to 0.7 s, delay 0 to 200 ms, a loudspeaker that resonates,
    has no bass and clips, the talker 0.4 to 3 m away, room noise 12 to 50 dB below an echo of a reference of -26 dBFS;
    30 % with skew up to 200 ppm, 25 % with a move, 20 % with a delay jump, 10 % with dropped pieces within `seconds`.
    """
    rng = np.random.default_rng([seed, 2])
    size = (rng.uniform(2.5, 8), rng.uniform(2.2, 6), rng.uniform(2.2, 3.5))
    microphone = _near_to(rng, (rng.uniform(0.5, size[0] - 0.5), rng.uniform(0.5, size[1] - 0.5), 0.9), 0.3, size)
    echo_db = rng.uniform(-18, 6)
    events: list[DelayJump | Move | Drop] = []
    delay_s = rng.uniform(0, 0.2)
    if rng.random() < 0.25:
        events.append(Move(rng.uniform(0.2, 0.9) * seconds, microphone_m=_near_to(rng, microphone, 0.15, size)))
    if rng.random() < 0.2:
        jump = float(np.clip(delay_s + rng.choice([-1, 1]) * rng.uniform(0.01, 0.08), 0, 0.3))
        events.append(DelayJump(rng.uniform(0.2, 0.9) * seconds, jump))
    if rng.random() < 0.1:
        events += [Drop(rng.uniform(0, 1) * seconds, rng.uniform(0.01, 0.2)) for _ in range(3)]
    return RoomConfig(
        size_m=size,
        t60_s=float(np.exp(rng.uniform(np.log(0.08), np.log(0.7)))),
        loudspeaker_m=_near_to(rng, microphone, float(np.exp(rng.uniform(np.log(0.05), np.log(0.8)))), size),
        microphone_m=microphone,
        talker_m=_near_to(rng, microphone, rng.uniform(0.4, 3.0), size),
        delay_s=delay_s,
        skew_ppm=rng.uniform(-200, 200) if rng.random() < 0.3 else 0.0,
        echo_db=echo_db,
        band_hz=(rng.uniform(60, 350), rng.uniform(6000, 12000)),
        resonances=tuple(
            Resonance(float(np.exp(rng.uniform(np.log(150), np.log(7000)))), rng.uniform(-10, 10), rng.uniform(0.7, 6))
            for _ in range(rng.integers(0, 5))
        ),
        drive=float(np.exp(rng.uniform(np.log(0.5), np.log(6)))) if rng.random() < 0.7 else 0.0,
        noise_db=float(max(-26 + echo_db - rng.uniform(12, 50), -95)),
        events=tuple(events),
    )


def _near_to(rng: np.random.Generator, place: Point, away_m: float, size: Point) -> Point:
    """A place about so far away, at least 20 cm from the walls."""
    way = rng.standard_normal(3) * (1, 1, 0.4)
    moved = np.array(place) + way / np.linalg.norm(way) * away_m
    x, y, z = np.clip(moved, 0.2, np.array(size) - 0.2)
    return float(x), float(y), float(z)
