"""Sessions that end after seconds: the conversation outlives them, and every sample goes to exactly one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import BargeIn, Policy
from engine.conversation import Conversation, Reconnect, Settings, converse
from engine.front import remote
from engine.realtime import events as ev
from engine.server import ServerOptions, serve
from engine.server.listening import Listening
from engine.server.voices import ToneVoice

from .harness import RATE, Recorder, Shorts
from .sessions import Servers, Tapped, chatter

TRANSCRIBED = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}


class Ran:
    """A conversation that is over."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.log = Recorder()
        self.events: list[ev.AnyEvent] = []
        self.turns: list[engine.Turn] = []
        self.left_out_ms = 0
        self.recorded: Shorts = np.empty((0, 2), np.int16)

    def told(self, type: str) -> list[dict[str, Any]]:
        """Reports of this side's."""
        return [event.fields for event in self.events if isinstance(event, ev.Unknown) and event.type == type]


def run(servers: Servers, samples: Shorts, seconds: float, **more: Any) -> Ran:
    """Speak so long into a conversation, in virtual time."""
    ran = Ran(servers)
    reconnect = more.pop("reconnect", Reconnect(random=lambda: 0.5))
    during = more.pop("during", None)

    async def follow(feed: Any, into: list[Any]) -> None:
        async for entry in feed:
            into.append(entry)

    async def main() -> None:
        settings = Settings(reconnect=reconnect, **{"barge_in": BargeIn(policy=Policy.NEVER), **more})
        memory = engine.Memory(samples, RATE)
        async with converse(memory, servers, settings, ran.log) as conversation:
            tasks = [
                asyncio.create_task(follow(conversation.events(), ran.events)),
                asyncio.create_task(follow(conversation.turns(), ran.turns)),
            ]
            if during is not None:
                tasks.append(asyncio.create_task(during(conversation)))
            await asyncio.sleep(seconds)
            ran.left_out_ms = conversation.left_out_ms
        await asyncio.gather(*tasks)
        ran.recorded = memory.recorded

    clock.run_virtual(main())
    return ran


def assert_heard_to_the_sample(servers: Servers, samples: Shorts, seconds: float) -> None:
    """All sessions together were sent what was captured, and nothing else."""
    audio = servers.audio
    assert len(audio) >= (seconds - 0.5) * RATE, "something is missing at the end"
    assert np.array_equal(audio, samples[: len(audio)])


@pytest.mark.parametrize("frame_ms", [None, 70])
def test_sessions_of_seconds_hear_every_sample_once(frame_ms: int | None) -> None:
    samples = chatter(60)
    servers = Servers(ServerOptions(session_s=20))
    ran = run(servers, samples, 60, session=TRANSCRIBED, frame_ms=frame_ms)
    assert len(servers.sessions) >= 4
    assert_heard_to_the_sample(servers, samples, 60)
    assert ran.left_out_ms == 0
    assert len(ran.told("bargein.rotated")) == len(servers.sessions) - 1
    assert not ran.told("bargein.reconnecting"), "none of them reached its expiry"
    assert [turn.role for turn in ran.turns[:8]] == ["user", "assistant"] * 4
    assert all(turn.status == "completed" for turn in ran.turns)


def test_the_old_session_is_closed_after_the_new_one_took_over() -> None:
    servers = Servers(ServerOptions(session_s=20))
    run(servers, chatter(30), 30)
    first, second = servers.sessions[:2]
    assert first.close_code == 1000
    assert first.ended_at is not None
    assert second.opened_at <= first.ended_at
    assert 10 - 1 <= second.opened_at < 20, "from halfway on, and before it expired"


def test_the_new_session_is_asked_for_the_same_and_told_what_was_said() -> None:
    async def update(conversation: Conversation) -> None:
        await asyncio.sleep(1)
        conversation.send(ev.SessionUpdate(session={"type": "realtime", "instructions": "Be brief."}))

    servers = Servers(ServerOptions(session_s=24))
    ran = run(servers, chatter(30), 30, session=TRANSCRIBED, during=update)
    second = servers.sessions[1]
    (asked,) = second.of("session.update")
    assert asked["session"]["instructions"] == "Be brief."
    assert asked["session"]["audio"]["input"]["transcription"] == {"model": "whisper-1"}
    assert second.told[0] == ("assistant", "The next high tide is at twenty to five.")
    assert second.told[-1][0] == "system"
    assert "same conversation" in second.told[-1][1]
    assert not [turn for turn in ran.turns if turn.role == "user" and not turn.text and not turn.item_ids]
    assert second.read[0]["type"] == "session.update"
    kinds = [message["type"] for message in second.read]
    assert kinds.index("input_audio_buffer.append") > max(
        place for place, kind in enumerate(kinds) if kind == "conversation.item.create"
    ), "the microphone comes last"


