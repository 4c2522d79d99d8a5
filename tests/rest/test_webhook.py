"""Signature, age and repetition of webhooks; the ASGI application under a real server, and answered by hand."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError, WebhookError
from engine.realtime.types import RealtimeCallIncoming, WebhookEvent
from engine.rest import Verifier, Webhook, WebhookApp, sign
from engine.rest.webhook import MAX_SIGNATURES, Seen
from tests.rest.service import run, serving

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw=="
OTHER = "whsec_YW5vdGhlci1zZWNyZXQ="
NOW = 1_750_000_000
CALL = {
    "id": "evt_1",
    "object": "event",
    "created_at": NOW,
    "type": "realtime.call.incoming",
    "data": {
        "call_id": "rtc_1",
        "sip_headers": [{"name": "From", "value": "sip:+1415@example.com"}, {"name": "X-A", "value": "1"}],
    },
}
BODY = json.dumps(CALL).encode()


def headers(body: bytes = BODY, secret: str = SECRET, webhook_id: str = "wh_1", at: int = NOW) -> dict[str, str]:
    return sign(secret, webhook_id, at, body)


# ---- signature and age


def test_a_signed_webhook_is_an_event() -> None:
    webhook = Verifier(SECRET).verify(headers(), BODY, NOW)
    event = webhook.event
    assert isinstance(event, RealtimeCallIncoming)
    assert (webhook.id, event.type, event.id, event.created_at) == ("wh_1", CALL["type"], "evt_1", NOW)
    assert event.data.call_id == "rtc_1"
    assert [(header.name, header.value) for header in event.data.sip_headers][1] == ("X-A", "1")


def test_the_published_vector_of_standard_webhooks() -> None:
    """The example of the Standard Webhooks specification's reference libraries."""
    body = b'{"test": 2432232314}'
    given = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    with pytest.raises(WebhookError, match="no event"):  # the signature holds; it is only no event
        Verifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").verify(given, body, 1614265330)


@pytest.mark.parametrize("age", [-300, -1, 0, 299, 300])
def test_an_age_within_the_tolerance(age: int) -> None:
    assert Verifier(SECRET).verify(headers(), BODY, NOW + age)


@pytest.mark.parametrize("age", [-301, 301, 86_400, -86_400])
def test_an_age_beyond_the_tolerance(age: int) -> None:
    with pytest.raises(WebhookError, match="clock") as raised:
        Verifier(SECRET).verify(headers(), BODY, NOW + age)
    assert raised.value.status == 400


def test_a_tolerance_of_ones_own() -> None:
    assert Verifier(SECRET, tolerance_s=5).verify(headers(), BODY, NOW + 5)
    with pytest.raises(WebhookError):
        Verifier(SECRET, tolerance_s=5).verify(headers(), BODY, NOW + 6)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "wh_2"},
        {"webhook-id": ""},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "1" * 400},
        {"webhook-timestamp": f" {NOW}"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "\udcff,é"},
    ],
)
def test_what_was_changed_on_the_way(changed: dict[str, str]) -> None:
    with pytest.raises(WebhookError):
        Verifier(SECRET).verify({**headers(), **changed}, BODY, NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header(name: str) -> None:
    given = headers()
    del given[name]
    with pytest.raises(WebhookError):
        Verifier(SECRET).verify(given, BODY, NOW)


def test_a_changed_body_and_a_wrong_secret() -> None:
    with pytest.raises(WebhookError, match="signature"):
        Verifier(SECRET).verify(headers(), BODY + b" ", NOW)
    with pytest.raises(WebhookError, match="signature"):
        Verifier(OTHER).verify(headers(), BODY, NOW)


def test_another_version_of_the_signature_does_not_count() -> None:
    given = headers()
    given["webhook-signature"] = given["webhook-signature"].replace("v1,", "v1a,")
    with pytest.raises(WebhookError):
        Verifier(SECRET).verify(given, BODY, NOW)


def test_one_of_several_signatures_is_enough_and_secrets_can_be_changed() -> None:
    both = headers(secret=OTHER)["webhook-signature"] + " v2,x " + headers()["webhook-signature"]
    given = {name.upper(): value for name, value in {**headers(), "webhook-signature": both}.items()}
    assert Verifier(SECRET).verify(given, BODY, NOW)
    assert Verifier(OTHER, SECRET).verify(headers(), BODY, NOW)
    assert Verifier("plain secret").verify(headers(secret="plain secret"), BODY, NOW)


@given(
    where=st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "body"]),
    at=st.integers(0, 40),
    sign_=st.characters(min_codepoint=33, max_codepoint=126),
)
def test_no_single_change_passes(where: str, at: int, sign_: str) -> None:
    changed_headers, body = headers(), BODY.decode()
    text = body if where == "body" else changed_headers[where]
    at %= len(text)
    changed = text[:at] + sign_ + text[at + 1 :]
    if changed == text:
        return
    if where != "body":
        changed_headers[where] = changed
    with pytest.raises(WebhookError):
        Verifier(SECRET).verify(changed_headers, (changed if where == "body" else body).encode(), NOW)


