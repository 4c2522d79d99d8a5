"""URLs, key headers and authorities: what goes where."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from engine.errors import Closing, ConfigError, ConnectionLost
from engine.service import key_for, key_headers, request_url, socket_url, tls, without_secrets

KEY = "sk-service-0123456789"
AZURE = "https://name.openai.azure.com"
PREVIEW = "api-version=2025-04-01-preview"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?model=m"),
        ("https://host", "wss://host/v1/realtime?model=m"),
        ("http://localhost:8/v1/", "ws://localhost:8/v1/realtime?model=m"),
        ("ws://localhost:8/v1/realtime", "ws://localhost:8/v1/realtime?model=m"),
        ("ws://localhost:8", "ws://localhost:8/v1/realtime?model=m"),
        ("wss://host/other/path", "wss://host/other/path?model=m"),
        ("wss://host/v1/realtime?model=x", "wss://host/v1/realtime?model=x"),
        ("wss://host/v1/realtime?token=x", "wss://host/v1/realtime?token=x"),
        ("https://host/v1?model=x", "wss://host/v1/realtime?model=x"),
        ("https://host/v1?tenant=x", "wss://host/v1/realtime?tenant=x&model=m"),
        (AZURE, "wss://name.openai.azure.com/openai/v1/realtime?model=m"),
        (AZURE + "/openai/v1", "wss://name.openai.azure.com/openai/v1/realtime?model=m"),
        (f"{AZURE}/openai/v1?api-version=preview", "wss://name.openai.azure.com/openai/v1/realtime?api-version=preview&model=m"),
        (f"{AZURE}/openai?{PREVIEW}", f"wss://name.openai.azure.com/openai/realtime?{PREVIEW}&deployment=m"),
        (f"wss://name.openai.azure.com/openai/realtime?{PREVIEW}", f"wss://name.openai.azure.com/openai/realtime?{PREVIEW}&deployment=m"),
        (f"wss://gw/openai/realtime?{PREVIEW}&deployment=d", f"wss://gw/openai/realtime?{PREVIEW}&deployment=d"),
    ],
)  # fmt: skip
def test_the_socket_of_a_conversation(base: str, url: str) -> None:
    assert socket_url(base, model="m") == url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?intent=transcription"),
        ("ws://localhost:8/v1/realtime", "ws://localhost:8/v1/realtime?intent=transcription"),
        ("wss://host/v1/realtime?intent=transcription", "wss://host/v1/realtime?intent=transcription"),
        (
            f"{AZURE}/openai?{PREVIEW}",
            f"wss://name.openai.azure.com/openai/realtime?{PREVIEW}&intent=transcription&deployment=m",
        ),
    ],
)
def test_the_socket_of_a_transcription_names_no_model(base: str, url: str) -> None:
    assert socket_url(base, model="m", transcription=True) == url


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?call_id=rtc_1"),
        ("wss://host/v1/realtime?model=x&token=t", "wss://host/v1/realtime?token=t&call_id=rtc_1"),
        (f"{AZURE}/openai?{PREVIEW}", f"wss://name.openai.azure.com/openai/realtime?{PREVIEW}&call_id=rtc_1"),
    ],
)
def test_the_socket_of_a_call_names_no_model(base: str, url: str) -> None:
    assert socket_url(base, model="m", call_id="rtc_1") == url


def test_what_stands_in_a_query_is_quoted() -> None:
    assert socket_url("https://h/v1", model="a b&c=d/e") == "wss://h/v1/realtime?model=a%20b%26c%3Dd%2Fe"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/realtime/calls"),
        ("https://host", "https://host/v1/realtime/calls"),
        ("wss://host/v1/realtime?model=x", "https://host/v1/realtime/calls"),
        ("ws://localhost:8/v1/realtime", "http://localhost:8/v1/realtime/calls"),
        (AZURE, AZURE + "/openai/v1/realtime/calls"),
        (f"{AZURE}/openai?{PREVIEW}", f"{AZURE}/openai/realtime/calls?{PREVIEW}"),
        (f"wss://gw/openai/realtime?{PREVIEW}&deployment=d", f"https://gw/openai/realtime/calls?{PREVIEW}"),
        ("https://host/v1?tenant=x", "https://host/v1/realtime/calls?tenant=x"),
    ],
)
def test_the_url_of_a_rest_call(base: str, url: str) -> None:
    assert request_url(base, "/realtime/calls") == url


@pytest.mark.parametrize("base", ["", "host", "ftp://host", "https://", f"https://user:{KEY}@[x", "https://h:99999999"])
def test_what_is_no_url(base: str) -> None:
    with pytest.raises(ConfigError) as raised:
        socket_url(base, model="m")
    with pytest.raises(ConfigError) as of_rest:
        request_url(base, "/x")
    assert KEY not in f"{raised.value} {of_rest.value}"


@pytest.mark.parametrize("call_id", ["", "a/b", "a?b", "..", "x" * 257, None, 3])
def test_what_is_no_call_id(call_id: str) -> None:
    with pytest.raises(ConfigError, match="call_id"):
        socket_url("https://h/v1", call_id=call_id if call_id is not None else " ")


@pytest.mark.parametrize(
    ("url", "key", "header"),
    [
        ("wss://api.openai.com/v1/realtime", KEY, {"Authorization": f"Bearer {KEY}"}),
        ("wss://api.openai.com/v1/realtime", "ek_1234567", {"Authorization": "Bearer ek_1234567"}),
        (AZURE, KEY, {"api-key": KEY}),
        (f"wss://gateway/openai/realtime?{PREVIEW}", KEY, {"api-key": KEY}),
        (AZURE, "eyJhbGciOi.x.y", {"Authorization": "Bearer eyJhbGciOi.x.y"}),
        (AZURE, "ek_1234567", {"Authorization": "Bearer ek_1234567"}),
        ("wss://openai.azure.com.evil.example/", KEY, {"Authorization": f"Bearer {KEY}"}),
        (AZURE, None, {}),
    ],
)
def test_the_header_that_the_key_goes_into(url: str, key: str | None, header: dict[str, str]) -> None:
    assert key_headers(url, key) == header


@pytest.mark.parametrize("name", ["Authorization", "authorization", "API-Key"])
def test_a_given_key_header_stands(name: str) -> None:
    assert key_headers(AZURE, KEY, {name: "mine", "X-A": "1"}) == {name: "mine", "X-A": "1"}


def test_the_environments_key_for_each_kind_of_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-1")
    assert key_for(AZURE) == "sk-openai-1"
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "azure-1")
    assert key_for(AZURE) == "azure-1"
    assert key_for("wss://api.openai.com/v1") == "sk-openai-1"
    assert key_for(AZURE, KEY) == KEY
    assert key_for(AZURE.replace("https", "http")) is None, "never unencrypted to another machine"


def test_authorities(tmp_path: Path) -> None:
    assert tls(None) is None
    context = ssl.create_default_context()
    assert tls(context) is context
    (tmp_path / "empty.pem").write_text("nothing")
    for path in (tmp_path / "empty.pem", tmp_path / "absent.pem", tmp_path):
        with pytest.raises(ConfigError, match="ca is"):
            tls(path)


def test_a_url_is_shown_without_secrets() -> None:
    assert without_secrets(f"wss://user:{KEY}@[::1]:8/v1/realtime?token={KEY}#x") == "wss://[::1]:8/v1/realtime"


@pytest.mark.parametrize(
    ("code", "reason", "closing"),
    [
        (1000, "", Closing.NORMAL),
        (1001, "going away", Closing.RETRY),
        (1001, "Your session hit the maximum duration of 60 minutes.", Closing.EXPIRED),
        (1000, "session_expired", Closing.EXPIRED),
        *((code, "", Closing.RETRY) for code in (1005, 1006, 1011, 1012, 1013, 1014, 1015)),
        *((code, "", Closing.FATAL) for code in (1002, 1003, 1007, 1008, 1009, 1010, 3000, 4000, 4999)),
    ],
)
def test_what_follows_from_a_close_code(code: int, reason: str, closing: Closing) -> None:
    assert ConnectionLost(code, reason).closing is closing
