"""Lines that break: the sound runs on, the next server is told the conversation, the application what happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

import engine
from engine import clock
from engine.audio import AudioFormat, BargeIn, Policy
from engine.conversation import CommitOutcome, Conversation, Reconnect, Settings, converse
from engine.conversation.reconnect import ANCHOR, may_pass
from engine.errors import ConfigError, ConnectionLost, HandshakeRefused, MediaError, TransportError
from engine.front import remote
from engine.realtime import events as ev
from engine.server import Faults, ServerOptions, serve
from engine.server.responders.base import Part, Say, ToolCall, Turn
from engine.server.responders.script import Script
from engine.server.voices import ToneVoice

from .harness import RATE, question
from .sessions import Servers, Tapped, chatter, rand
from .test_failures import leaves_nothing
from .test_rotation import Ran, run

BREAKS = ServerOptions(faults=Faults(close_after_deltas=3, close_code=1006))
LONG = Script({"default": [{"say": "The tides are long waves that follow the moon around the earth, day and night."}]})


def broken(*codes: int) -> list[ServerOptions]:
    """Servers that close in their first reply, and one that does not."""
    closing = [ServerOptions(faults=Faults(close_after_deltas=3, close_code=code)) for code in codes]
    return [*closing, ServerOptions()]


@pytest.mark.parametrize("code", [1001, 1005, 1006, 1011, 1012, 1013])
def test_a_reply_that_breaks_off_is_played_as_far_as_it_came_and_the_conversation_goes_on(code: int) -> None:
    servers = Servers(*broken(code))
    ran = run(servers, chatter(22), 22)
    assert len(servers.sessions) == 2
    first, second = [turn for turn in ran.turns if turn.role == "assistant"]
    assert (first.status, first.reason, first.interrupted) == ("incomplete", "connection_lost", False)
    assert first.played_ms == first.received_ms == 250, "what had come was heard, and the books say so"
    assert first.text
    assert first.item_ids
    assert (second.status, second.played_ms) == ("completed", second.received_ms)
    assert [event.type for event in ran.events if event.type.startswith("bargein.")] == [
        "bargein.reconnecting",
        "bargein.reconnected",
    ]
    assert not any(message["type"].startswith("conversation.item.tr") for message in servers.sessions[1].read)
    told = servers.sessions[1].told
    assert told[0] == ("assistant", first.text)
    assert told[1][0] == "system"
    assert told[1][1].startswith(ANCHOR)
    assert told[1][1].endswith("broke off before its end.")


def test_what_was_captured_meanwhile_is_sent_once_and_in_order() -> None:
    samples = chatter(24)
    servers = Servers(*broken(1006), fails={1: TransportError("no"), 2: TransportError("no")})
    ran = run(servers, samples, 24)
    outage = ran.told("bargein.reconnected")[0]["outage_ms"] / 1000
    assert outage == pytest.approx(0.4375 + 0.875 + 1.75, abs=0.05)
    before, after = (session.audio for session in servers.sessions)
    assert np.array_equal(before, samples[: len(before)])
    places = np.flatnonzero((np.lib.stride_tricks.sliding_window_view(samples, 960) == after[:960]).all(axis=1))
    (place,) = places.tolist()
    assert np.array_equal(after, samples[place : place + len(after)]), "no hole and nothing twice"
    assert 0 <= place - len(before) <= 3 * 240, "all but what was on its way into the dead socket"
    assert ran.left_out_ms == 0


@pytest.mark.parametrize("oldest_s", [1.0, 5.0])
def test_sound_that_became_too_old_is_left_out_and_counted(oldest_s: float) -> None:
    samples = chatter(30)
    servers = Servers(*broken(1006), fails=dict.fromkeys(range(1, 5), TransportError("no")))
    ran = run(servers, samples, 30, oldest_s=oldest_s, reconnect=Reconnect(tries=9, random=rand(0.99)))
    outage = ran.told("bargein.reconnected")[0]["outage_ms"]
    assert outage > 7000
    before, after = (session.audio for session in servers.sessions)
    (place,) = np.flatnonzero(
        (np.lib.stride_tricks.sliding_window_view(samples, 960) == after[:960]).all(axis=1)
    ).tolist()
    assert np.array_equal(after, samples[place : place + len(after)])
    left_out = (place - len(before)) / 24
    assert left_out == pytest.approx(outage - 1000 * oldest_s, abs=250)
    assert ran.left_out_ms == pytest.approx(left_out, abs=30), "all that is missing is counted"


def test_the_waits_double_and_are_jittered_and_the_tries_end() -> None:
    servers = Servers(*broken(1006), fails=dict.fromkeys(range(1, 99), TransportError("nobody there")))
    with pytest.raises(ConnectionLost) as raised:
        run(servers, chatter(40), 40, reconnect=Reconnect(random=rand(0.0, 0.999, 0.5, 0.0, 0.999)))
    waits = np.diff(servers.tries)[1:]
    assert waits == pytest.approx([1.0, 1.75, 3.0, 8.0], rel=0.01)
    assert raised.value.code == 1006
    assert "nobody there" in str(raised.value.__cause__)


def test_the_application_is_told_that_it_was_given_up() -> None:
    servers = Servers(*broken(1011), fails=dict.fromkeys(range(1, 99), HandshakeRefused("no such key", 401)))
    events: list[Any] = []

    async def main() -> None:
        async with converse(
            engine.Memory(question(20), RATE), servers, Settings(reconnect=Reconnect())
        ) as conversation:
            async for event in conversation.events():
                events.append(event)

    with pytest.raises(ConnectionLost):
        clock.run_virtual(leaves_nothing(main()))
    assert len(servers.tries) == 2, "a wrong key is wrong the next time too"
    assert events[-1].type == "bargein.gave_up"
    assert "no such key" in events[-1].fields["reason"]


@pytest.mark.parametrize("code", [1000, 4000, 1008, 3000])
def test_what_is_normal_or_fatal_is_not_tried_again(code: int) -> None:
    servers = Servers(*broken(code))
    try:
        run(servers, chatter(20), 20)
    except ConnectionLost as lost:
        assert lost.code == code != 1000
    assert len(servers.tries) == 1


def test_a_server_that_drops_everybody_at_once_is_given_up() -> None:
    class Dropping(Tapped):
        async def receive(self) -> bytes | str:
            data = await super().receive()
            if len(self.of("input_audio_buffer.append")) > 5:
                await self.close(1011)
            return data

    servers = Servers(taps=[Dropping])
    with pytest.raises(ConnectionLost):
        run(servers, chatter(60), 60)
    assert len(servers.tries) == 6, "that it connects does not make it a success"


def test_what_the_application_asks_for_meanwhile_reaches_the_next_server() -> None:
    async def during(conversation: Conversation) -> None:
        async for event in conversation.events():
            if event.type == "bargein.reconnecting":
                break
        conversation.say("Are you still there?")
        conversation.send(ev.SessionUpdate(session={"type": "realtime", "instructions": "Be brief."}))
        conversation.interrupt()
        conversation.say("Hello?")

    async def main() -> Ran:
        ran = Ran(Servers(*broken(1006)))
        settings = Settings(reconnect=Reconnect(), barge_in=BargeIn(policy=Policy.NEVER))
        async with converse(engine.Memory(question(15), RATE), ran.servers, settings, ran.log) as conversation:
            task = asyncio.create_task(during(conversation))
            async for turn in conversation.turns():
                ran.turns.append(turn)
            await task
        return ran

    ran = clock.run_virtual(main())
    second = ran.servers.sessions[1]
    assert [text for role, text in second.told if role == "user"] == ["Are you still there?", "Hello?"]
    assert len(second.of("response.create")) == 1
    assert second.of("session.update")[-1]["session"]["instructions"] == "Be brief."
    assert ran.turns[-1].status == "completed"


def test_a_request_without_an_answer_is_asked_again() -> None:
    class Deaf(Tapped):
        """Breaks when it is asked for something."""

        async def receive(self) -> bytes | str:
            data = await super().receive()
            if self.of("response.create"):
                await self.close(1006)
            return data

    servers = Servers(taps=[Deaf, Tapped])
    turns: list[engine.Turn] = []

    async def main() -> None:
        settings = Settings(reconnect=Reconnect())
        async with converse(engine.Memory(np.zeros(8 * RATE, np.int16), RATE), servers, settings) as conversation:
            conversation.say("What time is it?")
            async for turn in conversation.turns():
                turns.append(turn)

    clock.run_virtual(main())
    assert len(servers.sessions[1].of("response.create")) == 1
    assert servers.sessions[1].told[0] == ("user", "What time is it?")
    assert turns[-1].text.startswith("The next high tide")


TIDES = "when is the next high tide"
HEARS = Script({"transcripts": [TIDES], "default": [{"say": "The next high tide is at twenty to five."}]})
WRITTEN = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}


def test_what_the_user_said_is_told_in_words() -> None:
    servers = Servers(ServerOptions(session_s=20), brain=HEARS)
    run(servers, chatter(20), 20, session=WRITTEN)
    assert servers.sessions[1].told[:2] == [
        ("user", TIDES),
        ("assistant", "The next high tide is at twenty to five."),
    ]
    content = servers.sessions[1].of("conversation.item.create")[0]["item"]["content"]
    assert content == [{"type": "input_text", "text": TIDES}]


def test_an_answer_that_was_owed_is_asked_for() -> None:
    """The turn was heard and written down, and the line broke before its response began: the next server knows it only
    as words, and would wait for another.
    """

    class Silent(Tapped):
        async def send(self, data: bytes | str) -> None:
            kind = json.loads(data)["type"]
            if not kind.startswith("response."):
                await super().send(data)
            if kind.endswith("input_audio_transcription.completed"):
                await self.close(1006)

    servers = Servers(brain=HEARS, taps=[Silent, Tapped])
    ran = run(servers, chatter(12), 12, session=WRITTEN)
    assert servers.sessions[1].told[0] == ("user", TIDES)
    assert len(servers.sessions[1].of("response.create")) == 1
    assert [turn.role for turn in ran.turns] == ["user", "assistant"]
    assert ran.turns[1].status == "completed"


def test_settings_that_the_next_server_does_not_take_over_are_told() -> None:
    class Stubborn(Tapped):
        async def send(self, data: bytes | str) -> None:
            await super().send((data if isinstance(data, bytes) else data.encode()).replace(b"Be brief.", b"Be long."))

    servers = Servers(*broken(1006), taps=[Tapped, Stubborn])
    ran = run(servers, chatter(12), 12, session={"instructions": "Be brief."})
    (difference,) = ran.told("bargein.reconnected")[0]["differences"]
    assert difference.startswith("session.instructions: asked for 'Be brief.'")


class Asks:
    """Calls a tool, and says what came of it."""

    name = "asks"

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        """See Responder."""
        if turn.tool_outputs:
            yield Say(f"It is {turn.tool_outputs[-1].output}.")
        else:
            yield ToolCall("look_up", "{}", "call_1")


def test_the_output_of_a_tool_that_runs_meanwhile_reaches_the_next_server() -> None:
    class Deaf(Tapped):
        """Breaks once the call is out."""

        async def send(self, data: bytes | str) -> None:
            await super().send(data)
            if b"response.done" in (data if isinstance(data, bytes) else data.encode()):
                await self.close(1012)

    async def tool(conversation: Conversation) -> None:
        async for event in conversation.events():
            if event.type == "bargein.reconnecting":
                item = {"type": "function_call_output", "call_id": "call_1", "output": "late"}
                conversation.send(ev.ConversationItemCreate(item=item))
                conversation.send(ev.ResponseCreate())

    turns: list[engine.Turn] = []
    servers = Servers(brain=Asks(), taps=[Deaf, Tapped])

    async def main() -> None:
        settings = Settings(reconnect=Reconnect())
        async with converse(engine.Memory(np.zeros(8 * RATE, np.int16), RATE), servers, settings) as conversation:
            task = asyncio.create_task(tool(conversation))
            conversation.say("What time is it?")
            async for turn in conversation.turns():
                turns.append(turn)
            await task

    clock.run_virtual(main())
    told = servers.sessions[1].told
    assert [kind for kind, _ in told] == ["user", "function_call", "system", "function_call_output"]
    assert turns[-1].text == "It is late."


def test_a_tool_of_the_engines_that_runs_meanwhile_is_answered_on_the_next_line() -> None:
    class Deaf(Tapped):
        """Breaks once the call is out, before the response is over."""

        async def send(self, data: bytes | str) -> None:
            await super().send(data)
            if b"response.output_item.done" in (data if isinstance(data, bytes) else data.encode()):
                await self.close(1012)

    async def look_up() -> str:
        """Takes a second."""
        await asyncio.sleep(1.0)
        return "late"

    turns: list[engine.Turn] = []
    servers = Servers(brain=Asks(), taps=[Deaf, Tapped])

    async def main() -> None:
        settings = Settings(reconnect=Reconnect(), tools=[engine.tool(look_up)])
        async with converse(engine.Memory(np.zeros(9 * RATE, np.int16), RATE), servers, settings) as conversation:
            conversation.say("What time is it?")
            async for turn in conversation.turns():
                turns.append(turn)

    clock.run_virtual(main())
    second = servers.sessions[1]
    assert [kind for kind, _ in second.told] == ["user", "function_call", "system", "function_call_output"]
    assert second.of("session.update")[0]["session"]["tools"][0]["name"] == "look_up"
    assert len(second.of("response.create")) == 1
    assert turns[-1].text == "It is late."


def test_a_real_socket_is_opened_again() -> None:
    async def main() -> list[str]:
        kinds: list[str] = []
        memory = engine.Memory(question(30), RATE, speed=4)
        options = ServerOptions(faults=Faults(close_after_deltas=3, close_code=1006))
        settings = Settings(reconnect=Reconnect(first_s=0.0))
        async with (
            serve(responder=LONG, voice=ToneVoice(), options=options) as server,
            converse(memory, remote(server.url), settings) as conversation,
        ):
            async for event in conversation.events():
                kinds.append(event.type)
                if event.type == "bargein.reconnected":
                    break
        return kinds

    kinds = asyncio.run(main())
    assert kinds[-3:] == ["bargein.reconnecting", "session.created", "bargein.reconnected"]


def test_a_commit_that_was_under_way_is_lost_and_says_so() -> None:
    class Deaf(Tapped):
        async def receive(self) -> bytes | str:
            data = await super().receive()
            if self.of("input_audio_buffer.commit"):
                await self.close(1006)
            return data

    outcomes: list[CommitOutcome] = []

    async def talk(conversation: Conversation) -> None:
        await asyncio.sleep(2)
        outcomes.append((await conversation.commit()).outcome)
        await asyncio.sleep(3)
        outcomes.append((await conversation.commit()).outcome)

    servers = Servers(taps=[Deaf, Tapped])
    run(servers, chatter(12), 12, session={"audio": {"input": {"turn_detection": None}}}, during=talk)
    assert outcomes == [CommitOutcome.LOST, CommitOutcome.COMMITTED]


def test_a_barge_in_after_the_break_is_told_to_the_next_server_as_words() -> None:
    """The reply sounds on while another server is looked for; what was cut off then is not in its memory."""
    samples = chatter(20, first=0.0, every=4.0)
    options = [ServerOptions(burst=1000, faults=Faults(close_after_deltas=30, close_code=1006)), ServerOptions()]
    servers = Servers(*options, brain=LONG, fails=dict.fromkeys(range(1, 4), TransportError("no")))
    ran = run(servers, samples, 20, barge_in=BargeIn(policy=Policy.LOCAL))
    reply = next(turn for turn in ran.turns if turn.role == "assistant")
    assert reply.interrupted
    assert 0 < reply.played_ms < reply.received_ms
    role, told = servers.sessions[1].told[0]
    assert role == "assistant"
    assert told.endswith(" …")
    assert reply.text.startswith(told[:-2])
    assert len(told) < len(reply.text)


@pytest.mark.parametrize("form", [AudioFormat.PCM, AudioFormat.PCMU])
def test_the_next_session_is_agreed_on_before_any_sound(form: AudioFormat) -> None:
    servers = Servers(*broken(1006))
    run(servers, chatter(16), 16, audio_format=form)
    kinds = [message["type"] for message in servers.sessions[1].read]
    assert kinds.index("input_audio_buffer.append") > max(
        place for place, kind in enumerate(kinds) if kind in ("session.update", "conversation.item.create")
    )
    assert ("session.update" in kinds) is (form is not AudioFormat.PCM)


def test_leaving_while_it_reconnects_leaves_nothing() -> None:
    async def visit(moment: float) -> None:
        servers = Servers(*broken(1006, 1006), fails={1: TransportError("no")})
        settings = Settings(reconnect=Reconnect())
        async with converse(engine.Memory(chatter(10), RATE), servers, settings):
            await asyncio.sleep(moment)

    async def main(moment: float) -> None:
        task = asyncio.create_task(visit(moment))
        await asyncio.sleep(moment)
        task.cancel()
        await asyncio.wait([task])

    for moment in np.linspace(4.0, 7.0, 13).tolist():
        clock.run_virtual(leaves_nothing(main(moment)))
        clock.run_virtual(leaves_nothing(visit(moment)))


@pytest.mark.parametrize(
    ("failure", "passes"),
    [
        (TransportError("unreachable"), True),
        (ConnectionLost(1006), True),
        (ConnectionLost(1001, "Your session hit the maximum duration of 60 minutes."), True),
        (ConnectionLost(4000), False),
        (ConnectionLost(1008), False),
        (HandshakeRefused("busy", 503), True),
        (HandshakeRefused("too many", 429), True),
        (HandshakeRefused("key", 401), False),
        (HandshakeRefused("path", 404), False),
        (ConfigError("refused"), False),
        (MediaError("no file"), False),
    ],
)
def test_what_may_pass(failure: engine.EngineError, passes: bool) -> None:
    assert may_pass(failure) is passes


@pytest.mark.parametrize(
    "wrong",
    [{"tries": 0}, {"first_s": -1}, {"first_s": 9}, {"most_s": 601}, {"rotate_before_s": 0}, {"history_items": -1},
     {"history_characters": 2**18 + 1}, {"tries": True}],
)  # fmt: skip
def test_a_policy_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"reconnect\.{next(iter(wrong)) if 'first_s' not in wrong else ''}"):
        Reconnect(**wrong)


def test_waits() -> None:
    policy = Reconnect(random=rand(0.0))
    assert list(policy.waits(at_once=False)) == [0.375, 0.75, 1.5, 3.0, 6.0]
    assert list(policy.waits(at_once=True)) == [0.0, 0.375, 0.75, 1.5, 3.0]
    assert list(Reconnect(tries=7, random=rand(1.0)).waits(at_once=False)) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
