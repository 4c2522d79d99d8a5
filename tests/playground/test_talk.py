"""A person at the fake microphone talks with the embedded server through the page: turns, interruptions, files."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.server.responders import Echo, Say, ToolCall
from tests.audio.sounds import Shorts, voice
from tests.playground.browser import RATE, Tab, read_stereo
from tests.playground.conftest import Open
from tests.playground.served import Served
from tests.server.harness import Says
from tests.server.test_recognition import Ears

QUESTION_S = 1.5
SENT_200_MS = """() => {
  const last = (part) => document.querySelector(`#events li:last-child ${part}`).textContent;
  const [type, length] = [last(".type"), last(".sum").split("·")[1] ?? "0 ms"]; // ms, then seconds
  return type === "input_audio_buffer.append" && (!length.endsWith(" ms") || parseInt(length) >= 200);
}"""


def edges(sound: Shorts, least: int = 300, apart_s: float = 0.5) -> list[tuple[int, int]]:
    """First and last sample of each stretch of sound that no silence of `apart_s` divides."""
    loud = np.flatnonzero(np.abs(sound.astype(int)) > least)
    if loud.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) > apart_s * RATE)
    return list(zip(loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, -1]], strict=True))


def likeness(part: Shorts, whole: Shorts) -> tuple[float, int]:
    """Normalised correlation of `part` within `whole`, and where it is. Each 200 ms may lie where it fits best, and the
    median of them counts: the fake microphone of a busy machine loses a piece now and then.
    """
    found = []
    for start in range(0, part.size - RATE // 5 + 1, RATE // 5):
        section = part[start : start + RATE // 5].astype(float)
        size = 1 << (whole.size + section.size).bit_length()
        spectrum = np.fft.rfft(whole.astype(float), size) * np.conj(np.fft.rfft(section, size))
        products = np.fft.irfft(spectrum, size)[: whole.size - section.size]
        energy = np.cumsum(np.r_[0.0, whole.astype(float) ** 2])
        powers = energy[section.size : section.size + products.size] - energy[: products.size]
        alike = products / (np.linalg.norm(section) * np.sqrt(np.maximum(powers, 1e6)))
        found.append((float(alike.max()), int(alike.argmax()) - start))
    return float(np.median([score for score, _ in found])), int(np.median([place for _, place in found]))


def question_before(left: Shorts, ended_ms: float) -> tuple[float, float]:
    """How alike the question is to what was recorded just before `ended_ms`, and how many ms later it ends there."""
    begin = max(0, int((ended_ms / 1000 - QUESTION_S - 1) * RATE))
    alike, at = likeness(voice(int(RATE * QUESTION_S)), left[begin : int((ended_ms / 1000 + 1) * RATE)])
    return alike, (begin + at + RATE * QUESTION_S) / RATE * 1000 - ended_ms


@pytest.fixture(scope="module")
def conversation(chromium: Any, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One conversation with an interruption in it: the page's events, its files, what it shows."""
    folder = tmp_path_factory.mktemp("conversation")
    tab = Tab(chromium.new_context(viewport={"width": 1280, "height": 800}).new_page()).open(served.page)
    tab.page.uncheck("#cancel-echo")  # the browser changes what it hears, else
    tab.connect()
    tab.wait("#turns .interrupted")
    tab.show("events")
    tab.wait("#events .type", has_text="conversation.item.truncated")
    tab.page.click("#disconnect")
    tab.wait("body[data-state=idle]")
    told: dict[str, Any] = {
        name: tab.events(name)
        for name in (
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "conversation.item.truncate",
            "conversation.item.truncated",
            "response.done",
            "error",
        )
    }
    told["turn"] = tab.text("#turns .interrupted")
    tab.show("recording")
    told["wav"] = tab.download("#download-wav", folder / "conversation.wav")
    told["timeline"] = json.loads(tab.download("#download-json", folder / "conversation.json").read_text())
    tab.show("timing")
    told["timing"] = tab.text("#panel-timing")
    told["status"] = tab.text("#status")
    tab.page.context.close()
    tab.check()
    return told


def test_a_spoken_turn_is_heard_and_answered(conversation: Any) -> None:
    assert conversation["session.created"]
    first = conversation["input_audio_buffer.speech_started"][0]
    stopped = conversation["input_audio_buffer.speech_stopped"][0]
    assert first["item_id"] == stopped["item_id"]
    spoken = stopped["audio_end_ms"] - first["audio_start_ms"]
    assert 300 + 1000 < spoken - 500 < 300 + 2000, "padding, the question, and the silence after it"
    assert conversation["error"] == []


