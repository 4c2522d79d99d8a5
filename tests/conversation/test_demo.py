"""The demo conversation on a virtual clock: asked, answered, interrupted in the middle, answered again."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from engine.audio import AudioFormat, EventKind
from engine.conversation import Turn

from .harness import HOP, RATE, SPEECH, Held, held, with_demo_voice

ROOT = Path(__file__).parents[2]  # not resolved: the tests of a copy import the copy
FADE = 480  # 20 ms
FORMATS = list(AudioFormat)


@cache
def demo(form: AudioFormat, voice: str) -> Held:
    """One conversation per format and voice, looked at by many tests."""
    if voice == "tones":
        return held(audio_format=form)
    return with_demo_voice(audio_format=form)


@pytest.fixture(
    params=[(form, voice) for form in FORMATS for voice in ("best", "tones")], ids=lambda p: f"{p[0].name}-{p[1]}"
)
def talk(request: pytest.FixtureRequest) -> Held:
    """The demo over each format, with the best voice there is and with the one that is always there."""
    form, voice = request.param
    return demo(form, voice)


def replies(talk: Held) -> list[Turn]:
    """The model's turns."""
    return [turn for turn in talk.turns if turn.role == "assistant"]


def test_who_speaks_when(talk: Held) -> None:
    assert [turn.role for turn in talk.turns] == ["user", "assistant", "user", "assistant"]
    first, second = replies(talk)
    assert (first.interrupted, second.interrupted) == (True, False)
    assert "tides" in first.text
    assert "twenty to five" in second.text
    assert (second.status, second.reason) == ("completed", "")
    assert talk.conversation.anomalies == []
    assert not talk.log.of("received", "error")


