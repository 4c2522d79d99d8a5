"""The ASGI application under a server of others, and driven by hand."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from engine import server
from engine.errors import ConfigError
from engine.server import Access, ServerOptions
from engine.server.responders import Say
from engine.server.voices import ToneVoice
from engine.server.web.app import App
from engine.server.web.site import MAX_MESSAGE
from tests.server.harness import Says, question, run
from tests.server.test_websocket import expect
from tests.server.web.http import until


def made(**more: Any) -> App:
    return server.app(
        responder=Says([Say("Good day. " * 20)]), options=ServerOptions(burst=1000), voice=ToneVoice(), **more
    )


@asynccontextmanager
async def others(app: Any, **config: Any) -> AsyncIterator[str]:
    """Serve it as `uvicorn module:app` does; gives HOST:PORT."""
    settings = uvicorn.Config(
        app, port=0, log_level="critical", ws_max_size=MAX_MESSAGE, ws="websockets-sansio", **config
    )
    running = uvicorn.Server(settings)
    running.capture_signals = no_signals  # type: ignore[method-assign]
    task = asyncio.create_task(running.serve())
    await until(lambda: running.started or task.done())
    try:
        yield f"127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    finally:
        running.should_exit = True
        await task


def no_signals() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_a_turn_through_anothers_server() -> None:
    async def main() -> None:
        app = made()
        async with asyncio.timeout(60), others(app) as where:
            async with connect(f"ws://{where}/v1/realtime?model=m", subprotocols=["realtime"], max_size=None) as client:  # type: ignore[list-item]
                assert client.subprotocol == "realtime"
                assert (await expect(client, "session.created"))["session"]["model"] == "m"
                audio = b64encode(question()).decode()
                await client.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
                assert (await expect(client, "response.done"))["response"]["status"] == "completed"
                assert (await app.site()).sessions == 1
            site = await app.site()
            await until(lambda: not site.sessions)
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{where}/v1/realtime", additional_headers={"Origin": "https://evil.example"})
            assert refused.value.response.status_code == 403
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{where}/v1/other")
            assert refused.value.response.status_code == 404
            assert json.loads(refused.value.response.body or b"")["error"]["code"] == "not_found"
            async with connect(f"ws://{where}/v1/realtime?model=gpt-realtime-translate") as client:
                assert (await expect(client, "error"))["error"]["code"]
                with pytest.raises(ConnectionClosed) as closed:
                    await client.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 4000

    asyncio.run(main())


def test_it_is_mounted_below_a_path() -> None:
    """As frameworks do it: the path is whole, and `root_path` says what of it is theirs."""

    async def main() -> None:
        inner = made()

        async def outer(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                scope = {**scope, "root_path": "/voice"}
                await inner(scope, receive, send)

        async with asyncio.timeout(60), others(outer, lifespan="off") as where:
            async with connect(f"ws://{where}/voice/v1/realtime") as client:
                await expect(client, "session.created")
            with pytest.raises(InvalidStatus):
                await connect(f"ws://{where}/other/v1/realtime")

    asyncio.run(main())


class Asgi:
    """An ASGI server with one request, played by hand."""

    def __init__(self, kind: str, *incoming: dict[str, Any], **scope: Any) -> None:
        self.scope = {
            "type": kind,
            "method": "GET",
            "path": "/v1/realtime",
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
            **scope,
        }
        self.sent: list[dict[str, Any]] = []
        self._incoming = list(incoming)

    async def receive(self) -> dict[str, Any]:
        if not self._incoming:
            await asyncio.Event().wait()
        return self._incoming.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, app: App) -> None:
        async with asyncio.timeout(20):
            await app(self.scope, self.receive, self.send)


CONNECT = {"type": "websocket.connect"}


@pytest.mark.parametrize(
    ("headers", "client", "status"),
    [
        ([(b"host", b"evil.example")], ("127.0.0.1", 1), 403),
        ([(b"host", b"localhost"), (b"x-forwarded-for", b"10.0.0.1")], ("127.0.0.1", 1), 403),
        ([(b"host", b"localhost"), (b"forwarded", b"for=10.0.0.1")], ("127.0.0.1", 1), 403),
        ([(b"host", b"localhost")], ("10.1.2.3", 1), 403),
        ([(b"host", b"localhost")], ("2001:db8::1", 1), 403),
        ([(b"host", b"localhost")], ("::ffff:10.1.2.3", 1), 403),
        ([(b"host", b"localhost")], ("::1", 1), 200),
        ([(b"host", b"localhost")], ("::ffff:127.0.0.1", 1), 200),
        ([(b"host", b"localhost")], ("testclient", 1), 200),
        ([(b"host", b"localhost")], None, 200),
    ],
)
def test_who_may_not_come_in_without_keys(headers: list[tuple[bytes, bytes]], client: Any, status: int) -> None:
    async def main() -> None:
        for kind in ("http", "websocket"):
            asked = Asgi(
                kind,
                CONNECT,
                {"type": "websocket.disconnect", "code": 1001},
                headers=headers,
                client=client,
                path="/healthz" if kind == "http" else "/v1/realtime",
                extensions={"websocket.http.response": {}},
            )
            await asked.run(made())
            if kind == "websocket" and status == 200:
                assert asked.sent[0]["type"] == "websocket.accept"
            else:
                assert asked.sent[0]["status"] == status

    asyncio.run(main())


def test_without_the_extension_the_server_says_403_by_itself() -> None:
    async def main() -> None:
        asked = Asgi("websocket", CONNECT, path="/nothing")
        await asked.run(made())
        assert asked.sent == [{"type": "websocket.close", "code": 1008}]

    asyncio.run(main())


def test_a_message_beyond_every_limit_is_1009() -> None:
    async def main() -> None:
        asked = Asgi("websocket", CONNECT, {"type": "websocket.receive", "text": "x" * (MAX_MESSAGE + 1)})
        app = made()
        await asked.run(app)
        assert asked.sent[-1] == {"type": "websocket.close", "code": 1009, "reason": ""}
        assert (await app.site()).sessions == 0

    asyncio.run(main())


def test_a_client_that_reads_nothing_is_closed() -> None:
    """What the ASGI server takes no more of waits in the session, and that has an end."""
    updates = [
        {"type": "websocket.receive", "text": json.dumps({"type": "session.update", "session": {"type": "realtime"}})}
    ] * 500

    class Stalled(Asgi):
        closed = False

        async def send(self, message: Any) -> None:
            await super().send(message)
            if message["type"] == "websocket.send":
                await asyncio.Event().wait()
            self.closed = message["type"] == "websocket.close"

    async def main() -> None:
        app = server.app(options=ServerOptions(send_queue_bytes=2**16), voice=ToneVoice())
        asked = Stalled("websocket", CONNECT, *updates)
        await asked.run(app)
        assert asked.closed
        assert asked.sent[-1]["code"] == 1013
        assert (await app.site()).sessions == 0

    run(main)


def test_a_client_that_is_gone_leaves_its_place() -> None:
    class Gone(Asgi):
        async def send(self, message: Any) -> None:
            raise OSError("gone")

    async def main() -> None:
        app = made()
        await Gone("websocket", CONNECT).run(app)
        assert (await app.site()).sessions == 0
        post = Asgi("http", {"type": "http.disconnect"}, method="GET", path="/healthz")
        post.scope["headers"] = [(b"host", b"localhost"), (b"content-length", b"5")]
        await post.run(app)
        assert post.sent == []

    asyncio.run(main())


def test_its_life_is_the_servers() -> None:
    async def main() -> None:
        app = made()
        asked = Asgi("lifespan", {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
        await asked.run(app)
        assert [each["type"] for each in asked.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        late = Asgi("websocket", CONNECT, extensions={"websocket.http.response": {}})
        await late.run(app)
        assert late.sent[0]["status"] == 503
        assert (b"retry-after", b"1") in late.sent[0]["headers"]

    asyncio.run(main())


def test_every_origin_needs_keys() -> None:
    with pytest.raises(ConfigError, match="no keys"):
        server.app(access=Access(origins=("*",)))