def test_only_so_many_signatures_are_looked_at() -> None:
    long = " ".join(["v1,x"] * MAX_SIGNATURES + [headers()["webhook-signature"]])
    with pytest.raises(WebhookError):
        Verifier(SECRET).verify({**headers(), "webhook-signature": long}, BODY, NOW)


def test_every_comparison_is_made_in_constant_time_whatever_the_age(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bool] = []
    real = hmac.compare_digest

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(real(a, b))
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", compare)
    several = headers()["webhook-signature"] + " v1,AAAA v0,BBBB"
    for at in (NOW, NOW + 10_000):
        compared.clear()
        with suppress(WebhookError):
            Verifier(SECRET, OTHER).verify({**headers(), "webhook-signature": several}, BODY, at)
        assert compared == [True, False, False, False, False, False], "a match, or an age, ends the comparing early"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type": 3}', b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_event(body: bytes) -> None:
    with pytest.raises(WebhookError, match="the body is no"):
        Verifier(SECRET).verify(headers(body), body, NOW)


@pytest.mark.parametrize("data", [{}, {"call_id": 3}, None, "x"])
def test_a_call_without_what_a_call_has(data: Any) -> None:
    body = json.dumps({**CALL, "data": data}).encode()
    with pytest.raises(WebhookError, match="no event"):
        Verifier(SECRET).verify(headers(body), body, NOW)


def test_another_event_is_no_call_and_new_members_do_no_harm() -> None:
    body = json.dumps({"type": "live.call.incoming", "data": {"session_id": "rtc_1"}, "later": True}).encode()
    event = Verifier(SECRET).verify(headers(body), body, NOW).event
    assert isinstance(event, WebhookEvent)
    assert event.data == {"session_id": "rtc_1"}


