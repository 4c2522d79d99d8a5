"""The picture: drawn from any data, and its words never lie on each other."""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli.timeline import Mark, MarkKind, Timeline, compose, draw
from engine.errors import MediaError, MissingExtraError

RATE = 8000
QUESTION = "Good morning. Can you tell me how the tides work?"
ANSWER = "The tides are long waves that follow the moon around the earth, twice a day on most coasts."


def conversation(start: float = 0.0, text: str = QUESTION) -> list[Mark]:
    """A question, a long answer interrupted after 3 s, a short one: 14 s in all."""
    times: list[tuple[MarkKind, float, float | None, str]] = [
        (MarkKind.CALLER, 0.6, 3.4, text), (MarkKind.CALLER, 7.0, 9.4, text),
        (MarkKind.LOCAL_SPEECH, 0.6, 3.6, ""), (MarkKind.LOCAL_SPEECH, 7.0, 9.6, ""),
        (MarkKind.SERVER_SPEECH, 0.6, 3.4, ""), (MarkKind.SERVER_SPEECH, 7.0, 9.4, ""),
        (MarkKind.LATENCY, 3.4, 4.0, ""), (MarkKind.LATENCY, 9.4, 10.0, ""),
        (MarkKind.RESPONSE, 3.9, 6.2, ""), (MarkKind.RESPONSE, 9.9, 10.2, ""),
        (MarkKind.HEARD, 4.0, 7.27, ANSWER), (MarkKind.HEARD, 10.0, 13.0, ANSWER),
        (MarkKind.DUCK, 7.02, 7.27, ""), (MarkKind.CONFIRMED, 7.25, None, ""), (MarkKind.FADE, 7.25, 7.27, ""),
        (MarkKind.TRUNCATED, 7.25, None, "3 250 ms"),
    ]  # fmt: skip
    return [Mark(kind, a + start, None if b is None else b + start, words) for kind, a, b, words in times]


def timeline(marks: list[Mark], seconds: float) -> Timeline:
    noise = np.random.default_rng(3).integers(-9000, 9000, (2, int(seconds * RATE))).astype(np.int16)
    return Timeline(RATE, noise[0], noise[1], marks)


CASES = {
    "one interruption": (conversation(), 14.0),
    "a minute": ([mark for n in range(5) for mark in conversation(14.0 * n)], 70.0),
    "five minutes": ([mark for n in range(22) for mark in conversation(14.0 * n)], 308.0),
    "no interruption": ([mark for mark in conversation() if mark.kind is not MarkKind.CONFIRMED], 14.0),
    "nothing but the interruption": ([Mark(MarkKind.CONFIRMED, 0.0)], 1.0),
    "spans that never end": ([Mark(mark.kind, mark.start_s, None, mark.text) for mark in conversation()], 14.0),
    "nothing": ([], 0.0),
}


@pytest.mark.parametrize("case", CASES)
def test_words_do_not_overlap(case: str) -> None:
    pytest.importorskip("matplotlib", reason="the extra demo is not installed")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    marks, seconds = CASES[case]
    figure = Figure(figsize=(16, 8), dpi=100)
    canvas: Any = FigureCanvasAgg(figure)
    compose(figure, timeline(marks, seconds))
    canvas.draw()
    renderer = canvas.get_renderer()
    beyond = {  # ticks outside the axis: there, but not drawn
        tick.label1
        for axes in figure.axes
        for tick in axes.xaxis.get_major_ticks()
        if not axes.get_xlim()[0] <= tick.get_loc() <= axes.get_xlim()[1]
    }
    texts = [t for t in figure.findobj(Text) if isinstance(t, Text) and t.get_text().strip() and t not in beyond]
    assert len(texts) > 10
    boxes = [(text.get_text(), Text.get_window_extent(text, renderer)) for text in texts]
    for words, box in boxes:
        assert box.x0 >= 0 and box.x1 <= 1600 and box.y0 >= 0 and box.y1 <= 800, f"{words!r} leaves the picture"
    for (one, a), (other, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide <= 1 or high <= 3, f"{one!r} lies on {other!r}"


def test_draws_a_picture_of_any_words(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra demo is not installed")
    path = tmp_path / "timeline.png"
    draw(timeline(conversation(text="It costs $5_\\frac{ or\n\x07 日本 $6 ^"), 14.0), path)
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20]), int.from_bytes(head[20:24])) == (1600, 800)


def test_refusals_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib", reason="the extra demo is not installed")
    with pytest.raises(MediaError, match="cannot be written"):
        draw(timeline([], 1.0), tmp_path / "absent" / "timeline.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="bargein\\[demo\\]"):
        draw(timeline([], 1.0), tmp_path / "timeline.png")
