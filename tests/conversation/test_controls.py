"""What an application may do to a running conversation: say, play, mute, hold, interrupt, commit, push to talk."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import AudioFormat, EventKind, Gate, GateMode, Hearing
from engine.conversation import CommitOutcome, Conversation, Played, Settings, Turn, converse
from engine.endpoints.wav import WavWriter
from engine.errors import ConfigError
from engine.native import lib
from engine.realtime import events as ev
from engine.server import ServerOptions

from .harness import HOP, RATE, Held, Shorts, caller, held, question, tones

MANUAL = {"audio": {"input": {"turn_detection": None}}}
QUIET = np.zeros(8 * RATE, np.int16)
ALL_AT_ONCE = ServerOptions(burst=1000)


def chime(seconds: float = 0.5, rate: int = RATE, hz: float = 440.0) -> Shorts:
    """A tone that begins and ends softly."""
    time = np.arange(round(seconds * rate)) / rate
    return np.asarray(8000 * np.sin(2 * np.pi * hz * time) * np.sin(np.pi * time / seconds), np.int16)


def appended(talk: Held, before: int) -> Shorts:
    """What was sent before an entry of the log."""
    entries = [entry for entry in talk.log.entries[:before] if entry.type == "input_audio_buffer.append"]
    return np.frombuffer(b"".join(b64decode(entry.message["audio"]) for entry in entries), np.int16)


# ---- mute, push to talk, activation


@pytest.mark.parametrize("form", [AudioFormat.PCM, AudioFormat.PCMU])
def test_mute_in_mid_speech_ends_the_turn_with_what_was_said_before(form: AudioFormat) -> None:
    at: list[int] = []

    async def shut(conversation: Conversation) -> None:
        async for event in conversation.events():
            if isinstance(event, ev.InputAudioBufferSpeechStarted):
                await asyncio.sleep(0.303)
                at.append(conversation.sound.duplex.captured)
                conversation.mute()
                assert conversation.muted
                return

    talk = held(question(), tones("echo"), during=shut, audio_format=form)
    user = talk.turns[0]
    assert user.role == "user"
    stopped = talk.log.of("received", "input_audio_buffer.speech_stopped")[0]
    assert abs(stopped["audio_end_ms"] - (at[0] / 24 + 500)) <= 40, "the silence after the mute ended it"
    if form is AudioFormat.PCM:
        sent = np.frombuffer(talk.log.sent_audio(), np.int16)
        assert (sent[: at[0]] == question()[: at[0]]).all()
        assert not sent[at[0] :].any()
        assert question()[at[0] : at[0] + HOP].any(), "and more was being said"


def test_a_button_takes_what_was_said_while_it_was_down() -> None:
    commits: list[Any] = []

    async def button(conversation: Conversation) -> None:
        for begin, end in ((0.55, 3.3), (5.0, 5.03)):
            await asyncio.sleep(begin - asyncio.get_running_loop().time())
            async with conversation.push_to_talk() as spoken:
                await asyncio.sleep(end - begin)
            commits.append(spoken.commit)
        await asyncio.sleep(3)

    async def main() -> Held:
        return await _held_with(button)

    talk = clock.run_virtual(main())
    assert [commit.outcome for commit in commits] == [CommitOutcome.COMMITTED, CommitOutcome.TOO_SHORT]
    clear = len(appended(talk, talk.log.place("sent", "input_audio_buffer.clear")))
    sent = appended(talk, talk.log.place("sent", "input_audio_buffer.commit"))
    assert not sent[:clear].any(), "muted until the button was pressed"
    assert 0 <= round(0.55 * RATE) - clear <= 2 * HOP
    assert (sent[clear + HOP : -HOP] == question()[clear + HOP : len(sent) - HOP]).all()
    assert len(sent) == commits[0].position + -commits[0].position % HOP
    assert commits[0].audio_ms == (len(sent) - clear) // 24
    assert len(talk.log.of("sent", "response.create")) == 1, "a tap asks for nothing"
    assert talk.log.of("received", "response.done")[0]["response"]["status"] == "completed"


async def _held_with(button: Any) -> Held:
    from .harness import Recorder

    log, memory = Recorder(), engine.Memory(question(8), RATE)
    settings = Settings(session=MANUAL, activation=button)
    async with converse(memory, tones("echo"), settings, log) as conversation:
        assert conversation.muted
        turns: list[Turn] = []
        async for turn in conversation.turns():
            turns.append(turn)
    return Held(log, turns, memory.recorded, conversation, conversation.stats())


@pytest.mark.parametrize("mode", list(GateMode)[:2])
@pytest.mark.parametrize("hearing", [None, Hearing(noise_reduction="near_field", noise_strength=0.0)])
def test_a_gate_leaves_all_that_is_said_to_a_button(mode: GateMode, hearing: Hearing | None) -> None:
    murmur = np.random.default_rng(3).integers(1, 20, 3 * RATE).astype(np.int16)
    places: list[int] = []

    async def press(conversation: Conversation) -> None:
        await asyncio.sleep(0.5)
        async with conversation.push_to_talk(respond=False):
            places.append(conversation.sound.duplex.captured)
            await asyncio.sleep(1)
            places.append(conversation.sound.duplex.captured)

    talk = held(
        murmur, tones("echo"), during=press, session=MANUAL, gate=Gate(mode), hearing=hearing, activation=_nothing
    )
    clear = len(appended(talk, talk.log.place("sent", "input_audio_buffer.clear")))
    sent = appended(talk, talk.log.place("sent", "input_audio_buffer.commit"))[clear:]
    begin, end = places
    first = begin - begin % HOP
    assert len(sent) == -(-end // HOP) * HOP - first, "nothing of before, and nothing twice"
    said = sent[begin - first : end - first].astype(int)
    assert np.abs(said - murmur[begin:end]).max() <= 1, "however soft it is"
    assert not sent[: begin - first].any() and not sent[end - first :].any()


async def _nothing(_conversation: Conversation) -> None:
    """Begins muted, and stays so until somebody presses the button."""


def test_pressing_the_button_interrupts_the_reply() -> None:
    async def press(conversation: Conversation) -> None:
        conversation.say("Tell me a story.")
        await asyncio.sleep(3)
        async with conversation.push_to_talk():
            await asyncio.sleep(0.5)

    talk = held(QUIET, tones(), during=press, session=MANUAL)
    first = next(turn for turn in talk.turns if turn.role == "assistant")
    assert first.interrupted
    (truncate, *_) = talk.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == first.played_ms > 1000


def test_what_opens_the_microphone_may_fail_and_is_named() -> None:
    async def broken(conversation: Conversation) -> None:
        raise OSError("no such button")

    async def main() -> None:
        async with engine.connect(engine.Memory(QUIET, RATE), activation=broken) as conversation:
            async for _ in conversation.turns():
                pass

    with pytest.raises(engine.EngineError, match="no such button"):
        clock.run_virtual(main())


def test_nothing_of_a_microphone_that_is_not_activated_is_sent() -> None:
    async def never(conversation: Conversation) -> None:
        await asyncio.sleep(2)

    talk = held(question(), tones("echo"), activation=never)
    assert not np.frombuffer(talk.log.sent_audio(), np.int16).any()
    assert talk.turns == []
    assert talk.stats[0].muted


# ---- say


def test_a_typed_prompt_is_answered() -> None:
    ids: list[str] = []

    async def ask(conversation: Conversation) -> None:
        ids.append(conversation.say("What time is it?"))
        ids.append(conversation.say("Answer in rhyme.", role="system", respond=False))

    talk = held(QUIET, during=ask)
    assert talk.turns[0] == Turn("user", "What time is it?", (ids[0],))
    assert talk.turns[1].role == "assistant"
    assert talk.turns[1].played_ms > 0
    created = talk.log.of("sent", "conversation.item.create")
    assert [(item["item"]["role"], item["item"]["id"]) for item in created] == [("user", ids[0]), ("system", ids[1])]
    assert len(talk.log.of("sent", "response.create")) == 1


@pytest.mark.parametrize("form", [AudioFormat.PCM, AudioFormat.PCMU])
def test_a_spoken_prompt_is_heard_by_the_model(form: AudioFormat) -> None:
    words = caller()[round(0.6 * RATE) : round(3.0 * RATE)]

    async def ask(conversation: Conversation) -> None:
        conversation.say(words[::2].astype(np.float32) / 32768, rate=12000)

    talk = held(QUIET, tones("echo"), during=ask, audio_format=form)
    reply = next(turn for turn in talk.turns if turn.role == "assistant")
    assert reply.received_ms == pytest.approx(len(words) / 24, abs=30)
    heard = talk.played_reply(reply)[: RATE + 200].astype(float)
    said = words[:RATE].astype(float)
    alike = max(float(np.corrcoef(heard[late : late + RATE], said)[0, 1]) for late in range(200))
    assert alike > 0.9


def test_a_prompt_waits_for_the_end_of_the_reply_under_way() -> None:
    async def ask(conversation: Conversation) -> None:
        conversation.say("First.")
        await asyncio.sleep(0.5)
        conversation.say("Second.")

    talk = held(QUIET, during=ask)
    spoken = [turn for turn in talk.turns if turn.role == "assistant"]
    assert [turn.status for turn in spoken] == ["completed", "completed"]
    assert not any(turn.interrupted for turn in spoken)
    assert not talk.log.of("received", "error")


# ---- play


def played(talk: Held, sound: Shorts) -> int:
    """Where a sound stands in the recording of the loudspeaker, sample by sample."""
    heard = talk.loudspeaker.astype(np.float64)
    size = len(heard) + len(sound)
    match = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(sound, size)), size)
    place = int(np.argmax(match))
    assert (heard[place : place + len(sound)] == sound).all()
    return place


def test_a_sound_is_heard_as_it_is_and_the_server_never_hears_of_it() -> None:
    heard: list[Played] = []

    async def chimes(conversation: Conversation) -> None:
        for _ in range(2):
            heard.append(await conversation.play(chime(), RATE).finished())

    talk = held(QUIET, during=chimes)
    assert heard == [Played("local_1", 500, 500, False), Played("local_2", 500, 500, False)]
    both = np.concatenate([chime(), np.zeros(HOP, np.int16)])
    assert len(np.flatnonzero(talk.loudspeaker)) == pytest.approx(2 * len(np.flatnonzero(both)), abs=2)
    assert {entry.type for entry in talk.log.entries if entry.kind == "sent"} <= {
        "input_audio_buffer.append", "session.update",
    }  # fmt: skip
    names = [entry.item for entry in talk.log.entries if entry.type == "PLAYING"]
    assert names == [("local_1", 0), ("local_2", 0)]
    queue = talk.stats[1].playout
    assert queue.queued == queue.played == 2 * len(chime())


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("form", [AudioFormat.PCM, AudioFormat.PCMA])
def test_a_sound_of_any_rate_keeps_its_pitch_and_length(rate: int, form: AudioFormat, tmp_path: Path) -> None:
    with WavWriter(tmp_path / "chime.wav", rate, 1) as file:
        file.write(chime(rate=rate))
    lengths: list[int] = []

    async def both(conversation: Conversation) -> None:
        lengths.append((await conversation.play(tmp_path / "chime.wav").finished()).total_ms)
        lengths.append((await conversation.play(chime(rate=rate) / np.float32(32768), rate).finished()).total_ms)

    talk = held(QUIET, during=both, audio_format=form)
    assert lengths == [500, 500]
    sound = talk.loudspeaker[np.flatnonzero(talk.loudspeaker)[0] :][: RATE // 2].astype(float)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert np.argmax(spectrum) * RATE / len(sound) == pytest.approx(440, abs=3)


def test_a_sound_waits_for_a_reply_that_is_still_arriving() -> None:
    async def both(conversation: Conversation) -> None:
        conversation.say("Tell me a story.")
        async for event in conversation.events():
            if isinstance(event, ev.ResponseOutputAudioDelta):
                conversation.play(chime(), RATE)
                return

    talk = held(QUIET, tones(options=ServerOptions(burst=2)), during=both)
    (reply,) = [turn for turn in talk.turns if turn.role == "assistant"]
    assert reply.played_ms == reply.received_ms
    kinds = [entry.item[0] for entry in talk.log.entries if entry.type == "PLAYING" and entry.item]
    assert kinds == [reply.item_ids[0], "local_1"]
    assert played(talk, chime()) > 0


def test_a_sound_before_the_answer_fills_the_wait() -> None:
    async def one_moment(conversation: Conversation) -> None:
        conversation.say("Tell me a story.")
        conversation.play(chime(), RATE)

    talk = held(QUIET, during=one_moment)
    kinds = [entry.item[0] for entry in talk.log.entries if entry.type == "PLAYING" and entry.item]
    assert kinds[0] == "local_1"
    (reply,) = [turn for turn in talk.turns if turn.role == "assistant"]
    assert reply.played_ms == reply.received_ms > 0


def test_a_barge_in_ends_a_sound_and_the_server_is_told_nothing_of_it() -> None:
    heard: list[Played] = []

    async def notice(conversation: Conversation) -> None:
        sounds = [conversation.play(chime(6), RATE), conversation.play(chime(1), RATE)]
        heard.extend([await sound.finished() for sound in sounds])

    talk = held(question(), tones("echo"), during=notice)
    assert talk.log.reports(EventKind.CONFIRMED)
    assert heard[0].interrupted
    confirmed = talk.log.reports(EventKind.CONFIRMED)[0].position
    start = talk.log.reports(EventKind.PLAYING)[0].position
    assert heard[0].played_ms == (confirmed - start) // 24
    assert heard[1] == Played("local_2", 0, 1000, True)
    assert not talk.log.of("sent", "conversation.item.truncate")
    assert not talk.log.of("sent", "conversation.item.delete")
    assert [turn.role for turn in talk.turns] == ["user", "assistant"], "and the question was answered"


def test_what_is_no_sound_is_refused() -> None:
    async def wrong(conversation: Conversation) -> None:
        with pytest.raises(ConfigError, match="rate is missing"):
            conversation.play(chime())
        with pytest.raises(ConfigError, match="1-D int16"):
            conversation.play(np.zeros((2, 2), np.int16), RATE)
        with pytest.raises(ConfigError, match="1-D int16"):
            conversation.play(np.zeros(5, np.int32), RATE)
        with pytest.raises(ConfigError, match="at most 120 s"):
            conversation.play(np.zeros(121 * 8000, np.int16), 8000)
        with pytest.raises(engine.MediaError, match="no such file"):
            conversation.play("nothing.wav")
        with pytest.raises(ConfigError, match="leave it out"):
            conversation.play("nothing.wav", 8000)
        with pytest.raises(ConfigError, match="role is"):
            conversation.say("x", role="assistant")
        with pytest.raises(ConfigError, match="spoken"):
            conversation.say(chime(), rate=RATE, role="system")
        with pytest.raises(ConfigError, match="16 sounds wait"):
            for _ in range(17):
                conversation.play(chime(), RATE)
        with pytest.raises(ConfigError, match="volume is"):
            conversation.volume = 4.1
        conversation.interrupt()

    held(np.zeros(RATE, np.int16), during=wrong)


def test_a_sound_that_is_never_heard_is_told_at_the_end() -> None:
    async def main() -> Played:
        async with converse(engine.Memory(QUIET, RATE), tones(), Settings()) as conversation:
            conversation.hold()
            sound = conversation.play(chime(), RATE)
            await asyncio.sleep(1)
        return await sound.finished()

    assert clock.run_virtual(main()) == Played("local_1", 0, 500, True)


# ---- hold, volume, interrupt


def test_hold_stops_everything_and_resume_goes_on_where_it_was() -> None:
    async def pause(conversation: Conversation) -> None:
        conversation.say("Tell me a story.")
        await asyncio.sleep(2)
        conversation.hold()
        await asyncio.sleep(3)
        assert conversation.muted
        conversation.resume()
        assert not conversation.muted

    talk = held(QUIET, tones(options=ALL_AT_ONCE), during=pause)
    (reply,) = [turn for turn in talk.turns if turn.role == "assistant"]
    assert not reply.interrupted
    assert reply.played_ms == reply.received_ms
    heard, source = talk.loudspeaker, talk.played_reply(reply)
    start = talk.log.reports(EventKind.PLAYING)[0].position
    begin = round(2 * RATE) // HOP * HOP
    silent = np.flatnonzero(~heard[begin : begin + 4 * RATE].reshape(-1, HOP).any(axis=1))
    assert len(silent) >= 298
    last = int(np.flatnonzero(source)[-1])
    end = int(np.flatnonzero(heard)[-1])
    assert abs(end - (start + last) - 3 * RATE) <= 2 * HOP, "longer by the hold"
    assert (heard[end - 2 * RATE : end + 1] == source[last - 2 * RATE : last + 1]).all(), "sample for sample"
    assert talk.stats[1].playout.played == len(source)


def test_volume_changes_without_a_step() -> None:
    async def louder(conversation: Conversation) -> None:
        assert conversation.volume == 1.0
        sound = conversation.play(np.full(3 * RATE, 6000, np.int16), RATE)
        for volume in (0.25, 3.0, 0.0, 1.0):
            await asyncio.sleep(0.5)
            conversation.volume = volume
            assert conversation.volume == volume
        await sound.finished()

    talk = held(QUIET, during=louder)
    heard = talk.loudspeaker.astype(int)
    begin, end = np.flatnonzero(heard)[[0, -1]]
    steps = np.abs(np.diff(heard[begin : end + 1]))
    assert steps.max() <= 6000 * 3 / HOP + 2
    assert {0, 1500, 6000, 18000} <= set(heard[begin : end + 1 : HOP].tolist())


def test_interrupt_ends_reply_and_sound_and_cancels_the_response() -> None:
    async def stop(conversation: Conversation) -> None:
        conversation.say("Tell me a story.")
        await asyncio.sleep(1.5)
        conversation.play(chime(), RATE)
        conversation.interrupt()

    talk = held(QUIET, tones(options=ServerOptions(burst=2)), during=stop)
    (reply,) = [turn for turn in talk.turns if turn.role == "assistant"]
    assert (reply.interrupted, reply.status, reply.reason) == (True, "cancelled", "client_cancelled")
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == reply.played_ms > 0
    fading = talk.log.reports(EventKind.FADING)[0].position
    assert not talk.loudspeaker[fading + 2 * HOP :].any()


def test_sound_that_a_device_lost_has_passed_on_its_clock() -> None:
    """A gap of 5 to 50 ms, as a device tells it: one event, and what comes after it is later by so much."""

    async def lose(conversation: Conversation) -> None:
        await asyncio.sleep(1.0)
        for frames in (RATE * 5 // 1000, RATE * 50 // 1000):
            lib.rt_capture_gap(conversation.sound.duplex.pointer, frames)
            await asyncio.sleep(1.0)

    talk = held(QUIET, during=lose)
    gaps = talk.log.reports(EventKind.CAPTURE_GAP)
    assert [gap.value for gap in gaps] == [120, 1200]  # samples at 24 kHz
    time_map = talk.conversation.time_map
    assert time_map.lost_ms == 55
    first, second = (gap.position / 24 for gap in gaps)
    assert [time_map.clock(at) - at for at in (first - 1, first, second - 1, second)] == [0, 5, 5, 55]