def test_each_turn_comes_in_the_order_the_protocol_gives(talk: Held) -> None:
    order = [type for type in talk.log.order("received") if not type.endswith("transcript.delta")]
    merged = [type for n, type in enumerate(order) if n == 0 or type != order[n - 1]]
    question = [
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    answer = [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.delta",
    ]
    end = [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    started = "input_audio_buffer.speech_started"
    begin = ["session.created"] if merged[1] == started else ["session.created", "session.updated"]
    cut = ["conversation.item.truncated"]
    if talk.log.place("received", "response.done") < talk.log.place("sound", "CONFIRMED"):
        interruption = [*end, *cut, started]  # a short answer has arrived whole before it is interrupted
    else:
        interruption = [started, *end, *cut]
        assert replies(talk)[0].reason == "turn_detected"
    assert merged == [*begin, started, *question, *answer, *interruption, *question, *answer, *end]


def test_the_ears_report_in_order(talk: Held) -> None:
    kinds = [type for type in talk.log.order("sound") if not type.startswith("SPEECH")]
    assert kinds == ["PLAYING", "DUCKED", "CONFIRMED", "FADING", "SILENT", "PLAYING", "SILENT"]


def test_the_duck_comes_with_the_detection(talk: Held) -> None:
    (ducked,) = talk.log.reports(EventKind.DUCKED)
    onset = SPEECH[1][0] * RATE
    assert onset - HOP <= ducked.position <= onset + 3 * HOP
    heard = [event for event in talk.log.reports(EventKind.SPEECH_STARTED) if event.position >= ducked.position]
    assert HOP <= heard[0].position - ducked.position <= 6 * HOP, "the duck does not wait until speech is sure"


def test_silence_comes_within_the_fade_and_a_hop(talk: Held) -> None:
    (confirmed,) = talk.log.reports(EventKind.CONFIRMED)
    again = talk.log.reports(EventKind.PLAYING)[1].position
    between = talk.loudspeaker[confirmed.position : again]
    assert not between[FADE + HOP :].any()
    assert again - confirmed.position > RATE, "there is a silence to look at"
    ducked = talk.log.reports(EventKind.DUCKED)[0].position
    assert talk.loudspeaker[ducked : confirmed.position].any()


def test_what_the_server_is_told_is_what_was_heard(talk: Held) -> None:
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    first = replies(talk)[0]
    assert truncate["item_id"] in first.item_ids
    assert truncate["audio_end_ms"] == first.played_ms
    start = talk.log.reports(EventKind.PLAYING)[0].position
    fading = talk.log.reports(EventKind.FADING)[0].position
    ducked = talk.log.reports(EventKind.DUCKED)[0].position
    whole = talk.played_reply(first)
    assert (talk.loudspeaker[start:ducked] == whole[: ducked - start]).all(), "what was heard is what was received"
    quiet = whole[ducked - start + HOP : fading - start] * 10 ** (-18 / 20)
    assert np.abs(talk.loudspeaker[ducked + HOP : fading] - quiet).max() <= 1, "ducked, not yet fading"
    assert abs(talk.loudspeaker[fading + HOP]) < abs(quiet).max()
    heard_ms = (fading - start) / 24
    lag_ms = 0 if pcm(talk) else 3
    assert heard_ms - lag_ms - 1 < truncate["audio_end_ms"] <= heard_ms


def pcm(talk: Held) -> bool:
    """Whether the sound was PCM."""
    audio = talk.conversation.session["audio"]
    assert isinstance(audio, dict)
    return bool(audio["output"]["format"]["type"] == AudioFormat.PCM.value)


def test_the_truncation_is_acknowledged_and_nothing_else_corrected(talk: Held) -> None:
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    (truncated,) = talk.log.of("received", "conversation.item.truncated")
    for field in ("item_id", "content_index", "audio_end_ms"):
        assert truncated[field] == truncate[field]
    assert not talk.log.of("sent", "conversation.item.delete")
    done = talk.log.place("received", "response.done")
    assert talk.log.place("sent", "conversation.item.truncate") > done, "the response is over before its item is cut"


def test_the_ledger_and_the_turns_agree(talk: Held) -> None:
    stats = talk.stats[1].playout
    rate = 24000 if pcm(talk) else 8000
    first, second = replies(talk)
    assert stats.played == math.floor(stats.played)
    assert 0 <= stats.played * 1000 / rate - first.played_ms - second.played_ms < 2
    assert stats.queued == stats.played + stats.faded + stats.discarded
    assert (stats.underruns, stats.concealed_samples, stats.interruptions, stats.state) == (0, 0, 1, "silent")


def test_the_second_answer_is_heard_whole(talk: Held) -> None:
    second = replies(talk)[1]
    start = talk.log.reports(EventKind.PLAYING)[1].position
    whole = talk.played_reply(second)
    if pcm(talk):
        assert (talk.loudspeaker[start : start + len(whole)] == whole).all()
        assert not talk.loudspeaker[start + len(whole) :].any()
    else:  # the filter of the queue goes on; only its beginning and end differ from a filter of its own
        heard = talk.loudspeaker[start : start + len(whole)].astype(int)
        assert np.abs(heard - whole)[200:-200].max() <= 1
    assert second.played_ms == second.received_ms
    assert second.played_ms == len(talk.log.audio_of(second.response_id)) // (48 if pcm(talk) else 8)


def test_latency_runs_from_the_end_of_speech_to_the_first_sound(talk: Held) -> None:
    for turn, (_, end), playing in zip(replies(talk), SPEECH, talk.log.reports(EventKind.PLAYING), strict=True):
        assert turn.latency_ms is not None
        truth = playing.position / 24 - end * 1000
        assert abs(turn.latency_ms - truth) < 60
        assert turn.latency_ms == pytest.approx(round(turn.latency_ms, 6))


def test_every_sample_of_the_microphone_is_sent_once_but_for_what_was_held(talk: Held) -> None:
    audio = talk.log.sent_audio()
    capture = talk.stats[0]
    assert (capture.lost_records, capture.lost_events, capture.lost_hops) == (0, 0, 0)
    assert len(audio) >= (capture.records - 25) * (480 if pcm(talk) else 80)
    if pcm(talk):
        held_ms = (
            talk.log.reports(EventKind.CONFIRMED)[0].position - talk.log.reports(EventKind.DUCKED)[0].position
        ) // 24
        before = SPEECH[0][0] * RATE
        sent = np.frombuffer(audio, np.int16)
        microphone = talk.recorded[:, 0]
        assert (sent[: int(6 * RATE)] == microphone[: int(6 * RATE)]).all()
        after = 8 * RATE
        late = held_ms * 24
        assert (sent[after + late : after + late + RATE] == microphone[after : after + RATE]).all()
        assert before > 0


def test_the_servers_offsets_lie_where_speech_is(talk: Held) -> None:
    offsets = [event["audio_start_ms"] for event in talk.log.of("received", "input_audio_buffer.speech_started")]
    for offset, (start, _) in zip(offsets, SPEECH, strict=True):
        captured = talk.conversation.time_map.captured(offset)
        assert captured is not None
        assert start * 1000 - 400 <= captured <= start * 1000 + 50, "the offset counts the prefix padding of 300 ms"


def test_two_runs_are_the_same_run() -> None:
    one, other = held(), held()
    assert one.recorded.tobytes() == other.recorded.tobytes()
    assert one.log.normal() == other.log.normal()


def test_two_programs_hold_the_same_conversation() -> None:
    """With the best voice: espeak-ng keeps a noise generator's state, so it repeats itself from program to program."""
    script = (
        "import hashlib; from tests.conversation.harness import with_demo_voice; talk = with_demo_voice();"
        "print(hashlib.sha256(talk.recorded.tobytes() + repr(talk.log.normal()).encode()).hexdigest())"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    runs = [
        subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout != ""
