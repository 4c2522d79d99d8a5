"""Lines of a transcript as files: SubRip (.srt), WebVTT (.vtt), JSON."""

from __future__ import annotations

import dataclasses
import html
import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from engine.conversation.transcript import Line
from engine.errors import ConfigError

WIDTH = 42
"""Characters of one row of a caption; a caption has at most two rows."""
LEAST_S = 0.5
"""A caption is shown at least so long, if nothing follows before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cue:
    """One caption: two rows at most, shown from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    rows: Sequence[str]
    speaker: str


def cues(lines: Iterable[Line]) -> Iterator[Cue]:
    """The captions of lines with words; a long one is cut, each part shown for its share of the letters."""
    shown = [line for line in lines if line.text and line.final]
    for line, following in zip(shown, [*shown[1:], None], strict=True):
        rows = textwrap.wrap(" ".join(line.text.split()), WIDTH) or [""]
        pairs = [rows[at : at + 2] for at in range(0, len(rows), 2)]
        limit = following.start_s if following is not None else float("inf")
        end = max(line.end_s, min(line.start_s + LEAST_S * len(pairs), max(limit, line.start_s)))
        letters = [sum(map(len, pair)) for pair in pairs]
        spent, total = 0, max(sum(letters), 1)
        for pair, count in zip(pairs, letters, strict=True):
            start = line.start_s + (end - line.start_s) * spent / total
            spent += count
            yield Cue(start, line.start_s + (end - line.start_s) * spent / total, pair, line.speaker)


def srt(lines: Iterable[Line]) -> str:
    """SubRip."""
    return "\n".join(
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n"
        + _speaker(cue, "{}: ") + "\n".join(row.replace("-->", "->") for row in cue.rows) + "\n"
        for number, cue in enumerate(cues(lines), 1)
    )  # fmt: skip


def vtt(lines: Iterable[Line]) -> str:
    """WebVTT; speakers as voices."""
    parts = [
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
        + _speaker(cue, "<v {}>", html.escape) + "\n".join(html.escape(row, quote=False) for row in cue.rows) + "\n"
        for cue in cues(lines)
    ]  # fmt: skip
    return "\n".join(["WEBVTT\n", *parts])


def json(lines: Iterable[Line]) -> str:
    """An array with every line and all that is known of it."""
    rows = [dataclasses.asdict(line) for line in lines if line.final]
    return msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n"


WRITERS: Mapping[str, Callable[[Iterable[Line]], str]] = MappingProxyType({".srt": srt, ".vtt": vtt, ".json": json})


def writer(path: str | os.PathLike[str]) -> Callable[[Iterable[Line]], str]:
    """The form that the file's name asks for, or `ConfigError`."""
    found = WRITERS.get(Path(path).suffix.lower())
    if found is None:
        raise ConfigError(f"{str(path)!r}: its name must end in {', '.join(WRITERS)}")
    return found


def _clock(seconds: float, point: str) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def _speaker(cue: Cue, form: str, escaped: Callable[[str], str] = str) -> str:
    return form.format(escaped(" ".join(cue.speaker.split()))) if cue.speaker.strip() else ""


__all__ = ["WRITERS", "Cue", "cues", "json", "srt", "vtt", "writer"]
