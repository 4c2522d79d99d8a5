"""What does a live resampler hold back, what does it let alias, how clean is it, and what does it cost, beside others?

All are fed the same 10 ms blocks; pipecat's and livekit's take int16, which bounds their SNR, the others float32. Held
back = sound that has gone in less sound that has come out, plus how much later than in the input an impulse then lies.
Alias or image = what is left of a tone at 1.1 times the lower Nyquist frequency (going down; the file filter at 1.05),
or beside a tone at 0.9 of it (going up), over the tone's power. SNR = a tone of -6 dB over what comes out beside it, at
1 kHz and at 0.8 of the lower Nyquist frequency. Cost is CPU time for one second of sound, the calls' own included.
Peers: soxr's stream at its four qualities, samplerate (libsamplerate), and the stream resamplers that pipecat-ai and
livekit ship, at their defaults.
"""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.resample import Quality, Resampler

Row = tuple[str, float, float, float, str]
Process = Callable[[NDArray[Any]], NDArray[Any]]
Make = Callable[[int, int], Process]

PAIRS = [(48000, 24000), (44100, 24000), (24000, 48000), (16000, 24000), (8000, 24000), (24000, 8000)]
SECONDS = 5
OURS = "bargein live"
FILE = "bargein file"
WHOLE = {"pipecat", "livekit"}  # int16 only


@dataclass
class Measured:
    mean_ms: float
    worst_ms: float
    empty_percent: float
    alias_db: float
    snr_1k_db: float
    snr_high_db: float
    cost_ms: float
    """Per second of sound."""


def ours(quality: Quality, tunable: bool = False) -> Make:
    return lambda rate_in, rate_out: Resampler(rate_in, rate_out, quality, tunable=tunable).process


def soxr_stream(quality: str) -> Make:
    import soxr

    def make(rate_in: int, rate_out: int) -> Process:
        stream: Any = soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32", quality=quality)
        process: Process = stream.resample_chunk
        return process

    return make


def samplerate_stream(converter: str) -> Make:
    import samplerate

    def make(rate_in: int, rate_out: int) -> Process:
        stream: Any = samplerate.Resampler(converter, channels=1)
        ratio = rate_out / rate_in

        def process(block: NDArray[Any]) -> NDArray[Any]:
            made: NDArray[Any] = stream.process(block, ratio)
            return made

        return process

    return make


def pipecat_stream() -> Make:
    from pipecat.audio.resamplers.soxr_stream_resampler import SOXRStreamAudioResampler

    def make(rate_in: int, rate_out: int) -> Process:
        stream: Any = SOXRStreamAudioResampler(clear_after_secs=None)

        def process(block: NDArray[Any]) -> NDArray[Any]:
            call = stream.resample(block.tobytes(), rate_in, rate_out)
            try:  # it never waits: no loop is needed, and none is in the figure
                call.send(None)
            except StopIteration as done:
                return np.frombuffer(done.value, np.int16)
            raise RuntimeError("pipecat's resampler waits for something")

        return process

    return make


def livekit_stream() -> Make:
    from livekit import rtc

    def make(rate_in: int, rate_out: int) -> Process:
        stream: Any = rtc.AudioResampler(rate_in, rate_out)

        def process(block: NDArray[Any]) -> NDArray[Any]:
            frames = [np.frombuffer(frame.data, np.int16) for frame in stream.push(bytearray(block.tobytes()))]
            return np.concatenate(frames) if frames else np.empty(0, np.int16)

        return process

    return make


def contenders() -> dict[str, Make]:
    """Ours, and every peer that is installed; a line says which is not."""
    makers: dict[str, Callable[[], Make]] = {
        OURS: lambda: ours("live"),
        FILE: lambda: ours("file"),
        "bargein live, tunable": lambda: ours("live", tunable=True),
        **{f"soxr {quality}": functools.partial(soxr_stream, quality) for quality in ("LQ", "MQ", "HQ", "VHQ")},
        "samplerate fastest": lambda: samplerate_stream("sinc_fastest"),
        "samplerate medium": lambda: samplerate_stream("sinc_medium"),
        "samplerate best": lambda: samplerate_stream("sinc_best"),
        "pipecat": pipecat_stream,
        "livekit": livekit_stream,
    }
    found = {}
    for name, maker in makers.items():
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # pipecat greets whoever imports it
                found[name] = maker()
        except Exception as error:  # a peer may fail in any way while it is imported
            print(f"resample: {name} is left out: {error}", file=sys.stderr)
    return found


def blocks(samples: NDArray[Any], rate: int) -> list[NDArray[Any]]:
    size = rate // 100
    return [samples[i : i + size] for i in range(0, len(samples) - size + 1, size)]


def given(name: str, samples: NDArray[np.float64], rate: int) -> list[NDArray[Any]]:
    """As this one wants it."""
    if name in WHOLE:
        return blocks(np.round(np.clip(samples * 32768, -32768, 32767)).astype(np.int16), rate)
    return blocks(samples.astype(np.float32), rate)


def through(name: str, make: Make, samples: NDArray[np.float64], rates: tuple[int, int]) -> NDArray[np.float64]:
    process = make(*rates)
    parts = [np.array(process(block)) for block in given(name, samples, rates[0])]
    scale = 1 / 32768 if name in WHOLE else 1.0
    return np.concatenate(parts).astype(np.float64) * scale


