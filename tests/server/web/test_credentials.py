"""Who sends a request, by header, api-key and subprotocol, with and without keys."""

from __future__ import annotations

import pytest

from engine.server.web.credentials import NOBODY, SUBPROTOCOL, Credentials, Identity, needs_key, presented, who
from engine.server.web.keys import KeyRing, Keys, digest_of
from engine.server.web.messages import Answer, Request
from engine.server.web.registry import Entry, MemoryRegistry
from tests.server.web.asking import NOW, get, problem

KEY, OTHER, SECRET = "sk-kitchen-0123456789", "sk-garage-0123456789", "ek_abcdefghijklmnop"
KEYS = Keys({digest_of(KEY): "kitchen", digest_of(OTHER): "garage"})
NONE = Keys()
ENTRY = Entry("kitchen", NOW, int(NOW) + 60, b'{"type":"realtime"}')


def registry(entry: Entry = ENTRY) -> MemoryRegistry:
    made = MemoryRegistry()
    made.add(digest_of(SECRET), entry, NOW)
    return made


def bearer(credential: str) -> Request:
    return get("/v1/models", authorization=f"Bearer {credential}")


def asked(request: Request, keys: Keys = KEYS, now: float = NOW) -> Identity | Answer:
    return who(request, keys, registry(), now)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer   {KEY} "},
        {"api_key": KEY},
        {"sec_websocket_protocol": f"realtime, {SUBPROTOCOL}{KEY}"},
        {"sec_websocket_protocol": f"realtime,{SUBPROTOCOL}{KEY},openai-beta.realtime-v1"},
        {"authorization": f"Bearer {KEY}", "api_key": KEY, "sec_websocket_protocol": f"{SUBPROTOCOL}{KEY}"},
        {"authorization": "Bearer ", "api_key": KEY},
    ],
)
def test_a_key_wherever_it_stands(headers: dict[str, str]) -> None:
    assert asked(get("/", **headers)) == Identity("key", "kitchen")


def test_a_secret_and_its_owner() -> None:
    assert asked(bearer(SECRET)) == Identity("secret", "kitchen", ENTRY)
    assert asked(get("/", sec_websocket_protocol=f"realtime, {SUBPROTOCOL}{SECRET}")) == asked(bearer(SECRET))
    assert problem(asked(bearer(SECRET), now=NOW + 60)) == (401, "invalid_api_key", None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"authorization": "Bearer "}, None),
        ({"api_key": ""}, None),
        ({"sec_websocket_protocol": f"realtime, {SUBPROTOCOL}"}, None),
        ({"authorization": "Bearer sk-unknown-0123456789"}, "invalid_api_key"),
        ({"authorization": f"Basic {KEY}"}, "invalid_api_key"),
        ({"authorization": KEY[:-1]}, "invalid_api_key"),
        ({"authorization": "Bearer " + "x" * 100_000}, "invalid_api_key"),
        ({"authorization": "Bearer ek_" + "x" * 100_000}, "invalid_api_key"),
        ({"authorization": "Bearer ek_unknown"}, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY}", "api_key": OTHER}, "invalid_api_key"),
        ({"authorization": f"Bearer {KEY}", "sec_websocket_protocol": f"{SUBPROTOCOL}{SECRET}"}, "invalid_api_key"),
        ({"authorization": f"Bearer sha256:{digest_of(KEY).hex()}"}, "invalid_api_key"),
        ({"sec_websocket_protocol": KEY}, None),
    ],
)
def test_who_is_not_known(headers: dict[str, str], code: str | None) -> None:
    answer = asked(get("/", **headers))
    assert isinstance(answer, Answer)
    assert problem(answer) == (401, code, None)
    assert ("www-authenticate", "Bearer") in answer.headers
    assert not any(shown.encode() in answer.body for shown in (KEY, OTHER, SECRET, "unknown-"))


def test_a_header_that_comes_twice_counts_twice() -> None:
    request = Request("GET", "/", "", (("authorization", f"Bearer {KEY}"), ("authorization", f"Bearer {OTHER}")))
    assert presented(request) == [KEY, OTHER]
    assert isinstance(asked(request), Answer)


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer anything"}, {"authorization": "x", "api_key": "y"}])
def test_without_keys_everybody_is_nobody(headers: dict[str, str]) -> None:
    assert asked(get("/", **headers), NONE) == NOBODY


def test_without_keys_a_secret_must_be_a_good_one() -> None:
    """What is attached to it would be missing otherwise."""
    assert asked(bearer(SECRET), NONE) == Identity("secret", "kitchen", ENTRY)
    assert isinstance(asked(bearer("ek_unknown"), NONE), Answer)
    assert isinstance(asked(get("/", authorization=f"Bearer {SECRET}", api_key="ek_other"), NONE), Answer)


def test_the_secrets_of_an_owner_without_keys_open_nothing() -> None:
    left = Keys({digest_of(OTHER): "garage"})
    assert isinstance(asked(bearer(SECRET), left), Answer)
    assert isinstance(who(bearer(SECRET), left, registry(Entry("", NOW, int(NOW) + 60, b"{}")), NOW), Answer)


def test_where_a_key_is_needed() -> None:
    assert needs_key(Identity("key", "kitchen")) is None and needs_key(NOBODY) is None
    refused = needs_key(Identity("secret", "kitchen", ENTRY))
    assert refused is not None and problem(refused) == (403, "insufficient_permissions", None)


def test_the_credentials_of_a_server_follow_its_ring() -> None:
    ring = KeyRing(KEYS)
    credentials = Credentials(ring, registry())
    assert credentials.keys and credentials.identify(bearer(KEY), NOW) == Identity("key", "kitchen")
    ring.current = NONE
    assert not credentials.keys and credentials.identify(bearer(KEY), NOW) == NOBODY


def test_nothing_shows_what_was_shown() -> None:
    shown = [repr(asked(bearer(each))) for each in (KEY, SECRET)] + [repr(Credentials(KeyRing(KEYS), registry()))]
    assert not any(each in text for text in shown for each in (KEY, SECRET, "realtime"))
