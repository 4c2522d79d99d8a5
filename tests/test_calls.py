"""Answering the telephone: signed webhooks in, REST and sidebands out, against a service on loopback."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import httpx2
import pytest

import engine
from engine import calls, events
from engine.errors import ConfigError, NotFoundError
from engine.rest import sign
from engine.server.responders import Say
from tests.rest.service import EPHEMERAL, KEY, Reply, Service, base_of, problem, run, serving

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw=="
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "phone_call.py"
SESSION = {"model": "gpt-realtime", "instructions": "Be brief."}

Answer = Callable[[calls.Incoming], Awaitable[Any]]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_WEBHOOK_SECRET"):
        monkeypatch.delenv(name, raising=False)


class Hello:
    """A model that says the same whatever it hears."""

    name = "hello"

    async def respond(self, _turn: Any) -> AsyncIterator[Any]:
        yield Say("Good day, the bakery.")


class Office:
    """The service with calls that ring, an application that answers them, and a sender of webhooks."""

    def __init__(self, service: Service, app: calls.CallApp, root: str, http: httpx2.AsyncClient) -> None:
        self.service = service
        self.app = app
        self._root = root
        self._http = http

    async def ring(self, call_id: str, webhook_id: str = "", kind: str = "realtime.call.incoming") -> int:
        """Send one webhook; the status it is answered with."""
        data = {"call_id": call_id, "sip_headers": [{"name": "From", "value": "sip:+1415@example.com"}]}
        body = json.dumps({"id": "evt_1", "object": "event", "created_at": 1, "type": kind, "data": data}).encode()
        headers = sign(SECRET, webhook_id or f"wh_{call_id}", int(time()), body)
        return (await self._http.post(self._root + "/webhook", content=body, headers=headers)).status_code


@asynccontextmanager
async def office(answer: Answer, *ringing: str, **options: Any) -> AsyncIterator[Office]:
    service = Service(*ringing)
    service.responder = Hello()
    async with base_of(service) as base:
        app = calls.CallApp(answer, secrets=SECRET, key=KEY, url=base, **options)
        async with (
            serving(app, lifespan="on") as root,
            httpx2.AsyncClient(trust_env=False, timeout=None) as http,
        ):
            yield Office(service, app, root, http)


def test_a_call_is_answered_and_its_sideband_is_a_conversation() -> None:
    turns: list[engine.Turn] = []
    seen: list[str] = []
    over = asyncio.Event()

    async def answer(call: calls.Incoming) -> None:
        seen.append(f"{call.call_id} {call.header('from')}")
        async with call.answer(SESSION) as conversation:
            conversation.send(events.ResponseCreate())
            async for turn in conversation.turns():
                turns.append(turn)
                await call.hang_up()
                over.set()

    async def main() -> Service:
        async with office(answer, "rtc_1") as here:
            assert await here.ring("rtc_1") == 200
            await over.wait()
            assert here.app.calls == 1
            return here.service

    service = run(main())
    assert seen == ["rtc_1 sip:+1415@example.com"]
    assert [asked.path for asked in service.asked] == [
        f"/v1/realtime/calls/rtc_1/{verb}" for verb in ("accept", "hangup")
    ]
    assert service.asked[0].json == {"type": "realtime", **SESSION}
    (socket,) = service.sockets
    assert (socket.path, socket.query) == ("/v1/realtime", "call_id=rtc_1")
    assert socket.headers["authorization"] == f"Bearer {KEY}"
    assert [(turn.role, turn.text, turn.status) for turn in turns] == [
        ("assistant", "Good day, the bakery.", "completed")
    ]
    assert (turns[0].played_ms, turns[0].received_ms, turns[0].interrupted) == (0, 0, False)


def test_the_example_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole file as a user runs it: everything from the environment."""
    assert len([line for line in EXAMPLE.read_text().splitlines()[1:] if line.strip()]) <= 15

    async def main() -> Service:
        service = Service("rtc_1")
        service.responder = Hello()
        async with base_of(service) as base:
            monkeypatch.setenv("OPENAI_BASE_URL", base)
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
            spec = importlib.util.spec_from_file_location("phone_call", EXAMPLE)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            async with (
                serving(module.app, lifespan="on") as root,
                httpx2.AsyncClient(trust_env=False, timeout=None) as http,
            ):
                here = Office(service, module.app, root, http)
                assert await here.ring("rtc_1") == 200
                told = ""
                while "bakery" not in told:
                    await asyncio.sleep(0.01)
                    told += capsys.readouterr().out
        assert told == "rtc_1 assistant: Good day, the bakery.\n"
        return service

    assert set(run(main()).up) == {"rtc_1"}