def test_offsets_of_the_new_session_are_told_in_captured_time() -> None:
    kept: list[Conversation] = []

    async def keep(conversation: Conversation) -> None:
        kept.append(conversation)

    servers = Servers(ServerOptions(session_s=16))
    run(servers, chatter(30, every=12), 30, during=keep)
    sent_before = sum(len(session.audio) for session in servers.sessions[:-1])
    time_map = kept[0].time_map
    assert time_map.captured(500) == sent_before // 24 + 500
    assert time_map.sent(sent_before // 24 + 500) == 500


def test_what_never_falls_silent_is_reconnected_at_its_expiry() -> None:
    samples = chatter(24, every=3.5)
    servers = Servers(ServerOptions(session_s=9))
    ran = run(servers, samples, 24)
    assert len(servers.sessions) >= 2
    assert ran.told("bargein.reconnecting")
    assert "maximum duration" in ran.told("bargein.reconnecting")[0]["reason"]
    assert ran.told("bargein.reconnecting")[0]["wait_s"] == 0


def test_without_a_policy_an_expired_session_ends_the_conversation() -> None:
    async def main() -> None:
        servers = Servers(ServerOptions(session_s=3))
        async with converse(engine.Memory(chatter(10), RATE), servers, Settings()) as conversation:
            async for _ in conversation.turns():
                pass

    with pytest.raises(engine.errors.ConnectionLost, match="maximum duration"):
        clock.run_virtual(main())


def test_a_second_connection_that_cannot_be_had_is_tried_again_and_nothing_is_noticed() -> None:
    samples = chatter(40)
    servers = Servers(
        ServerOptions(session_s=30), fails={1: engine.TransportError("no"), 2: engine.TransportError("no")}
    )
    ran = run(servers, samples, 40, reconnect=Reconnect(most_s=2, random=lambda: 0.5))
    assert len(servers.tries) >= 4
    assert_heard_to_the_sample(servers, samples, 40)
    assert not ran.told("bargein.reconnecting")


def test_over_real_sockets_too(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: dict[Listening, list[bytes]] = {}
    append = Listening.append

    def noted(self: Listening, audio: bytes) -> Iterator[Awaitable[None] | None]:
        heard.setdefault(self, []).append(audio)
        return append(self, audio)

    monkeypatch.setattr(Listening, "append", noted)
    samples = chatter(120, every=1000, first=500)

    def hurried() -> float:
        return time.time() + 3600 - 2  # the server's hour seems to be over in two seconds

    async def main() -> None:
        settings = Settings(reconnect=Reconnect(unix_time=hurried))
        async with (
            serve(voice=ToneVoice(), options=ServerOptions(session_s=3600)) as server,
            converse(engine.Memory(samples, RATE), remote(server.url), settings) as conversation,
        ):
            rotated = 0
            async for event in conversation.events():
                assert event.type != "bargein.reconnecting"
                rotated += event.type == "bargein.rotated"
                if rotated == 2:
                    break

    asyncio.run(main())
    assert len(heard) >= 2
    audio = np.frombuffer(b"".join(b"".join(parts) for parts in heard.values()), np.int16)
    assert len(audio) > RATE
    assert np.array_equal(audio, samples[: len(audio)])


class Slow(Tapped):
    """Takes two seconds to greet."""

    async def send(self, data: bytes | str) -> None:
        if b"session.created" in (data if isinstance(data, bytes) else data.encode()):
            await asyncio.sleep(2.0)
        await super().send(data)


def test_who_speaks_while_the_second_line_is_opened_is_heard_on_the_first() -> None:
    samples = chatter(30, every=13, first=10.5)  # the second line is asked for at 10 s
    servers = Servers(ServerOptions(session_s=20), taps=[Tapped, Slow])
    ran = run(servers, samples, 30)
    assert_heard_to_the_sample(servers, samples, 30)
    assert len(servers.sessions) > 1 + len(ran.told("bargein.rotated")), "one was opened in vain"
    assert not ran.told("bargein.reconnecting")
    assert all(turn.status == "completed" for turn in ran.turns)
    assert len(ran.turns) == 4


def test_what_is_typed_while_the_second_line_is_opened_is_in_its_conversation() -> None:
    async def types(conversation: Conversation) -> None:
        await asyncio.sleep(11.0)
        conversation.say("Keep this in mind.", respond=False)

    servers = Servers(ServerOptions(session_s=20), taps=[Tapped, Slow])
    ran = run(servers, chatter(24, first=500), 24, during=types)
    assert ran.told("bargein.rotated")
    assert ("user", "Keep this in mind.") in servers.sessions[-1].told
    told = [each for session in servers.sessions[:-1] if not session.audio.size for each in session.told]
    assert told == [], "the one that was opened in vain"


def test_a_line_that_is_lost_while_the_second_is_opened() -> None:
    class Short(Tapped):
        """Breaks in the middle of the other's greeting."""

        async def receive(self) -> bytes | str:
            if asyncio.get_running_loop().time() > 11.0:
                await self.close(1006)
            return await super().receive()

    samples = chatter(19, first=500)
    servers = Servers(ServerOptions(session_s=20), taps=[Short, Slow])
    ran = run(servers, samples, 19)
    assert len(ran.told("bargein.reconnected")) == 1
    assert len(servers.sessions) == 2, "the one that was on its way is taken"
    before, after = (session.audio for session in servers.sessions)
    assert np.array_equal(before, samples[: len(before)])
    (place,) = np.flatnonzero(
        (np.lib.stride_tricks.sliding_window_view(samples, 960) == after[:960]).all(axis=1)
    ).tolist()
    assert np.array_equal(after, samples[place : place + len(after)])
    assert 0 <= place - len(before) <= 3 * 240
