"""The echo canceller: what the loudspeaker plays, taken out of what the microphone hears (csrc/echo.h)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import MOST_PPM, Resampler, Sample
from engine.errors import ConfigError
from engine.native import Block, address, lib, new

EchoWay = Literal["cancel", "linear", "half_duplex"]
EchoJudge = Literal["net", "rule"]

RATE = int(lib.RT_RATE)
HOP = int(lib.RT_HOP)

RESULT = np.dtype(
    [("near", "<f4"), ("erle_db", "<f4"), ("fit", "<f4"), ("delay_ms", "<f4"), ("noise_db", "<f4"), ("open", "<u4"),
     ("converged", "<u4"), ("playing", "<u4")]
)  # fmt: skip
"""What is known after one hop of 10 ms; see the properties of EchoCanceller."""

_WAYS: dict[str, int] = {
    "cancel": lib.RT_ECHO_CANCEL,
    "linear": lib.RT_ECHO_LINEAR,
    "half_duplex": lib.RT_ECHO_HALF_DUPLEX,
}
_JUDGES: dict[str, int] = {"net": lib.RT_ECHO_BY_NET, "rule": lib.RT_ECHO_BY_RULE}


class EchoCanceller:
    """Takes the loudspeaker's sound out of the microphone's, both mono at `rate` Hz (8000 to 48000), and tells whether
    somebody near is speaking. The echo may be up to 500 ms later than the reference.

    `way`: "cancel" leaves the near end alone; "linear" suppresses nothing after the linear filter, so some echo is
    left; "half_duplex" lets nothing through while the loudspeaker sounds. `comfort_noise`, for people, puts noise like
    the room's where echo was suppressed and cuts nothing off hard; without it, for a recogniser, there is silence.
    `judge` is who tells whether somebody is near: a small network ("net"), or a "rule".
    `skew_ppm`, -500 to 500: how much faster the reference's clock runs than the microphone's, for two recordings of two
    devices; the reference is resampled to the microphone's clock (out then comes only that for which both are there,
    skew_ppm of the time later and later; flush gives the rest).

    Works at 24 kHz, so of sound at 48 kHz only what lies below 12 kHz comes out. Every process() returns what is due by
    then, whole hops of 10 ms; the same whichever way the input was cut. One thread at a time.

        canceller = EchoCanceller(16000)
        for mic, reference in blocks:           # float32 in [-1, 1] or int16, shape (n,), any n, the same for both
            send(canceller.process(mic, reference))
        send(canceller.flush())                 # the last latency_ms, and a hop that was not full

    Raises ConfigError for a rate, way, judge or skew that there is not.
    """

    def __init__(
        self,
        rate: int = 24000,
        *,
        way: EchoWay = "cancel",
        comfort_noise: bool = True,
        judge: EchoJudge = "net",
        skew_ppm: float = 0.0,
    ) -> None:
        if not 8000 <= rate <= 48000:
            raise ConfigError(f"rate is {rate} Hz: give 8000 to 48000")
        if not (isinstance(skew_ppm, int | float) and math.fabs(skew_ppm) <= MOST_PPM):
            raise ConfigError(f"skew_ppm is {skew_ppm!r}; use -{MOST_PPM:g} to {MOST_PPM:g}")
        self.rate = rate
        self.skew_ppm = float(skew_ppm)
        tunable = skew_ppm != 0  # both: they are to be late alike
        self._in = Resampler(rate, RATE, tunable=tunable)
        self._reference = Resampler(rate, RATE, tunable=tunable)
        if tunable:
            self._reference.tune(skew_ppm)
        self._out = Resampler(RATE, rate)
        self._block = Block(lib.rt_echo_size())
        self._state: Any = self._block.pointer("rt_echo *")
        lib.rt_echo_init(self._state, _config(way, judge, comfort_noise))
        self._start()
        self.configure(way, comfort_noise=comfort_noise, judge=judge)

    def configure(self, way: EchoWay, *, comfort_noise: bool = True, judge: EchoJudge = "net") -> None:
        """Change all three from the next hop on; what is known of the room stays. Raises ConfigError."""
        lib.rt_echo_set(self._state, _config(way, judge, comfort_noise))
        self.judge: EchoJudge = judge
        self.way: EchoWay = way
        self.comfort_noise = bool(comfort_noise)

    @property
    def latency_ms(self) -> float:
        """How much later the near end leaves than it came, in milliseconds, the wait for a whole hop not counted."""
        return self._in.latency_ms + 1000 * int(lib.rt_echo_latency(self._state)) / RATE + self._out.latency_ms

    @property
    def near_probability(self) -> float:
        """That somebody near speaks, 0 to 1, as of the last hop; 0.5 is the balanced decision."""
        return float(self._last["near"])

    @property
    def erle_db(self) -> float:
        """By how many dB the linear filter takes the echo down, over the last second or so of it; 0 before any."""
        return float(self._last["erle_db"])

    @property
    def delay_ms(self) -> float | None:
        """From reference to echo, to 10 ms; None while it is not known."""
        return float(self._last["delay_ms"]) if self._last["delay_ms"] >= 0 else None

    @property
    def converged(self) -> bool:
        """Whether the filter knows the room; also when three seconds of reference left no echo to hear (a headset)."""
        return bool(self._last["converged"])

    @property
    def playing(self) -> bool:
        """Whether the loudspeaker sounds, as the microphone hears it, or did within 300 ms."""
        return bool(self._last["playing"])

    @property
    def noise_db(self) -> float:
        """Level of the room's noise, dB re full scale; -120 while it is not known."""
        return float(self._last["noise_db"])

    @property
    def results(self) -> NDArray[Any]:
        """Of the last `process`, one RESULT per hop of 10 ms."""
        return self._results

    def process(self, mic: NDArray[Sample], reference: NDArray[Any] | None) -> NDArray[Sample]:
        """Take samples of both, shape (n,), played and captured at the same time, and return those of the near end now
        due, in the dtype of `mic`. No `reference`: nothing was played. Raises ConfigError for another dtype or shape,
        or when they are not as long as each other; nothing was taken then.
        """
        near, far = _samples("mic", mic), _samples("reference", mic[:0] if reference is None else reference)
        if reference is None:
            far = np.zeros(len(near), near.dtype)
        elif len(far) != len(near):
            raise ConfigError(
                f"reference has {len(far)} samples and mic has {len(near)}: give as many of each, of the same time"
            )
        self._taken += len(near)
        result: NDArray[Sample] = self._run(near, far)
        self._given += len(result)
        return result

    def flush(self) -> NDArray[np.float32]:
        """What is left, as float32, so that latency_ms more comes out than went in. Then it is as new."""
        due = self._taken + math.ceil(self.latency_ms * self.rate / 1000) - self._given
        silence = np.zeros(self.rate // 50 + due + math.ceil(self._taken * math.fabs(self.skew_ppm) * 1e-6), np.float32)
        result = self._run(silence, silence)[: max(due, 0)]
        self.reset()
        return result

    def reset(self) -> None:
        """Forget the stream so far, and the room."""
        for resampler in (self._in, self._reference, self._out):
            resampler.reset()
        lib.rt_echo_reset(self._state)
        self._start()

    def _start(self) -> None:
        self._rest = self._rest_of_reference = np.empty(0, np.float32)
        self._taken = self._given = 0
        self._results = np.empty(0, RESULT)
        self._last = np.zeros((), RESULT)
        self._last["delay_ms"], self._last["noise_db"] = -1, -120

    def _run(self, near: NDArray[Any], far: NDArray[Any]) -> NDArray[Any]:
        sound = np.concatenate([self._rest, _floats(self._in.process(near))])
        played = np.concatenate([self._rest_of_reference, _floats(self._reference.process(far))])
        hops = min(len(sound), len(played)) // HOP
        whole = hops * HOP
        self._rest, self._rest_of_reference = sound[whole:].copy(), played[whole:].copy()
        done, self._results = np.empty(whole, np.float32), np.empty(hops, RESULT)
        if hops:
            lib.rt_echo_many(
                self._state, address(played, "float *"), address(sound, "float *"), hops, address(done, "float *"),
                address(self._results, "rt_echo_result *"),
            )  # fmt: skip
            self._last = self._results[-1].copy()
        if near.dtype == np.int16:
            done = np.clip(np.rint(done * 32768), -32768, 32767).astype(np.int16)
        return self._out.process(done)


def _config(way: str, judge: str, comfort_noise: bool) -> Any:
    if way not in _WAYS:
        raise ConfigError(f"way is {way!r}; use 'cancel', 'linear' or 'half_duplex'")
    if judge not in _JUDGES:
        raise ConfigError(f"judge is {judge!r}; use 'net' or 'rule'")
    return new("rt_echo_config *", (_WAYS[way], _JUDGES[judge], bool(comfort_noise)))


def _samples(name: str, samples: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(samples)
    if array.ndim != 1:
        raise ConfigError(f"{name} has shape {array.shape}; one channel is wanted, shape (n,)")
    if array.dtype not in (np.float32, np.int16):
        raise ConfigError(f"{name} has dtype {array.dtype}; float32 in [-1, 1] or int16 is wanted")
    return array


def _floats(samples: NDArray[Any]) -> NDArray[np.float32]:
    return samples if samples.dtype == np.float32 else samples.astype(np.float32) / np.float32(32768)
