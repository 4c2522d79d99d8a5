"""Servers that are absent, refuse, lie, break off or babble: one line and 1, or the conversation goes on."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from websockets.asyncio.server import ServerConnection

from engine.server import Faults
from tests.cli import servers
from tests.cli.harness import Ran, finish, has_sound, heard, question, run, silence, start, wav
from tests.cli.servers import begin_reply, delta, end_reply, listen_on, tell, welcome


def talk(url: str, tmp_path: Path, sound: Any = None) -> Ran:
    """Let a file talk to this server, and leave out.wav and events."""
    path = wav(tmp_path / "in.wav", silence(0.5) if sound is None else sound)
    files = ["--out", tmp_path / "out.wav", "--events", tmp_path / "events"]
    return run("file", path, "--fast", "--server", url, *files)


def failed(ran: Ran, *words: str) -> None:
    """One line that says so, and 1."""
    complaints = [line for line in ran.complaints if "4 times real time" not in line]
    assert ran.code == 1, ran
    assert len(complaints) == 1 and complaints[0].startswith("bargein: "), ran
    for word in words:
        assert word in complaints[0]


# ---- no session comes about


def test_absent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    failed(talk(f"ws://127.0.0.1:{port}/v1/realtime", tmp_path), "cannot reach")


def test_a_name_that_nobody_has(tmp_path: Path) -> None:
    failed(talk("ws://no-such-host.invalid/v1/realtime", tmp_path), "no-such-host.invalid")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_refusing(status: int, tmp_path: Path) -> None:
    with servers.running(servers.refusing(status)) as url:
        failed(talk(url, tmp_path), str(status))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 mail.example.org ESMTP\r\n",
        b"\x00\x01\xfe\xff" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 301 Moved\r\nLocation: ftp://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    ],
)
def test_no_websocket_at_all(answer: bytes, tmp_path: Path) -> None:
    with servers.running(servers.tcp(answer)) as url:
        failed(talk(url, tmp_path), "127.0.0.1")


def test_tls_where_there_is_none(tmp_path: Path) -> None:
    with servers.running(servers.tcp(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as url:
        failed(talk(url.replace("ws:", "wss:"), tmp_path))


async def echo(socket: ServerConnection) -> None:
    await socket.send("welcome to the echo server")
    async for message in socket:
        await socket.send(message)


async def another_dialect(socket: ServerConnection) -> None:
    await tell(socket, "hello", version=3)
    await listen_on(socket)


async def refuses_the_session(socket: ServerConnection) -> None:
    await tell(socket, "error", error={"type": "invalid_request_error", "code": "no_money", "message": "Pay\nfirst."})
    await listen_on(socket)


async def leaves_at_once(socket: ServerConnection) -> None:
    await socket.close(4000, "not today")


async def cuts_at_once(socket: ServerConnection) -> None:
    socket.transport.abort()


async def binary_rubbish(socket: ServerConnection) -> None:
    await socket.send(b"\xff\xfe" * 1000)
    await listen_on(socket)


async def huge_greeting(socket: ServerConnection) -> None:
    await socket.send("x" * 20_000_000)
    await listen_on(socket)


@pytest.mark.parametrize(
    ("session", "word"),
    [
        (echo, "does not speak the Realtime protocol"),
        (another_dialect, "does not speak the Realtime protocol"),
        (binary_rubbish, "does not speak the Realtime protocol"),
        (leaves_at_once, "4000"),
        (cuts_at_once, "1006"),
        (huge_greeting, "1009"),
    ],
)
def test_no_session(session: servers.Session, word: str, tmp_path: Path) -> None:
    with servers.running(servers.websocket(session)) as url:
        failed(talk(url, tmp_path), word)


def test_a_session_that_is_refused_is_a_setting(tmp_path: Path) -> None:
    with servers.running(servers.websocket(refuses_the_session)) as url:
        ran = talk(url, tmp_path)
    assert ran.code == 2 and ran.complaints[-1] == "bargein: the server refused the session: Pay first."


# ---- it breaks off


def test_our_server_closes_in_mid_delta(tmp_path: Path) -> None:
    codes = (1000, 1001, 1006, 1008, 1011, 4321)
    path = wav(tmp_path / "in.wav", question())
    with ExitStack() as stack:
        clients = {}
        for code in codes:  # all at a time, since they mostly wait
            url = stack.enter_context(servers.running(servers.ours(Faults(close_after_deltas=3, close_code=code))))
            files = ("--out", tmp_path / f"{code}.wav", "--events", tmp_path / f"{code}.jsonl")
            clients[code] = start("file", path, "--fast", "--server", url, *files)
        ended = {code: finish(client) for code, client in clients.items()}
    for code, ran in ended.items():
        failed(ran, "the server ended the conversation" if code == 1000 else str(code))
        heard(tmp_path / f"{code}.wav")
        assert (tmp_path / f"{code}.jsonl").read_bytes().endswith(b"}\n")


async def closes_with_a_long_reason(socket: ServerConnection) -> None:
    await welcome(socket)
    await delta(socket, await begin_reply(socket))
    await socket.close(1011, "\x1b[31m" + "ü" * 50)


async def breaks_in_a_frame(socket: ServerConnection) -> None:
    await welcome(socket)
    await delta(socket, await begin_reply(socket))
    socket.transport.write(b"\x81\x7e\x10\x00half of a frame")
    socket.transport.close()


async def sends_20_megabytes(socket: ServerConnection) -> None:
    await welcome(socket)
    place = await begin_reply(socket)
    await delta(socket, place, "A" * 20_000_000)
    await listen_on(socket)


@pytest.mark.parametrize(
    ("session", "word"),
    [(closes_with_a_long_reason, "1011"), (breaks_in_a_frame, "1006"), (sends_20_megabytes, "1009")],
)
def test_it_breaks_off(session: servers.Session, word: str, tmp_path: Path) -> None:
    with servers.running(servers.websocket(session)) as url:
        ran = talk(url, tmp_path)
    failed(ran, word)
    assert "\x1b" not in ran.err
    heard(tmp_path / "out.wav")


def test_our_server_sends_20_megabytes_in_one_message(tmp_path: Path) -> None:
    with servers.running(servers.ours(Faults(huge_after_deltas=2))) as url:
        failed(talk(url, tmp_path, question()), "1009")


# ---- it babbles, and the conversation goes on


def test_our_server_sends_rubbish_in_between(tmp_path: Path) -> None:
    with servers.running(servers.ours(Faults(garbage_after_deltas=2))) as url:
        ran = talk(url, tmp_path, question())
    goes_on(ran, tmp_path / "out.wav")
    assert "assistant: Of course" in ran.out


def goes_on(ran: Ran, out: Path) -> None:
    """The answer was heard, and the rest is a remark at most."""
    assert ran.code == 0, ran
    assert "assistant: " in ran.out
    assert has_sound(heard(out))
    assert len(ran.complaints) <= 2


def audio_delta(delta: Any, **other: Any) -> str:
    """A delta as our server would send it, but for what is named."""
    place = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
    return json.dumps({"type": "response.output_audio.delta", "event_id": "e", **place, "delta": delta, **other})


BABBLE: dict[str, str | bytes] = {
    "malformed JSON": '{"type": "response.output_audio.delta", "delta": ',
    "no object": '["type"]',
    "no type": '{"event_id": "event_1"}',
    "a number for a type": '{"type": 7}',
    "unknown event": '{"type": "weather.changed", "event_id": "e", "sky": "blue"}',
    "a client's event": '{"type": "response.cancel", "event_id": "e"}',
    "deep nesting": "[" * 100_000,
    "broken text": b'{"type": "\xff\xfe"}',
    "nothing": "",
    "wrong base64": audio_delta("not base64!"),
    "one byte": audio_delta("AA=="),
    "three bytes": audio_delta("AAAA"),
    "no bytes": audio_delta(""),
    "a delta of nobody": audio_delta("AAAA", response_id="resp_9", item_id="item_9"),
    "a wrong kind of member": audio_delta({}, response_id=5, item_id=[], content_index=None),
    "a far index": audio_delta("AAAA", output_index=10**22, content_index=-1),
    "a second session": '{"type":"session.created","event_id":"e","session":{"type":"realtime"}}',
    "a response again": '{"type":"response.created","event_id":"e","response":{"id":"resp_1","status":"in_progress"}}',
    "a response of null": '{"type":"response.done","event_id":"e","response":null}',
}


async def babbles(socket: ServerConnection) -> None:
    """Says in the middle of an answer what the model's name asks for."""
    assert socket.request is not None
    (name,) = parse_qs(urlsplit(socket.request.path).query)["model"]
    await welcome(socket)
    place = await begin_reply(socket)
    await delta(socket, place)
    await socket.send(BABBLE[name], text=True)
    await delta(socket, place)
    await end_reply(socket, place)
    await listen_on(socket)


