"""Bad servers, lost connections, the caller's own exceptions, and leaving at any moment: nothing is left running."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import EventKind
from engine.conversation import Conversation, Settings, Turn, converse
from engine.errors import ConfigError, ConnectionLost, MediaError, TransportError
from engine.realtime import events as ev
from engine.server import Faults, ServerOptions
from engine.server.voices.worker import WORKER
from engine.transport import Connection, pair

from .harness import DATA, RATE, SCRIPT, FakeServer, Recorder, Shorts, caller, fake, held, question, tones

MOMENTS = [0.0, *sorted(random.Random(2026).uniform(0, 14) for _ in range(28)), 15.9]
SILENCE: Shorts = np.zeros(RATE // 2, np.int16)


class Surprise(Exception):
    """The caller's own."""


def open_files() -> int:
    """Descriptors of this process; 0 where the system does not tell."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def all_threads() -> int:
    """Threads of this process, C's included."""
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else threading.active_count()


@pytest.fixture
def nothing_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No descriptor, thread or complaint of asyncio's stays behind."""
    WORKER.submit(int).result()  # the voices' one thread stays for the process's life
    gc.collect()
    before = (open_files(), all_threads())
    caplog.set_level(logging.WARNING)
    yield
    gc.collect()
    assert (open_files(), all_threads()) == before
    complaints = [
        record.getMessage() for record in caplog.records if record.name in ("asyncio", "engine", "websockets")
    ]
    assert complaints == []


async def leaves_nothing(body: Awaitable[Any]) -> None:
    """Run it and see that no task is left."""
    before = asyncio.all_tasks()
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    try:
        await body
    finally:
        assert asyncio.all_tasks() == before
        gc.collect()
        await asyncio.sleep(0)
        assert problems == []


# ---- leaving at any moment


async def leave_after(moment: float, how: str, conversation: Conversation) -> None:
    """Stay so long, then go this way."""
    await asyncio.sleep(moment)
    if how == "raise":
        raise Surprise(moment)


@pytest.mark.parametrize("how", ["return", "raise", "cancel"])
def test_leaving_at_any_virtual_moment_leaves_nothing(how: str, nothing_left: None) -> None:
    async def visit(moment: float) -> None:
        async with converse(engine.Memory(caller(), RATE), tones(), Settings()) as conversation:
            await leave_after(moment, "return" if how == "cancel" else how, conversation)
            if how == "cancel":
                await asyncio.sleep(1000)

    async def main(moment: float) -> None:
        if how == "return":
            await visit(moment)
        elif how == "raise":
            with pytest.raises(Surprise) as raised:
                await visit(moment)
            assert raised.value.args == (moment,)
        else:
            task = asyncio.create_task(visit(moment))
            await asyncio.sleep(moment)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()

    for moment in MOMENTS:
        clock.run_virtual(leaves_nothing(main(moment)))


@pytest.mark.parametrize("how", ["return", "raise", "cancel"])
def test_leaving_at_any_real_moment_leaves_nothing(how: str, nothing_left: None) -> None:
    moments = [0.0, 0.001, *(random.Random(7).uniform(0, 0.5) for _ in range(4))]

    async def visit(moment: float) -> None:
        memory = engine.Memory(caller(), RATE, speed=10)
        async with engine.connect(memory, responder=SCRIPT) as conversation:
            await leave_after(moment, "return" if how == "cancel" else how, conversation)
            if how == "cancel":
                await asyncio.sleep(1000)

    async def main() -> None:
        for moment in moments:
            task = asyncio.create_task(visit(moment))
            if how == "cancel":
                await asyncio.sleep(moment)
                task.cancel()
            with suppress(Surprise, asyncio.CancelledError):
                await task

    asyncio.run(leaves_nothing(main()))


def test_cancelling_during_the_handshake_leaves_nothing(nothing_left: None) -> None:
    async def silent(peer: FakeServer) -> None:
        await asyncio.sleep(1000)

    async def main() -> None:
        async with asyncio.timeout(3):
            async with converse(engine.Memory(caller(), RATE), fake(silent), Settings()):
                pytest.fail("there was no session")

    with pytest.raises(TimeoutError):
        clock.run_virtual(leaves_nothing(main()))


