"""Every REST endpoint against a service on loopback that answers as the reference says."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.clock import run_virtual
from engine.errors import (
    AccessError,
    ApiError,
    ConfigError,
    NotFoundError,
    RemoteProtocolError,
    ServerFaultError,
    TransportError,
)
from engine.realtime.types import BetaSession, HybridSession, RealtimeSession, ReportedTranscription
from engine.rest import CallAnswer, Client, SyncClient
from tests.cli.servers import running
from tests.rest.service import ANSWER, EPHEMERAL, KEY, OFFER, Reply, Service, base_of, problem, run, serving

ROOT = Path(__file__).resolve().parents[2]
SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def client(base: str, key: str = KEY, **options: Any) -> Client:
    """A client that does not wait between its attempts for long."""
    return Client(key, base_url=base, chance=lambda: 1.0, **options)


def talk(service: Service, use: Any, **options: Any) -> Any:
    """The result of `use(client)` against this service."""

    async def main() -> Any:
        async with base_of(service) as base, client(base, **options) as made:
            return await use(made)

    return run(main())


def failing(service: Service, use: Any, **options: Any) -> Any:
    """The error that it ends with."""
    with pytest.raises((TransportError, RemoteProtocolError)) as raised:
        talk(service, use, **options)
    return raised.value


# ---- keys


def test_a_client_secret() -> None:
    service = Service()
    secret = talk(service, lambda made: made.create_client_secret(SESSION, expires_after_s=60))
    assert (secret.value, secret.expires_at) == (EPHEMERAL, 1_900_000_060)
    assert (secret.session.object, secret.session.instructions) == ("realtime.session", "Be brief.")
    assert EPHEMERAL not in repr(secret)
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/v1/realtime/client_secrets")
    assert asked.json == {"expires_after": {"anchor": "created_at", "seconds": 60}, "session": SESSION}
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.headers["content-type"] == "application/json"


def test_a_client_secret_without_anything() -> None:
    service = Service()
    assert talk(service, lambda made: made.create_client_secret()).value == EPHEMERAL
    assert service.asked[0].json == {}


def test_the_type_of_a_session_is_filled_in() -> None:
    service = Service()
    talk(service, lambda made: made.create_client_secret({"model": "m"}))
    assert service.asked[0].json["session"] == {"type": "realtime", "model": "m"}


def test_a_transcription_secret() -> None:
    service = Service()
    asked = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}}}
    secret = talk(service, lambda made: made.create_client_secret(asked))
    assert isinstance(secret.session, ReportedTranscription)


def test_a_typed_session_and_one_that_is_not_checked() -> None:
    service = Service()
    talk(service, lambda made: made.create_client_secret(RealtimeSession(instructions="Hi.", extra={"shiny": 1})))
    talk(service, lambda made: made.create_client_secret({"voice": "verse"}, validate=False))
    assert [asked.json["session"] for asked in service.asked] == [
        {"type": "realtime", "instructions": "Hi.", "shiny": 1},
        {"type": "realtime", "voice": "verse"},
    ]


def test_the_old_sessions() -> None:
    service = Service()
    old = talk(service, lambda made: made.create_session({"voice": "verse", "modalities": ["text", "audio"]}))
    assert (old.client_secret.value, old.client_secret.expires_at) == (EPHEMERAL, 1_900_000_060)
    assert isinstance(old.session, BetaSession)
    assert (old.session.voice, old.session.modalities) == ("verse", ("text", "audio"))
    assert EPHEMERAL not in repr(old)
    heard = talk(service, lambda made: made.create_transcription_session({"input_audio_format": "g711_ulaw"}))
    assert heard.session.input_audio_format == "g711_ulaw"
    assert [asked.path for asked in service.asked] == ["/v1/realtime/sessions", "/v1/realtime/transcription_sessions"]
    assert service.asked[1].json == {"input_audio_format": "g711_ulaw"}


def test_the_old_session_in_the_mixed_shape() -> None:
    service = Service()
    secret = {"value": EPHEMERAL, "expires_at": 1}
    answer = {"id": "sess_1", "audio": {"output": {"voice": "marin"}}, "turn_detection": None, "client_secret": secret}
    service.script.append(Reply(200, answer))
    old = talk(service, lambda made: made.create_session())
    assert isinstance(old.session, HybridSession)
    assert old.client_secret.value == EPHEMERAL
    assert old.session.turn_detection is None
    assert old.session.to_wire()["audio"] == {"output": {"voice": "marin"}}


# ---- calls


def test_a_call_with_its_session_is_multipart_without_file_names() -> None:
    service = Service()
    answer = talk(service, lambda made: made.create_call(OFFER, SESSION))
    assert (answer.sdp, answer.call_id) == (ANSWER, "rtc_0")
    assert "answerpassword" not in repr(answer)
    (asked,) = service.asked
    assert asked.headers["accept"] == "application/sdp"
    parts = asked.parts()
    assert parts["sdp"][1].decode() == OFFER.rstrip("\r\n") or parts["sdp"][1].decode() == OFFER
    assert parts["sdp"][0] == {"content-disposition": 'form-data; name="sdp"', "content-type": "application/sdp"}
    assert parts["session"][0]["content-type"] == "application/json"
    assert b'"instructions":"Be brief."' in parts["session"][1]
    assert OFFER.encode() in asked.body, "the offer is changed"


def test_a_call_without_a_session_is_multipart_for_an_api_key() -> None:
    service = Service()
    talk(service, lambda made: made.create_call(OFFER))
    assert set(service.asked[0].parts()) == {"sdp"}


def test_a_client_secret_posts_the_offer_alone() -> None:
    service = Service()
    answer = talk(service, lambda made: made.create_call(OFFER), key=EPHEMERAL)
    assert answer == CallAnswer(sdp=ANSWER, call_id="rtc_0", request_id="req_1")
    (asked,) = service.asked
    assert asked.headers["content-type"] == "application/sdp"
    assert asked.body == OFFER.encode()


@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ("/v1/realtime/calls/rtc_abc", "rtc_abc"),
        ("https://host/v1/realtime/calls/rtc_abc?x=1", "rtc_abc"),
        ("/v1/realtime/calls/rtc_abc/", "rtc_abc"),
        ("", None),
        ("/v1/realtime/calls/%00", None),
    ],
)
def test_the_call_id_is_the_end_of_the_location(location: str, call_id: str | None) -> None:
    service = Service()
    service.script.append(Reply(201, ANSWER.encode(), {"location": location} if location else {}))
    assert talk(service, lambda made: made.create_call(OFFER)).call_id == call_id


def test_a_call_is_accepted() -> None:
    service = Service("rtc_1")
    done = talk(service, lambda made: made.accept_call("rtc_1", {"instructions": "Hello."}))
    assert (done.request_id, done.repeated) == ("req_1", False)
    assert service.up == {"rtc_1": {"type": "realtime", "instructions": "Hello."}}
    assert service.asked[0].path == "/v1/realtime/calls/rtc_1/accept"


@pytest.mark.parametrize(("status", "sent"), [(None, b""), (486, b'{"status_code":486}')])
def test_a_call_is_rejected(status: int | None, sent: bytes) -> None:
    service = Service("rtc_1")
    talk(service, lambda made: made.reject_call("rtc_1", status))
    assert service.ended == {"rtc_1": str(status or 603)}
    assert service.asked[0].body == sent


def test_a_call_is_referred_and_one_is_hung_up() -> None:
    service = Service("rtc_1", "rtc_2")

    async def use(made: Client) -> None:
        for call_id in ("rtc_1", "rtc_2"):
            await made.accept_call(call_id, SESSION)
        await made.refer_call("rtc_1", "tel:+14155550123")
        await made.hang_up_call("rtc_2")

    talk(service, use)
    assert service.ended == {"rtc_1": "tel:+14155550123", "rtc_2": "hangup"}
    assert service.asked[-1].body == b""


# ---- what is refused before anything is sent


@pytest.mark.parametrize(
    ("use", "complaint"),
    [
        (lambda made: made.create_client_secret(expires_after_s=9), "expires_after_s is 9"),
        (lambda made: made.create_client_secret(expires_after_s=7201), "10 to 7200"),
        (lambda made: made.create_client_secret(expires_after_s=60.5), "whole seconds"),
        (lambda made: made.create_client_secret("realtime"), "session is a str"),
        (lambda made: made.create_client_secret({"x": object()}), "session cannot be written as JSON"),
        (lambda made: made.create_client_secret({"voice": "verse"}), "older dialect"),
        (lambda made: made.create_client_secret({"audio": {"output": {"speed": 2}}}), "0.25 to 1.5"),
        (lambda made: made.create_session({"temperature": 2}), "temperature"),
        (lambda made: made.reject_call("rtc_1", 399), "status_code is 399"),
        (lambda made: made.reject_call("rtc_1", 700), "400 to 699"),
        (lambda made: made.refer_call("rtc_1", "agent@example.com"), "target_uri"),
        (lambda made: made.refer_call("rtc_1", "tel:+1 415"), "target_uri"),
        (lambda made: made.hang_up_call("../client_secrets"), "call_id is"),
        (lambda made: made.hang_up_call(""), "call_id is"),
        (lambda made: made.accept_call("rtc_1", {"type": "transcription"}), "realtime session"),
        (lambda made: made.create_call("hello"), "sdp is no SDP offer"),
        (lambda made: made.create_call(OFFER, SESSION, raw=True), "raw offer"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_sent(use: Any, complaint: str) -> None:
    service = Service("rtc_1")
    with pytest.raises(ConfigError, match=complaint):
        talk(service, use)
    assert service.asked == []


def test_a_client_secret_does_not_accept_calls() -> None:
    service = Service("rtc_1")
    with pytest.raises(ConfigError, match="needs an API key") as raised:
        talk(service, lambda made: made.accept_call("rtc_1", SESSION), key=EPHEMERAL)
    assert EPHEMERAL not in str(raised.value)
    assert service.asked == []


@pytest.mark.parametrize("options", [{"retries": -1}, {"retries": 11}, {"timeout_s": 0}, {"ca": "/no/such.pem"}])
def test_settings_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Client(KEY, **options)


def test_a_key_that_is_none_is_not_shown() -> None:
    with pytest.raises(ConfigError) as raised:
        Client("sk-a b\nc")
    assert "sk-a" not in str(raised.value)


# ---- errors


def test_a_wrong_key_is_an_access_error_that_does_not_show_it() -> None:
    service = Service()
    error = failing(service, lambda made: made.create_client_secret(), key="sk-wrong-999999999")
    assert isinstance(error, AccessError)
    assert (error.status, error.code, error.request_id) == (401, "invalid_api_key", "req_1")
    assert "request req_1" in str(error)
    assert "sk-wrong" not in f"{error!s} {error!r} {vars(error)}"
    assert len(service.asked) == 1


def test_a_caller_who_has_gone_is_not_found() -> None:
    error = failing(Service(), lambda made: made.accept_call("rtc_1", SESSION))
    assert isinstance(error, NotFoundError)
    assert error.code == "call_id_not_found"
    assert "accept call rtc_1" in str(error)


def test_the_parameter_is_told() -> None:
    service = Service()
    service.script.append(problem(400, "unknown_parameter", "Unknown parameter: 'session.voice'.", "session.voice"))
    error = failing(service, lambda made: made.create_client_secret({"model": "x"}))
    assert type(error) is ApiError
    assert (error.status, error.param, error.type) == (400, "session.voice", "invalid_request_error")
    assert "Unknown parameter: 'session.voice'" in str(error)


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b'"x"', b"[1]", b'{"error": 3}', b"\xff" * 10])
def test_an_error_without_an_error_object_has_a_hint(body: bytes) -> None:
    service = Service()
    service.script.append(Reply(403, body))
    error = failing(service, lambda made: made.create_client_secret())
    assert isinstance(error, AccessError)
    assert "may not do this" in str(error)
    assert error.code is None


@pytest.mark.parametrize(
    ("body", "use", "complaint"),
    [
        (b"no json", lambda made: made.create_client_secret(), "no JSON object"),
        (b"{}", lambda made: made.create_client_secret(), "no value"),
        (b"{}", lambda made: made.create_session(), "no client_secret with a value"),
        (b"{}", lambda made: made.create_call(OFFER), "no SDP"),
    ],
)
def test_an_answer_of_another_kind(body: bytes, use: Any, complaint: str) -> None:
    service = Service()
    service.script.append(Reply(200, body))
    error = failing(service, use)
    assert isinstance(error, RemoteProtocolError)
    assert complaint in str(error)
    assert "req_1" in str(error)


def test_a_redirect_is_not_followed() -> None:
    service, elsewhere = Service(), Service()

    async def main() -> ApiError:
        async with base_of(elsewhere) as there, base_of(service) as base, client(base) as made:
            service.script.append(Reply(307, b"", {"location": there + "/realtime/client_secrets"}))
            with pytest.raises(ApiError, match="redirects elsewhere") as raised:
                await made.create_client_secret()
            return raised.value

    assert run(main()).status == 307
    assert elsewhere.asked == []


def test_an_answer_that_is_too_long() -> None:
    service = Service()
    service.script.append(Reply(200, b"x" * 5_000_000))
    assert "longer than" in str(failing(service, lambda made: made.create_client_secret(), retries=0))


# ---- attempts, over a real socket


def test_a_busy_server_is_asked_again() -> None:
    service = Service()
    service.script += [problem(429, "rate_limit_exceeded", "Slow down.", retry_after_ms="1"), Reply(503)]
    assert talk(service, lambda made: made.create_client_secret()).value == EPHEMERAL
    assert len(service.asked) == 3


def test_an_answer_that_breaks_off_is_repeated_only_where_that_is_safe() -> None:
    service = Service()
    service.script.append(Reply(200, b'{"val', breaks=True))
    assert talk(service, lambda made: made.create_client_secret()).value == EPHEMERAL

    service = Service("rtc_1")
    service.script.append(Reply(200, b"x", breaks=True, done=True))
    error = failing(service, lambda made: made.accept_call("rtc_1", SESSION))
    assert "may have been done" in str(error)
    assert len(service.asked) == 1


def test_a_hangup_whose_answer_is_lost_is_done() -> None:
    service = Service()
    service.up["rtc_1"] = None
    service.script.append(Reply(500, b"", done=True))
    done = talk(service, lambda made: made.hang_up_call("rtc_1"))
    assert done.repeated
    assert service.ended == {"rtc_1": "hangup"}
    assert len(service.asked) == 2


def test_a_server_that_does_not_answer() -> None:
    """In virtual time: nobody waits 20 s."""

    async def main() -> TransportError:
        service = Service()
        held = asyncio.Event()
        service.script.append(Reply(waits=held))
        async with base_of(service) as base:
            async with client(base, timeout_s=20, retries=0) as made:
                with pytest.raises(TransportError) as raised:
                    await made.refer_call("rtc_1", "tel:1")
            held.set()
            return raised.value

    error = run_virtual(main())
    assert "did not answer within 20 s" in str(error)
    assert "may have been done" in str(error)


def test_a_server_that_is_absent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        async with client(f"http://127.0.0.1:{port}/v1?token={KEY}", retries=1) as made:
            await made.accept_call("rtc_1", SESSION)

    with pytest.raises(TransportError) as raised:
        run(main())
    assert "cannot be reached" in str(raised.value)
    assert "2 attempts" in str(raised.value), "nothing was sent, so it is safe to repeat"
    assert "may have been done" not in str(raised.value)
    assert KEY not in str(raised.value)


# ---- where and with which key


def test_the_environment_names_server_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    service = Service()

    async def main() -> None:
        async with base_of(service) as base:
            monkeypatch.setenv("OPENAI_BASE_URL", base.replace("http:", "ws:") + "/realtime")
            monkeypatch.setenv("OPENAI_API_KEY", KEY)
            async with Client(organization="org_1", project="proj_1", headers={"X-Mine": "1"}) as made:
                await made.create_client_secret()

    run(main())
    (asked,) = service.asked
    assert asked.path == "/v1/realtime/client_secrets"
    assert asked.headers["openai-organization"] == "org_1"
    assert asked.headers["openai-project"] == "proj_1"
    assert asked.headers["x-mine"] == "1"


@pytest.mark.parametrize(
    ("path", "query", "header"),
    [
        ("/openai?api-version=2025-04-01-preview", "api-version=2025-04-01-preview", "api-key"),
        ("/openai/v1?api-version=preview", "api-version=preview", "api-key"),
        ("/v1", "", "authorization"),
    ],
)
def test_azure_has_urls_and_a_header_of_its_own(path: str, query: str, header: str) -> None:
    service = Service()

    async def main() -> None:
        async with serving(service) as root, client(root + path) as made:
            await made.create_client_secret()

    run(main())
    (asked,) = service.asked
    assert asked.path == path.partition("?")[0] + "/realtime/client_secrets"
    assert asked.query == query
    assert {"api-key", "authorization"} & set(asked.headers) == {header}


def test_a_header_of_the_callers_own_stands() -> None:
    service = Service()

    async def main() -> None:
        async with base_of(service) as base, Client("sk-other", base_url=base, headers={"api-key": KEY}) as made:
            await made.create_client_secret()

    run(main())
    assert service.asked[0].headers["api-key"] == KEY
    assert "authorization" not in service.asked[0].headers


def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(tmp_path / "key"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "chain"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    service = Service()

    async def main() -> TransportError:
        async with serving(service, (str(tmp_path / "key"), str(tmp_path / "chain"))) as root:
            async with client(root + "/v1", ca=tmp_path / "ca.pem") as made:
                await made.create_client_secret()
            async with client(root + "/v1", retries=0) as made:
                with pytest.raises(TransportError) as raised:
                    await made.create_client_secret()
                return raised.value

    assert "certificate" in str(run(main())).lower()
    assert len(service.asked) == 1


@pytest.mark.parametrize("how", ["given", "environment"])
def test_a_proxy(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain proxy gets the whole URL; the name behind it exists only there."""
    lines: list[str] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.extend(head.split("\r\n"))
        body = b'{"value": "ek_from_behind", "expires_at": 1}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def main() -> str:
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        async with server:
            url = f"http://user:proxypassword@127.0.0.1:{server.sockets[0].getsockname()[1]}"
            monkeypatch.delenv("NO_PROXY", raising=False)
            monkeypatch.delenv("no_proxy", raising=False)
            if how == "environment":
                monkeypatch.setenv("http_proxy", url)
            options = {"proxy": url} if how == "given" else {}
            async with client("http://service.invalid/v1", **options) as made:
                return str((await made.create_client_secret()).value)

    assert run(main()) == "ek_from_behind"
    assert lines[0] == "POST http://service.invalid/v1/realtime/client_secrets HTTP/1.1"


