"""What a program may rely on: gates, feeds that nobody reads, settings, formats and sessions."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import AudioFormat, EventKind, GateMode, stage
from engine.conversation import Conversation, Settings, converse
from engine.errors import ConfigError, LocalProtocolError
from engine.realtime import events as ev
from engine.server import ServerOptions

from .harness import RATE, SPEECH, FakeServer, Gate, Held, Recorder, caller, fake, held, hold, question, tones


@pytest.mark.parametrize("mode", [GateMode.SILENCE, GateMode.PAUSE])
@pytest.mark.parametrize("form", [AudioFormat.PCM, AudioFormat.PCMU])
def test_both_questions_are_answered_through_a_gate(mode: GateMode, form: AudioFormat) -> None:
    talk = held(gate=Gate(mode), audio_format=form)
    assert [turn.role for turn in talk.turns] == ["user", "assistant", "user", "assistant"]
    assert [turn.interrupted for turn in talk.turns] == [False, True, False, False]
    assert talk.conversation.anomalies == []
    assert talk.log.of("sent", "conversation.item.truncate")
    capture = talk.stats[0]
    assert capture.lost_hops == capture.lost_records == 0


def test_stages_shape_what_is_sent_and_what_is_heard() -> None:
    pytest.importorskip("numba", reason="the extra `stages` is absent")

    def halved(block: Any) -> None:
        block *= np.float32(0.5)

    begun, spoken = (round(second * RATE) for second in SPEECH[0])
    plain, shaped = held(), held(capture_stages=[stage(halved)], playback_stages=[stage(halved)])
    sounds = [np.frombuffer(talk.log.sent_audio(), np.int16).astype(int) for talk in (plain, shaped)]
    before, after = (sound[begun:spoken] for sound in sounds)
    assert np.abs(before).max() > 1000
    assert np.abs(after - before / 2).max() <= 1
    full, half = (np.abs(talk.loudspeaker.astype(int)).max() for talk in (plain, shaped))
    assert half == pytest.approx(full / 2, abs=1)


def sent_ms(talk: Held) -> int:
    """Milliseconds of sound that were appended."""
    return len(talk.log.sent_audio()) // 48


def test_silence_sends_as_much_and_pause_sends_less() -> None:
    off, silence, pause = (held(gate=Gate(mode)) for mode in GateMode)
    assert abs(sent_ms(silence) - sent_ms(off)) < 400
    assert sent_ms(pause) < 0.85 * sent_ms(off)
    assert pause.stats[0].omitted_hops > 100
    quiet = np.frombuffer(silence.log.sent_audio(), np.int16)
    assert (quiet == 0).mean() > 0.3


@pytest.mark.parametrize("mode", list(GateMode))
def test_the_servers_offsets_map_back_to_what_was_said(mode: GateMode) -> None:
    talk = held(gate=Gate(mode))
    for kind, end in (("audio_start_ms", 0), ("audio_end_ms", 1)):
        name = "speech_started" if end == 0 else "speech_stopped"
        offsets = [event[kind] for event in talk.log.of("received", f"input_audio_buffer.{name}")]
        assert len(offsets) == 2
        for offset, spoken in zip(offsets, SPEECH, strict=True):
            captured = talk.conversation.time_map.captured(offset)
            assert captured is not None
            # the start counts 300 ms of padding, the end 500 ms of silence, which the gate may make longer
            assert spoken[end] * 1000 - 400 <= captured <= spoken[end] * 1000 + 1000


def test_a_program_that_reads_nothing_hears_the_same() -> None:
    async def wait(_conversation: Conversation) -> None:
        await asyncio.sleep(17)

    read, unread = held(), held(during=wait, read=False)
    length = min(len(read.recorded), len(unread.recorded))
    assert length > 15 * RATE
    assert (read.recorded[:length] == unread.recorded[:length]).all()
    assert unread.log.of("sent", "conversation.item.truncate") != []


def test_a_long_unread_feed_keeps_the_newest() -> None:
    async def server(peer: Any) -> None:
        await peer.created()
        for number in range(5000):
            await peer.send("rate_limits.updated", rate_limits=[], number=number)
            if number % 50 == 0:
                await asyncio.sleep(0.001)

    async def main() -> int:
        async with converse(engine.Memory(np.zeros(10, np.int16), RATE), fake(server), Settings()) as conversation:
            await asyncio.sleep(2)
            return sum([1 async for _ in first(conversation, 4096)])

    assert clock.run_virtual(main()) == 4096


async def first(conversation: Conversation, count: int) -> Any:
    """The first so many events, and then no more."""
    left = count
    async for event in conversation.events():
        yield event
        left -= 1
        if not left:
            return


def test_events_are_typed_and_complete() -> None:
    seen: list[ev.AnyEvent] = []

    async def watch(conversation: Conversation) -> None:
        async for event in conversation.events():
            seen.append(event)

    talk = held(question(), tones("echo"), during=watch)
    received = [entry.type for entry in talk.log.entries if entry.kind == "received"]
    assert [event.type for event in seen] == received, "those of the handshake too"
    assert isinstance(seen[0], ev.SessionCreated)


def test_echo_says_back_what_was_said() -> None:
    talk = held(question(), tones("echo"))
    user, reply = talk.turns
    assert (user.role, reply.role) == ("user", "assistant")
    start = talk.log.reports(EventKind.PLAYING)[0].position
    heard = talk.loudspeaker[start : start + round(reply.played_ms * 24)]
    assert 2500 < reply.played_ms < 4500
    said = caller()[RATE : RATE + 4800].astype(float)
    likeness = np.correlate(heard[: 2 * RATE].astype(float), said, "valid")
    assert likeness.max() > 0.9 * float(np.sum(said**2))


def test_the_session_in_force_is_the_one_asked_for() -> None:
    talk = held(
        question(), tones("echo"), session={"instructions": "Be brief.", "audio": {"output": {"voice": "marin"}}}
    )
    session: Any = talk.conversation.session
    assert session["instructions"] == "Be brief."
    assert session["audio"]["output"]["voice"] == "marin"
    (update,) = talk.log.of("sent", "session.update")
    assert update["session"] == {
        "type": "realtime", "instructions": "Be brief.", "audio": {"output": {"voice": "marin"}},
    }  # fmt: skip


def test_nothing_asked_is_nothing_sent() -> None:
    talk = held(question(), tones("echo"))
    assert not talk.log.of("sent", "session.update")


def test_the_handshake_is_observed_too() -> None:
    talk = held(question(), tones("echo"), session={"instructions": "x"})
    assert [entry.type for entry in talk.log.entries[:3]] == ["session.created", "session.update", "session.updated"]
    assert [entry.kind for entry in talk.log.entries[:3]] == ["received", "sent", "received"]


def test_a_session_that_cannot_be_asked_for_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"session\.audio\.output\.speed.*99"):
        held(question(), tones("echo"), session={"audio": {"output": {"speed": 99}}})


def test_a_session_that_the_server_refuses_is_a_config_error_in_its_words() -> None:
    async def server(peer: FakeServer) -> None:
        await peer.created()
        problem = {
            "type": "invalid_request_error",
            "code": "invalid_value",
            "message": "No such voice.",
            "param": "session.voice",
        }
        await peer.send("error", error=problem)

    with pytest.raises(ConfigError, match=r"refused the session: No such voice\. \(session\.voice\)"):
        held(question(), fake(server), session={"instructions": "x"})


def test_an_event_out_of_place_is_refused_and_nothing_sent() -> None:
    async def cancel(conversation: Conversation) -> None:
        with pytest.raises(LocalProtocolError):
            conversation.send(ev.ResponseCancel())

    talk = held(question(), tones("echo"), during=cancel)
    assert not talk.log.of("sent", "response.cancel")


def test_text_may_be_sent_and_is_answered() -> None:
    async def ask(conversation: Conversation) -> None:
        part = {"type": "input_text", "text": "hello there"}
        conversation.send(ev.ConversationItemCreate(item={"type": "message", "role": "user", "content": [part]}))
        conversation.send(ev.ResponseCreate())

    talk = held(np.zeros(RATE, np.int16), tones("echo"), during=ask)
    assert [(turn.role, turn.text) for turn in talk.turns] == [("user", "hello there"), ("assistant", "hello there")]
    assert talk.turns[1].played_ms == talk.turns[1].received_ms > 0


def test_memory_can_be_used_again_and_keeps_both() -> None:
    memory = engine.Memory(question(), RATE, limit_s=1.0)

    async def main() -> None:
        async with converse(memory, tones("echo"), Settings(), Recorder()) as conversation:
            async for _ in conversation.turns():
                pass

    clock.run_virtual(main())
    assert memory.recorded.shape == (RATE, 2), "no more than limit_s is kept"


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_files_of_other_rates_are_answered(rate: int) -> None:
    sound = engine.audio.Resampler(RATE, rate).process(question())
    log, turns = Recorder(), []
    memory = engine.Memory(sound, rate)

    async def main() -> None:
        async with converse(memory, tones("echo"), Settings(), log) as conversation:
            async for turn in conversation.turns():
                turns.append(turn)

    clock.run_virtual(main())
    assert [turn.role for turn in turns] == ["user", "assistant"]
    assert turns[1].played_ms == turns[1].received_ms > 2000
    assert memory.recorded[:, 1].any()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"audio_format": "opus"}, "audio format is 'opus': use pcm"),
        ({"url": "ftp://host/x"}, "url is 'ftp://host/x'"),
        ({"url": "ws://user:secret@[::1/x"}, "url cannot be parsed"),
    ],
)
def test_connect_refuses_what_cannot_be(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        engine.connect(engine.Memory(question()), **settings)
    assert says in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("responder", "says"), [("nobody", "responder is 'nobody'"), ("script:/nowhere.yaml", "/nowhere.yaml")]
)
def test_an_unknown_brain_is_named(responder: str, says: str) -> None:
    async def main() -> None:
        async with engine.connect(engine.Memory(question()), responder=responder):
            pass

    with pytest.raises(ConfigError) as raised:
        clock.run_virtual(main())
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"url": "ws://127.0.0.1:9/v1/realtime"}, "ws://127.0.0.1:9/v1/realtime?model=gpt-realtime"),
        ({"url": "https://host.example/v1"}, "wss://host.example/v1/realtime?model=gpt-realtime"),
        ({"url": "http://localhost:8080/v1/"}, "ws://localhost:8080/v1/realtime?model=gpt-realtime"),
        ({"url": "ws://localhost:8080"}, "ws://localhost:8080/v1/realtime?model=gpt-realtime"),
        ({"url": "wss://host/v1/realtime?model=other"}, "wss://host/v1/realtime?model=other"),
        ({"model": "a b&c", "key": "k"}, "wss://api.openai.com/v1/realtime?model=a%20b%26c"),
        ({}, None),
    ],
)
def test_which_server_is_meant(given: dict[str, str], url: str | None) -> None:
    from engine.front import server_url

    assert server_url(given.get("url"), given.get("key"), given.get("model", "gpt-realtime")) == url


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.front import server_url

    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    assert server_url(None, None, "m") == "wss://api.openai.com/v1/realtime?model=m"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1234/v1")
    assert server_url(None, None, "m") == "ws://localhost:1234/v1/realtime?model=m"


def test_holding_two_conversations_at_once_mixes_nothing() -> None:
    async def main() -> list[Held]:
        return list(await asyncio.gather(hold(), hold(question(), tones("echo"))))

    demo, echo = clock.run_virtual(main())
    assert len([turn for turn in demo.turns if turn.role == "assistant"]) == 2
    assert len(echo.turns) == 2
    alone = held()
    assert (demo.recorded[: len(alone.recorded)] == alone.recorded[: len(demo.recorded)]).all()


def test_a_small_queue_sounds_like_a_large_one() -> None:
    """What does not fit waits encoded; what an interruption killed there does not delay the next answer."""
    server = tones(options=ServerOptions(burst=100))
    small, large = held(server=server, queue_s=0.1), held(server=server)
    assert small.stats[1].playout.underruns == 0
    assert (small.recorded == large.recorded).all()
    assert small.log.of("sent", "conversation.item.truncate")[0]["audio_end_ms"] > 2000


@pytest.mark.parametrize("mode", [GateMode.SILENCE, GateMode.PAUSE])
def test_a_gate_does_not_delay_the_answer(mode: GateMode) -> None:
    plain, gated = held(), held(gate=Gate(mode))
    for one, other in zip(plain.turns, gated.turns, strict=True):
        if one.latency_ms is not None:
            assert other.latency_ms == pytest.approx(one.latency_ms, abs=25)


def test_a_gate_that_pauses_needs_a_server_that_ends_turns() -> None:
    with pytest.raises(ConfigError, match="pause"):
        held(question(), gate=Gate(GateMode.PAUSE), session={"audio": {"input": {"turn_detection": None}}})