@pytest.mark.parametrize(
    "error", [Surprise("x"), ExceptionGroup("two", [Surprise("a"), ValueError("b")]), TimeoutError()]
)
@pytest.mark.parametrize("real", [False, True])
def test_the_callers_exception_comes_out_as_it_is(error: Exception, real: bool, nothing_left: None) -> None:
    async def main() -> None:
        memory = engine.Memory(question(), RATE, speed=20)
        async with engine.connect(memory) as conversation:
            async for _ in conversation.turns():
                raise error

    with pytest.raises(type(error)) as raised:
        asyncio.run(main()) if real else clock.run_virtual(main())
    assert raised.value is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_comes_out_as_it_is(error: type[BaseException]) -> None:
    async def main() -> None:
        async with engine.connect(engine.Memory(question(), RATE)):
            raise error

    with pytest.raises(error):
        clock.run_virtual(main())


def test_a_conversation_that_is_over_stays_quiet() -> None:
    async def main() -> None:
        async with converse(engine.Memory(question(), RATE), tones("echo"), Settings()) as conversation:
            await asyncio.sleep(1)
        assert [turn async for turn in conversation.turns()] == []
        conversation.interrupt()
        assert conversation.stats()[0].frames > 0

    clock.run_virtual(leaves_nothing(main()))


# ---- lost connections


def lost_after(deltas: int, code: int = 1011) -> Any:
    """The server inside, which closes in mid-reply."""
    return tones(options=ServerOptions(faults=Faults(close_after_deltas=deltas, close_code=code)))


@pytest.mark.parametrize("feed", ["turns", "events"])
@pytest.mark.parametrize("code", [1011, 1001, 1006, 1013])
def test_a_lost_connection_is_raised_to_who_reads(feed: str, code: int, nothing_left: None) -> None:
    seen: list[Any] = []

    async def main() -> None:
        memory = engine.Memory(caller(), RATE)
        async with converse(memory, lost_after(3, code), Settings()) as conversation:
            reading = conversation.turns() if feed == "turns" else conversation.events()
            async for entry in reading:
                seen.append(entry)
            pytest.fail("the feed ended as if nothing had happened")

    with pytest.raises(ConnectionLost) as raised:
        clock.run_virtual(leaves_nothing(main()))
    assert raised.value.code == code
    if feed == "turns":
        user, reply = seen
        assert (user.role, reply.role) == ("user", "assistant")
        assert (reply.status, reply.reason, reply.interrupted) == ("incomplete", "connection_lost", True)
        assert reply.played_ms < reply.received_ms == 250, "a reply without its server is cut off"
    else:
        assert sum(isinstance(event, ev.ResponseOutputAudioDelta) for event in seen) == 3


def test_a_lost_connection_nobody_reads_of_is_raised_at_the_end() -> None:
    async def main() -> None:
        async with converse(engine.Memory(caller(), RATE), lost_after(3), Settings()):
            await asyncio.sleep(20)

    with pytest.raises(ConnectionLost, match="1011"):
        clock.run_virtual(leaves_nothing(main()))


def test_a_lost_connection_that_was_caught_is_not_raised_again() -> None:
    async def main() -> str:
        async with converse(engine.Memory(caller(), RATE), lost_after(3), Settings()) as conversation:
            try:
                async for _ in conversation.turns():
                    pass
            except TransportError:
                return "caught"
        return "not raised"

    assert clock.run_virtual(main()) == "caught"


def test_the_callers_own_exception_goes_before_a_lost_connection() -> None:
    async def main() -> None:
        async with converse(engine.Memory(caller(), RATE), lost_after(3), Settings()):
            await asyncio.sleep(20)
            raise Surprise

    with pytest.raises(Surprise):
        clock.run_virtual(main())


def test_a_server_that_says_goodbye_ends_the_turns_in_peace() -> None:
    talk = held(server=lost_after(3, 1000))
    user, reply = talk.turns
    assert (user.role, reply.reason) == ("user", "connection_lost")
    start = talk.log.reports(EventKind.PLAYING)[0].position
    sound = talk.played_reply(reply)
    assert (talk.loudspeaker[start : start + len(sound)] == sound).all()


# ---- bad servers


def chunk(samples: int = 2400) -> str:
    """Base64 of a tone."""
    tone = (8000 * np.sin(np.arange(samples) * 0.1)).astype(np.int16)
    return b64encode(tone.tobytes()).decode()


