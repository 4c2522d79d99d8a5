"""Figures of sessions and turns: what is counted and timed, and that nobody's failure reaches the conversation."""

from __future__ import annotations

import pytest

from engine.server import ServerOptions
from engine.server.figures import About, SessionFigures, TurnFigures, Watcher
from engine.server.responders import Fail, Say, Text, ToolCall
from engine.server.start import Start
from tests.server.harness import Says, question, run, session, silence, speech, wire


class Seen(Watcher):
    """Keeps everything."""

    def __init__(self) -> None:
        self.abouts: list[About] = []
        self.turns: list[TurnFigures] = []
        self.sessions: list[SessionFigures] = []
        self.latencies: list[float] = []
        self.lates: list[float] = []
        self.said: list[tuple[str, str]] = []

    def opened(self, about: About, /) -> None:
        self.abouts.append(about)

    def turn(self, about: About, figures: TurnFigures, /) -> None:
        assert about is self.abouts[-1]
        self.turns.append(figures)

    def interrupted(self, about: About, latency_s: float, /) -> None:
        self.latencies.append(latency_s)

    def late(self, seconds: float, /) -> None:
        self.lates.append(seconds)

    def words(self, about: About, who: str, text: str, /) -> None:
        self.said.append((who, text))

    def closed(self, about: About, figures: SessionFigures, /) -> None:
        self.sessions.append(figures)


def watched(seen: Watcher, **more: object) -> ServerOptions:
    return ServerOptions(watchers=(seen,), **more)  # type: ignore[arg-type]


def test_a_spoken_turn_and_the_session() -> None:
    seen = Seen()

    async def test() -> None:
        brain = Says([0.25, Say("It is sunny.")])
        async with session(brain, watched(seen), owner="kitchen", model="m") as client:
            await client.speak(question())
            done = await client.next("response.done")
            sent = client.audio_of(done["response"]["id"])
            turn = seen.turns[0]
            assert (turn.response, turn.number, turn.status, turn.reason) == (
                done["response"]["id"],
                1,
                "completed",
                "",
            )
            assert turn.audio_ms == len(sent) // 48 > 500
            assert turn.latency_s == pytest.approx(0.25, abs=0.001), "virtual time: what the brain waited"
            assert turn.latency_s is not None and turn.duration_s >= turn.latency_s
            assert (turn.tools, turn.out_of_band) == (0, False)
            usage = done["response"]["usage"]
            assert (turn.input_tokens, turn.output_tokens) == (usage["input_tokens"], usage["output_tokens"])
            assert not seen.sessions
        over = seen.sessions[0]
        assert (over.turns, over.interrupted, over.failed, over.errors, over.code) == (1, 0, 0, 0, 1000)
        assert (over.input_tokens, over.output_tokens) == (turn.input_tokens, turn.output_tokens)
        assert over.duration_s > 3
        assert seen.abouts == [About(client.events[0]["session"]["id"], "realtime", "m", "kitchen", False)]
        assert seen.said == [("assistant", "It is sunny.")]
        assert seen.lates and max(seen.lates) == 0, "virtual time is never late"

    run(test)


def test_an_interruption_is_timed_by_the_sound() -> None:
    seen = Seen()

    async def test() -> None:
        brain = Says([Say("word " * 200)])
        async with session(brain, watched(seen, burst=1)) as client:
            await client.speak(question())
            await client.next("response.output_audio.delta")
            await client.speak(wire(silence(0.2), speech(), silence(0.3)))
            await client.next("response.done")
        assert (seen.turns[0].status, seen.turns[0].reason) == ("cancelled", "turn_detected")
        assert 0.1 <= seen.latencies[0] <= 0.35, "100 ms of speech, within 150 ms, and what the detector needs"
        assert seen.sessions[0].interrupted == 1

    run(test)


def test_what_is_not_spoken() -> None:
    seen = Seen()

    async def test() -> None:
        brain = Says([ToolCall("look")], [Fail("no", "quota")], [Text("Aside.")], [])
        options = watched(seen)
        async with session(brain, options, start=Start({"type": "realtime", "output_modalities": ["text"]})) as client:
            for number, response in enumerate(({}, {}, {"conversation": "none"}, {})):
                await client.send("response.create", response=response)
                while len(client.of("response.done")) <= number:
                    await client.next("response.done", after=len(client.events))
            await client.send("nonsense")
            await client.next("error")
        assert [turn.status for turn in seen.turns] == ["completed", "failed", "completed", "completed"]
        assert [turn.tools for turn in seen.turns] == [1, 0, 0, 0]
        assert [turn.out_of_band for turn in seen.turns] == [False, False, True, False]
        assert [turn.latency_s is None for turn in seen.turns] == [True, True, False, True]
        assert seen.turns[1].reason == "quota"
        assert (seen.sessions[0].failed, seen.sessions[0].errors, seen.sessions[0].turns) == (1, 1, 4)
        assert seen.said == [("assistant", "Aside.")]

    run(test)


def test_a_watcher_that_fails_is_told_nothing_more(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Seen):
        def turn(self, about: About, figures: TurnFigures, /) -> None:
            raise RuntimeError("full disk")

    seen, other = Broken(), Seen()

    async def test() -> None:
        async with session(Says([Text("One.")]), ServerOptions(watchers=(seen, other))) as client:
            for number in (1, 2):
                await client.send("response.create")
                while len(client.of("response.done")) < number:
                    await client.next("response.done", after=len(client.events))

    run(test)
    assert caplog.text.count("Broken failed") == 1 and not seen.sessions
    assert (len(other.turns), len(other.sessions)) == (2, 1), "the others are"


def test_nobody_watches() -> None:
    async def test() -> None:
        async with session(Says([Text("One.")])) as client:
            await client.send("response.create")
            await client.next("response.done")

    run(test)
