"""The picture of a conversation: two waveforms on one time axis, what happened between them, the interruption large.

Draws data only: whoever held the conversation fills a `Timeline` and calls `draw`. Needs matplotlib (extra `demo`).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import MediaError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class MarkKind(StrEnum):
    """What a mark is. Spans have both times; the instants are CONFIRMED and TRUNCATED."""

    CALLER = "caller"
    """Labelled speech of the caller; text: the words."""
    LOCAL_SPEECH = "local speech"
    """Speech as the C core's detector heard it."""
    SERVER_SPEECH = "server speech"
    """The server's speech_started to speech_stopped, on the audio's time."""
    RESPONSE = "response"
    """response.created to response.done, when they came."""
    HEARD = "heard"
    """First to last sample of an answer that left the loudspeaker; text: its transcript."""
    DUCK = "duck"
    """The loudspeaker turned down: from the near-end onset until silence or restore."""
    CONFIRMED = "confirmed"
    """The onset was decided to be an interruption."""
    FADE = "fade"
    """The fade after it: start_s its first sample, end_s the first silent one."""
    TRUNCATED = "truncated"
    """Where the answer was cut; text: the position told to the server, e.g. "audio_end_ms 3012"."""
    LATENCY = "latency"
    """The caller's last sample to the answer's first."""


@dataclass(frozen=True)
class Mark:
    """Something that happened, in seconds of the recording. `end_s` None: an instant, or a span that never ended."""

    kind: MarkKind
    start_s: float
    end_s: float | None = None
    text: str = ""


@dataclass(frozen=True, eq=False)
class Timeline:
    """A recorded conversation. Both channels are int16 at `rate` Hz, shape (n,), and begin at the same instant."""

    rate: int
    microphone: NDArray[np.int16]
    loudspeaker: NDArray[np.int16]
    marks: list[Mark] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Length of the longer channel, at least 0.1."""
        return max(len(self.microphone), len(self.loudspeaker), self.rate // 10) / self.rate

    def of(self, kind: MarkKind) -> list[Mark]:
        """The marks of one kind, in time order."""
        return sorted((mark for mark in self.marks if mark.kind is kind), key=lambda mark: mark.start_s)

    def end_of(self, mark: Mark) -> float:
        """Where a span ends: at the recording's end when it never did."""
        return self.seconds if mark.end_s is None else mark.end_s


# Okabe and Ito's palette, apart for every kind of colour vision. Place and label say the same again.
_BLUE, _VERMILION, _ORANGE, _GREEN = "#0072B2", "#D55E00", "#E69F00", "#009E73"
_SKY, _PURPLE, _INK, _GREY = "#56B4E9", "#A8457F", "#222222", "#777777"

_LANES: tuple[tuple[MarkKind, str, str], ...] = (
    (MarkKind.LOCAL_SPEECH, "speech heard here", _BLUE),
    (MarkKind.SERVER_SPEECH, "speech heard by server", _GREEN),
    (MarkKind.LATENCY, "speech end to sound", _GREY),
    (MarkKind.RESPONSE, "response on the wire", _SKY),
    (MarkKind.HEARD, "answer heard", _VERMILION),
    (MarkKind.DUCK, "ducked", _ORANGE),
)
_LEAST_LETTERS = 9  # of a shortened label
_LANE_HEIGHT = 5.6
_LANES_TOP = 64.0
_MICROPHONE_Y, _LOUDSPEAKER_Y, _HALF = 80.0, 13.5, 12.0  # centres and half height of the waveforms, in units of 100