def facing(
    act: Callable[[FakeServer], Awaitable[None]], seconds: float = 2.0, samples: Shorts = SILENCE
) -> tuple[Any, ...]:
    """Some seconds with a server that behaves as `act` says: turns, log, recording, and what the server got."""
    log = Recorder()
    turns: list[Turn] = []
    peers: list[FakeServer] = []
    memory = engine.Memory(samples, RATE)

    async def behave(peer: FakeServer) -> None:
        peers.append(peer)
        await act(peer)

    async def main() -> Conversation:
        async with converse(memory, fake(behave), Settings(), log) as conversation:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(collect(conversation, turns))
                await asyncio.sleep(seconds)
                conversation.stop()
            await asyncio.sleep(0)
        return conversation

    conversation = clock.run_virtual(leaves_nothing_and_returns(main))
    return turns, log, memory.recorded, peers[0], conversation


async def leaves_nothing_and_returns(body: Callable[[], Awaitable[Conversation]]) -> Conversation:
    """As `leaves_nothing`, with the result."""
    result: list[Conversation] = []

    async def run() -> None:
        result.append(await body())

    await leaves_nothing(run())
    return result[0]


async def collect(conversation: Conversation, turns: list[Turn]) -> None:
    """Keep the turns."""
    async for turn in conversation.turns():
        turns.append(turn)


def test_a_well_behaved_fake_is_heard() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        await peer.audio("resp_1", "item_1", chunk())
        await peer.done("resp_1", "item_1")

    turns, _, recorded, _, conversation = facing(act)
    (turn,) = turns
    assert (turn.played_ms, turn.received_ms, turn.interrupted) == (100, 100, False)
    assert np.count_nonzero(recorded[:, 1]) > 2000
    assert conversation.anomalies == []


@pytest.mark.parametrize(
    "nonsense",
    [
        "{",
        "",
        "null",
        "[]",
        '"text"',
        '{"type": 7}',
        '{"no": "type"}',
        '{"type": "response.output_audio.delta"}',
        '{"type": "response.output_audio.delta", "event_id": "e", "response_id": "resp_1", "item_id": "item_1",'
        ' "output_index": 0, "content_index": 0, "delta": "!!!"}',
        b"\xff\xfe\x00",
        '{"type": "some.new.event", "event_id": "e", "field": [1, 2, {"a": null}]}',
        '{"type": "response.done", "event_id": "e", "response": {"id": "resp_unknown"}}',
        '{"type": "session.created", "event_id": "e", "session": {}}',
        '{"type": "conversation.item.truncated", "event_id": "e", "item_id": "x", "content_index": 0,'
        ' "audio_end_ms": 5}',
        "[" * 2000,
        '{"type": "' + "x" * 200_000 + '"}',
    ],
)
def test_nonsense_in_mid_reply_is_survived_and_the_reply_heard(nonsense: str | bytes) -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        await peer.audio("resp_1", "item_1", chunk())
        await peer.connection.send(nonsense)
        await peer.audio("resp_1", "item_1", chunk())
        await peer.done("resp_1", "item_1")

    turns, _, _, _, conversation = facing(act)
    (turn,) = turns
    assert (turn.played_ms, turn.received_ms) == (200, 200)
    assert all(len(anomaly) < 500 for anomaly in conversation.anomalies)


@pytest.mark.parametrize("cut", [1, 3, 4799])
def test_a_sample_cut_between_two_deltas_is_joined(cut: int) -> None:
    tone = np.random.default_rng(1).integers(-9000, 9000, 2400).astype(np.int16)
    data = tone.tobytes()

    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        for part in (data[:cut], data[cut:]):
            await peer.audio("resp_1", "item_1", b64encode(part).decode())
        await peer.done("resp_1", "item_1")

    turns, log, recorded, _, _ = facing(act)
    assert turns[0].played_ms == 100
    start = log.reports(EventKind.PLAYING)[0].position
    assert (recorded[start : start + 2400, 1] == tone).all()


def test_an_item_id_used_again_breaks_nothing() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        for response in ("resp_1", "resp_2"):
            await peer.begin(response, "item_1")
            await peer.audio(response, "item_1", chunk())
            await peer.done(response, "item_1")

    turns, _, _, _, _ = facing(act)
    assert turns


def test_a_response_that_begins_before_the_last_one_ended_takes_its_place() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        await peer.audio("resp_1", "item_1", chunk())
        await peer.begin("resp_2", "item_2")
        await peer.audio("resp_2", "item_2", chunk())
        await peer.done("resp_2", "item_2")

    turns, _, _, _, conversation = facing(act)
    assert turns[-1].response_id == "resp_2"
    assert turns[-1].played_ms == 100
    assert not conversation._replies.unsettled, "the response that was lost is kept for ever"


