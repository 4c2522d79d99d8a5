"""`bargein serve` as a neighbour sees it: its fronts, TLS, and how it ends while somebody is there."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from engine.server.web.certificates import self_signed
from tests.cli.harness import finish, run
from tests.cli.test_serve import served


def api(url: str, path: str, ca: Path | None = None) -> tuple[int, bytes]:
    """A GET beside the WebSocket's URL."""
    base = url.replace("ws", "http", 1).removesuffix("/v1/realtime")
    secure = [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca))] if ca else []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), *secure)
    try:
        with opener.open(base + path, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@contextmanager
def opened(url: str, **more: Any) -> Iterator[ClientConnection]:
    with connect(url, **more) as client:
        assert json.loads(client.recv(30))["type"] == "session.created"
        yield client


def closed(client: ClientConnection) -> int:
    """The code that the server closes with."""
    while True:
        try:
            client.recv(30)
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else 1006


def told(process: subprocess.Popen[str]) -> str:
    """The next line of its stderr."""
    assert process.stderr is not None
    return process.stderr.readline()


@pytest.mark.parametrize("front", ["asgi", "bare"])
def test_a_sigterm_lets_sessions_finish_and_nobody_else_in(front: str) -> None:
    with served("--front", front, "--drain", 3600, "--burst", 100) as (process, url):
        with opened(url) as client:
            process.send_signal(signal.SIGTERM)
            assert "1 session(s) may go on for 3600 s" in told(process)
            status, body = api(url, "/healthz")
            assert (status, json.loads(body)) == (503, {"status": "draining", "sessions": 1})
            with pytest.raises(InvalidStatus) as refused, connect(url):
                pass
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
            client.send(json.dumps({"type": "response.create"}))
            while json.loads(client.recv(30))["type"] != "response.done":
                pass
        assert finish(process).code == 0


def test_after_its_time_or_another_signal_the_rest_is_closed() -> None:
    with served("--drain", 0.3) as (process, url), opened(url) as client:
        process.send_signal(signal.SIGTERM)
        assert closed(client) == 1001
        assert finish(process).code == 0
    with served("--drain", 3600) as (process, url), opened(url) as client:
        process.send_signal(signal.SIGTERM)
        assert "may go on" in told(process)
        process.send_signal(signal.SIGTERM)
        assert closed(client) == 1001
        assert finish(process).code == 0


def test_control_c_waits_for_nobody() -> None:
    with served("--drain", 3600) as (process, url), opened(url) as client:
        process.send_signal(signal.SIGINT)
        assert closed(client) == 1001
        assert finish(process).code == 0


def test_a_certificate_of_its_own(tmp_path: Path) -> None:
    certificate, key = tmp_path / "self-signed.pem", tmp_path / "self-signed.key"
    with served("--tls", "self-signed", "--tls-folder", tmp_path, "--drain", 0) as (process, url):
        assert url.startswith("wss://127.0.0.1:")
        assert api(url, "/healthz", certificate)[0] == 200
        with opened(url, ssl=ssl.create_default_context(cafile=certificate)):
            pass
        process.send_signal(signal.SIGTERM)
        ran = finish(process)
    assert ran.code == 0
    assert key.read_text() not in ran.out + ran.err


@pytest.mark.parametrize("front", ["asgi", "bare"])
def test_a_renewed_certificate_is_read_at_hangup(tmp_path: Path, front: str) -> None:
    def put(name: str) -> Path:
        renewed = self_signed([], tmp_path / name)[1]
        for suffix in (".pem", ".key"):
            (tmp_path / f"now{suffix}").write_bytes(renewed.with_suffix(suffix).read_bytes())
        return renewed

    def told(process: subprocess.Popen[str], words: str) -> str:
        assert process.stderr is not None
        process.send_signal(signal.SIGHUP)
        while words not in (line := process.stderr.readline()):
            assert line
        return line

    first = put("first")
    files = ["--tls-cert", tmp_path / "now.pem", "--tls-key", tmp_path / "now.key"]
    with served(*files, "--front", front, "--drain", 0) as (process, url):
        with opened(url, ssl=ssl.create_default_context(cafile=first)) as there:
            second = put("second")
            assert api(url, "/healthz", first)[0] == 200
            assert told(process, "read again") == "bargein: certificate and key were read again\n"
            there.ping().wait(10)
        assert api(url, "/healthz", second)[0] == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            api(url, "/healthz", first)
        (tmp_path / "now.key").write_bytes(first.with_suffix(".key").read_bytes())
        assert "no certificate with its key" in told(process, "stay as they were")
        assert api(url, "/healthz", second)[0] == 200
        process.send_signal(signal.SIGINT)
        assert finish(process).code == 0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--drain", "-1"], "--drain is -1: use 0 to 86400 seconds"),
        (["--tls-cert", "c.pem"], "--tls-cert and --tls-key belong together"),
        (["--tls-cert", "c.pem", "--tls-key", "k.pem"], "c.pem: No such file"),
        (["--tls", "self-signed", "--tls-cert", "c.pem", "--tls-key", "k.pem"], "use one of them"),
        (["--allow-origin", "*"], "there are no keys"),
        (["--allow-origin", "app.example.com"], "give http(s)://HOST"),
        (["--allowed-host", "http://x"], "give a name or an address"),
        (["--allowed-host", "0.0.0.0"], "give a name or an address"),
        (["--host", "0.0.0.0", "--allowed-host", "x"], "no keys"),
        (["--sessions-per-key", "0"], "sessions_per_key is 0"),
    ],
)
def test_wrong_usage_of_the_doors(options: list[str], problem: str, tmp_path: Path) -> None:
    ran = run("serve", "--port", 0, *options, cwd=tmp_path)
    assert ran.code == 2 and problem in ran.err and ran.err.count("\n") == 1