def draw(timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write the picture as PNG, 1600 x 800 pixels.

    Raises MissingExtraError without matplotlib, MediaError when the file cannot be written. Takes about a second.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("the timeline picture", "demo") from None
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # not the user's own style
        warnings.simplefilter("ignore")  # letters that the font lacks become boxes
        figure = Figure(figsize=(16, 8), dpi=100, facecolor="white")
        FigureCanvasAgg(figure)
        compose(figure, timeline)
        try:
            figure.savefig(path, format="png")
        except OSError as error:
            raise MediaError(f"{os.fspath(path)}: cannot be written ({error.strerror}); choose another place") from None


def compose(figure: Figure, timeline: Timeline) -> None:
    """Lay the picture out on an empty figure. Without an interruption the overview takes all of it."""
    moment = _Interruption.of(timeline)
    bottom = 0.40 if moment else 0.07
    figure.text(0.125, 0.962, _title(timeline), fontsize=15, fontweight="bold", color=_INK)
    overview = figure.add_axes((0.125, bottom, 0.855, 0.945 - bottom))
    _overview(overview, timeline)
    if moment:
        detail = figure.add_axes((0.125, 0.065, 0.56, 0.175))
        _detail(detail, timeline, moment)
        _bridge(figure, overview, detail, moment)
        _numbers(figure, timeline, moment)


def _title(timeline: Timeline) -> str:
    counts = ((MarkKind.HEARD, "answer"), (MarkKind.CONFIRMED, "interruption"))
    parts = [f"{n} {word}{'s' * (n != 1)}" for kind, word in counts if (n := len(timeline.of(kind)))]
    return ", ".join([f"A spoken conversation of {timeline.seconds:.1f} s", *parts])


@dataclass(frozen=True)
class _Interruption:
    """The one that is drawn large: the first. Times in seconds; None where nothing was reported."""

    onset: float
    duck: float | None
    confirmed: float
    truncated: Mark | None
    silent: float | None

    @classmethod
    def of(cls, timeline: Timeline) -> _Interruption | None:
        confirmed = next((mark.start_s for mark in timeline.of(MarkKind.CONFIRMED)), None)
        if confirmed is None:
            return None
        duck = _near(timeline, MarkKind.DUCK, confirmed)
        known = _near(timeline, MarkKind.CALLER, confirmed) or _near(timeline, MarkKind.LOCAL_SPEECH, confirmed) or duck
        fade = _near(timeline, MarkKind.FADE, confirmed)
        return cls(
            onset=known.start_s if known else confirmed,
            duck=duck.start_s if duck else None,
            confirmed=confirmed,
            truncated=_near(timeline, MarkKind.TRUNCATED, confirmed),
            silent=fade.end_s if fade else None,
        )

    @property
    def view(self) -> tuple[float, float]:
        """The piece of time shown large: the events between 25 % and 60 % of its width, so that labels have room."""
        last = max(self.confirmed, self.silent or 0.0, self.truncated.start_s if self.truncated else 0.0)
        width = max(last - self.onset, 0.1)
        return self.onset - 0.45 * width, last + 0.9 * width


def _near(timeline: Timeline, kind: MarkKind, instant: float) -> Mark | None:
    """The mark that belongs to a confirmed interruption: going on then, or at most half a second from it."""
    marks = timeline.of(kind)
    return next((m for m in marks if m.start_s - 0.5 <= instant <= (m.end_s or m.start_s) + 0.5), None)


def _overview(axes: Axes, timeline: Timeline) -> None:
    seconds = timeline.seconds
    axes.set_xlim(0, seconds)
    axes.set_ylim(0, 100)
    _plain(axes)
    _waveform(axes, timeline.microphone, timeline.rate, colour=_BLUE, y=_MICROPHONE_Y, half=_HALF)
    _waveform(axes, timeline.loudspeaker, timeline.rate, colour=_VERMILION, y=_LOUDSPEAKER_Y, half=_HALF)
    _name(axes, _MICROPHONE_Y, "microphone", _BLUE, bold=True)
    _name(axes, _LOUDSPEAKER_Y, "loudspeaker", _VERMILION, bold=True)
    _caller(axes, timeline)
    for number, (kind, name, colour) in enumerate(_LANES):
        y = _LANES_TOP - (number + 0.5) * _LANE_HEIGHT
        axes.axhline(y - _LANE_HEIGHT / 2, color="#E6E6E6", linewidth=0.8, zorder=0)
        _name(axes, y, name, _INK)
        _lane(axes, timeline, timeline.of(kind), y, colour)
    axes.axhline(_LANES_TOP, color="#E6E6E6", linewidth=0.8, zorder=0)
    _interruptions(axes, timeline)
    axes.set_xlabel("seconds", fontsize=11, color=_INK, labelpad=1)


def _plain(axes: Axes) -> None:
    axes.set_yticks([])
    axes.tick_params(labelsize=11, colors=_INK, length=3)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)


def _name(axes: Axes, y: float, text: str, colour: str, bold: bool = False) -> None:
    axes.text(
        -0.008, y, text, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=13 if bold else 11,
        fontweight="bold" if bold else "normal", color=colour,
    )  # fmt: skip


def _waveform(
    axes: Axes, samples: NDArray[np.int16], rate: int, *, colour: str, y: float, half: float, columns: int = 1400
) -> None:
    """Least and greatest sample of each pixel column, on the scale of the visible piece's own peak."""
    left, right = axes.get_xlim()
    axes.plot([left, right], [y, y], color=colour, linewidth=0.6)
    first, last = max(int(left * rate), 0), min(int(right * rate) + 1, len(samples))
    edges = np.unique(np.linspace(first, last, columns + 1).astype(np.int64))[:-1]
    if last <= first or not len(edges):
        return
    piece = samples[first:last].astype(np.float64)
    peak = max(float(np.abs(piece).max()), 0.01 * 32768)
    low = np.minimum.reduceat(piece, edges - first) / peak * half
    high = np.maximum.reduceat(piece, edges - first) / peak * half
    axes.fill_between(edges / rate, y + low, y + high, color=colour, linewidth=0.5)


