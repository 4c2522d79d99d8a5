"""Canaries: every kind of secret is planted wherever one can be, servers quote them all, and then everything that was
written (logs at the lowest level, errors, reprs, traces, output) is searched for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from time import time
from typing import Any

import httpx2
import pytest
from websockets.asyncio.client import connect as plain_connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import WebSocketException
from websockets.http11 import Request, Response

import engine
from engine import calls, events
from engine.conversation import Settings
from engine.errors import ApiError, EngineError, TransportError
from engine.realtime.types import McpTool, RealtimeSession
from engine.rest import Client, Verifier, WebhookApp, sign
from engine.server import Credentials, ServerOptions, SessionLog, responder
from engine.server import serve as serve_embedded
from engine.server.responders import Script
from engine.server.traces.file import TraceFile
from engine.server.voices import ToneVoice
from engine.server.web.keys import KeyRing, Keys, digest_of
from tests.cli import servers
from tests.cli.harness import environment, silence, wav
from tests.cli.harness import run as run_program
from tests.rest.service import EPHEMERAL, KEY, OFFER, Reply, Service, base_of, problem, run, serving
from tests.server import mcp_world
from tests.transport.test_websocket import server

OPAQUE = "canary0opaque0azure0key0000"  # in no shape that anybody would know
WEBHOOK = "whsec_Y2FuYXJ5MHdlYmhvb2swc2VjcmV0"
AUTHORIZATION = "canary0mcp0authorization"
HEADER = "canary0mcp0header"
QUERY = "canary0query0secret"
PASSWORD = "canary0password"
SUBPROTOCOL = "canary0subprotocol0key"
CANARIES = {
    "API key": KEY,
    "client secret": EPHEMERAL,
    "opaque key": OPAQUE,
    "webhook secret": WEBHOOK.removeprefix("whsec_"),
    "MCP authorization": AUTHORIZATION,
    "MCP header": HEADER,
    "query": QUERY,
    "password": PASSWORD,
    "subprotocol": SUBPROTOCOL,
}
TOOL = {
    "type": "mcp",
    "server_label": "shop",
    "server_url": f"https://user:{PASSWORD}@shop.example/mcp?token={QUERY}",
    "authorization": f"Bearer {AUTHORIZATION}",
    "headers": {"X-Shop": HEADER},
}
SESSION = {"type": "realtime", "tools": [TOOL]}
EVERYTHING = " ".join([KEY, OPAQUE, WEBHOOK, AUTHORIZATION, HEADER, f"?token={QUERY}", EPHEMERAL])


class Written:
    """All that anybody could read: log records at every level, and what the test adds."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def add(self, *things: Any) -> None:
        for thing in things:
            if isinstance(thing, BaseException):
                told = traceback.format_exception(thing)
                self.texts += [str(thing), repr(thing), repr(vars(thing)), *told]
            else:
                self.texts += [thing if isinstance(thing, str) else repr(thing)]

    def leaks(self, but: str = "") -> list[str]:
        """The names of the canaries that are found, with the text around each."""
        found = []
        for name, secret in CANARIES.items():
            for text in self.texts:
                at = text.find(secret)
                if at >= 0 and name != but:
                    found.append(f"{name}: {text[max(at - 60, 0) : at + 60]!r}")
                    break
        return found