def measure(name: str, make: Make, rates: tuple[int, int]) -> Measured:
    rate_in, rate_out = rates
    lower = min(rates)
    feed = given(name, np.random.default_rng(3).normal(0, 0.2, SECONDS * rate_in), rate_in)
    delay_ms = shift_ms(name, make, rates)
    process = make(*rates)
    held: list[float] = []
    empty, taken, made = 0, 0, 0
    for block in feed:
        out = len(process(block))
        taken, made, empty = taken + len(block), made + out, empty + (out == 0)
        held.append((taken / rate_in - made / rate_out) * 1000 + delay_ms)
    return Measured(
        mean_ms=float(np.mean(held)),
        worst_ms=float(max(held)),
        empty_percent=100 * empty / len(feed),
        alias_db=alias(name, make, rates),
        snr_1k_db=-beside(name, make, rates, 1000.0),
        snr_high_db=-beside(name, make, rates, 0.8 * lower / 2),
        cost_ms=min(cost(make(*rates), feed) for _ in range(5)),
    )


def shift_ms(name: str, make: Make, rates: tuple[int, int]) -> float:
    """How much later an impulse lies in the output than in the input: 0 where the output is aligned."""
    source = np.zeros(rates[0])
    source[rates[0] // 4] = 0.9
    got = through(name, make, source, rates)
    centre = float(np.dot(got, np.arange(len(got))) / got.sum())
    return float(1000 * (centre / rates[1] - 0.25))


def cost(process: Process, feed: list[NDArray[Any]]) -> float:
    begin = time.process_time()
    for block in feed:
        process(block)
    return (time.process_time() - begin) * 1000 / SECONDS


def tone(hertz: float, rate: int) -> NDArray[np.float64]:
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * np.arange(3 * rate) / rate))


def beside(name: str, make: Make, rates: tuple[int, int], hertz: float) -> float:
    """What is left beside a tone, over the tone's power, in dB."""
    got = through(name, make, tone(hertz, rates[0]), rates)[rates[1] :]
    angle = 2 * np.pi * hertz * np.arange(len(got)) / rates[1]
    basis = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    left = got - basis @ np.linalg.lstsq(basis, got, rcond=None)[0]
    return float(10 * np.log10(np.mean(left**2) / np.mean((got - left) ** 2)))


def alias(name: str, make: Make, rates: tuple[int, int]) -> float:
    """Going up nothing can alias, so there it is the images of a tone at 0.9."""
    rate_in, rate_out = rates
    if rate_in < rate_out:
        return beside(name, make, rates, 0.9 * rate_in / 2)
    source = tone((1.05 if name == FILE else 1.1) * rate_out / 2, rate_in)
    got = through(name, make, source, rates)[rate_out:]
    return float(10 * np.log10(max(float(np.mean(got**2)), 1e-30) / 0.125))


@functools.cache
def all_measured() -> dict[tuple[int, int], dict[str, Measured]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = contenders()
        return {pair: {name: measure(name, make, pair) for name, make in made.items()} for pair in PAIRS}


def main() -> list[Row]:
    """Ours beside the default of soxr's stream; all the others are in the note."""
    rows: list[Row] = []
    nothing = float("nan")
    for (rate_in, rate_out), by_name in all_measured().items():
        mine = by_name[OURS]
        name = "soxr HQ"
        if (peer := by_name.get(name)) is not None:
            pair = f"{rate_in / 1000:g}->{rate_out / 1000:g} kHz, {name}"
            rows += [
                (f"{pair}: held back, mean", mine.mean_ms, peer.mean_ms, peer.mean_ms / mine.mean_ms, "ms"),
                (f"{pair}: held back, worst", mine.worst_ms, peer.worst_ms, peer.worst_ms / mine.worst_ms, "ms"),
                (f"{pair}: empty calls", mine.empty_percent, peer.empty_percent, nothing, "%"),
                (f"{pair}: alias or image", mine.alias_db, peer.alias_db, nothing, "dB"),
                (f"{pair}: SNR at 1 kHz", mine.snr_1k_db, peer.snr_1k_db, nothing, "dB"),
                (f"{pair}: SNR at 0.8", mine.snr_high_db, peer.snr_high_db, nothing, "dB"),
                (f"{pair}: cost", mine.cost_ms, peer.cost_ms, peer.cost_ms / mine.cost_ms, "ms per s"),
            ]
    return rows


def notes() -> list[str]:
    """Everything in one table."""
    lines = [
        "| kHz | resampler | held back, mean | worst (ms) | empty calls | alias or image | SNR 1 kHz | at 0.8 | cost |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for (rate_in, rate_out), by_name in all_measured().items():
        for name, m in by_name.items():
            lines.append(
                f"| {rate_in / 1000:g}->{rate_out / 1000:g} | {name} | {m.mean_ms:.2f} | {m.worst_ms:.2f} "
                f"| {m.empty_percent:.0f} % | {m.alias_db:.1f} dB | {m.snr_1k_db:.1f} dB | {m.snr_high_db:.1f} dB "
                f"| {m.cost_ms:.3f} ms/s |"
            )
    return ["\n".join(lines)]


def show(rows: list[Row]) -> None:
    print(f"{'resampler, 10 ms blocks':46} {'bargein':>9} {'peer':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in rows:
        print(f"{name:46} {mine:9.3f} {peer:9.3f} {'' if np.isnan(ratio) else f'{ratio:.1f}x':>7}  {unit}")
    print(*notes(), sep="\n")


if __name__ == "__main__":
    show(main())
