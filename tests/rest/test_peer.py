"""The official package asks the same service for the same things, and the same arrives. Skipped without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.rest import Client
from tests.rest.service import ANSWER, EPHEMERAL, KEY, OFFER, Asked, Service, base_of, run

openai = pytest.importorskip("openai")
pytest.importorskip("openai.resources.realtime.calls")

SESSION: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
RINGING = ("rtc_1", "rtc_2")


def seen(asked: Asked) -> tuple[Any, ...]:
    """What of a request makes a difference to a server."""
    kind = asked.headers.get("content-type", "").partition(";")[0] if asked.body else ""
    body: Any = asked.body
    if kind == "multipart/form-data":
        body = {}
        for name, (headers, content) in asked.parts().items():
            value = json.loads(content) if name == "session" else content.rstrip()
            body[name] = (headers["content-disposition"], headers["content-type"], value)
    elif kind == "application/json":
        body = asked.json
    return asked.method, asked.path, asked.headers["authorization"], kind, asked.headers["accept"], body


async def theirs(base: str) -> None:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=base, max_retries=0) as client:
        made = await client.realtime.client_secrets.create(
            session=SESSION, expires_after={"anchor": "created_at", "seconds": 60}
        )
        assert made.value == EPHEMERAL
        answer = await client.realtime.calls.create(sdp=OFFER, session=SESSION)
        assert answer.text == ANSWER
        await client.realtime.calls.accept("rtc_1", **SESSION)
        await client.realtime.calls.reject("rtc_2", status_code=486)
        await client.realtime.calls.refer("rtc_1", target_uri="tel:+14155550123")
        await client.realtime.calls.hangup("rtc_0")


async def ours(base: str) -> None:
    async with Client(KEY, base_url=base) as client:
        await client.create_client_secret(SESSION, expires_after_s=60)
        await client.create_call(OFFER, SESSION)
        await client.accept_call("rtc_1", SESSION)
        await client.reject_call("rtc_2", 486)
        await client.refer_call("rtc_1", "tel:+14155550123")
        await client.hang_up_call("rtc_0")


def test_what_we_ask_is_what_the_official_package_asks() -> None:
    async def main() -> list[Service]:
        services = [Service(*RINGING), Service(*RINGING)]
        for service, talk in zip(services, (theirs, ours), strict=True):
            async with base_of(service) as base:
                await talk(base)
        return services

    peer, own = run(main())
    assert len(own.asked) == 6
    for theirs_asked, ours_asked in zip(peer.asked, own.asked, strict=True):
        assert seen(ours_asked) == seen(theirs_asked)
    assert (own.up, own.ended) == (peer.up, peer.ended)