def test_many_items_in_one_response_are_all_heard() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_0")
        await peer.audio("resp_1", "item_0", chunk(480))
        for number in range(1, 80):
            item = {
                "id": f"item_{number}",
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
            await peer.send("response.output_item.added", item=item, response_id="resp_1", output_index=number)
            where = {"response_id": "resp_1", "item_id": f"item_{number}", "output_index": number, "content_index": 0}
            await peer.send("response.content_part.added", part={"type": "output_audio"}, **where)
            await peer.send("response.output_audio.delta", delta=chunk(480), **where)
            await peer.send("response.output_audio.done", **where)
        await peer.done("resp_1", "item_0")

    turns, _, _, _, _ = facing(act, seconds=4)
    assert len(turns) == 1
    assert turns[0].played_ms == turns[0].received_ms == 80 * 20


def test_more_sound_than_queue_and_overflow_hold_ends_the_response() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        await peer.audio("resp_1", "item_1", chunk(24000))
        await asyncio.sleep(0.5)
        for _ in range(24):
            await peer.audio("resp_1", "item_1", b64encode(bytes(1 << 20)).decode())
        await asyncio.sleep(0.5)
        await peer.done("resp_1", "item_1", "cancelled")

    turns, _, _, peer, _ = facing(act, seconds=3)
    assert peer.of("response.cancel")
    assert turns[0].interrupted
    (truncate,) = peer.of("conversation.item.truncate")
    assert truncate["audio_end_ms"] == turns[0].played_ms


@pytest.mark.parametrize(
    ("first", "says"),
    [
        ('{"type": "hello"}', "does not speak the Realtime protocol: it began with 'hello'"),
        ("<html>", "does not speak the Realtime protocol"),
        ('{"type": "session.created", "event_id": "e", "session": 5}', "does not speak the Realtime protocol"),
    ],
)
def test_a_server_of_another_protocol_is_named(first: str, says: str) -> None:
    async def act(peer: FakeServer) -> None:
        await peer.connection.send(first)

    with pytest.raises(TransportError) as raised:
        held(SILENCE, fake(act))
    assert says in str(raised.value)


def test_a_server_that_never_answers_is_given_up() -> None:
    async def act(peer: FakeServer) -> None:
        await asyncio.sleep(1000)

    with pytest.raises(TransportError, match="did not agree on a session within 15 s"):
        held(SILENCE, fake(act))


def test_a_server_that_closes_in_the_handshake_is_a_lost_connection() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.connection.close(1008, "go away")

    with pytest.raises(ConnectionLost, match="1008: go away"):
        held(SILENCE, fake(act))


def test_formats_that_do_not_agree_are_refused_before_any_sound() -> None:
    received: list[Any] = []

    async def act(peer: FakeServer) -> None:
        audio = {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}}
        await peer.created(audio=audio)
        await asyncio.sleep(1)
        received.extend(peer.received)

    with pytest.raises(ConfigError, match=r"audio\.input\.format is 'audio/pcmu'"):
        held(SILENCE, fake(act))
    assert received == []


def test_an_error_of_the_server_ends_nothing() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.send("error", error={"type": "server_error", "code": None, "message": "a hiccup", "param": None})
        await peer.begin("resp_1", "item_1")
        await peer.audio("resp_1", "item_1", chunk())
        await peer.done("resp_1", "item_1")

    turns, *_ = facing(act)
    assert turns[0].played_ms == 100


def test_a_failed_response_is_told_as_such() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        body = {"id": "resp_1", "status": "in_progress", "conversation_id": "conv_1", "output": []}
        await peer.send("response.created", response=body)
        details = {"type": "failed", "error": {"type": "server_error", "code": "oops"}}
        await peer.send("response.done", response={**body, "status": "failed", "status_details": details})

    turns, *_ = facing(act)
    (turn,) = turns
    assert (turn.status, turn.error["code"], turn.played_ms) == ("failed", "oops", 0)


def test_an_item_that_the_server_deleted_is_not_corrected() -> None:
    async def act(peer: FakeServer) -> None:
        await peer.created()
        await peer.begin("resp_1", "item_1")
        await peer.audio("resp_1", "item_1", chunk(24000))
        await asyncio.sleep(0.3)
        await peer.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_2")
        await peer.send("conversation.item.deleted", item_id="item_1")
        await peer.done("resp_1", "item_1", "cancelled")

    turns, _, _, peer, _ = facing(act)
    assert turns[0].status == "cancelled"
    assert not peer.of("conversation.item.truncate")
    assert not peer.of("conversation.item.delete")