def test_the_server_is_told_what_was_played(conversation: Any) -> None:
    sent, answered = conversation["conversation.item.truncate"], conversation["conversation.item.truncated"]
    assert len(sent) == len(answered) == 1
    assert sent[0]["audio_end_ms"] == answered[0]["audio_end_ms"] > 0
    assert sent[0]["item_id"] == answered[0]["item_id"]
    assert conversation["response.done"][0]["response"]["status"] == "cancelled"
    _, right = read_stereo(conversation["wav"])
    begin, end = edges(right)[0]
    heard_ms = (end - begin) / RATE * 1000
    # What the loudspeaker was given after that is the fade of 10 ms; beeps begin and end softly.
    assert abs(heard_ms - sent[0]["audio_end_ms"]) < 60


def test_the_rest_that_nobody_heard_is_marked(conversation: Any) -> None:
    assert "interrupted:" in conversation["turn"]
    assert "[not heard:]" in conversation["turn"]


def test_the_recording_has_both_sides_in_their_places(conversation: Any) -> None:
    left, right = read_stereo(conversation["wav"])
    timeline = conversation["timeline"]
    assert abs(timeline["duration_ms"] - left.size / RATE * 1000) <= 1
    assert left.size == right.size
    ends = [answer["speech_ended_ms"] for answer in timeline["answers"]]
    # The same words come again 8 s later: each place is looked at by itself.
    alike, place = max(question_before(left, end) for end in ends)
    assert alike > 0.95, "the microphone's sound, through two resamplers"
    assert abs(place) < 250, "where the speech in it ends"
    begin_ms = edges(right)[0][0] / RATE * 1000
    assert begin_ms > ends[0]
    heard_ms = timeline["answers"][0]["first_heard_ms"]
    assert abs(heard_ms - begin_ms) < 150, "what is heard: the device's own delay is added"


def test_the_timeline_tells_all_in_order(conversation: Any) -> None:
    timeline = conversation["timeline"]
    assert timeline["session"]["audio"]["output"]["voice"] == "alloy"
    roles = [turn["role"] for turn in timeline["turns"]]
    assert roles[:2] == ["user", "assistant"]
    first = timeline["turns"][1]
    assert first["interrupted"]
    assert first["heard_ms"] == conversation["conversation.item.truncate"][0]["audio_end_ms"]
    answer = timeline["answers"][0]
    times = [answer[name] for name in ("speech_ended_ms", "noticed_ms", "created_ms", "first_received_ms")]
    assert all(before <= after for before, after in pairwise(times))
    stop = timeline["interruptions"][0]
    assert stop["onset_ms"] <= stop["noticed_ms"] <= stop["silent_ms"]
    types = {event["event"]["type"] for event in timeline["events"]}
    assert {"session.created", "input_audio_buffer.append", "response.output_audio.delta"} <= types
    assert timeline["events_left_out"] == 0
    assert "AAAA" not in json.dumps(timeline), "sound is in the other file"


def test_the_times_of_each_answer_are_shown(conversation: Any) -> None:
    assert "1. to speech" in conversation["timing"]
    assert "Interruptions" in conversation["timing"]
    assert conversation["status"] == "Not connected"


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
def test_what_the_server_hears_is_what_was_said(chromium: Any, tmp_path: Path, rate: int) -> None:
    context = chromium.new_context()
    context.add_init_script(f"""window.AudioContext = class extends AudioContext {{
      constructor(wish) {{ super({{ ...wish, sampleRate: {rate} }}); }}
    }}""")
    with Served(Echo()) as server:
        tab = Tab(context.new_page()).open(server.page)
        tab.page.uncheck("#cancel-echo")
        tab.connect()
        tab.wait("#status[data-kind=answering]")
        tab.wait("#status[data-kind=ready]")
        tab.show("recording")
        left, right = read_stereo(tab.download("#download-wav", tmp_path / "echo.wav"))
    question = voice(int(RATE * QUESTION_S))
    said, at = likeness(question, left)
    echoed, later = likeness(question, right)
    assert said > 0.95
    assert echoed > 0.95, "through every resampler there is, both ways"
    assert later > at + question.size
    context.close()
    tab.check()


def test_the_button_interrupts(served: Served, open_tab: Open) -> None:
    tab = open_tab(served.page)
    tab.connect()
    tab.page.click("#mute")
    tab.page.fill("#words", "Say something long")
    tab.page.keyboard.press("Enter")
    tab.wait("#status[data-kind=answering]", has_text="Answering")
    tab.page.click("#interrupt")
    tab.wait("#turns .interrupted")
    tab.show("events")
    tab.wait("#events .type", has_text="conversation.item.truncated")
    assert [event["response_id"] for event in tab.events("response.cancel")]
    assert tab.events("error") == []


def test_typed_words_are_answered_also_into_an_answer(served: Served, open_tab: Open) -> None:
    tab = open_tab(served.page)
    tab.connect()
    tab.page.click("#mute")
    for words in ("First", "Second", "Third"):
        tab.page.fill("#words", words)
        tab.page.click("#say button")
    tab.wait("#turns > li:nth-child(4)")
    tab.wait("#status[data-kind=answering]", has_text="Answering")
    assert "First" in tab.text("#turns > li:nth-child(1)")
    tab.show("events")
    assert tab.events("error") == []
    assert len(tab.events("conversation.item.create")) == 3