def _caller(axes: Axes, timeline: Timeline) -> None:
    """The caller's words above the microphone, each with a line as long as the speech."""
    marks = timeline.of(MarkKind.CALLER)
    y = _MICROPHONE_Y + _HALF + 1.5
    for mark, limit in zip(marks, _limits(marks, timeline.seconds), strict=True):
        axes.plot([mark.start_s, timeline.end_of(mark)], [y, y], color=_BLUE, linewidth=2, solid_capstyle="butt")
        if mark.text:
            said = f"“{' '.join(mark.text.split())}”"
            words = axes.text(mark.start_s, y + 1.2, said, va="bottom", fontsize=12, color=_INK, parse_math=False)
            _shorten(axes, words, limit - mark.start_s)


def _limits(marks: Sequence[Mark], end: float) -> list[float]:
    """How far each mark's label may reach: to the next mark."""
    return [mark.start_s for mark in marks[1:]] + [end] if marks else []


def _lane(axes: Axes, timeline: Timeline, marks: Sequence[Mark], y: float, colour: str) -> None:
    """Bars with their label inside when it fits, else behind, else shortened, else none."""
    for number, (mark, limit) in enumerate(zip(marks, _limits(marks, timeline.seconds), strict=True), 1):
        end = timeline.end_of(mark)
        axes.barh(y, end - mark.start_s, left=mark.start_s, height=_LANE_HEIGHT * 0.72, color=colour, linewidth=0.8)
        text = _label(mark, end, number)
        if not text:
            continue
        inside = axes.text(mark.start_s, y, f" {text}", va="center_baseline", fontsize=10.5, parse_math=False)
        inside.set_color(_INK if colour in (_SKY, _ORANGE) else "white")
        if _width(axes, inside) <= min(end, limit) - mark.start_s:
            continue
        if limit - end > end - mark.start_s:
            inside.set_x(end)
            inside.set_color(_INK)
            _shorten(axes, inside, limit - end)
        else:
            _shorten(axes, inside, min(end, limit) - mark.start_s)


def _label(mark: Mark, end: float, number: int) -> str:
    milliseconds = _ms(end - mark.start_s)
    if mark.kind is MarkKind.LATENCY:
        return milliseconds
    text = " ".join(mark.text.split())
    return text or {MarkKind.DUCK: milliseconds, MarkKind.RESPONSE: f"response {number}"}.get(mark.kind, "")


def _ms(seconds: float, sign: str = "") -> str:
    return f"{round(seconds * 1000):{sign},} ms".replace(",", "\u202f")


def _width(axes: Axes, text: Any) -> float:
    """Width of a text in seconds of its axes."""
    figure: Any = axes.figure
    box = text.get_window_extent(figure.canvas.get_renderer())
    left, right = axes.transData.inverted().transform([(box.x0, 0), (box.x1, 0)])[:, 0]
    return float(right - left)


def _shorten(axes: Axes, text: Any, room: float) -> None:
    """Cut a text until it fits `room` seconds, less a gap; a stump of a few letters is not worth showing."""
    full, width = text.get_text(), _width(axes, text)
    room -= 0.004 * (axes.get_xlim()[1] - axes.get_xlim()[0])
    if width <= room:
        return
    keep = int(len(full) * room / width) + 1
    while keep >= _LEAST_LETTERS:
        text.set_text(full[:keep].rstrip(" ,.;”") + "…")
        if _width(axes, text) <= room:
            return
        keep -= 1
    text.remove()


def _interruptions(axes: Axes, timeline: Timeline) -> None:
    """A line through everything at each confirmed interruption; its words stand where the loudspeaker fell silent."""
    for mark in timeline.of(MarkKind.CONFIRMED):
        axes.plot([mark.start_s] * 2, [0, _MICROPHONE_Y + _HALF], color=_PURPLE, linewidth=1.4, zorder=4)
        cut, fade = (_near(timeline, kind, mark.start_s) for kind in (MarkKind.TRUNCATED, MarkKind.FADE))
        heard = timeline.of(MarkKind.HEARD)
        limit = next((h.start_s for h in heard if h.start_s > mark.start_s), timeline.seconds)
        x = max(timeline.end_of(fade) if fade else 0.0, mark.start_s) + 0.006 * timeline.seconds
        for line, y in (("interrupted", 6), (f"cut at {cut.text}" if cut and cut.text else "", 1)):
            words = axes.text(x, _LOUDSPEAKER_Y + y, line, fontsize=11, color=_PURPLE, parse_math=False)
            if _width(axes, words) > limit - x:
                words.remove()  # half of such a note says nothing