def test_a_network_that_stalls_delays_words_and_never_the_sound() -> None:
    async def main() -> tuple[Recorder, engine.Memory, int]:
        ours, theirs = pair(limit=4)  # four messages, and then nobody reads for eight seconds
        log, memory = Recorder(), engine.Memory(np.zeros(12 * RATE, np.int16), RATE)
        peer = FakeServer(theirs)

        @asynccontextmanager
        async def connection() -> AsyncIterator[Connection]:
            yield ours

        await peer.created()
        async with asyncio.TaskGroup() as tasks:
            async with converse(memory, connection, Settings(), log) as conversation:
                await peer.begin("resp_1", "item_1")
                await peer.audio("resp_1", "item_1", chunk(24000))
                await asyncio.sleep(8)
                lost = conversation.stats()[0].lost_records
                reading = tasks.create_task(peer.collect())
                await asyncio.sleep(3)
            await ours.close()
            await reading
        sent = b"".join(b64decode(append["audio"]) for append in peer.of("input_audio_buffer.append"))
        assert len(sent) // 480 >= 500, "what waited is sent, and what came after it"
        return log, memory, lost

    log, memory, lost = clock.run_virtual(main())
    start = log.reports(EventKind.PLAYING)[0].position
    tone = np.frombuffer(b64decode(chunk(24000)), np.int16)
    whole = 24000 - 3600  # no end ever comes: the last 150 ms are played slower
    assert (memory.recorded[start : start + whole, 1] == tone[:whole]).all()
    assert 0 < lost < 400, "the ring of records is bounded, and what it could not hold is counted"


def test_latency_belongs_to_the_answer_of_what_was_said() -> None:
    async def ask_in_writing(conversation: Conversation) -> None:
        async for event in conversation.events():
            if isinstance(event, ev.ResponseDone):
                break
        await asyncio.sleep(2)
        part = {"type": "input_text", "text": "and in writing"}
        conversation.send(ev.ConversationItemCreate(item={"type": "message", "role": "user", "content": [part]}))
        conversation.send(ev.ResponseCreate())

    talk = held(question(6.0), tones("echo"), during=ask_in_writing)
    spoken, written = [turn for turn in talk.turns if turn.role == "assistant"]
    assert spoken.latency_ms is not None
    assert written.latency_ms is None, "nothing was said before it"


def test_without_turn_detection_a_file_ends_all_the_same() -> None:
    talk = held(question(), tones("echo"), session={"audio": {"input": {"turn_detection": None}}})
    assert talk.turns == []
    assert not talk.log.of("received", "response.created")


# ---- Ctrl-C


@pytest.mark.parametrize("moment", [0.0, 0.03, 0.17, 0.44])
def test_ctrl_c_ends_the_program_and_nothing_else_is_said(moment: float) -> None:
    program = f"""
import asyncio, os, signal, threading, engine
from engine.endpoints.wav import read_wav

async def main():
    wav = read_wav({str(DATA / "caller.wav")!r})
    async with engine.connect(engine.Memory(wav.samples, wav.rate, speed=5)) as conversation:
        threading.Timer({moment}, os.kill, (os.getpid(), signal.SIGINT)).start()
        async for turn in conversation.turns():
            pass

asyncio.run(main())
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", program],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGINT
    assert done.stderr.strip().endswith("KeyboardInterrupt")
    for word in ("Exception ignored", "was destroyed", "never retrieved", "Fatal", "ResourceWarning", "ExceptionGroup"):
        assert word not in done.stderr


# ---- endpoints that fail


def test_a_file_that_is_not_there_is_a_media_error_and_leaves_nothing(nothing_left: None) -> None:
    async def main() -> None:
        async with engine.connect(engine.WavFile("/nowhere/question.wav")):
            pytest.fail("there was nothing to say")

    with pytest.raises(MediaError, match=r"/nowhere/question\.wav"):
        clock.run_virtual(leaves_nothing(main()))


def test_a_file_that_cannot_be_written_is_a_media_error_and_leaves_nothing(tmp_path: Path, nothing_left: None) -> None:
    async def main() -> None:
        async with engine.connect(engine.WavFile(DATA / "caller.wav", tmp_path / "no" / "folder.wav")):
            pytest.fail("there was nowhere to write")

    with pytest.raises(MediaError, match=r"folder\.wav"):
        clock.run_virtual(leaves_nothing(main()))