@pytest.mark.parametrize("by", ["the space bar", "pointer"])
def test_push_to_talk(served: Served, open_tab: Open, by: str) -> None:
    tab = open_tab(served.page)
    tab.connect()
    tab.page.check("#mode [value=push]")
    tab.wait("#hold")
    tab.show("events")
    tab.wait("#events .type", has_text="input_audio_buffer.cleared")
    if by == "pointer":
        tab.page.hover("#hold")
        tab.page.mouse.down()
    else:
        tab.page.focus("#hold")
        tab.page.keyboard.down(" ")
    tab.wait("#status[data-kind=hearing]")
    tab.until(SENT_200_MS)
    tab.page.mouse.up() if by == "pointer" else tab.page.keyboard.up(" ")
    tab.wait("#events .type", has_text="input_audio_buffer.committed")
    tab.wait("#status[data-kind=answering]")
    assert tab.events("error") == []
    assert tab.events("session.update")[0]["session"]["audio"]["input"] == {"turn_detection": None}
    tab.page.check("#mode [value=open]")
    tab.page.locator("#hold").wait_for(state="hidden")
    assert tab.events("session.update")[-1]["session"]["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_a_call_of_a_tool_takes_an_output(open_tab: Open) -> None:
    brain = Says([ToolCall("get_weather", '{"city": "Paris"}')], [Say("Rain, then.")])
    with Served(brain) as server:
        tab = open_tab(server.page)
        tab.connect()
        tab.page.click("#mute")
        tab.page.fill("#words", "What is the weather?")
        tab.page.click("#say button")
        form = tab.wait("#turns form")
        assert "get_weather" in tab.text("#turns > li:nth-child(2)")
        form.locator("input").fill('{"weather": "rain"}')
        form.locator("button").click()
        tab.wait("#turns .said", has_text="Rain, then.")
        tab.show("events")
        item = tab.events("conversation.item.create")[-1]["item"]
        assert item["call_id"].startswith("call_")
        assert item["output"] == '{"weather": "rain"}'
        assert tab.events("error") == []


def test_the_words_of_the_person_are_written_down(open_tab: Open) -> None:
    ears = Ears("Can you tell me how the tides work?", "")
    with Served(Says([Say("Good day.")]), recogniser=ears) as server:
        tab = open_tab(server.page)
        tab.connect()
        tab.page.fill("#f-transcription", "gpt-4o-transcribe")
        tab.page.click("#apply")
        tab.wait("#turns .turn.near .said", has_text="Can you tell me how the tides work?")
        tab.wait("#turns .turn.near .said", has_text="no words were understood")


def test_speech_that_shall_not_interrupt_does_not(served: Served, open_tab: Open) -> None:
    tab = open_tab(served.page)
    tab.connect()
    tab.page.uncheck("#f-interrupting")
    tab.page.click("#apply")
    tab.wait("#answer .accepted")
    tab.wait("#status", has_text="Answering")
    tab.wait("#status", has_text="Hearing you")
    tab.wait("#status", has_text="Answering")
    tab.show("events")
    assert tab.events("conversation.item.truncate") == []
    assert tab.page.locator("#turns .interrupted").count() == 0


def test_what_is_being_read_does_not_run_away(tab: Tab) -> None:
    tab.connect()
    tab.page.click("#mute")
    for number in range(6):
        tab.page.fill("#words", f"Number {number} " + "and so on " * 20)
        tab.page.keyboard.press("Enter")
        tab.wait("#turns .said", has_text=f"Number {number}")
    tab.wait("#status", has_text="Answering")
    at_end = "(area) => area.scrollHeight - area.scrollTop - area.clientHeight"
    area = tab.page.locator("#turns-area")
    assert area.evaluate(at_end) < 80
    area.evaluate("(area) => { area.scrollTop = 0; }")
    tab.wait("#status", has_text="Answering")
    tab.page.wait_for_timeout(300)
    assert area.evaluate("(area) => area.scrollTop") == 0


def test_sound_that_comes_too_late_is_a_gap_and_told(open_tab: Open) -> None:
    with Served(Says([Say("Good day."), 3.0, Say("And good night.")])) as server:
        tab = open_tab(server.page)
        tab.connect()
        tab.page.click("#mute")
        tab.page.fill("#words", "Hello")
        tab.page.keyboard.press("Enter")
        tab.wait("#readout", has_text="gap")
        tab.wait("#status[data-kind=deaf]", has_text="Muted")  # through, all the same
        tab.show("events")
        assert tab.events("conversation.item.truncate") == []
