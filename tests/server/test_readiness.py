"""Before session.created: warm-up, a brain's own session, and what a client is told when there is no brain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from engine.errors import ConfigError, ConnectionLost
from engine.server import ServerOptions, serve, serve_connection
from engine.server.readiness import BrainUnavailable, Readiness
from engine.server.responders import Echo, Part, Responder, Say, SessionInfo, Turn
from engine.server.voices import ToneVoice
from engine.transport import pair
from engine.transport.websocket import connect

from .harness import Client, Says, run, session


class Slow(Says):
    """Loads for a while, or fails to."""

    def __init__(self, seconds: float = 0.0, *problems: Exception) -> None:
        super().__init__([Say("Ready.")])
        self.seconds = seconds
        self.problems = list(problems)
        self.warmed = 0
        self.closed_times = 0

    async def warm_up(self) -> None:
        self.warmed += 1
        await asyncio.sleep(self.seconds)
        if self.problems:
            raise self.problems.pop(0)

    async def aclose(self) -> None:
        self.closed_times += 1


class OwnSession(Says):
    """Gives every session a brain of its own, with a task that lives as long."""

    def __init__(self, problem: Exception | None = None) -> None:
        super().__init__([Say("not asked")])
        self.problem = problem
        self.infos: list[SessionInfo] = []
        self.log: list[str] = []

    @asynccontextmanager
    async def session(self, info: SessionInfo) -> AsyncIterator[Responder]:
        self.infos.append(info)
        if self.problem is not None:
            raise self.problem
        async with asyncio.TaskGroup() as group:
            task = group.create_task(asyncio.sleep(3600))
            self.log.append("entered")
            yield Logged(self.log)
            self.log.append("left")
            task.cancel()


class Logged(Says):
    def __init__(self, log: list[str]) -> None:
        super().__init__([Say("One"), 100.0, Say("Two")])
        self.log = log

    async def respond(self, turn: Turn) -> AsyncIterator[Part]:
        try:
            async for part in super().respond(turn):
                yield part
        finally:
            self.log.append("answered")


async def refused(brain: Responder, options: ServerOptions | None = None) -> Client:
    """A session that never comes about."""
    ours, theirs = pair()
    client = Client(ours)
    reading = asyncio.create_task(client.read())
    await serve_connection(theirs, responder=brain, options=options, voice=ToneVoice())
    await reading
    return client


def test_session_created_waits_for_the_brain() -> None:
    async def test() -> None:
        began = asyncio.get_running_loop().time()
        brain = Slow(3.0)
        async with session(brain) as client:
            assert client.times[0] - began == pytest.approx(3.0)
            await client.send("response.create")
            assert (await client.next("response.done"))["response"]["status"] == "completed"
        assert (brain.warmed, brain.closed_times) == (1, 1)

    run(test)


def test_what_a_client_sends_while_the_brain_loads_is_obeyed_afterwards() -> None:
    async def test() -> None:
        ours, theirs = pair()
        client = Client(ours)
        brain = Slow(3.0)
        serving = asyncio.create_task(serve_connection(theirs, responder=brain, voice=ToneVoice()))
        reading = asyncio.create_task(client.read())
        await ours.send('{"type": "response.create"}')
        await client.next("response.done")
        assert client.types()[:2] == ["session.created", "response.created"]
        await ours.close()
        await asyncio.gather(serving, reading)

    run(test)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ConfigError("model is 'x.gguf': no such file"), "model is 'x.gguf': no such file"),
        (RuntimeError("key sk-secret"), "RuntimeError."),
    ],
)
def test_a_load_error_is_an_error_event_and_no_session(
    problem: Exception, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> Client:
        return await refused(Slow(0.5, problem))

    with caplog.at_level(logging.CRITICAL, "bargein.server"):
        client = run(test)
    [error] = client.events
    assert error["type"] == "error"
    assert (error["error"]["type"], error["error"]["code"]) == ("server_error", "brain_unavailable")
    assert error["error"]["message"].endswith(words) and "sk-secret" not in str(error)
    assert client.closed is not None and client.closed.code == 1011


def test_a_brain_that_takes_too_long_is_not_waited_for() -> None:
    async def test() -> None:
        client = await refused(Slow(100.0), ServerOptions(warm_up_s=2.0))
        assert client.times[0] == pytest.approx(2.0)
        assert "not ready in time" in client.events[0]["error"]["message"]

    run(test)


def test_a_client_that_leaves_meanwhile_ends_its_session_at_once() -> None:
    async def test() -> None:
        ours, theirs = pair()
        brain = Slow(50.0)
        ready = Readiness(brain)
        serving = asyncio.create_task(serve_connection(theirs, responder=brain, voice=ToneVoice(), readiness=ready))
        await asyncio.sleep(1)
        await ours.close()
        await serving
        assert asyncio.get_running_loop().time() < 2
        await ready.wait()  # the work went on for the others
        assert asyncio.get_running_loop().time() == pytest.approx(50.0)
        await ready.close()

    run(test)


def test_sessions_share_one_warm_up_and_a_failed_one_is_tried_again() -> None:
    async def test() -> None:
        brain = Slow(1.0, ConfigError("not yet"))
        ready = Readiness(brain, brain)  # the same as ears and voice is one part
        first = await asyncio.gather(ready.wait(), ready.wait(), return_exceptions=True)
        assert [type(each) for each in first] == [BrainUnavailable] * 2 and brain.warmed == 1
        await asyncio.gather(ready.wait(), ready.wait())
        await ready.wait()
        assert brain.warmed == 2
        await ready.close()
        await ready.close()
        assert brain.closed_times == 1
        with pytest.raises(BrainUnavailable, match="closing"):
            await ready.wait()

    run(test)


def test_a_server_warms_up_once_from_its_start_and_closing_waits_for_nobody() -> None:
    async def test() -> None:
        brain = Slow(0.01)
        async with serve(responder=brain, voice=ToneVoice()) as server:
            for _ in range(2):
                async with connect(server.url) as connection:
                    assert '"session.created"' in str(await connection.receive())
        assert (brain.warmed, brain.closed_times) == (1, 1)
        never = Slow(3600.0)
        async with serve(responder=never, voice=ToneVoice()) as server:
            connecting = connect(server.url)
            connection = await connecting.__aenter__()
            await connection.send('{"type": "response.create"}')  # its reader holds this while the brain loads
        with suppress(ConnectionLost):
            await connection.receive()
        await connecting.__aexit__(None, None, None)
        assert never.closed_times == 1

    asyncio.run(asyncio.wait_for(test(), 60))


def test_a_brain_with_a_session_of_its_own() -> None:
    async def test() -> None:
        brain = OwnSession()
        async with session(brain, model="my-model") as client:
            [info] = brain.infos
            created = client.of("session.created")[0]["session"]
            assert (info.id, info.model, info.transcription) == (created["id"], "my-model", False)
            assert info.config["instructions"] == created["instructions"]
            await client.send("response.create")
            await client.next("response.output_audio.delta")
        assert brain.log == ["entered", "answered", "left"]  # its last turn is over before its session is

    run(test)


def test_a_session_that_cannot_be_entered() -> None:
    async def test() -> None:
        client = await refused(OwnSession(ConfigError("no line to the far end")))
        assert client.events[0]["error"]["message"].endswith("no line to the far end")

    run(test)


def test_nothing_to_warm_up_costs_no_wait() -> None:
    async def test() -> None:
        ready = Readiness(Echo(), None, ToneVoice())
        ready.begin()
        before = asyncio.all_tasks()
        await ready.wait()
        assert asyncio.all_tasks() == before
        await ready.close()

    run(test)