def test_the_readme_shows_the_example() -> None:
    program = EXAMPLE.read_text().partition("\n\n")[2]
    assert f"```python\n{program}```" in (EXAMPLE.parents[1] / "README.md").read_text()


def test_a_repeated_webhook_answers_once() -> None:
    rung: list[str] = []

    async def answer(call: calls.Incoming) -> None:
        rung.append(call.call_id)
        await call.reject(486)

    async def main() -> tuple[list[int], Service]:
        async with office(answer, "rtc_1") as here:
            return [await here.ring("rtc_1"), await here.ring("rtc_1")], here.service

    statuses, service = run(main())
    assert statuses == [200, 200]
    assert rung == ["rtc_1"]
    assert service.ended == {"rtc_1": "486"}


def test_a_caller_who_has_gone_is_no_failure() -> None:
    async def answer(call: calls.Incoming) -> None:
        async with call.answer(SESSION):
            pytest.fail("nobody is there")

    async def main() -> tuple[int, int]:
        async with office(answer) as here:
            return await here.ring("rtc_1"), len(here.service.asked)

    assert run(main()) == (200, 1)


def test_a_failure_before_the_decision_lets_the_sender_come_again(caplog: pytest.LogCaptureFixture) -> None:
    tries: list[str] = []

    async def answer(call: calls.Incoming) -> None:
        tries.append(call.call_id)
        if len(tries) == 1:
            raise RuntimeError("the database is away")
        await call.accept(SESSION)

    async def main() -> tuple[list[int], Service]:
        async with office(answer, "rtc_1") as here:
            return [await here.ring("rtc_1"), await here.ring("rtc_1"), await here.ring("rtc_1")], here.service

    statuses, service = run(main())
    assert statuses == [500, 200, 200]
    assert tries == ["rtc_1", "rtc_1"]
    assert set(service.up) == {"rtc_1"}
    assert "the database is away" in caplog.text


def test_a_failure_after_the_decision_hangs_up(caplog: pytest.LogCaptureFixture) -> None:
    hung_up = asyncio.Event()

    async def answer(call: calls.Incoming) -> None:
        hang_up = call.hang_up

        async def told() -> None:
            await hang_up()
            hung_up.set()

        call.hang_up = told  # type: ignore[method-assign]
        async with call.answer(SESSION):
            raise RuntimeError("out of words")

    async def main() -> tuple[int, Service]:
        async with office(answer, "rtc_1") as here:
            status = await here.ring("rtc_1")
            await hung_up.wait()
            return status, here.service

    status, service = run(main())
    assert status == 200
    assert service.ended == {"rtc_1": "hangup"}
    assert "out of words" in caplog.text


def test_who_decides_nothing_leaves_the_call_to_others() -> None:
    async def answer(call: calls.Incoming) -> None:
        assert not call.decided

    async def main() -> tuple[int, Service]:
        async with office(answer, "rtc_1") as here:
            return await here.ring("rtc_1"), here.service

    status, service = run(main())
    assert status == 200
    assert service.asked == []


def test_an_acceptance_in_doubt_is_settled_by_the_sideband() -> None:
    """The answer to `accept` breaks off after the service has accepted: asking again would be told 404."""
    talked: list[str] = []
    over = asyncio.Event()

    async def answer(call: calls.Incoming) -> None:
        async with call.answer(SESSION) as conversation:
            talked.append(str(conversation.session["type"]))
            over.set()

    async def main() -> list[int]:
        async with office(answer, "rtc_1") as here:
            here.service.script.append(Reply(200, b"x", breaks=True, done=True))
            status = await here.ring("rtc_1")
            await over.wait()
            return [status, len(here.service.asked)]

    assert run(main()) == [200, 1]
    assert talked == ["realtime"]


def test_an_acceptance_in_doubt_that_was_none_fails() -> None:
    async def answer(call: calls.Incoming) -> None:
        async with call.answer(SESSION):
            pytest.fail("it was not accepted")

    async def main() -> int:
        async with office(answer, "rtc_1") as here:
            here.service.script.append(problem(500, "server_error", "Oh."))
            return await here.ring("rtc_1")

    assert run(main()) == 500