@pytest.mark.parametrize("secrets", [(), ("",), ("  ",), ("whsec_",), ("whsec_***",)])
def test_a_secret_that_is_none(secrets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as raised:
        Verifier(*secrets)
    assert "***" not in str(raised.value)


def test_the_secret_is_in_no_repr() -> None:
    assert "c2Vj" not in repr(Verifier(SECRET))


def test_the_official_package_finds_our_signatures_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer nobody here wrote; skipped where it is not installed."""
    openai = pytest.importorskip("openai")
    import time

    body = BODY
    client = openai.OpenAI(api_key="sk-none", webhook_secret=SECRET)
    given = sign(SECRET, "wh_1", int(time.time()), body)
    event = client.webhooks.unwrap(body, given)
    assert event.type == "realtime.call.incoming"
    assert event.data.call_id == "rtc_1"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body + b" ", given)


# ---- what was handled


def test_ids_are_remembered_for_so_long_and_no_longer() -> None:
    seen = Seen(600)
    seen.add("a", 0)
    assert seen.has("a", 600)
    assert not seen.has("a", 600.001)
    assert len(seen) == 0


def test_no_message_is_handled_twice_at_any_time_at_which_it_passes() -> None:
    """First taken as early as the tolerance allows, and repeated until it passes no more."""
    verifier, now = Verifier(SECRET), [float(NOW - 300)]
    handler = Handler()

    async def main() -> list[int | None]:
        app = WebhookApp(handler, verifier=verifier, now=lambda: now[0])
        statuses = []
        for now[0] in (NOW - 300, NOW, NOW + 299.999, NOW + 300, NOW + 300.001):
            statuses.append(await post(app, headers()))
        return statuses

    assert run(main()) == [200, 200, 200, 200, 400]
    assert len(handler.events) == 1


def test_the_table_is_bounded_and_forgets_the_oldest() -> None:
    seen = Seen(600, limit=3)
    for number in range(5):
        seen.add(str(number), number)
    assert len(seen) == 3
    assert [seen.has(str(number), 5) for number in range(5)] == [False, False, True, True, True]
    assert seen.forgotten == 2


# ---- the application


class Handler:
    """Counts what it handles; fails as often as it is told; can be held."""

    def __init__(self, failures: int = 0) -> None:
        self.events: list[Webhook] = []
        self.failures = failures
        self.held: asyncio.Event | None = None
        self.started = asyncio.Event()
        self.all_started = asyncio.Event()
        self.expected = 0

    async def __call__(self, event: Webhook) -> None:
        self.events.append(event)
        self.started.set()
        if len(self.events) == self.expected:
            self.all_started.set()
        if self.held is not None:
            await self.held.wait()
        if self.failures:
            self.failures -= 1
            raise ValueError("as told")


async def post(
    app: WebhookApp, given: dict[str, str], body: bytes = BODY, method: str = "POST", pieces: int = 1
) -> int | None:
    """Ask the application by hand; its status, None when it answered nothing."""
    size = max(len(body) // pieces, 1)
    parts = [body[start : start + size] for start in range(0, len(body), size)] or [b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in given.items()]
    await app({"type": "http", "method": method, "path": "/", "headers": raw}, receive, send)
    return int(sent[0]["status"]) if sent else None


def made(handler: Handler, **options: Any) -> WebhookApp:
    return WebhookApp(handler, SECRET, now=lambda: NOW, **options)


def test_a_repeated_webhook_is_answered_and_not_handled_again() -> None:
    handler = Handler()

    async def main() -> list[int | None]:
        app = made(handler)
        return [await post(app, headers()), await post(app, headers(at=NOW + 5)), await post(app, headers())]

    assert run(main()) == [200, 200, 200]
    assert len(handler.events) == 1


def test_a_webhook_whose_handler_failed_is_handled_again() -> None:
    handler = Handler(failures=2)

    async def main() -> list[int | None]:
        app = made(handler)
        return [await post(app, headers()) for _ in range(4)]

    assert run(main()) == [500, 500, 200, 200]
    assert len(handler.events) == 3


def test_repetitions_that_come_while_the_first_is_handled_share_its_outcome() -> None:
    async def main(failures: int) -> tuple[set[int | None], int]:
        handler = Handler(failures)
        handler.held = asyncio.Event()
        app = made(handler)
        asked = [asyncio.create_task(post(app, headers())) for _ in range(5)]
        await handler.started.wait()
        handler.held.set()
        return set(await asyncio.gather(*asked)), len(handler.events)

    assert run(main(0)) == ({200}, 1)
    assert run(main(1)) == ({500}, 1)


def test_a_sender_that_hangs_up_does_not_undo_the_work() -> None:
    async def main() -> tuple[int, int | None]:
        handler = Handler()
        handler.held = asyncio.Event()
        app = made(handler)
        asked = asyncio.create_task(post(app, headers()))
        await handler.started.wait()
        asked.cancel()
        await asyncio.wait([asked])
        handler.held.set()
        await app.aclose()
        return len(app.seen), await post(app, headers())

    assert run(main()) == (1, 200)


def test_too_many_at_a_time_are_sent_away() -> None:
    async def main(limit: int) -> int | None:
        handler = Handler()
        handler.held = asyncio.Event()
        handler.expected = limit
        app = made(handler)
        asked = [asyncio.create_task(post(app, headers(webhook_id=f"wh_{n}"))) for n in range(limit)]
        await handler.all_started.wait()
        status = await post(app, headers(webhook_id="one more"))
        handler.held.set()
        await asyncio.gather(*asked)
        return status

    from engine.rest.mount import MAX_HANDLING

    assert run(main(MAX_HANDLING)) == 503


@pytest.mark.parametrize(
    ("given", "body", "method", "status"),
    [
        (headers(), BODY + b" ", "POST", 400),
        (headers(at=NOW - 301), BODY, "POST", 400),
        (headers(at=NOW + 301), BODY, "POST", 400),
        ({}, BODY, "POST", 400),
        (headers(b"{}"), b"{}", "POST", 400),
        (headers(), b"", "GET", 405),
        (headers(b"x" * 2001), b"x" * 2001, "POST", 413),
        ({**headers(), "content-length": "2001"}, BODY, "POST", 413),
        ({**headers(), "content-length": "9" * 5000}, BODY, "POST", 413),
        ({**headers(), "content-length": "-1"}, BODY, "POST", 200),
    ],
)
def test_what_is_refused(given: dict[str, str], body: bytes, method: str, status: int) -> None:
    handler = Handler()
    assert run(post(made(handler, max_body=2000), given, body, method)) == status
    assert len(handler.events) == (status == 200)


def test_a_body_in_pieces_is_bounded_too() -> None:
    handler = Handler()
    assert run(post(made(handler, max_body=2000), headers(), BODY, pieces=7)) == 200
    assert run(post(made(handler, max_body=len(BODY) - 1), headers(), BODY, pieces=7)) == 413


def test_a_client_that_leaves_in_the_middle() -> None:
    async def main() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await made(Handler())({"type": "http", "method": "POST", "headers": []}, receive, send)
        return sent

    assert run(main()) == []


def test_under_a_real_server(caplog: pytest.LogCaptureFixture) -> None:
    handler = Handler()

    async def main() -> list[int]:
        app = WebhookApp(handler, SECRET, now=lambda: NOW, max_body=2000)
        async with serving(app, lifespan="on") as root, httpx2.AsyncClient(trust_env=False, timeout=None) as client:
            asked = [
                client.post(root + "/any/path", content=BODY, headers=headers()),
                client.post(root, content=BODY, headers={**headers(), "webhook-signature": "v1,AAAA"}),
                client.post(root, content=b"x" * 2001, headers=headers()),
                client.get(root),
            ]
            return [(await one).status_code for one in asked]

    with caplog.at_level(logging.WARNING):
        assert run(main()) == [200, 400, 413, 405]
    assert len(handler.events) == 1
    assert "c2Vj" not in caplog.text
