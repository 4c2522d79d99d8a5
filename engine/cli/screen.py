"""The screen of `bargein talk`: a `View` as lines of text with colours.

Made with rich, which knows how wide letters are and what colours a terminal has. Textual was looked at: it brings an
event loop, a mouse and style sheets of its own, takes three times as long to import (0.40 s against 0.12) and three
times the memory (24 MB against 7), and a screen of a few meters needs none of that.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

from engine.cli.talkmodel import QUIET_DB, Said, View
from engine.errors import MissingExtraError

try:
    from rich.console import Console
    from rich.text import Text
except ModuleNotFoundError:
    raise MissingExtraError("the screen of `bargein talk`", "talk") from None

LEAST_WIDTH, LEAST_HEIGHT = 40, 14
COLOURS = {
    "listening": "green", "hearing you": "bright_cyan", "thinking": "yellow", "speaking": "bright_magenta",
    "ducked": "bright_yellow", "muted": "red", "on hold": "red", "device lost": "bright_red", "connecting": "yellow",
    "reconnecting": "bright_red",
}  # fmt: skip
NAMES = {"user": "you", "assistant": "it"}
KEYS = (("m", "mute"), ("space", "talk"), ("i", "interrupt"), ("h", "hold"), ("+ -", "volume"), ("q", "quit"))
EIGHTHS = " ▏▎▍▌▋▊▉"


class Drawer:
    """Draws views. `colours` as rich names them ("standard", "256", "truecolor"), None for a terminal without."""

    def __init__(self, colours: str | None = "standard") -> None:
        self._colours = colours

    def lines(self, view: View, width: int, height: int) -> list[str]:
        """The screen, `height` lines at most, none wider than `width`; colours are escape sequences."""
        console = Console(
            file=io.StringIO(),
            force_terminal=True,
            width=width,
            height=height,
            color_system=self._colours,  # type: ignore[arg-type]
            legacy_windows=False,
            highlight=False,
            no_color=self._colours is None,
            _environ={},
        )
        for line in picture(view, width, height, console):
            console.print(line, end="\n", overflow="crop", no_wrap=True, soft_wrap=False)
        file = console.file
        assert isinstance(file, io.StringIO)
        return file.getvalue().split("\n")[:height]


def picture(view: View, width: int, height: int, console: Console) -> list[Text]:
    """The screen as rich texts."""
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return [_title(view, width), Text(f"make the terminal {LEAST_WIDTH} x {LEAST_HEIGHT} at least"), _keys(view)]
    air = [Text()] if height >= 20 else []
    above = [_title(view, width), *air, *_meters(view, width), _rule("conversation", width)]
    below = [_rule("figures", width), *_figures(view), Text(view.notice, "yellow"), _keys(view)]
    room = max(height - len(above) - len(below), 1)
    talk = _transcripts(view.said, width, room, console)
    lines = [*above, *talk, *([Text()] * (room - len(talk))), *below]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _title(view: View, width: int) -> Text:
    colour = COLOURS.get(view.state, "white")
    minutes, seconds = divmod(int(view.seconds), 60)
    left = Text.assemble((" bargein ", "bold reverse"), "  ", (f"● {view.state}", f"bold {colour}"))
    right = Text(f"{view.server}  {minutes // 60:02}:{minutes % 60:02}:{seconds:02} ", "bright_black")
    right.truncate(max(width - left.cell_len - 2, 0), overflow="ellipsis")
    left.append(" " * max(width - left.cell_len - right.cell_len, 1))
    return left.append_text(right)


def _meters(view: View, width: int) -> list[Text]:
    room = min(max(width - 56, 8), 60)
    speech = "bright_cyan" if view.probability >= 0.5 else "cyan"
    microphone = [*(["muted"] if view.muted else []), view.microphone]
    loudspeaker = [f"ducked {view.gain_db:.0f} dB"] if view.gain_db else []
    loudspeaker += [f"volume {100 * view.volume:.0f} %"] if view.volume != 1.0 else []
    loudspeaker += [view.loudspeaker]
    gate = "gate off" if view.gate_mode == "off" else f"gate {'open' if view.gate_open else 'closed'}"
    near = [f"near {view.near:.2f}"] if view.near is not None else []
    return [
        _meter("microphone", _loudness(view.input_db), f"{view.input_db:4.0f} dB", microphone, room, "green"),
        _meter("speech", view.probability, f"{view.probability:7.2f}", [gate, *near], room, speech),
        _meter("loudspeaker", _loudness(view.output_db), f"{view.output_db:4.0f} dB", loudspeaker, room, "magenta"),
        _meter("waiting", view.queue_s / 10.0, f"{view.queue_s:5.1f} s", ["playout"], room, "blue"),
    ]


def _loudness(db: float) -> float:
    """Share of a meter that ends at -60 dBFS."""
    return 1.0 + db / 60.0 if db > QUIET_DB else 0.0


def _meter(name: str, share: float, figure: str, more: Iterable[str], room: int, colour: str) -> Text:
    line = Text.assemble(
        (f" {name:<12}", "bold"),
        ("▕", "bright_black"),
        (_bar(share, room), colour),
        ("▏", "bright_black"),
        f" {figure} ",
    )
    return line.append("  " + ", ".join(part for part in more if part), "bright_black")


def _bar(share: float, room: int) -> str:
    eighths = round(min(max(share, 0.0), 1.0) * room * 8)
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(room)


def _rule(name: str, width: int) -> Text:
    return Text(f"── {name} " + "─" * max(width - len(name) - 4, 0), "bright_black")


def _transcripts(said: list[Said], width: int, room: int, console: Console) -> list[Text]:
    """The newest lines, wrapped; only as many as fit are looked at."""
    lines: list[Text] = []
    for each in reversed(said):
        colour = "bright_cyan" if each.role == "user" else "bright_magenta"
        text = Text(each.text or ("(speech)" if each.role == "user" else "…"), "" if each.text else "bright_black")
        if each.note:
            text.append(f"  [{each.note}]", "yellow")
        wrapped = text.wrap(console, max(width - 8, 10))
        name = f" {NAMES.get(each.role, each.role):<5}"
        block = [Text.assemble((name if not index else " " * 6, colour), line) for index, line in enumerate(wrapped)]
        lines = block + lines
        if len(lines) >= room:
            break
    return lines[-room:]


def _figures(view: View) -> list[Text]:
    times = Text.assemble((" answer after  ", "bold"))
    for latency, interrupted in view.latencies:
        times.append("-" if latency is None else f"{latency:.0f} ms", "yellow" if interrupted else "")
        times.append(" ✂   " if interrupted else "   ", "yellow")
    counts = f"  missing {view.missing_ms:.0f} ms  unsent {view.lost_ms} ms  underruns {view.underruns}"
    sound = Text.assemble((" sound         ", "bold"))
    sound.append(f"xruns {view.xruns}", "bright_red" if view.xruns else "bright_black")
    sound.append(counts, "" if view.missing_ms or view.lost_ms or view.underruns else "bright_black")
    if view.drift_ppm is not None:
        sound.append(f"  drift {view.drift_ppm:+.0f} ppm", "bright_black")
    usage = view.usage
    responses = f"{usage.responses} {'response' if usage.responses == 1 else 'responses'}"
    tokens = f"tokens in {usage.input} (cached {usage.cached}) out {usage.output}"
    cost = f"cost {usage.cost:.4f}" if usage.cost is not None else ""
    used = Text.assemble((" used          ", "bold"), "  ".join((responses, tokens, cost)))
    return [
        times,
        Text.assemble((" device        ", "bold"), (", ".join(filter(None, (view.echo, view.device))), "bright_black")),
        sound,
        used,
    ]


def _keys(view: View) -> Text:
    line = Text()
    words = {
        "mute": "unmute" if view.muted else "mute",
        "talk": "send" if view.pressed else "talk",
        "hold": "resume" if view.on_hold else "hold",
    }
    for key, does in KEYS:
        line.append(f" {key} ", "reverse").append(f" {words.get(does, does)}  ")
    return line
