"""Echo cancellers: how much of the loudspeaker is left, how much of the talker, and what a listener takes for speech.

    python bench/echo.py [--full] [--only WORD] [--ours] [--output FILE] [--plot [FILE]]

On recordings of which echo and near end are known apart (16 kHz, `audio/echo` of BARGEIN_SHARED or ../shared), on mixes
of them, and in simulated rooms (`engine.audio.room`) with talkers of `audio/vad`:

- ERLE, dB by which far-end-only frames are less, whole clip and second half; comfort noise off
- alarms: far-end-only frames that Silero calls speech on the output; events: alarms of 120 ms on end after 3 s
- hits: the near end's speech, by Silero on the clean near end (in rooms: and in their noise, without echo), that Silero
  still calls speech; STOI of the near end
- AECMOS of real double talk of which nothing is known apart: echo and degradation, 1 to 5; with comfort noise
- CPU seconds per second of sound, and how much later the near end leaves

Cells of groups are means, worst in brackets. Beside ours (network, rule, linear filter alone, half duplex): AEC3 of
WebRTC (`livekit`) and nothing. `--full` takes all alignments and rooms, some 12 minutes.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import EchoCanceller
from engine.audio.echo import EchoJudge, EchoWay

if TYPE_CHECKING:
    from bench import echoscore
    from bench.echoscore import HOP, RATE, Scene, Score, Sound
else:
    import echoscore
    from echoscore import HOP, RATE, Scene, Score, Sound

PLOT = Path(__file__).with_name("echo.svg")
TABLE = Path(__file__).with_name("echo.md")
COLOURS = {"ours": "#c0392b", "linear filter alone": "#e08e0b", "AEC3": "#2f7ed8"}

HEAD = """# Echo cancellers

`python bench/echo.py{}` made this table in one run; what the columns mean stands at its top. Means, worst in brackets.

"""


@dataclass
class Canceller:
    """`run(microphone, reference, skew_ppm)` gives what comes out and by how many samples it is late."""

    name: str
    run: Callable[[Sound, Sound, float], tuple[Sound, int]]
    for_people: Callable[[Sound, Sound, float], tuple[Sound, int]] | None = None  # with comfort noise, where it has one
    spent_s: float = 0.0
    sound_s: float = 0.0
    late: int = 0

    def __call__(self, scene: Scene) -> Sound:
        """In time with the microphone."""
        return self.on(scene.microphone, scene.reference, scene.skew_ppm)

    def on(self, microphone: Sound, reference: Sound, skew_ppm: float = 0.0) -> Sound:
        begin = time.process_time()
        out, late = self.run(microphone, reference, skew_ppm)
        self.spent_s += time.process_time() - begin
        self.sound_s += len(microphone) / RATE
        if skew_ppm == 0:
            self.late = late
        return np.asarray(out[late : late + len(microphone)], np.float32)


def ours(
    way: EchoWay, judge: EchoJudge = "net", comfort_noise: bool = False
) -> Callable[[Sound, Sound, float], tuple[Sound, int]]:
    def run(microphone: Sound, reference: Sound, skew_ppm: float) -> tuple[Sound, int]:
        canceller = EchoCanceller(RATE, way=way, judge=judge, comfort_noise=comfort_noise, skew_ppm=skew_ppm)
        out = np.concatenate([canceller.process(microphone, reference), canceller.flush()])
        return out, round(canceller.latency_ms * RATE / 1000)

    return run


def aec3(microphone: Sound, reference: Sound, _skew_ppm: float) -> tuple[Sound, int]:
    """WebRTC's, frames of 10 ms; it is 9.9 ms late, by correlation."""
    from livekit.rtc import AudioFrame, AudioProcessingModule

    module = AudioProcessingModule(
        echo_cancellation=True, noise_suppression=False, high_pass_filter=False, auto_gain_control=False
    )

    def whole(sound: Sound) -> NDArray[np.int16]:
        padded = np.pad(np.clip(np.rint(sound * 32767), -32768, 32767), (0, -len(sound) % HOP + HOP))
        return padded.astype(np.int16).reshape(-1, HOP)

    out = []
    for near, far in zip(whole(microphone), whole(reference), strict=True):
        played, heard = (AudioFrame(bytearray(each.tobytes()), RATE, 1, HOP) for each in (far, near))
        module.process_reverse_stream(played)
        module.process_stream(heard)
        out.append(np.frombuffer(heard.data, np.int16).copy())
    return (np.concatenate(out) / np.float32(32768)).astype(np.float32), round(0.0099 * RATE)


