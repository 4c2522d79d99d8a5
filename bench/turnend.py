"""Does semantic_vad answer those who are done, and let those go on who are not?

Scenes of training/turnend (held-out sentences and voices of espeak-ng; level, speed and noise vary) go through a
session's input buffer, detector and judge as 20 ms appends. A scene that is over should end its turn soon; one that is
not (cut before a word, the part before a comma, or a held "uhm" at its end) should still be open after 2 s.
`server_vad` with 500 ms of silence is there for scale.
`--speech FOLDER` looks at recorded talk: pauses after which the talker goes on, against ends of speakers' turns.

    python bench/turnend.py [--scenes 500] [--train] [--plot [PATH]] [--speech FOLDER]
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.audio import AudioFormat
from engine.server.input_audio import InputAudio, SpeechPaused, SpeechStopped
from engine.server.turnend import Prosody, TurnEnd, wait_ms
from engine.server.turns import JUDGE_MS, TurnSettings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # training/ is beside bench/

if TYPE_CHECKING:
    from bench import plots
    from training.turnend.scenes import Scene
else:
    import plots

PLOT = plots.FOLDER / "turnend.svg"
PARTS = {"test": "held-out sentences and voices", "train": "sentences and voices of the training, other scenes"}
EAGERNESS = ("low", "medium", "high")
SOON_MS, OPEN_MS = 600, 2000


def buffer(detection: dict[str, Any]) -> InputAudio:
    settings = TurnSettings.of(detection, 100)
    return InputAudio(AudioFormat.PCM, None, settings=settings, limit_bytes=2**25, history_ms=1000)


def stops(samples: Any, detection: dict[str, Any], model: TurnEnd) -> list[float]:
    """Where turns end, in ms from the beginning of the sound, as a session does it."""
    audio, found = buffer(detection), []
    data = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    probability = 0.0
    for start in range(0, len(data), 960):
        for each in audio.append(data[start : start + 960]):
            if isinstance(each, SpeechStopped):
                found.append(float(each.end_ms))
            elif isinstance(each, SpeechPaused):
                if each.silence_ms == JUDGE_MS:
                    probability = model.probability(audio.turn_so_far(model.window_ms))
                audio.end_after(wait_ms(probability, detection["eagerness"]))
    return found


@dataclass
class Score:
    """Of one kind of scene under one setting; times in ms from the last sound."""

    first: list[float]
    """When the first turn of each scene ended."""
    soon: float
    """Share ended after the last sound and within SOON_MS of it."""
    inside: float
    """Share ended while the talker still spoke, in a pause between clauses."""
    early: float
    """Share ended before OPEN_MS, those inside included."""


def score(scenes: list[Scene], detection: dict[str, Any], model: TurnEnd) -> Score:
    first = []
    for made in scenes:
        found = stops(made.samples, detection, model)
        first.append((found[0] if found else 1e9) - made.end_s * 1000)
    times = np.array(first)
    soon = float(np.mean((times >= 0) & (times <= SOON_MS)))
    return Score(first, soon, float(np.mean(times < 0)), float(np.mean(times < OPEN_MS)))


def tables(count: int, part: str) -> tuple[list[str], dict[str, dict[str, Score]]]:
    from training.turnend.scenes import KINDS, scene
    from training.turnend.talk import Talker

    talker, model = Talker(), Prosody()
    made: dict[str, list[Scene]] = {}
    for kind in KINDS:
        number = count // 2 if kind == "whole" else count // 6
        made[kind] = [scene(talker, kind, 50_000 + seed, part=part) for seed in range(number)]
    settings: dict[str, dict[str, Any]] = {name: {"type": "semantic_vad", "eagerness": name} for name in EAGERNESS}
    server_vad: dict[str, Any] = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
    }
    result = {}
    lines = [
        f"{PARTS[part]}: " + ", ".join(f"{len(found)} {kind}" for kind, found in made.items()),
        "",
        "| | whole: within 600 ms | median ms | cut inside | not over, closed within 2 s | cut | filler | (comma) |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, detection in {**settings, "server_vad, 500 ms": server_vad}.items():
        scores = {kind: score(found, detection, model) for kind, found in made.items()}
        result[name] = scores
        whole = scores["whole"]
        both = (scores["cut"].early + scores["filler"].early) / 2
        lines.append(
            f"| {name} | {whole.soon:.1%} | {np.median(whole.first):.0f} | {whole.inside:.1%} | {both:.1%} "
            f"| {scores['cut'].early:.1%} | {scores['filler'].early:.1%} | {scores['comma'].early:.1%} |"
        )
    return lines, result


def draw(path: Path, result: dict[str, dict[str, Score]]) -> Path:
    figure, (left, right) = plots.pyplot().subplots(1, 2, figsize=(9, 3.4))
    colours = dict(zip(result, ("#1f5fa8", plots.OURS, "#b8860b", "0.6"), strict=True))
    for name, scores in result.items():
        times = np.sort(np.array(scores["whole"].first))
        share = 100 * np.arange(1, times.size + 1) / times.size
        left.step(times, share, where="post", color=colours[name], label=name)
    left.axvline(SOON_MS, color="0.3", lw=0.8, ls=":")
    left.axhline(90, color="0.3", lw=0.8, ls=":")
    left.set(
        xlim=(0, 3000),
        ylim=(0, 100),
        xlabel="ms from the last sound",
        ylabel="% answered",
        title="talkers who are done",
    )
    left.legend(fontsize=8, loc="lower right")
    places = np.arange(len(result))
    for offset, kind, shade in ((-0.25, "cut", 1.0), (0.0, "filler", 0.65), (0.25, "comma", 0.35)):
        heights = [100 * scores[kind].early for scores in result.values()]
        bars = right.bar(
            places + offset, heights, 0.23, color=[colours[name] for name in result], alpha=shade, label=kind
        )
        right.bar_label(bars, [kind] * len(heights), fontsize=7)
    right.axhline(10, color="0.3", lw=0.8, ls=":")
    right.set(
        xticks=places,
        xticklabels=list(result),
        ylim=(0, 105),
        ylabel="% closed within 2 s",
        title="talkers who are not",
    )
    right.grid(visible=False, axis="x")
    figure.tight_layout()
    return plots.save(figure, path)


# ---- recorded talk


def pauses(folder: Path) -> Iterator[tuple[str, Any, float]]:
    """Group, sound up to 170 ms into a pause, and its true length in s (inf: the talker does not go on)."""
    from engine.audio import Resampler
    from engine.endpoints.wav import read_wav

    def heard(path: Path) -> Any:
        found = read_wav(path)
        return Resampler(found.rate, 24000).process(found.samples.astype(np.float32) / np.float32(32768))

    for path in sorted(folder.glob("ten-*.scv")):
        fields = path.read_text(encoding="utf-8").strip().split(",")[1:]
        spans = [(float(fields[at]), float(fields[at + 1])) for at in range(0, len(fields), 3) if fields[at + 2] == "1"]
        yield from _between(heard(path.with_suffix(".wav")), spans, "reading and talk (ten)")
    for path in sorted(folder.glob("*.rttm")):
        by_talker = defaultdict(list)
        for line in path.read_text(encoding="utf-8").splitlines():
            parts = line.split()
            by_talker[parts[7]].append((float(parts[3]), float(parts[3]) + float(parts[4])))
        everybody = sorted((start, end, who) for who, spans in by_talker.items() for start, end in spans)
        sound = heard(path.with_suffix(".wav"))
        for number, (start, end, who) in enumerate(everybody[:-1]):
            next_start, _, next_who = everybody[number + 1]
            alone = all(other <= start or begin >= end for begin, other, name in everybody if name != who)
            if alone and next_start - end >= 0.2:
                length = next_start - end if next_who == who else np.inf
                yield "meetings and calls (ami, pyannote)", sound[: int((end + 0.17) * 24000)], length


def _between(sound: Any, spans: list[tuple[float, float]], group: str) -> Iterator[tuple[str, Any, float]]:
    for (_, end), (following, _) in itertools.pairwise(spans):
        if following - end >= 0.2:
            yield group, sound[: int((end + 0.17) * 24000)], following - end


def recorded(folder: Path) -> list[str]:
    model, found = Prosody(), defaultdict(list)
    for group, sound, length in pauses(folder):
        kind = "another talker follows" if length == np.inf else "the talker goes on"
        found[group, kind].append((model.probability(sound), length))
    lines = [
        "| recorded talk | pauses | median p | medium: would end in 600 ms | would end before the talker goes on |"
    ]
    lines += ["|---|--:|--:|--:|--:|"]
    for (group, kind), values in sorted(found.items()):
        waits = np.array([wait_ms(p, "medium") for p, _ in values])
        lengths = np.array([1000 * length for _, length in values])
        cut = f"{np.mean(waits < lengths):.0%}" if np.isfinite(lengths).all() else ""
        middle, soon = np.median([p for p, _ in values]), np.mean(waits <= SOON_MS - 40)
        lines.append(f"| {group}: {kind} | {len(values)} | {middle:.2f} | {soon:.0%} | {cut} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn ends by prosody: how soon, and how often too soon.")
    parser.add_argument("--scenes", type=int, default=500, help="half of them whole (default: %(default)s)")
    parser.add_argument("--train", action="store_true", help="scenes of the training sentences and voices as well")
    parser.add_argument("--plot", type=Path, nargs="?", const=PLOT, help=f"write the picture, default {PLOT.name}")
    parser.add_argument("--speech", type=Path, help="a folder with recorded talk and its labels")
    arguments = parser.parse_args()
    lines, result = tables(arguments.scenes, "test")
    print("\n".join(lines))
    if arguments.plot:
        print(f"\nwritten: {draw(arguments.plot, result)}")
    if arguments.train:
        print("\n" + "\n".join(tables(arguments.scenes, "train")[0]))
    if arguments.speech:
        print("\n" + "\n".join(recorded(arguments.speech)))


if __name__ == "__main__":
    main()
