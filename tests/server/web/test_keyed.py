"""A server with keys, end to end: what a key may do, what a client secret may do, and what nobody may."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from engine.errors import AccessError, HandshakeRefused, RateLimitError
from engine.realtime.types import ReportedSession, ReportedTranscription, TranscriptionSession
from engine.rest import Client
from engine.server import Access, Credentials, Server, ServerOptions
from engine.server.web.credentials import SUBPROTOCOL
from engine.server.web.keys import KeyRing, Keys, digest_of
from engine.server.web.messages import Answer, Request
from engine.server.web.registry import MemoryRegistry, RegistryLimits
from engine.server.web.routes import Route
from engine.transport import websocket
from tests.server.web.http import BOTH, FAST, ask, shake, until, with_server
from tests.server.web.test_metrics import read

openai = pytest.importorskip("openai")

KITCHEN, GARAGE = "sk-kitchen-0123456789", "sk-garage-0123456789"
SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "attached",
    "instructions": "Be brief.",
    "audio": {"output": {"voice": "marin"}, "input": {"turn_detection": None}},
}
TRANSCRIPTION = {"type": "transcription", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
PATH = "/v1/realtime/client_secrets"
JSON = "Content-Type: application/json"


def keyed(**limits: int) -> Credentials:
    keys = Keys({digest_of(KITCHEN): "kitchen", digest_of(GARAGE): "garage"})
    return Credentials(KeyRing(keys), MemoryRegistry(RegistryLimits(**limits)))


def bearer(credential: str) -> str:
    return f"Authorization: Bearer {credential}"


def client(server: Server, key: str = KITCHEN) -> Client:
    return Client(key, base_url=server.base_url, retries=0)


async def created(server: Server, credential: str, query: str = "") -> dict[str, Any]:
    """The session that a socket is told of; or the error event that it gets instead."""
    headers = {"Authorization": f"Bearer {credential}"}
    async with websocket.connect(server.url + query, headers=headers) as connection:
        event = json.loads(await connection.receive())
        told: dict[str, Any] = event.get("session") or event["error"]
        return told


async def secret(server: Server, session: Any = None) -> str:
    async with client(server) as rest:
        return (await rest.create_client_secret(session)).value


# ---- secrets


def test_from_key_to_secret_to_session() -> None:
    async def test(server: Server) -> None:
        async with client(server) as rest:
            made = await rest.create_client_secret(SESSION, expires_after_s=60)
        assert made.value.startswith("ek_") and isinstance(made.session, ReportedSession)
        assert made.session.instructions == "Be brief."
        for _ in range(2):
            told = await created(server, made.value)
            assert (told["model"], told["instructions"]) == ("attached", "Be brief.")
            assert (told["audio"]["output"]["voice"], told["audio"]["input"]["turn_detection"]) == ("marin", None)
            assert told["expires_at"] > made.expires_at
        assert (await created(server, made.value, "?model=asked"))["model"] == "asked"

    with_server(test, credentials=keyed())


def test_a_browser_offers_its_secret_as_a_subprotocol() -> None:
    async def test(server: Server) -> None:
        offered: Any = ["realtime", f"{SUBPROTOCOL}{await secret(server, SESSION)}", "openai-beta.realtime-v1"]
        async with connect(server.url, subprotocols=offered) as socket:
            assert socket.subprotocol == "realtime"
            assert json.loads(await socket.recv())["session"]["model"] == "attached"

    with_server(test, credentials=keyed())


def test_a_transcription_secret_needs_no_word_in_the_url() -> None:
    async def test(server: Server) -> None:
        async with client(server) as rest:
            made = await rest.create_client_secret(TranscriptionSession.from_wire(TRANSCRIPTION))
            assert isinstance(made.session, ReportedTranscription)
        for query in ("", "?intent=transcription"):
            assert (await created(server, made.value, query))["type"] == "transcription"
        assert (await created(server, made.value, "?model=gpt-realtime"))["code"] == "invalid_model"
        assert read(server.site.metrics.text())['bargein_refused_total{reason="dismissed"}'] == 1

    with_server(test, credentials=keyed())


def test_a_secret_for_a_conversation_opens_no_transcription() -> None:
    async def test(server: Server) -> None:
        value = await secret(server, SESSION)
        headers = {"Authorization": f"Bearer {value}"}
        async with connect(server.url + "?intent=transcription", additional_headers=headers) as socket:
            assert json.loads(await socket.recv())["error"]["code"] == "invalid_parameter"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 4000

    with_server(test, credentials=keyed())


@BOTH
def test_what_nobody_may(front: str) -> None:
    async def test(server: Server) -> None:
        for lines in ([], [bearer("sk-unknown-0123456789")], [bearer("ek_unknown")], ["api-key: x"]):
            reply = await shake(server, *lines)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
            for path in ("/v1/models", "/metrics", "/capabilities", "/v1/models/gpt-realtime"):
                assert (await ask(server, "GET", path, *lines)).status == 401
        assert (await ask(server, "GET", "/healthz")).status == 200
        for lines in ([bearer(KITCHEN)], [f"api-key: {KITCHEN}"], [f"Sec-WebSocket-Protocol: {SUBPROTOCOL}{KITCHEN}"]):
            assert (await shake(server, *lines)).status == 101
        for path in ("/v1/models", "/metrics", "/capabilities", "/v1/models/gpt-realtime"):
            assert (await ask(server, "GET", path, bearer(KITCHEN))).status == 200

    with_server(test, credentials=keyed(), front=front)


def test_a_secret_opens_sessions_and_nothing_else() -> None:
    async def test(server: Server) -> None:
        value = await secret(server)
        for path in ("client_secrets", "sessions", "transcription_sessions", "translations/client_secrets"):
            reply = await ask(server, "POST", f"/v1/realtime/{path}", bearer(value), JSON, body=b"{}")
            assert (reply.status, reply.error["code"]) == (403, "insufficient_permissions")
        for path in ("/v1/models", "/metrics", "/capabilities"):
            assert (await ask(server, "GET", path, bearer(value))).status == 403

    with_server(test, credentials=keyed())


def test_a_secret_expires_and_its_sessions_go_on() -> None:
    async def test(server: Server) -> None:
        now = server.site.now()
        server.site.now = lambda: now
        value = await secret(server)
        headers = {"Authorization": f"Bearer {value}"}
        async with websocket.connect(server.url, headers=headers) as connection:
            await connection.receive()
            server.site.now = lambda: now + 601
            with pytest.raises(HandshakeRefused) as refused:
                await created(server, value)
            assert refused.value.status == 401
            await connection.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
            assert json.loads(await connection.receive())["type"] == "session.updated"

    with_server(test, credentials=keyed())


def test_a_key_that_is_taken_away_opens_nothing_more() -> None:
    credentials = keyed()

    async def test(server: Server) -> None:
        value = await secret(server)
        credentials.ring.current = Keys({digest_of(GARAGE): "garage"})
        for credential in (KITCHEN, value):
            with pytest.raises(HandshakeRefused):
                await created(server, credential)
        assert (await created(server, GARAGE))["type"] == "realtime"

    with_server(test, credentials=credentials)


def test_secrets_count_with_their_key() -> None:
    async def test(server: Server) -> None:
        value = await secret(server)
        headers = {"Authorization": f"Bearer {value}"}
        async with websocket.connect(server.url, headers=headers) as connection:
            await connection.receive()
            for credential in (value, KITCHEN):
                assert (await shake(server, bearer(credential))).status == 429
            assert (await shake(server, bearer(GARAGE))).status == 101

    with_server(test, credentials=keyed(), access=Access(sessions_per_key=1))


def test_a_full_registry() -> None:
    async def test(server: Server) -> None:
        async with client(server) as rest:
            await rest.create_client_secret(expires_after_s=7200)
            with pytest.raises(RateLimitError) as full:
                await rest.create_client_secret()
            assert full.value.status == 429
        async with client(server, GARAGE) as rest:
            await rest.create_client_secret()

    with_server(test, credentials=keyed(per_key=1))


def test_a_stranger_is_refused_by_the_head_alone() -> None:
    """So that nobody's megabytes are kept for him."""

    async def test(server: Server) -> None:
        head = (("host", "localhost"), ("content-type", "application/json"), ("content-length", "4000000"))
        for credential, status in (("sk-unknown-0123456789", 401), (await secret(server), 403)):
            request = Request("POST", PATH, "", (*head, ("authorization", f"Bearer {credential}")))
            answer = server.site.route(request)
            assert isinstance(answer, Answer) and answer.status == status
        known = Request("POST", PATH, "", (*head, ("authorization", f"Bearer {KITCHEN}")))
        assert isinstance(server.site.route(known), Route)

    with_server(test, credentials=keyed())