def test_a_proxy_that_cannot_be_does_not_show_its_password() -> None:
    with pytest.raises(ConfigError) as raised:
        Client(KEY, proxy="gopher://user:proxypassword@127.0.0.1:1")
    assert "proxypassword" not in f"{raised.value!s} {raised.value.__cause__!r}"


# ---- the synchronous client


@pytest.fixture
def served() -> Iterator[tuple[Service, str]]:
    """A service in a thread of its own."""
    service = Service("rtc_1", "rtc_2")
    with running(base_of(service)) as base:
        yield service, base


def test_the_synchronous_client_does_the_same(served: tuple[Service, str]) -> None:
    service, base = served
    waits: list[float] = []
    service.script.append(problem(429, None, "Slow down.", retry_after="7"))
    with SyncClient(KEY, base_url=base, sleep=waits.append) as made:
        assert made.create_client_secret(SESSION, expires_after_s=10).value == EPHEMERAL
        assert made.create_session({}).client_secret.value == EPHEMERAL
        assert made.create_transcription_session({}).client_secret.value == EPHEMERAL
        assert made.create_call(OFFER, SESSION).call_id == "rtc_0"
        made.accept_call("rtc_1", SESSION)
        made.reject_call("rtc_2", 486)
        made.refer_call("rtc_1", "sip:agent@example.com")
        made.hang_up_call("rtc_0")
        with pytest.raises(NotFoundError):
            made.hang_up_call("rtc_0")
    assert waits == [7.0]
    assert service.ended == {"rtc_2": "486", "rtc_1": "sip:agent@example.com", "rtc_0": "hangup"}
    assert threading.active_count() >= 1


def test_the_synchronous_client_meets_a_broken_answer(served: tuple[Service, str]) -> None:
    service, base = served
    service.script += [Reply(200, b"{", breaks=True)] * 3
    waits: list[float] = []
    with (
        SyncClient(KEY, base_url=base, sleep=waits.append, chance=lambda: 0.0) as made,
        pytest.raises(TransportError, match="3 attempts"),
    ):
        made.create_client_secret()
    assert waits == [0.5, 1.0]
    service.script.append(Reply(500))
    with SyncClient(KEY, base_url=base, retries=0) as made, pytest.raises(ServerFaultError):
        made.create_client_secret()


# ---- the extra


def test_without_the_extra_its_name_is_told() -> None:
    """And everything that needs no HTTP client works without it."""
    script = (
        "import sys; sys.modules['httpx2'] = None\n"
        "import engine\nfrom engine import rest, calls\nfrom engine.errors import MissingExtraError\n"
        "rest.Verifier('whsec_aGVsbG8=')\n"
        "try:\n    rest.Client('k')\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "a REST call needs the extra 'rest': pip install 'bargein[rest]'\n"