def _detail(axes: Axes, timeline: Timeline, moment: _Interruption) -> None:
    axes.set_xlim(*moment.view)
    axes.set_ylim(0, 100)
    _plain(axes)
    _waveform(axes, timeline.microphone, timeline.rate, colour=_BLUE, y=76, half=22)
    _waveform(axes, timeline.loudspeaker, timeline.rate, colour=_VERMILION, y=25, half=22)
    _name(axes, 76, "microphone", _BLUE)
    _name(axes, 25, "loudspeaker", _VERMILION)
    if moment.duck is not None:
        axes.axvspan(moment.duck, moment.silent or moment.confirmed, 0, 0.5, color=_ORANGE, alpha=0.18, linewidth=0)
    left, right = moment.view
    ticks = [
        t for t in np.arange(-2000, 5001, _step((right - left) * 1000)) if left <= moment.onset + t / 1000 <= right
    ]
    axes.set_xticks([moment.onset + t / 1000 for t in ticks], [f"{t:.0f}" for t in ticks])
    axes.set_xlabel("milliseconds since the onset", fontsize=11, color=_INK, labelpad=1)
    _flags(axes, _events(moment))


def _step(milliseconds: float) -> float:
    """Distance of ticks, for about ten of them."""
    return next((step for step in (10, 20, 50, 100, 200, 500) if milliseconds / step <= 12), 1000)


def _events(moment: _Interruption) -> list[tuple[float, str, str]]:
    """Instant, words and colour of what the large view points at, in time order."""
    events = [(moment.confirmed, "interruption confirmed", _PURPLE)]
    if moment.onset < moment.confirmed:
        events.append((moment.onset, "caller begins", _BLUE))
    if moment.duck is not None:
        events.append((moment.duck, "ducked", "#9A6A00"))
    if moment.truncated:
        events.append((moment.truncated.start_s, f"answer cut at {moment.truncated.text}".removesuffix(" at "), _INK))
    if moment.silent is not None:
        events.append((moment.silent, "silent", _VERMILION))
    named = [
        (instant, words if colour in (_INK, _BLUE) else f"{words} {_ms(instant - moment.onset, '+')}", colour)
        for instant, words, colour in events
    ]
    return sorted(named, key=lambda event: event[0])


def _flags(axes: Axes, events: Sequence[tuple[float, str, str]]) -> None:
    """A pole at each instant, its flag to the right. Earlier flags hang higher, so no pole crosses a flag."""
    for number, (instant, words, colour) in enumerate(events):
        top = 103 + 13.5 * (len(events) - number)
        axes.plot([instant, instant], [0, top], color=colour, linewidth=1.4, clip_on=False, zorder=6)
        flag = axes.text(instant, top, f" {words}", va="top", fontsize=11, color=colour, zorder=5, parse_math=False)
        flag.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})


def _bridge(figure: Figure, overview: Axes, detail: Axes, moment: _Interruption) -> None:
    """Show where the large view comes from."""
    from matplotlib.patches import ConnectionPatch

    left, right = moment.view
    overview.axvspan(left, right, color="#000000", alpha=0.06, linewidth=0, zorder=0)
    for x, corner in ((left, 0.0), (right, 1.0)):
        figure.add_artist(
            ConnectionPatch(
                (x, 0), (corner, 1.0), overview.get_xaxis_transform(), detail.transAxes, color="#BBBBBB", zorder=-1
            )
        )


def _numbers(figure: Figure, timeline: Timeline, moment: _Interruption) -> None:
    """The few numbers one wants to take away, large."""
    items = [
        (_ms(timeline.end_of(mark) - mark.start_s), f"turn {number}: speech end to first sound", _GREY)
        for number, mark in enumerate(timeline.of(MarkKind.LATENCY)[:2], 1)
    ]
    if moment.duck is not None:
        items.append((_ms(moment.duck - moment.onset), "caller begins to ducked", "#9A6A00"))
    if moment.silent is not None:
        items.append((_ms(moment.silent - moment.onset), "caller begins to silence", _VERMILION))
    for number, (value, words, colour) in enumerate(items):
        y = 0.285 - 0.068 * number
        figure.text(0.80, y, value, ha="right", va="baseline", fontsize=21, fontweight="bold", color=colour)
        figure.text(0.807, y, words, ha="left", va="baseline", fontsize=12, color=_INK)
