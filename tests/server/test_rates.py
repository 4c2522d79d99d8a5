"""Rate limits: they count, they refill on the loop's clock, and what they say of it is true."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.server import ServerOptions
from engine.server.rates import RateLimits
from engine.server.responders import Text
from tests.server.harness import Client, Event, Says, run, session


class Clock:
    """Moved by hand."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def figures(limits: RateLimits, name: str) -> dict[str, Any]:
    return next(entry for entry in limits.wire() if entry["name"] == name)


def test_buckets_refill_evenly_and_reset_seconds_is_true() -> None:
    clock = Clock()
    limits = RateLimits(60, 6000, clock)
    assert figures(limits, "requests") == {"name": "requests", "limit": 60, "remaining": 60, "reset_seconds": 0}
    assert limits.begin(1000) is None
    limits.end(500)
    assert figures(limits, "requests") == {"name": "requests", "limit": 60, "remaining": 59, "reset_seconds": 1.0}
    assert figures(limits, "tokens") == {"name": "tokens", "limit": 6000, "remaining": 4500, "reset_seconds": 15.0}
    clock.now += 5
    assert figures(limits, "tokens") == {"name": "tokens", "limit": 6000, "remaining": 5000, "reset_seconds": 10.0}
    clock.now += 9.99
    assert figures(limits, "tokens")["remaining"] == 5999
    clock.now += 0.01
    assert figures(limits, "tokens") == {"name": "tokens", "limit": 6000, "remaining": 6000, "reset_seconds": 0}


def test_what_is_written_may_overdraw_and_is_paid_back() -> None:
    clock = Clock()
    limits = RateLimits(1000, 600, clock)
    assert limits.begin(100) is None
    limits.end(1100)
    assert figures(limits, "tokens") == {"name": "tokens", "limit": 600, "remaining": 0, "reset_seconds": 120.0}
    refused = limits.begin(1)
    assert refused is not None
    assert (refused["type"], refused["code"]) == ("tokens", "rate_limit_exceeded")
    assert refused["message"] == (
        "Rate limit reached on tokens per min: Limit 600, Used 600, Requested 1. Please try again in 60.100s."
    )
    clock.now += 60.0
    assert limits.begin(1) is not None
    clock.now += 0.1001
    assert limits.begin(1) is None


def test_one_that_asks_for_more_than_there_ever_is_waits_for_a_full_bucket() -> None:
    clock = Clock()
    limits = RateLimits(1000, 600, clock)
    assert limits.begin(2000) is None
    assert limits.begin(2000) is not None
    clock.now += 201
    assert limits.begin(2000) is None


async def ask(client: Client) -> tuple[Event, dict[str, Any]]:
    """One response's end, and the limits told after it."""
    seen = len(client.events)
    await client.send("response.create")
    done = await client.next("response.done", after=seen)
    told = await client.next("rate_limits.updated", after=client.position(done))
    return done["response"], {entry["name"]: entry for entry in told["rate_limits"]}


def test_a_response_too_many_fails_and_the_next_minute_is_a_new_one() -> None:
    async def scene() -> None:
        options = ServerOptions(requests_per_minute=3, tokens_per_minute=10_000)
        brain = Says([Text("word" * 10)])
        async with session(brain, options) as client:
            await client.update(instructions="", output_modalities=["text"])
            spent = 0
            for remaining in (2, 1, 0):
                done, told = await ask(client)
                spent += done["usage"]["total_tokens"]
                assert told["requests"] == {
                    "name": "requests", "limit": 3, "remaining": remaining, "reset_seconds": 20.0 * (3 - remaining),
                }  # fmt: skip
                assert told["tokens"]["remaining"] == 10_000 - spent
            done, told = await ask(client)
            error = done["status_details"]["error"]
            assert (done["status"], error["type"], error["code"]) == ("failed", "requests", "rate_limit_exceeded")
            assert "Please try again in 20.000s." in error["message"]
            assert (done["usage"]["total_tokens"], done["output"]) == (0, [])
            assert len(brain.turns) == 3
            await asyncio.sleep(20.001)
            done, _ = await ask(client)
            assert done["status"] == "completed"
            await asyncio.sleep(told["requests"]["reset_seconds"] + 20)
            _, told = await ask(client)
            assert told["requests"]["remaining"] == 2

    run(scene)


def test_limits_are_checked_and_by_default_out_of_the_way() -> None:
    async def scene() -> None:
        async with session(Says([Text("Quick.")])) as client:
            for _ in range(50):
                done, told = await ask(client)
                assert done["status"] == "completed"
            assert told["requests"]["remaining"] >= 99_950

    run(scene)
    for name in ("requests_per_minute", "tokens_per_minute", "context_tokens"):
        with pytest.raises(ConfigError, match=f"{name} is 0"):
            ServerOptions(**{name: 0})  # type: ignore[arg-type]
