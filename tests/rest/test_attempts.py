"""When an operation is repeated and how long is waited, without any socket or clock."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ApiError, RateLimitError, ServerFaultError, TransportError
from engine.rest import operations
from engine.rest.attempts import Attempts, Failure, retry_after
from engine.rest.operations import Answer, Operation

SAFE = operations.create_client_secret()
ONCE = operations.refer_call("rtc_1", "tel:1")
OVER = operations.hang_up_call("rtc_1")
GOOD = Answer(200, {}, b'{"value": "ek_abcdef", "expires_at": 5}')


def answer(status: int, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


def attempts(operation: Operation[Any], retries: int = 3, chance: float = 0.0) -> Attempts[Any]:
    return Attempts(operation, retries=retries, chance=lambda: chance, now=lambda: 1000.0, known=("knownsecret",))


def repeats(operation: Operation[Any], outcome: Answer | Failure) -> bool:
    try:
        return attempts(operation).judge(outcome) is not None
    except TransportError:
        return False


@pytest.mark.parametrize(
    ("outcome", "safe", "once"),
    [
        (Failure("refused", sent=False), True, True),
        (Failure("broke off", sent=True), True, False),
        (answer(429), True, True),
        (answer(503, retry_after="1"), True, True),
        (answer(503), True, False),
        (answer(500), True, False),
        (answer(502), True, False),
        (answer(504), True, False),
        (answer(408), True, False),
        (answer(409), True, False),
        (answer(400), False, False),
        (answer(401), False, False),
        (answer(404), False, False),
        (answer(307), False, False),
        (answer(500, x_should_retry="false"), False, False),
        (answer(400, x_should_retry="true"), True, True),
        (answer(429, retry_after="61"), False, False),
        (Answer(429, {}, b'{"error": {"code": "insufficient_quota", "message": "Pay."}}'), False, False),
    ],
)
def test_what_is_repeated(outcome: Answer | Failure, safe: bool, once: bool) -> None:
    assert (repeats(SAFE, outcome), repeats(ONCE, outcome)) == (safe, once)


@pytest.mark.parametrize("operation", [ONCE, operations.accept_call("rtc_1", {}), operations.create_call("v=0")])
def test_what_would_act_twice_is_not_repeated_in_doubt(operation: Operation[Any]) -> None:
    assert not repeats(operation, Failure("broke off", sent=True))
    assert not repeats(operation, answer(500))


def test_waits_double_up_to_eight_seconds_and_are_shortened_by_chance() -> None:
    longest, shortest = attempts(SAFE, 10, 0.0), attempts(SAFE, 10, 1.0)
    assert [longest.judge(answer(500)) for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert [shortest.judge(answer(500)) for _ in range(2)] == [0.375, 0.75]


def test_the_servers_own_wait_counts() -> None:
    tried = attempts(SAFE)
    assert tried.judge(answer(429, retry_after="7")) == 7.0
    assert tried.judge(answer(500)) == 1.0


def test_after_the_last_attempt_the_error_is_raised() -> None:
    tried = attempts(SAFE, retries=1)
    assert tried.judge(answer(500)) is not None
    with pytest.raises(ServerFaultError):
        tried.judge(answer(500))
    assert tried.judge(GOOD) is None
    assert tried.result.value == "ek_abcdef"


def test_a_wait_that_is_too_long_is_told() -> None:
    with pytest.raises(RateLimitError) as raised:
        attempts(SAFE).judge(answer(429, retry_after="3600"))
    assert raised.value.retry_after_s == 3600.0


def test_gone_after_doubt_is_done_but_not_before() -> None:
    tried = attempts(OVER)
    assert tried.judge(Failure("broke off", sent=True)) is not None
    assert tried.judge(answer(404)) is None
    assert tried.result.repeated
    with pytest.raises(ApiError):
        attempts(OVER).judge(answer(404))
    unsent = attempts(OVER)
    assert unsent.judge(Failure("refused", sent=False)) is not None
    with pytest.raises(ApiError):
        unsent.judge(answer(404))


def test_gone_after_a_doubtful_accept_is_not_done() -> None:
    tried = attempts(operations.accept_call("rtc_1", {}))
    assert tried.judge(answer(503, retry_after="1")) is not None
    with pytest.raises(ApiError):
        tried.judge(answer(404))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-5"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "5"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:17:10 GMT"}, 30.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(Answer(429, headers, b""), now=1000.0) == seconds


def test_secrets_that_a_server_quotes_are_not_told() -> None:
    tool: dict[str, Any] = {"type": "mcp", "server_label": "x", "server_url": "https://h/p?opaque-query"}
    tool |= {"authorization": "Bearer mcpsecret", "headers": {"X-Key": "headersecret"}}
    session = {"tools": [tool]}
    words = b"knownsecret mcpsecret headersecret opaque-query whsec_abcdef ek_ghijkl"
    told = b'{"error": {"message": "%b", "param": "mcpsecret"}}' % words
    with pytest.raises(ApiError) as raised:
        attempts(operations.create_client_secret(session)).judge(Answer(400, {}, told))
    shown = f"{raised.value} {raised.value!r} {vars(raised.value)}"
    for secret in ("knownsecret", "mcpsecret", "headersecret", "opaque-query", "abcdef", "ghijkl"):
        assert secret not in shown
    with pytest.raises(TransportError) as lost:
        attempts(SAFE, retries=0).judge(Failure("knownsecret", sent=True))
    assert "knownsecret" not in str(lost.value)
