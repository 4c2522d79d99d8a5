"""A service on loopback that answers as the Realtime API's REST endpoints do, written down request by request.

One ASGI application under uvicorn: POST endpoints as the reference describes them, errors included, and the sideband
WebSocket of each accepted call with the embedded server behind it. A script puts other answers first.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn

from engine.errors import ConnectionLost
from engine.server import ServerOptions, responder, serve_connection
from engine.server.voices import ToneVoice

KEY = "sk-test-0123456789abcdef"
EPHEMERAL = "ek_0123456789abcdef0123456789abcdef"
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-pwd:{}\r\n"
OFFER = SDP.format("offerpassword")
ANSWER = SDP.format("answerpassword")
DEADLINE_S = 60  # against a hang; no test waits for it


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def parts(self) -> dict[str, tuple[dict[str, str], bytes]]:
        """The parts of a multipart body by name: headers and content."""
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        found = {}
        for piece in self.body.split(b"--" + boundary)[1:-1]:
            head, _, content = piece.strip(b"\r\n").partition(b"\r\n\r\n")
            lines = (line.partition(": ") for line in head.decode().split("\r\n"))
            headers = {name.lower(): value for name, _, value in lines}
            found[headers["content-disposition"].partition('name="')[2].partition('"')[0]] = (headers, content)
        return found


@dataclass
class Reply:
    """An answer of the script. `breaks` closes the connection in the middle of the body; `done` lets the endpoint do
    its work although it answers otherwise; `waits` keeps it back until the event is set.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: bool = False
    done: bool = False
    waits: asyncio.Event | None = None

    def bytes(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()


def problem(status: int, code: str | None, message: str, param: str | None = None, **headers: str) -> Reply:
    """An error as the service words it."""
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Reply(status, {"error": error}, {name.replace("_", "-"): value for name, value in headers.items()})


class Service:
    """The ASGI application. `script` holds answers for the next requests; `ringing` and `up` are the calls."""

    def __init__(self, *ringing: str) -> None:
        self.asked: list[Asked] = []
        self.sockets: list[Asked] = []
        self.script: deque[Reply] = deque()
        self.ringing = set(ringing)
        self.up: dict[str, Any] = {}
        self.ended: dict[str, str] = {}
        self.responder: Any = None
        self._count = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            raise NotImplementedError(scope["type"])

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = _asked(scope, body)
        self.asked.append(asked)
        planned = self.script.popleft() if self.script else None
        real = self._answer(asked) if planned is None or planned.done else None
        reply = planned or real
        assert reply is not None
        if reply.waits is not None:
            await reply.waits.wait()
        self._count += 1
        content = reply.bytes()
        headers = {"content-type": "application/json", "x-request-id": f"req_{self._count}", **reply.headers}
        headers["content-length"] = str(len(content) + (1000 if reply.breaks else 0))
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": raw})
        await send({"type": "http.response.body", "body": content, "more_body": reply.breaks})
        if reply.breaks:
            raise ConnectionError("as the script says")

    def _answer(self, asked: Asked) -> Reply:
        prefix = next((one for one in ("/openai/v1", "/openai", "/v1") if asked.path.startswith(one + "/")), "")
        path = asked.path.removeprefix(prefix)
        key = asked.headers.get("api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
        raw = path == "/realtime/calls" and asked.headers.get("content-type") == "application/sdp"
        if key != KEY and not (raw and key == EPHEMERAL):
            return problem(401, "invalid_api_key", f"Incorrect API key provided: {key}.")
        if asked.method != "POST":
            return problem(405, None, "Not allowed to GET.")
        match path.split("/")[1:]:
            case ["realtime", "client_secrets"]:
                return self._secret(asked)
            case ["realtime", "sessions" | "transcription_sessions" as kind]:
                return _old(asked, kind)
            case ["realtime", "calls"]:
                return self._create(asked, raw)
            case ["realtime", "calls", call_id, verb]:
                return self._call(asked, call_id, verb)
        return problem(404, None, f"Invalid URL (POST {path})")

    def _secret(self, asked: Asked) -> Reply:
        body = asked.json
        seconds = body.get("expires_after", {}).get("seconds", 600)
        if not 10 <= seconds <= 7200:
            return problem(400, "invalid_value", "Invalid 'expires_after.seconds'.", "expires_after.seconds")
        session = body.get("session", {"type": "realtime"})
        if "type" not in session:
            message = "Missing required parameter: 'session.type'."
            return problem(400, "missing_required_parameter", message, "session.type")
        kind = "realtime.session" if session["type"] == "realtime" else "realtime.transcription_session"
        effective = {"model": "gpt-realtime", **session, "id": "sess_1", "object": kind, "expires_at": 0}
        return Reply(200, {"value": EPHEMERAL, "expires_at": 1_900_000_000 + seconds, "session": effective})

    def _create(self, asked: Asked, raw: bool) -> Reply:
        if raw:
            sdp = asked.body
        else:
            parts = asked.parts()
            if unknown := set(parts) - {"sdp", "session"}:
                return problem(400, "unknown_parameter", f"Unknown parameter: '{min(unknown)}'.")
            sdp = parts["sdp"][1]
            if "session" in parts and json.loads(parts["session"][1]).get("type") != "realtime":
                return problem(400, "missing_required_parameter", "Missing required parameter: 'session.type'.")
        if not sdp.startswith(b"v=0"):
            return problem(400, "invalid_offer", "The SDP offer cannot be parsed.")
        call_id = f"rtc_{len(self.up)}"
        self.up[call_id] = None
        location = {"location": f"/v1/realtime/calls/{call_id}", "content-type": "application/sdp"}
        return Reply(201, ANSWER.encode(), location)

    def _call(self, asked: Asked, call_id: str, verb: str) -> Reply:
        body = asked.json if asked.body else {}
        allowed = {"reject": {"status_code"}, "refer": {"target_uri"}, "hangup": set()}.get(verb)
        if allowed is not None and set(body) - allowed:
            return problem(400, "unknown_parameter", f"Unknown parameter: '{min(set(body) - allowed)}'.")
        if verb in ("accept", "reject"):
            if call_id not in self.ringing:
                return problem(404, "call_id_not_found", "No session found for the provided call_id.")
            if verb == "accept" and body.get("type") != "realtime":
                return problem(400, "missing_required_parameter", "Missing required parameter: 'type'.", "type")
            self.ringing.remove(call_id)
            if verb == "accept":
                self.up[call_id] = body
            else:
                self.ended[call_id] = str(body.get("status_code", 603))
            return Reply(200)
        if verb not in ("refer", "hangup"):
            return problem(404, None, "Invalid URL")
        if call_id not in self.up:
            return problem(404, "call_id_not_found", "No session found for the provided call_id.")
        del self.up[call_id]
        self.ended[call_id] = body.get("target_uri", verb)
        return Reply(200)

    async def _socket(self, scope: Any, receive: Any, send: Any) -> None:
        asked = _asked(scope, b"")
        self.sockets.append(asked)
        await receive()
        call_id = parse_qs(asked.query).get("call_id", [""])[0]
        key = asked.headers.get("api-key") or asked.headers.get("authorization", "").removeprefix("Bearer ")
        if call_id not in self.up or "model" in parse_qs(asked.query) or key not in (KEY, EPHEMERAL):
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        options = ServerOptions(burst=100)
        brain = self.responder or responder("echo")
        await serve_connection(_Socket(receive, send), responder=brain, voice=ToneVoice(), options=options)


class _Socket:
    """A `Connection` over ASGI's WebSocket."""

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._lost: ConnectionLost | None = None

    async def send(self, data: bytes | str) -> None:
        if self._lost is not None:
            raise self._lost
        await self._send({"type": "websocket.send", "text": data if isinstance(data, str) else data.decode()})

    async def receive(self) -> bytes | str:
        if self._lost is not None:
            raise self._lost
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._lost = ConnectionLost(message.get("code", 1005))
            raise self._lost
        return str(message["text"])

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if self._lost is None:
            self._lost = ConnectionLost(code, reason)
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


def _asked(scope: Any, body: bytes) -> Asked:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    return Asked(scope.get("method", "GET"), scope["path"], scope["query_string"].decode(), headers, body)


def _old(asked: Asked, kind: str) -> Reply:
    body = asked.json
    if "type" in body:
        return problem(400, "unknown_parameter", "Unknown parameter: 'type'.", "type")
    secret = {"value": EPHEMERAL, "expires_at": 1_900_000_060}
    defaults = {"modalities": ["text"]} if kind == "transcription_sessions" else {"voice": "alloy", "tools": []}
    return Reply(200, {"id": "sess_1", "object": "realtime.session", **defaults, **body, "client_secret": secret})


class _Quiet(uvicorn.Server):
    """Leaves the signals alone, and tells when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: Any, certificate: tuple[str, str] | None = None, lifespan: str = "off") -> AsyncIterator[str]:
    """Serve an ASGI application on loopback; gives its root URL. `certificate`: key file and chain file."""
    key, chain = certificate or (None, None)
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan=lifespan,  # type: ignore[arg-type]
        ssl_keyfile=key, ssl_certfile=chain, ws="websockets-sansio", timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = _Quiet(config)
    task = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await server.listening.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def base_of(service: Service) -> AsyncIterator[str]:
    """Serve it; gives the API base."""
    async with serving(service) as root:
        yield root + "/v1"


def run(test: Any) -> Any:
    """Run in real time, against a hang."""

    async def main() -> Any:
        async with asyncio.timeout(DEADLINE_S):
            return await test

    return asyncio.run(main())
