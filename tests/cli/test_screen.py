"""The screen of `bargein talk` without a talk: what is drawn of what is known, and how a slow terminal is treated."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from engine.audio import HearingStats
from engine.cli.main import main
from engine.cli.talkmodel import Model, Said, View, decibels, echo_figures
from engine.cli.terminal import PATIENCE_S, Painter, keys
from engine.conversation import Turn
from engine.realtime import events as ev
from engine.realtime.usage import Prices, Tally

pytest.importorskip("rich", reason="the extra `talk` is absent")
pyte = pytest.importorskip("pyte", reason="pyte is absent")

from engine.cli.screen import Drawer  # noqa: E402

FULL = View(
    state="speaking",
    server="server inside, echo",
    seconds=3723.0,
    microphone="USB Audio: 麦克风",
    loudspeaker="HDMI",
    input_db=-20.0,
    output_db=-6.0,
    probability=0.93,
    gate_mode="silence",
    gate_open=False,
    queue_s=1.5,
    gain_db=-18.0,
    volume=0.5,
    said=[Said("user", "Wie spät ist es?"), Said("assistant", "時刻は" * 30, "interrupted after 900 ms")],
    latencies=[(430.0, False), (None, True)],
    device="48 kHz int16, blocks of 10 ms",
    xruns=2,
    missing_ms=30.0,
    drift_ppm=-12.0,
    echo="echo after 120 ms less 24 dB",
    near=0.25,
    usage=Tally(responses=2, audio_input=100, audio_output=250, cost=0.0123),
    notice="the server reports: Slow down.",
)


def shown(view: View, width: int = 80, height: int = 24) -> list[str]:
    """The screen as a terminal of that size shows it."""
    screen = pyte.Screen(width, height)
    stream = pyte.Stream(screen)
    lines = Drawer("256").lines(view, width, height)
    assert len(lines) <= height
    for row, line in enumerate(lines):
        stream.feed(f"\x1b[{row + 1};1H{line}")
    return list(screen.display)


def test_all_that_is_known_is_on_80_by_24() -> None:
    text = "\n".join(shown(FULL))
    for words in (
        "● speaking", "01:02:03", "server inside, echo", "-20 dB", "0.93", "gate closed", "-6 dB", "volume 50 %",
        "ducked -18 dB", "1.5 s", "you  Wie spät", "it   時", "430 ms", "48 kHz int16", "xruns 2",
        "missing 30 ms", "drift -12 ppm", "near 0.25", "echo after 120 ms less 24 dB",
            "2 responses", "tokens in 100", "out 250", "cost 0.0123", "Slow down.", " q ",
    ):  # fmt: skip
        assert words in text, (words, text)


@pytest.mark.parametrize("width", [40, 41, 60, 80, 133, 250])
@pytest.mark.parametrize("height", [14, 15, 24, 60])
def test_nothing_is_wider_or_higher_than_the_terminal(width: int, height: int) -> None:
    from rich.cells import cell_len
    from rich.text import Text

    lines = Drawer(None).lines(FULL, width, height)
    assert len(lines) <= height
    assert all(cell_len(Text.from_ansi(line).plain) <= width for line in lines)
    assert " q " in Text.from_ansi(lines[height - 1]).plain or width < 80  # the keys stay in sight


@pytest.mark.parametrize(("width", "height"), [(20, 3), (39, 24), (80, 13), (1, 1)])
def test_a_tiny_terminal_is_told_so(width: int, height: int) -> None:
    assert len(Drawer(None).lines(FULL, width, height)) <= height


def test_without_colours_there_are_none() -> None:
    assert not any("\x1b[3" in line or "\x1b[9" in line for line in Drawer(None).lines(FULL, 80, 24))


def test_the_newest_words_stay_in_sight() -> None:
    said = [Said("assistant", f"sentence {number} " + "and more " * 20) for number in range(40)]
    text = "\n".join(shown(View(said=said)))
    assert "sentence 39" in text and "sentence 1 " not in text


def test_a_full_bar_is_full_and_an_empty_one_empty() -> None:
    loud = shown(View(state="listening", input_db=0.0, probability=1.0, queue_s=99.0))
    quiet = shown(View(state="listening"))
    assert all("█" * 24 + "▏" in loud[row] for row in (2, 3, 5))
    assert not any("█" in line for line in quiet)
    assert decibels(0.0) == decibels(1e-9) == -90.0 and decibels(1.0) == 0.0


# ---- what is known


def received(model: Model, *events: ev.AnyEvent) -> None:
    for event in events:
        model.event("received", b"", event)


def test_transcripts_of_both_sides_and_what_became_of_them() -> None:
    model = Model("here", known=["sk-topsecret"])
    place: Any = {"response_id": "r", "item_id": "b", "output_index": 0, "content_index": 0}
    received(
        model,
        ev.InputAudioBufferCommitted(item_id="a"),
        ev.ConversationItemInputAudioTranscriptionDelta(item_id="a", content_index=0, delta="Hel"),
        ev.ConversationItemInputAudioTranscriptionCompleted(item_id="a", content_index=0, transcript="Hello\x1b[2J."),
        ev.ResponseOutputAudioTranscriptDelta(**place, delta="Your key is sk-top"),
        ev.ResponseOutputAudioTranscriptDelta(**place, delta="secret."),
    )
    model.turn(Turn("assistant", "Your key", ("b",), interrupted=True, played_ms=700))
    said = model.view().said
    assert [(each.role, each.note) for each in said] == [("user", ""), ("assistant", "interrupted after 700 ms")]
    assert said[0].text == "Hello [2J."  # nobody steers the terminal
    assert "topsecret" not in said[1].text


def test_costs_are_counted_by_the_table_of_prices() -> None:
    model = Model("here", Prices(audio_output=10.0))
    usage = {
        "total_tokens": 300,
        "input_tokens": 100,
        "output_tokens": 200,
        "output_token_details": {"audio_tokens": 200},
    }
    received(model, ev.ResponseDone(response={"id": "r", "status": "completed", "usage": usage}))
    total = model.view().usage
    assert (total.input, total.output) == (100, 200)
    assert total.cost == pytest.approx(0.002)


def test_the_servers_complaints_are_shown_without_secrets() -> None:
    told: list[str] = []
    model = Model("here", known=["sk-topsecret"])
    model.on_complaint = told.append
    for _ in range(30):
        received(model, ev.Error(error={"type": "invalid", "message": "no sk-topsecret\r\nhere"}))
    assert model.view().notice.startswith("the server reports: no ") and "topsecret" not in model.view().notice
    assert "\n" not in model.view().notice
    assert model.complaints == 30 and len(told) == 10


@pytest.mark.parametrize(
    ("echo", "delay_ms", "converged", "playing", "text", "near"),
    [
        ("off", None, False, False, "", None),
        ("aec", None, False, True, "listening for an echo", 0.25),
        ("aec", 120.0, False, True, "echo after 120 ms, learning the room", 0.25),
        ("aec", 120.0, True, False, "echo after 120 ms less 24 dB", None),
        ("aec", None, True, True, "no echo", 0.25),
        ("half_duplex", 120.0, False, True, "half duplex, echo after 120 ms", None),
        ("half_duplex", None, False, True, "half duplex", None),
    ],
)
def test_what_becomes_of_the_echo_is_said(
    echo: Any, delay_ms: float | None, converged: bool, playing: bool, text: str, near: float | None
) -> None:
    found = echo_figures(HearingStats(echo, 0, 0, converged, playing, 0.25, 24.2, delay_ms, None, 0.0))
    assert (found.get("echo", ""), found.get("near")) == (text, near)


# ---- the terminal


@pytest.mark.parametrize(
    ("data", "meaning"),
    [
        (b"q", ["q"]),
        (b"m ", ["m", " "]),
        (b"\x1b", ["escape"]),
        (b"\x1b[Aq\x1bOP", ["q"]),
        (b"\x0c", ["\x0c"]),
        (b"\xff\xfe", []),
    ],
)
def test_keys(data: bytes, meaning: list[str]) -> None:
    assert keys(data) == meaning


def painted(descriptor: int, until: bytes) -> bytes:
    data = b""
    while until not in data:
        part = os.read(descriptor, 65536)
        assert part, data
        data += part
    return data


def test_only_changed_lines_are_written() -> None:
    reading, writing = os.pipe()
    painter = Painter(writing)
    painter.paint(["one", "two", "three"])
    assert painted(reading, b"three").count(b"\x1b[K") == 3
    painter.paint(["one", "TWO", "three"])
    assert painted(reading, b"TWO").count(b"\x1b[K") <= 1
    painter.clear()
    painter.paint(["one"])
    assert b"\x1b[2J" in painted(reading, b"one")
    painter.close()
    os.close(writing)
    os.close(reading)


def test_a_terminal_that_takes_nothing_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    painter = Painter(writing)
    for number in range(200):
        painter.paint([f"{number} " + "x" * 200_000])  # much more than a pipe holds: this would block
    painter.close()  # waits no longer than PATIENCE_S
    assert painter._thread.is_alive() and PATIENCE_S <= 2.0
    os.close(reading)  # now it fails, and the thread ends
    painter._thread.join(20)
    assert not painter._thread.is_alive()
    os.close(writing)
    assert threading.active_count() < 50


# ---- the command


def test_no_device_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from engine.cli import talk
    from engine.errors import DeviceError

    def none() -> None:
        raise DeviceError("PortAudio is not installed: apt-get install libportaudio2")

    monkeypatch.setattr(talk, "devices", none)
    assert main(["talk", "--server", "inside", "--plain"]) == 1
    assert capsys.readouterr().err == "bargein: PortAudio is not installed: apt-get install libportaudio2\n"


@pytest.mark.parametrize(
    "arguments",
    [["--rate", "1"], ["--block-ms", "0"], ["--echo", "cancel"], ["--key", "sk-1"], ["--priority", "100"],
     ["--server", "ws://127.0.0.1:1/v1", "--responder", "echo"]],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.startswith("bargein: ") and told.count("\n") == 1 and "sk-1" not in told