# ---- without keys


def test_without_keys_everybody_makes_secrets() -> None:
    async def test(server: Server) -> None:
        async with client(server, "whatever") as rest:
            made = await rest.create_client_secret(SESSION)
        assert (await created(server, made.value))["model"] == "attached"
        with pytest.raises(HandshakeRefused):
            await created(server, "ek_unknown")
        assert (await created(server, "sk-anything"))["model"] == "gpt-realtime"

    with_server(test)


def test_the_bare_front_makes_none_and_says_what_does() -> None:
    """So it lets in whoever shows one without need: some clients in browsers insist on it."""

    async def test(server: Server) -> None:
        assert (await created(server, "ek_unknown"))["model"] == "gpt-realtime"
        reply = await ask(server, "POST", "/v1/realtime/client_secrets", JSON, body=b"{}")
        assert reply.status == 501 and "bargein[server]" in reply.error["message"]
        told = json.loads((await ask(server, "GET", "/capabilities")).body)
        assert "GET /metrics" in told["endpoints"] and not any("POST" in line for line in told["endpoints"])
        assert json.loads((await ask(server, "GET", "/v1/models")).body)["data"][0]["id"] == "gpt-realtime"

    with_server(test, front="bare")


# ---- clients of others


def test_the_official_client() -> None:
    async def test(server: Server) -> None:
        async with openai.AsyncOpenAI(api_key=KITCHEN, base_url=server.base_url, max_retries=0) as official:
            made = await official.realtime.client_secrets.create(
                expires_after={"anchor": "created_at", "seconds": 30}, session=SESSION
            )
            assert made.value.startswith("ek_") and made.session.instructions == "Be brief."
            heard = await official.realtime.client_secrets.create(session=TRANSCRIPTION)
            assert heard.session.type == "transcription"
            with pytest.raises(openai.BadRequestError) as wrong:
                await official.realtime.client_secrets.create(session={"type": "realtime", "audio": {"output": 1}})
            assert (wrong.value.code, wrong.value.param) == ("invalid_type", "session.audio.output")
            assert [model.id async for model in official.models.list()] == ["gpt-realtime"]
            assert (await official.models.retrieve("gpt-realtime")).owned_by == "bargein"
            with pytest.raises(openai.NotFoundError):
                await official.models.retrieve("gpt-2")
        async with openai.AsyncOpenAI(api_key=made.value, base_url=server.base_url, max_retries=0) as official:
            async with official.realtime.connect(model="asked") as connection:
                event = await connection.recv()
                assert event.type == "session.created" and event.session.model == "asked"
                assert event.session.instructions == "Be brief."
            with pytest.raises(openai.PermissionDeniedError):
                await official.realtime.client_secrets.create()
        async with openai.AsyncOpenAI(api_key="sk-unknown-0123456789", base_url=server.base_url) as official:
            with pytest.raises(openai.AuthenticationError):
                await official.models.list()

    with_server(test, credentials=keyed())