@pytest.fixture(scope="module")
def babbled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Ran, Path]]:
    """How a client of each babbler ended; five at a time, since they mostly wait."""
    folder = tmp_path_factory.mktemp("babble")
    path = wav(folder / "in.wav", silence(0.5))
    ended: dict[str, tuple[Ran, Path]] = {}
    with servers.running(servers.websocket(babbles)) as url:
        for first in range(0, len(BABBLE), 5):
            names = list(BABBLE)[first : first + 5]
            outs = [folder / f"{name}.wav" for name in names]
            clients = [
                start("file", path, "--fast", "--server", url, "--model", name, "--out", out)
                for name, out in zip(names, outs, strict=True)
            ]
            ended |= {name: (finish(one), out) for name, one, out in zip(names, clients, outs, strict=True)}
    return ended


@pytest.mark.parametrize("babble", BABBLE)
def test_babble_in_the_middle_of_an_answer(babble: str, babbled: dict[str, tuple[Ran, Path]]) -> None:
    ran, out = babbled[babble]
    goes_on(ran, out)
    assert "assistant: Good day." in ran.out


def test_errors_of_the_server_are_told_and_counted(tmp_path: Path) -> None:
    async def session(socket: ServerConnection) -> None:
        await welcome(socket)
        place = await begin_reply(socket)
        await delta(socket, place)
        for number in range(30):
            error = {"type": "server_error", "code": "odd", "param": None, "message": f"Trouble {number}\x1b[0m"}
            await tell(socket, "error", error=error)
        await end_reply(socket, place)
        await listen_on(socket)

    with servers.running(servers.websocket(session)) as url:
        ran = talk(url, tmp_path)
    assert ran.code == 0
    told = [line for line in ran.complaints if "the server reports" in line]
    assert told[0] == "bargein: the server reports: Trouble 0 [0m (odd)" and len(told) == 10