@pytest.fixture
def written(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """Everything is logged, by every library; afterwards nothing of it may hold a secret."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_WEBHOOK_SECRET", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    seen = Written()
    caplog.set_level(logging.DEBUG)
    yield seen
    formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
    peers = ("the peer", "uvicorn", "websockets.server", "asyncio")  # the scripted servers' own
    records = [record for record in caplog.get_records("call") if not record.name.startswith(peers)]
    seen.add(*(formatter.format(record) for record in records))
    assert seen.texts, "nothing was written: this canary sees nothing"
    assert seen.leaks() == []


def test_the_canary_sees() -> None:
    """It must be able to sing."""
    seen = Written()
    seen.add(ValueError(f"bad key {OPAQUE}"), {"authorization": AUTHORIZATION})
    assert len(seen.leaks()) == 2


@pytest.mark.parametrize("key", [KEY, OPAQUE])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500])
def test_rest_errors_that_quote_everything(key: str, status: int, written: Written) -> None:
    async def main() -> None:
        service = Service("rtc_1")
        quoted = problem(status, f"code {EVERYTHING}", EVERYTHING, EVERYTHING)
        service.script += [quoted] * 3
        async with base_of(service) as base:
            url = base.replace("//", f"//user:{PASSWORD}@") + f"?api-version=1&token={QUERY}"
            for session in (SESSION, RealtimeSession(tools=[McpTool.from_wire(TOOL)])):
                async with Client(key, base_url=url, headers={"X-Opaque": OPAQUE}, retries=0) as client:
                    written.add(client)
                    with pytest.raises(ApiError) as raised:
                        await client.accept_call("rtc_1", session)
                    written.add(raised.value, session if not isinstance(session, dict) else "")

    run(main())


def test_rest_answers_and_broken_ones(written: Written) -> None:
    async def main() -> None:
        service = Service("rtc_1")
        async with base_of(service) as base, Client(KEY, base_url=base, retries=0) as client:
            written.add(await client.create_client_secret(SESSION), await client.create_session())
            written.add(await client.create_transcription_session(), await client.create_call(OFFER, SESSION))
            for reply in (Reply(200, EVERYTHING.encode()), Reply(200, b"{" + KEY.encode(), breaks=True), Reply(302)):
                service.script.append(reply)
                with pytest.raises(EngineError) as raised:
                    await client.create_client_secret(SESSION)
                written.add(raised.value)

    run(main())


def test_webhooks(written: Written) -> None:
    async def main() -> None:
        async def handler(_webhook: Any) -> None:
            raise RuntimeError("the handler fails")

        app = WebhookApp(handler, WEBHOOK)
        async with serving(app) as root, httpx2.AsyncClient(trust_env=False, timeout=None) as http:
            body = json.dumps({"type": "x", "data": {}}).encode()
            good = sign(WEBHOOK, "wh_1", int(time()), body)
            for headers in (good, {**good, "webhook-signature": "v1,AAAA"}, {}):
                await http.post(root, content=body, headers=headers)
        written.add(app, Verifier(WEBHOOK), app.seen)
        for bad in (WEBHOOK + "!", "whsec_"):
            with pytest.raises(EngineError) as raised:
                Verifier(bad)
            written.add(raised.value)

    run(main())


def test_an_incoming_call_from_webhook_to_sideband(written: Written) -> None:
    over = asyncio.Event()

    async def answer(call: calls.Incoming) -> None:
        written.add(call)
        async with call.answer(SESSION) as conversation:
            written.add(conversation)
        over.set()
        raise RuntimeError("after the call")

    async def main() -> None:
        service = Service("rtc_1")
        async with base_of(service) as base:
            app = calls.CallApp(answer, secrets=WEBHOOK, key=KEY, url=base)
            written.add(app)
            event = {"id": "e", "created_at": 1, "type": "realtime.call.incoming", "data": {"call_id": "rtc_1"}}
            body = json.dumps(event).encode()
            async with serving(app, lifespan="on") as root, httpx2.AsyncClient(trust_env=False, timeout=None) as http:
                await http.post(root, content=body, headers=sign(WEBHOOK, "wh_1", int(time()), body))
                await over.wait()

    run(main())


@pytest.mark.parametrize("key", [KEY, OPAQUE, EPHEMERAL])
def test_sockets_that_refuse_close_and_quote(key: str, written: Written) -> None:
    def refuse(peer: ServerConnection, request: Request) -> Response:
        return peer.respond(HTTPStatus(401), EVERYTHING + str(request.headers))

    async def quote(peer: ServerConnection) -> None:
        await peer.close(1008, f"{key} {KEY} {EPHEMERAL} ?token={QUERY}")

    async def error(peer: ServerConnection) -> None:
        told = {"type": "error", "event_id": "e", "error": {"type": "x", "message": EVERYTHING.replace(OPAQUE, "")}}
        await servers.tell(peer, "session.created", session={"type": "realtime", "id": "sess_1"})
        await peer.recv()
        await peer.send(json.dumps(told))

    async def main() -> None:
        quiet = logging.getLogger("the peer")
        for handler, options in ((quote, {"process_request": refuse}), (quote, {}), (error, {})):
            async with server(handler, logger=quiet, **options) as url:
                target = url.partition("?")[0] + f"?model=m&token={QUERY}"
                opened = engine.connect(engine.WavFile("none.wav"), url=target, key=key, session=SESSION)
                with pytest.raises(EngineError) as raised:
                    async with opened:
                        pytest.fail("it was opened")
                written.add(raised.value, opened)
        with contextlib.suppress(TransportError):
            async with engine.connect(call_id="rtc_1", url=f"ws://u:{PASSWORD}@127.0.0.1:1/v1?token={QUERY}", key=key):
                pass

    run(main())


def test_settings_events_and_what_is_refused(written: Written) -> None:
    written.add(
        Settings(session=SESSION),
        events.SessionUpdate(session=SESSION),
        events.SessionCreated(session=SESSION),
        events.Unknown(type="x", fields=SESSION),
        events.Error(error={"message": f"{KEY} {EPHEMERAL} {WEBHOOK}"}),
        RealtimeSession.from_wire(SESSION),
    )
    for url in (f"ftp://user:{PASSWORD}@host/?token={QUERY}", f"wss://user:{PASSWORD}@[x/?token={QUERY}"):
        with pytest.raises(EngineError) as raised:
            engine.connect(engine.WavFile("x"), url=url, key=KEY)
        written.add(raised.value)
    for key in (f"{OPAQUE} {KEY}", f"{OPAQUE}\n", f"é{OPAQUE}"):
        try:
            engine.connect(engine.WavFile("x"), url="wss://host/v1", key=key)
        except EngineError as error:
            written.add(error)


def test_the_embedded_server(written: Written) -> None:
    """Keys in its subprotocols, headers and query, let in and refused."""

    async def main() -> None:
        options = ServerOptions(burst=100)
        async with serve_embedded(responder=responder("echo"), voice=ToneVoice(), options=options) as running:
            written.add(running, running.url)
            for path, origin in (("", None), ("/elsewhere", None), ("", "https://evil.example")):
                with contextlib.suppress(WebSocketException):
                    async with plain_connect(
                        running.url + path + f"?model=m&token={QUERY}",
                        subprotocols=["realtime", f"openai-insecure-api-key.{SUBPROTOCOL}"],  # type: ignore[list-item]
                        additional_headers={"Authorization": f"Bearer {KEY}", "api-key": OPAQUE},
                        origin=origin,  # type: ignore[arg-type]
                        logger=logging.getLogger("the peer"),
                    ) as socket:
                        await socket.recv()
                        await socket.send(json.dumps({"type": "session.update", "session": SESSION}))
                        await socket.send(json.dumps({"type": "session.update", "session": {"type": OPAQUE}}))
                        await socket.recv()

    run(main())


def test_the_embedded_server_with_keys(written: Written, tmp_path: Path) -> None:
    """Known keys and client secrets, and unknown ones, wherever they can stand; with traces, figures and the log."""
    keys = Keys({digest_of(KEY): "ours", digest_of(OPAQUE): "theirs"})
    credentials = Credentials(KeyRing(keys))
    brain = Script({"mcp": {"shop": {"tools": [{"name": "buy"}]}}, "rules": [], "default": [{"say": "Hm."}]})
    trace = TraceFile(tmp_path / "trace.jsonl")
    log = SessionLog(words=True)
    options = ServerOptions(burst=1000, trace=trace, trace_all=True, trace_words=True, watchers=(log,))
    secrets: list[str] = []

    async def opened(url: str, key: str, where: str) -> None:
        protocols = ["realtime", f"openai-insecure-api-key.{key}"] if where == "subprotocol" else None
        headers = {"authorization": {"Authorization": f"Bearer {key}"}, "api-key": {"api-key": key}}.get(where)
        quiet = logging.getLogger("the peer")
        with contextlib.suppress(WebSocketException):
            async with plain_connect(
                url,
                additional_headers=headers,
                subprotocols=protocols,  # type: ignore[arg-type]
                logger=quiet,
            ) as socket:
                await socket.send(json.dumps({"type": "response.create"}))
                while (event := json.loads(await socket.recv()))["type"] != "response.done":
                    written.add(json.dumps(event).replace(str(TOOL["server_url"]), "URL"))

    async def main() -> None:
        async with serve_embedded(
            responder=brain, voice=ToneVoice(), options=options, credentials=credentials
        ) as running:
            async with Client(KEY, base_url=running.base_url) as rest:
                secrets.append((await rest.create_client_secret(SESSION)).value)
                secrets.append((await rest.create_session()).client_secret.value)
            for key in (KEY, OPAQUE, EPHEMERAL, SUBPROTOCOL, *secrets):
                for where in ("authorization", "api-key", "subprotocol"):
                    await opened(running.url, key, where)
            async with httpx2.AsyncClient(trust_env=False, timeout=None) as http:
                root = running.base_url.removesuffix("/v1")
                for path in ("/metrics", "/capabilities", "/v1/models", "/v1/models/x", "/healthz", "/none"):
                    for key in (KEY, EPHEMERAL, secrets[0], f"{KEY} {OPAQUE}"):
                        answer = await http.get(root + path, headers={"Authorization": f"Bearer {key}"})
                        written.add(answer.text, repr(answer.headers))
                for body in (EVERYTHING, json.dumps({"session": {"type": "realtime", "tools": [TOOL], "x": 1}})):
                    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
                    answer = await http.post(f"{root}/v1/realtime/client_secrets", content=body, headers=headers)
                    assert answer.status_code == 400
                    written.add(answer.text)
            written.add(running, running.site, credentials, credentials.ring, credentials.registry, options, log)

    run(main())
    written.add((tmp_path / "trace.jsonl").read_text(encoding="utf-8"))
    assert any("list_tools shop" in text for text in written.texts)
    assert len(secrets) == 2 and not [text for text in written.texts for secret in secrets if secret[3:] in text]


@pytest.mark.parametrize("way", ["new", "old", "sse"])
def test_mcp_servers_that_quote(way: str, written: Written, tmp_path: Path) -> None:
    """The server inside as MCP client: a real MCP server tells what it was sent, in errors and as a result. The session
    is traced with all that tools get and give.
    """
    mcp_world.need_mcp()

    async def main() -> None:
        with mcp_world.peer(way) as bare:
            url = f"{bare}?token={QUERY}"
            secret = mcp_world.tool(url, **{name: TOOL[name] for name in ("authorization", "headers")})
            trace = TraceFile(tmp_path / "trace.jsonl")
            settings = replace(mcp_world.options(url), trace=trace, trace_all=True, trace_words=True)
            calls = [mcp_world.call(name) for name in ("quotes", "shows", "missing")]
            async with mcp_world.shopping(settings, *calls) as shopper:
                await shopper.client.update(tools=[TOOL])  # a user and a password in the URL
                assert "shows" in await shopper.listed(secret)
                quoted = await shopper.answered()
                assert "[hidden] [hidden] 127.0.0.1" in quoted["error"]["message"], "it was sent"
                await shopper.client.next("response.done")
                assert "[hidden]" in (await shopper.answered())["output"]
                for bad in (
                    {"authorization": f"{AUTHORIZATION}\n"},
                    {"headers": {"Host": HEADER}},
                    {"headers": HEADER},
                ):
                    refused = await shopper.client.update(tools=[{**secret, **bad}])
                    assert refused["type"] == "error"
                    written.add(refused)
                shown = [json.dumps(event).replace(url, "URL") for event in shopper.client.events]
                assert any("URL" in text for text in shown)
                written.add(*shown, shopper.brain.turns, settings)
            traced = (tmp_path / "trace.jsonl").read_text(encoding="utf-8")
            assert "tool quotes" in traced and "tool shows" in traced
            written.add(traced)

    mcp_world.run(main)


@pytest.mark.parametrize("body", [b"{" + EVERYTHING.encode(), json.dumps({"x": EVERYTHING}).encode()])
@pytest.mark.parametrize("status", [200, 401, 404, 302])
def test_mcp_servers_that_break_and_quote(status: int, body: bytes, written: Written) -> None:
    mcp_world.need_mcp()

    async def quotes(request: mcp_world.Request, writer: asyncio.StreamWriter) -> None:
        echo = {"X_Echo": EVERYTHING, "location": f"http://127.0.0.1:1/?token={QUERY}"}
        mcp_world.answer(writer, body, status, **echo)

    async def main() -> None:
        async with mcp_world.hostile(quotes) as peer:
            url = f"{peer.url()}?token={QUERY}"
            async with mcp_world.shopping(mcp_world.options(url)) as shopper:
                assert (
                    await shopper.listed(mcp_world.tool(url, authorization=AUTHORIZATION, headers=TOOL["headers"]))
                    == []
                )
                written.add(*(json.dumps(event).replace(url, "URL") for event in shopper.client.events))
            assert peer.requests[0].headers["authorization"] == f"Bearer {AUTHORIZATION}"
            assert peer.requests[0].headers["x-shop"] == HEADER

    mcp_world.run(main)


# ---- the command line: every stream and every file


@asynccontextmanager
async def quoting() -> AsyncIterator[str]:
    """A server that welcomes a conversation and then quotes the key in every way it can."""

    async def session(peer: ServerConnection) -> None:
        assert peer.request is not None
        key = peer.request.headers["Authorization"].removeprefix("Bearer ")
        await servers.welcome(peer)
        said = f"your key {key}, and {EPHEMERAL} {WEBHOOK} Bearer {AUTHORIZATION} https://h/?token={QUERY}"
        await servers.tell(peer, "error", error={"type": "x", "message": said, "code": None})
        await servers.tell(peer, "server.invented", authorization=AUTHORIZATION, text=said)
        item = {"id": "item_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": key}]}
        await servers.tell(peer, "conversation.item.added", previous_item_id=None, item=item)
        await servers.tell(peer, "conversation.item.done", previous_item_id=None, item=item)
        await peer.send(f"no JSON {key}")
        await servers.listen_on(peer)

    async with servers.websocket(session) as url:
        yield url


@pytest.mark.parametrize("key", [KEY, OPAQUE])
@pytest.mark.parametrize("more", [[], ["--json"], ["--debug"]])
def test_a_file_that_talks_to_a_server_that_quotes(key: str, more: list[str], tmp_path: Path) -> None:
    seen = Written()
    with servers.running(quoting()) as url:
        path = wav(tmp_path / "in.wav", silence(0.1))
        target = url + f"?model=m&token={QUERY}"
        outputs = ["--events", tmp_path / "events", "--out", tmp_path / "out.wav", "--server", target]
        ran = run_program("file", path, "--fast", *outputs, *more, env=environment(OPENAI_API_KEY=key))
    seen.add(ran.out, ran.err, *(file.read_bytes().decode("latin-1") for file in tmp_path.iterdir()))
    assert "server.invented" in (tmp_path / "events").read_text()
    assert "[hidden]" in ran.out + ran.err
    assert seen.leaks() == []


def test_secret_and_call_on_the_command_line(tmp_path: Path) -> None:
    seen = Written()
    (tmp_path / "session.json").write_text(json.dumps(SESSION))
    (tmp_path / "key").write_text(OPAQUE)
    service = Service("rtc_1")
    with servers.running(base_of(service)) as base:
        given = {"OPENAI_BASE_URL": base + f"?token={QUERY}", "OPENAI_API_KEY": KEY}
        created = run_program("secret", "create", "--session", tmp_path / "session.json", env=environment(**given))
        assert created.out == EPHEMERAL + "\n", "what was asked for"
        seen.add(created.err)
        for key in ([], ["--key-file", tmp_path / "key"]):
            for debug in ([], ["--debug"]):
                quoted = EVERYTHING if key else EVERYTHING.replace(OPAQUE, KEY)
                service.script.append(problem(401, "invalid_api_key", quoted))
                action = ["call", "accept", "rtc_1", "--session", tmp_path / "session.json"]
                process = start_and_read(*action, *key, *debug, env=environment(**given))
                seen.add(*process)
    assert len(seen.texts) == 9
    assert seen.leaks() == []


def start_and_read(*arguments: object, env: dict[str, str]) -> tuple[str, str]:
    """Its two streams; a traceback of --debug is allowed, and is to be searched too."""
    from tests.cli.harness import TIMEOUT_S, start

    return start(*arguments, env=env).communicate(timeout=TIMEOUT_S)