def test_the_older_way_to_a_secret() -> None:
    async def test(server: Server) -> None:
        async with client(server) as rest:
            old = await rest.create_session({"voice": "coral", "modalities": ["text"], "turn_detection": None})
            told = await created(server, old.client_secret.value)
            assert (told["audio"]["output"]["voice"], told["output_modalities"]) == ("coral", ["text"])
            heard = await rest.create_transcription_session({"input_audio_format": "g711_ulaw"})
            told = await created(server, heard.client_secret.value)
            assert (told["type"], told["audio"]["input"]["format"]) == ("transcription", {"type": "audio/pcmu"})
        headers = {"Authorization": f"Bearer {old.client_secret.value}", "OpenAI-Beta": "realtime=v1"}
        async with connect(server.url, additional_headers=headers) as socket:
            session = json.loads(await socket.recv())["session"]
            assert (session["voice"], session["modalities"], session["temperature"]) == ("coral", ["text"], 0.8)

    with_server(test, ServerOptions(burst=1000, beta=True), credentials=keyed())


def test_refusals_as_our_own_client_sees_them() -> None:
    async def test(server: Server) -> None:
        async with client(server, "sk-unknown-0123456789") as rest:
            with pytest.raises(AccessError) as refused:
                await rest.create_client_secret()
            assert (refused.value.status, refused.value.code) == (401, "invalid_api_key")

    with_server(test, credentials=keyed())