def test_beyond_the_limit_callers_hear_busy() -> None:
    held = asyncio.Event()

    async def answer(call: calls.Incoming) -> None:
        await call.accept(SESSION)
        await held.wait()

    async def main() -> Service:
        async with office(answer, "rtc_1", "rtc_2", max_calls=1) as here:
            assert await here.ring("rtc_1") == 200
            assert await here.ring("rtc_2") == 200
            return here.service

    service = run(main())
    assert set(service.up) == {"rtc_1"}
    assert service.ended == {"rtc_2": "486"}


def test_the_end_of_the_application_ends_its_conversations() -> None:
    ended: list[str] = []

    async def answer(call: calls.Incoming) -> None:
        try:
            async with call.answer(SESSION) as conversation:
                async for _ in conversation.events():
                    pass
        finally:
            ended.append(call.call_id)

    async def main() -> None:
        async with office(answer, "rtc_1") as here:
            assert await here.ring("rtc_1") == 200
            assert here.app.calls == 1
        assert here.app.calls == 0

    run(main())
    assert ended == ["rtc_1"]


def test_other_events_are_answered_and_left_alone() -> None:
    async def answer(call: calls.Incoming) -> None:
        pytest.fail("this is no call of ours")

    async def main() -> int:
        async with office(answer, "rtc_1") as here:
            return await here.ring("rtc_1", kind="live.call.incoming")

    assert run(main()) == 200


def test_referring() -> None:
    referred = asyncio.Event()

    async def answer(call: calls.Incoming) -> None:
        await call.accept(SESSION)
        assert call.up
        await call.refer("tel:+14155550123")
        assert not call.up
        referred.set()

    async def main() -> Service:
        async with office(answer, "rtc_1") as here:
            assert await here.ring("rtc_1") == 200
            await referred.wait()
            return here.service

    assert run(main()).ended == {"rtc_1": "tel:+14155550123"}


def test_interrupting_a_call_clears_the_servers_sound_and_truncates_nothing() -> None:
    seen: list[str] = []

    async def main() -> None:
        service = Service()
        service.up["rtc_1"] = None
        async with (
            base_of(service) as base,
            engine.connect(call_id="rtc_1", url=base, key=EPHEMERAL, observer=Watch(seen)) as conversation,
        ):
            conversation.send(events.ResponseCreate())
            async for event in conversation.events():
                if isinstance(event, events.ResponseCreated):
                    conversation.interrupt()
                if isinstance(event, events.Error):  # the embedded server has no call behind its socket
                    assert "output_audio_buffer.clear" in event.message
                    break
            async for turn in conversation.turns():
                assert turn.interrupted
                break

    run(main())
    assert seen == ["response.create", "response.cancel", "output_audio_buffer.clear"]


class Watch:
    """Notes what is sent."""

    def __init__(self, sent: list[str]) -> None:
        self._sent = sent

    def event(self, direction: str, message: bytes, event: Any) -> None:
        if direction == "sent":
            self._sent.append(event.type)

    def sound(self, event: Any, item: Any) -> None:
        pytest.fail("there is no sound here")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"call_id": "rtc_1"}, "no server is named"),
        ({"call_id": "rtc/1", "key": KEY}, "call_id is"),
        ({"call_id": "rtc_1", "key": KEY, "endpoint": engine.WavFile("x.wav")}, "leave the endpoint out"),
        ({}, "give an endpoint"),
    ],
)
def test_what_cannot_be(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        engine.connect(**options)


def test_an_application_without_a_secret() -> None:
    async def answer(call: calls.Incoming) -> None: ...

    with pytest.raises(ConfigError, match="OPENAI_WEBHOOK_SECRET"):
        calls.CallApp(answer)


def test_a_decision_can_fail_and_be_told(caplog: pytest.LogCaptureFixture) -> None:
    """`reject` of a caller who has gone is the handler's to meet; unmet, it is no failure either."""

    async def answer(call: calls.Incoming) -> None:
        with pytest.raises(NotFoundError):
            await call.reject()
        await call.reject()

    async def main() -> int:
        async with office(answer) as here:
            return await here.ring("rtc_1")

    with caplog.at_level(logging.INFO, "bargein"):
        assert run(main()) == 200
    assert "the caller has gone" in caplog.text