def nothing(microphone: Sound, _reference: Sound, _skew_ppm: float) -> tuple[Sound, int]:
    return microphone, 0


def cancellers(alone: bool) -> list[Canceller]:
    mine = [Canceller("ours", ours("cancel"), ours("cancel", "net", True))]
    if alone:
        return mine
    import livekit.rtc  # noqa: F401  # the peer is here, or the benchmark is left out

    return [
        *mine,
        Canceller("ours, by rule", ours("cancel", "rule"), ours("cancel", "rule", True)),
        Canceller("linear filter alone", ours("linear")),
        Canceller("AEC3", aec3),
        Canceller("half duplex", ours("half_duplex"), ours("half_duplex", "net", True)),
        Canceller("nothing", nothing),
    ]


@dataclass
class Results:
    """Scores by group of scenes and canceller."""

    scores: dict[str, dict[str, list[Score]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    opinions: dict[str, tuple[float, float]] = field(default_factory=dict)
    comfort: list[str] = field(default_factory=list)

    def add(self, scene: Scene, name: str, score: Score) -> None:
        self.scores.setdefault(scene.group, {}).setdefault(name, []).append(score)


def measured(compared: list[Canceller], full: bool, word: str = "") -> Results:
    """Every canceller on every scene."""
    results = Results()
    for scene in echoscore.scenes(full, lambda each: word in each.group):
        results.seconds[scene.group] = results.seconds.get(scene.group, 0) + len(scene.echo) / RATE
        for canceller in compared:
            if scene.skew_ppm == 0 or canceller.name in ("ours", "linear filter alone"):
                results.add(scene, canceller.name, echoscore.scored(scene, canceller(scene)))
    if not word or word in "AECMOS":
        results.opinions = {each.name: opinion(each) for each in compared}
    if not word or word in "comfort noise":
        results.comfort = comfort()
    return results


def opinion(canceller: Canceller) -> tuple[float, float]:
    """AECMOS, means over the real recordings of double talk."""
    from speechmos import aecmos  # type: ignore[import-untyped,import-not-found,unused-ignore]

    found = []
    for reference, microphone in echoscore.double_talk():
        out, late = (canceller.for_people or canceller.run)(microphone, reference, 0.0)
        heard = np.clip(out[late : late + len(microphone)], -1, 1).astype(np.float32)
        sample = {"lpb": reference, "mic": microphone, "enh": heard}
        said: dict[str, Any] = aecmos.run(sample, RATE, talk_type="dt", return_df=False)
        found.append((said["echo_mos"], said["deg_mos"]))
    echo, degradation = np.mean(found, axis=0)
    return float(echo), float(degradation)


def comfort() -> list[str]:
    """How far the output is from the room's noise while the loudspeaker sounds and nobody speaks, comfort noise on."""
    lines = []
    r = echoscore.recordings()
    rooms = [each for each in echoscore.simulated(False) if "far end only" in each.group]
    real = Scene("real device", "", r["real far reference"], r["real far"])
    for scene in [real, *rooms]:
        canceller = EchoCanceller(RATE)
        out = np.concatenate([canceller.process(scene.microphone, scene.reference)])
        hops = len(out) // HOP
        playing = canceller.results["playing"][:hops].astype(bool)
        late = np.arange(hops) >= 300
        quiet = (
            echoscore.powers(scene.microphone)[:hops][~playing]
            if scene.noise is None
            else echoscore.powers(scene.noise)
        )
        room = float(quiet.mean())
        level = float(echoscore.powers(out)[playing & late].mean())
        lines.append(f"{scene.group} {scene.name}: {echoscore.decibels(level, room):+.1f} dB")
    return lines


def cell(scores: list[Score], name: str, digits: int) -> str:
    """The mean, and the worst in brackets."""
    values = [value for score in scores if not math.isnan(value := getattr(score, name))]
    if not values:
        return ""
    if name == "events":
        return f"{sum(values):.0f}"
    text = f"{np.mean(values):.{digits}f}"
    worst = max(values) if name == "alarms" else min(values)
    return text if len(values) == 1 else f"{text} ({worst:.{digits}f})"


def table(results: Results, compared: list[Canceller]) -> list[str]:
    """Markdown, one table a group of scenes is one block of rows."""
    lines = ["| scenes | canceller | ERLE dB | second half | alarms | hits | STOI | events |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for group, by_name in results.scores.items():
        for number, (name, scores) in enumerate(by_name.items()):
            head = f"{group}, {len(scores)} x {results.seconds[group] / len(scores):.0f} s" if number == 0 else ""
            cells = [cell(scores, each, digits) for each, digits in FIGURES]
            lines.append(f"| {head} | {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| canceller | AECMOS echo | degradation | CPU s/s | near end later by, ms |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in compared:
        echo, degradation = results.opinions.get(each.name, (math.nan, math.nan))
        spent = each.spent_s / max(each.sound_s, 1e-9)
        lines.append(f"| {each.name} | {echo:.2f} | {degradation:.2f} | {spent:.4f} | {each.late * 1000 / RATE:.1f} |")
    if results.comfort:
        lines += ["", "Output beside the room's noise, comfort noise on: " + ", ".join(results.comfort) + "."]
    return lines


FIGURES = (("erle", 1), ("late_erle", 1), ("alarms", 3), ("hits", 3), ("stoi", 3), ("events", 0))


def over_time(scene: Scene, out: Sound) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ERLE over half a second, every tenth."""
    before, after = (np.convolve(echoscore.powers(each), np.ones(50), "same")[::10] for each in (scene.echo, out))
    size = min(len(before), len(after))
    return np.arange(size) / 10, 10 * np.log10((before[:size] + 1e-9) / (after[:size] + 1e-9))


def picture(path: Path) -> None:
    """ERLE over time on three clips."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained")
    axes = figure.subplots(3, 1)
    r = echoscore.recordings()
    clips = [
        Scene("simple_talk", "", r["far"], r["simple_talk"]),
        Scene("delay_change: the delay jumps by 50 ms at 9 s", "", r["far"], r["delay_change"]),
        Scene("a real device, whose clocks differ by 125 ppm", "", r["real far reference"], r["real far"]),
    ]
    for axis, scene in zip(axes, clips, strict=True):
        for canceller in cancellers(False):
            if canceller.name in COLOURS:
                axis.plot(*over_time(scene, canceller(scene)), color=COLOURS[canceller.name], label=canceller.name)
        axis.set(title=scene.group, ylabel="ERLE, dB over 0.5 s", ylim=(-5, 70))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8, loc="upper left")
    axes[-1].set(xlabel="s")
    figure.savefig(path)


@cache
def _whole(full: bool) -> list[str]:
    compared = cancellers(False)
    return table(measured(compared, full), compared)


def notes(full: bool = False) -> list[str]:
    """The tables, for bench/results.md."""
    return "\n".join(_whole(full)).split("\n\n")


def draw(full: bool = False) -> Path:  # noqa: ARG001
    """The picture beside them."""
    picture(PLOT)
    return PLOT


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Echo cancellers beside each other.")
    parser.add_argument("--full", action="store_true", help="all alignments and rooms")
    parser.add_argument("--only", default="", help="scenes with this word in their name")
    parser.add_argument("--ours", action="store_true", help="without the peers")
    parser.add_argument("--output", type=Path, nargs="?", const=TABLE, help=f"write the table, default {TABLE.name}")
    parser.add_argument("--plot", type=Path, nargs="?", const=PLOT, help=f"write the picture, default {PLOT.name}")
    arguments = parser.parse_args()
    chosen = cancellers(arguments.ours)
    text = table(measured(chosen, arguments.full, arguments.only), chosen)
    print("\n".join(text))
    if arguments.output:
        arguments.output.write_text(HEAD.format(" --full" * arguments.full) + "\n".join(text) + "\n", encoding="utf-8")
    if arguments.plot:
        picture(arguments.plot)
