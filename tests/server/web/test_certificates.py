"""TLS: certificates from files, and those that the server makes; clients that trust them and clients that do not."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from engine.errors import ConfigError
from engine.server import Access, Server
from engine.server.web.certificates import default_folder, from_files, self_signed
from tests.server.test_websocket import expect
from tests.server.web.http import BOTH, ask, with_server

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def trusting(path: Path) -> ssl.SSLContext:
    """A client's context, as strict as Python 3.13 makes them."""
    context = ssl.create_default_context(cafile=path)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@BOTH
def test_both_fronts_speak_tls_that_a_client_can_trust(front: str, tmp_path: Path) -> None:
    tls, path = self_signed(["voice.example.com"], tmp_path)

    async def test(server: Server) -> None:
        port = urlsplit(server.url).port
        assert server.url == f"wss://127.0.0.1:{port}/v1/realtime"
        assert server.base_url == f"https://127.0.0.1:{port}/v1"
        for host in ("127.0.0.1", "localhost"):
            async with connect(f"wss://{host}:{port}/v1/realtime", ssl=trusting(path)) as client:
                await expect(client, "session.created")
        told = await ask(server, "GET", "/healthz", host="voice.example.com", tls=trusting(path))
        assert json.loads(told.body)["status"] == "ok"
        upgrade = await ask(server, "GET", "/v1/realtime", tls=trusting(path))
        assert f"wss://127.0.0.1:{port}/v1/realtime" in upgrade.error["message"]
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(server.url, ssl=ssl.create_default_context())
        plain, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"200" not in await plain.read(-1)
        writer.close()

    with_server(test, front=front, tls=tls, access=Access(hosts=("voice.example.com",)))


def test_it_is_kept_until_its_names_or_its_time_change(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"

    def made(*hosts: str, days: int = 0) -> bytes:
        return self_signed(hosts, folder, NOW + timedelta(days=days))[1].read_bytes()

    first = made()
    assert made() == first
    assert made(days=300) == first
    assert made("[::1]:8000", "LOCALHOST") == first  # no other names
    second = made(days=340)
    assert second != first
    third = made("10.1.2.3:80", days=340)
    assert third != second
    assert made("10.1.2.3", days=340) == third
    (folder / "self-signed.key").write_text("lost")
    fourth = made("10.1.2.3", days=340)
    assert fourth != third
    (folder / "self-signed.key").chmod(0o604)
    assert made("10.1.2.3", days=340) != fourth  # somebody else may have the key
    assert stat.S_IMODE((folder / "self-signed.key").stat().st_mode) == 0o600


def test_the_key_is_its_owners(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        self_signed([], tmp_path / "tls")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert modes == {"self-signed.pem": 0o644, "self-signed.key": 0o600}
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700


def test_files_that_are_none(tmp_path: Path) -> None:
    self_signed([], tmp_path)
    certificate, key = tmp_path / "self-signed.pem", tmp_path / "self-signed.key"
    assert from_files(certificate, key)
    (tmp_path / "secret").write_text("-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----\n")
    other = self_signed([], tmp_path / "other")[1].with_suffix(".key")
    for one, two in ((certificate, tmp_path / "secret"), (key, certificate), (certificate, other)):
        with pytest.raises(ConfigError, match="no certificate with its key") as problem:
            from_files(one, two)
        assert "hush" not in str(problem.value)
    with pytest.raises(ConfigError, match="No such file"):
        from_files(tmp_path / "none", key)
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept"):
        self_signed([], tmp_path / "taken" / "tls")


def test_an_encrypted_key_asks_nobody_for_a_password(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    certificate = self_signed([], tmp_path)[1]
    form, locked = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    data = ec.generate_private_key(ec.SECP256R1()).private_bytes(serialization.Encoding.PEM, form, locked)
    (tmp_path / "locked.key").write_bytes(data)
    with pytest.raises(ConfigError, match="without password"):
        from_files(certificate, tmp_path / "locked.key")


def test_where_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_folder() == Path("/data/bargein/tls")
    for none in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", none)
        assert default_folder() == Path.home() / ".local" / "share" / "bargein" / "tls"
