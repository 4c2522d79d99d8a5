"""The session edited while it is open: what the server makes of it stands beside what was asked."""

from __future__ import annotations

import json

import pytest

from tests.playground.browser import Tab

FIELDS = """() => {
  const fields = [...document.querySelectorAll("[data-path]")];
  return Object.fromEntries(fields.map((field) => [field.id, field.type === "checkbox" ? field.checked : field.value]));
}"""


@pytest.fixture
def editing(tab: Tab) -> Tab:
    """A connected page whose form is on screen, and whose microphone is silent."""
    tab.connect()
    tab.page.click("#mute")
    tab.show("session")
    return tab


def answer(tab: Tab, kind: str) -> str:
    """What the page says of the answer, once it is `accepted` or `refused`."""
    tab.wait(f"#answer .{kind}")
    return tab.text("#answer")


def test_the_form_shows_what_is_in_force(editing: Tab) -> None:
    shown = editing.page.evaluate(FIELDS)
    assert shown == {
        "f-instructions": "You are a helpful voice assistant. Answer briefly and in the language of the user.",
        "f-voice": "alloy",
        "f-output": "audio",
        "f-speed": "1",
        "f-noise": "",
        "f-transcription": "",
        "f-turns": "server_vad",
        "f-threshold": "0.5",
        "f-silence": "500",
        "f-prefix": "300",
        "f-idle": "",
        "f-eagerness": "auto",
        "f-create": True,
        "f-interrupting": True,
    }


def test_only_what_was_changed_is_sent_and_what_is_different_is_told(editing: Tab) -> None:
    editing.page.fill("#f-speed", "1.25")
    editing.page.fill("#f-instructions", "Be brief.")
    editing.page.click("#apply")
    said = answer(editing, "accepted")
    assert "audio.output.speed 1 → 1.25" in said
    assert '→ "Be brief."' in said
    editing.show("events")
    assert editing.events("session.update")[0]["session"] == {
        "type": "realtime",
        "instructions": "Be brief.",
        "audio": {"output": {"speed": 1.25}},
    }


def test_a_refused_value_is_told_beside_its_field_and_kept_to_be_mended(editing: Tab) -> None:
    editing.page.fill("#f-threshold", "1.5")
    editing.page.fill("#f-speed", "1.1")
    editing.page.click("#apply")
    said = answer(editing, "refused")
    assert "expected 0 to 1, but got 1.5" in said
    assert "session.audio.input.turn_detection.threshold" in said
    field = editing.page.locator("#f-threshold")
    assert (field.get_attribute("aria-invalid"), field.get_attribute("aria-describedby")) == ("true", "answer")
    assert (field.input_value(), editing.page.input_value("#f-speed")) == ("1.5", "1.1")
    assert editing.page.locator("#notices .notice").count() == 0, "told once, and here"
    field.fill("0.7")
    editing.page.click("#apply")
    said = answer(editing, "accepted")
    assert "threshold 0.5 → 0.7" in said
    assert "speed 1 → 1.1" in said
    assert field.get_attribute("aria-invalid") is None


def test_turn_detection_by_meaning_has_its_own_fields(editing: Tab) -> None:
    editing.page.select_option("#f-turns", "semantic_vad")
    assert editing.page.is_visible("#f-eagerness")
    assert not editing.page.is_visible("#f-threshold")
    editing.page.select_option("#f-eagerness", "low")
    editing.page.uncheck("#f-interrupting")
    editing.page.click("#apply")
    answer(editing, "accepted")
    editing.show("events")
    assert editing.events("session.updated")[-1]["session"]["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "low",
        "create_response": True,
        "interrupt_response": False,
    }


def test_no_turn_detection_is_push_to_talk(editing: Tab) -> None:
    editing.page.select_option("#f-turns", "")
    editing.page.click("#apply")
    answer(editing, "accepted")
    editing.wait("#hold")
    assert editing.page.is_checked("#mode [value=push]")


def test_the_other_members_of_the_form(editing: Tab) -> None:
    editing.page.fill("#f-voice", "coral")
    editing.page.select_option("#f-output", "text")
    editing.page.select_option("#f-noise", "far_field")
    editing.page.fill("#f-transcription", "whisper-1")
    editing.page.fill("#f-idle", "6000")
    editing.page.click("#apply")
    answer(editing, "accepted")
    editing.show("events")
    session = editing.events("session.updated")[-1]["session"]
    assert session["output_modalities"] == ["text"]
    assert session["audio"]["output"]["voice"] == "coral"
    assert session["audio"]["input"]["noise_reduction"] == {"type": "far_field"}
    assert session["audio"]["input"]["transcription"]["model"] == "whisper-1"
    assert session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 6000
    editing.page.fill("#words", "Write to me")
    editing.page.keyboard.press("Enter")
    editing.wait("#turns .turn.far .said", has_text="Good morning to you all")


def test_edits_can_be_undone_and_nothing_is_sent_for_nothing(editing: Tab) -> None:
    editing.page.fill("#f-speed", "9")
    editing.page.click("#revert")
    assert editing.page.input_value("#f-speed") == "1"
    editing.page.click("#apply")
    editing.wait("#answer .hint", has_text="Nothing was changed.")
    editing.show("events")
    assert editing.events("session.update") == []


def test_any_event_can_be_written(editing: Tab) -> None:
    editing.page.check("#session-view [value=json]")
    update = json.loads(editing.page.input_value("#json-text"))
    assert update["session"]["audio"]["input"]["turn_detection"]["threshold"] == 0.5
    update["session"] = {"type": "realtime", "max_output_tokens": 5000}
    editing.page.fill("#json-text", json.dumps(update))
    editing.page.click("#session-json [type=submit]")
    assert "max_output_tokens" in answer(editing, "refused")
    editing.page.fill("#json-text", "{")
    editing.page.click("#session-json [type=submit]")
    assert "Not sent" in answer(editing, "refused")
    editing.page.fill("#json-text", json.dumps({"type": "session.update", "session": {"type": "realtime", "voice": 1}}))
    editing.page.click("#session-json [type=submit]")
    editing.wait("#answer .hint", has_text="session.voice")
    editing.page.fill("#json-text", json.dumps({"type": "conversation.item.retrieve", "item_id": "nothing"}))
    editing.page.click("#session-json [type=submit]")
    assert "nothing" in editing.wait("#notices .notice").inner_text()