# ---- figures


@BOTH
def test_metrics_of_what_happened(front: str) -> None:
    async def test(server: Server) -> None:
        async def figures() -> dict[str, float]:
            reply = await ask(server, "GET", "/metrics", bearer(KITCHEN))
            assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            return read(reply.body.decode())

        await shake(server)
        await shake(server, bearer(KITCHEN), host="evil.example")
        if front == "asgi":
            await secret(server)
        headers = {"Authorization": f"Bearer {KITCHEN}"}
        async with websocket.connect(server.url, headers=headers) as connection:
            await connection.receive()
            await connection.send(json.dumps({"type": "response.create"}))
            while json.loads(await connection.receive())["type"] != "response.done":
                pass
            found = await figures()
            assert (found["bargein_sessions"], found['bargein_responses_total{status="completed"}']) == (1, 1)
            assert found["bargein_turn_latency_seconds_count"] == 1
        await until(lambda: not server.sessions)
        found = await figures()
        assert (found["bargein_sessions"], found['bargein_sessions_closed_total{code="1000"}']) == (0, 1)
        assert found['bargein_refused_total{reason="unauthorized"}'] == 1
        assert found['bargein_refused_total{reason="invalid_host"}'] == 1
        assert found["bargein_client_secrets_issued_total"] == found["bargein_client_secrets"] == (front == "asgi")
        await until(lambda: "bargein_loop_lag_seconds_count 0\n" not in server.site.metrics.text())
        server.site.draining = True
        assert (await figures())["bargein_draining"] == 1

    with_server(test, FAST, credentials=keyed(), front=front)


def test_capabilities_name_what_there_is() -> None:
    async def test(server: Server) -> None:
        told = json.loads((await ask(server, "GET", "/capabilities", bearer(KITCHEN))).body)
        assert told["object"] == "bargein.capabilities" and told["voice_engine"] == "tone"
        for line in told["endpoints"]:
            method, path = line.split(" ")
            path = path.replace("playground/*", "playground/main.js").replace("*", "gpt-realtime")
            reply = await ask(server, method, path, bearer(KITCHEN), *([JSON] if method == "POST" else []))
            assert reply.status not in (404, 405, 501), line
        assert urlsplit(server.base_url).path == "/v1"

    with_server(test, credentials=keyed())
