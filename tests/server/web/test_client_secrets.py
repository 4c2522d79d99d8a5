"""POST /v1/realtime/client_secrets and the two older endpoints, as pure functions."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.realtime import session as rules
from engine.realtime.beta_names import flat
from engine.realtime.session_members import INPUT, OUTPUT, REALTIME, SERVER_VAD
from engine.realtime.types import ClientSecret, HybridSession, ReportedSession, ReportedTranscription
from engine.rest import operations
from engine.server import ServerOptions
from engine.server.config import MAX_CONFIG_BYTES, reported, updated
from engine.server.mcp.rules import McpRules
from engine.server.start import TRANSLATION_MODEL, begun, defaults
from engine.server.web.client_secrets import Issuer, create_client_secret, no_translations, start_of
from engine.server.web.credentials import NOBODY, Identity
from engine.server.web.keys import digest_of
from engine.server.web.messages import Answer, Request
from engine.server.web.models import model, models
from engine.server.web.registry import MemoryRegistry, RegistryLimits
from engine.server.web.sessions import create_session, create_transcription_session
from tests.conftest import shared_path
from tests.server.web.asking import NOW, post, problem, told

KITCHEN = Identity("key", "kitchen")
NEW, OLD = "/v1/realtime/client_secrets", "/v1/realtime/sessions"
OLD_TRANSCRIPTION = "/v1/realtime/transcription_sessions"
FUNCTION = {"type": "function", "name": "look", "description": "", "parameters": {"type": "object"}}
SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime-mini",
    "instructions": "Be brief.",
    "output_modalities": ["text"],
    "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"voice": "marin", "speed": 1.2}},
    "tools": [FUNCTION],
    "max_output_tokens": 100,
}
TRANSCRIPTION: dict[str, Any] = {
    "type": "transcription",
    "audio": {"input": {"format": {"type": "audio/pcmu"}, "transcription": {"model": "whisper-1", "language": "en"}}},
}


def issuer(**more: Any) -> Issuer:
    return Issuer(ServerOptions(instructions="The server's."), MemoryRegistry(), **more)


def create(body: Any = None, of: Issuer | None = None, identity: Identity = KITCHEN, now: float = NOW) -> Answer:
    return create_client_secret(post(NEW, body), identity, of or issuer(), now)


def made(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.body
    assert answer.headers == (("cache-control", "no-store"),)
    result: dict[str, Any] = told(answer)
    return result


# ---- the secret


def test_a_secret_is_256_random_bits() -> None:
    given = bytes(range(200, 232))
    asked: list[int] = []

    def chance(count: int) -> bytes:
        asked.append(count)
        return given

    value = made(create({}, issuer(random=chance)))["value"]
    assert asked == [32]
    assert re.fullmatch(r"ek_[A-Za-z0-9_-]{43}", value)
    assert urlsafe_b64decode(value[3:] + "=") == given
    assert len({made(create({}))["value"] for _ in range(50)}) == 50


def test_only_its_hash_is_kept() -> None:
    of = issuer()
    value = made(create({}, of))["value"]
    assert of.registry.find(digest_of(value), NOW)
    assert value not in repr(of) + repr(vars(of.registry)) and value[3:] not in repr(vars(of.registry))


@pytest.mark.parametrize(
    ("expires_after", "lasts_s"),
    [
        (None, 600),
        ({}, 600),
        ({"anchor": "created_at"}, 600),
        ({"anchor": "created_at", "seconds": 10}, 10),
        ({"seconds": 7200}, 7200),
    ],
)
def test_how_long_it_lasts(expires_after: Any, lasts_s: int) -> None:
    of = issuer()
    answer = made(create({} if expires_after is None else {"expires_after": expires_after}, of))
    assert answer["expires_at"] == int(NOW) + lasts_s
    digest = digest_of(answer["value"])
    assert of.registry.find(digest, int(NOW) + lasts_s - 0.01) and not of.registry.find(digest, int(NOW) + lasts_s)


# ---- the session


def test_without_a_session_it_is_the_default_one() -> None:
    for body in (None, {}, {"session": {"type": "realtime"}}):
        answer = made(create(body))
        session = answer["session"]
        assert set(answer) == {"value", "expires_at", "session"}
        assert re.fullmatch(r"sess_\w+", session["id"])
        assert session == rules.realtime(session["id"], instructions="The server's.")


def test_the_session_in_force_is_told() -> None:
    session = made(create({"session": SESSION}))["session"]
    assert session["model"] == "gpt-realtime-mini"
    assert (session["instructions"], session["output_modalities"]) == ("Be brief.", ["text"])
    assert session["audio"]["output"] == {"format": rules.PCM, "voice": "marin", "speed": 1.2}
    assert session["audio"]["input"]["turn_detection"] == rules.SEMANTIC_VAD
    assert (session["tools"], session["max_output_tokens"], session["expires_at"]) == ([FUNCTION], 100, 0)


def test_a_transcription_session() -> None:
    of = issuer()
    answer = made(create({"session": TRANSCRIPTION}, of))
    session = answer["session"]
    assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert set(session["audio"]["input"]["turn_detection"]) == {
        "type",
        "threshold",
        "prefix_padding_ms",
        "silence_duration_ms",
    }
    start = start_of(Identity("secret", "kitchen", of.registry.find(digest_of(answer["value"]), NOW)))
    assert start is not None and start.transcription and start.model is None


def test_the_answers_follow_the_published_schema() -> None:
    schema = json.loads(shared_path("protocol", "realtime.schema.json").read_text())
    rule = {"$ref": "#/components/schemas/RealtimeCreateClientSecretResponse", "components": schema["components"]}
    validator = jsonschema.Draft202012Validator(rule)
    for body in ({}, {"session": SESSION}, {"session": TRANSCRIPTION}):
        answer = made(create(body))
        # Optional members are told as null, as the published example has them; the schema knows only their absence.
        validator.validate(_without_nulls(answer))
    assert list(validator.iter_errors({**answer, "expires_at": "soon"})), "it can fail"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value


def test_our_own_client_reads_them() -> None:
    secret = ClientSecret.from_wire(made(create({"session": SESSION})))
    assert isinstance(secret.session, ReportedSession) and secret.session.model == "gpt-realtime-mini"
    secret = ClientSecret.from_wire(made(create({"session": TRANSCRIPTION})))
    assert isinstance(secret.session, ReportedTranscription)


def test_the_secrets_of_an_mcp_server_are_kept_and_never_told() -> None:
    of = issuer(rules=McpRules(frozenset({"shop"})))
    tool = {
        "type": "mcp",
        "server_label": "shop",
        "server_url": "https://shop.example/mcp",
        "authorization": "Bearer canary0mcp",
        "headers": {"X-Shop": "canary1mcp"},
    }
    answer = create({"session": {"type": "realtime", "tools": [tool]}}, of)
    value = made(answer)["value"]
    assert b"canary" not in answer.body
    start = start_of(identity := Identity("secret", "", of.registry.find(digest_of(value), NOW)))
    assert start is not None and start.session["tools"] == [tool]
    assert "canary" not in repr(start) + repr(identity) + repr(of)
    refused = create({"session": {"type": "realtime", "tools": [tool]}})
    assert problem(refused) == (400, "invalid_value", "session.tools[0].type"), "this server has none"


# ---- refusals

BAD_SESSIONS: list[dict[str, Any]] = [
    {},
    {"type": 1},
    {"type": "translation"},
    {"type": "realtime", "voice": "marin"},
    {"type": "realtime", "audio": []},
    {"type": "realtime", "audio": {"input": {"format": "pcm16"}}},
    {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
    {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 1.5}}}},
    {"type": "realtime", "audio": {"input": {"turn_detection": {"prefix_padding_ms": 100_000}}}},
    {"type": "realtime", "audio": {"output": {"speed": 2}}},
    {"type": "realtime", "output_modalities": ["audio", "text"]},
    {"type": "realtime", "max_output_tokens": 0},
    {"type": "realtime", "tools": [{"type": "function"}]},
    {"type": "realtime", "tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}]},
    {"type": "realtime", "tool_choice": "sometimes"},
    {"type": "realtime", "tool_choice": {"type": "mcp", "server_label": "x"}},
    {"type": "transcription", "model": "gpt-realtime"},
    {"type": "transcription", "audio": {"output": {"voice": "marin"}}},
    {
        "type": "transcription",
        "audio": {
            "input": {"transcription": {"model": "gpt-live-transcribe"}, "turn_detection": {"type": "server_vad"}}
        },
    },
]


@pytest.mark.parametrize("session", BAD_SESSIONS, ids=lambda session: json.dumps(session)[:60])
def test_a_session_is_refused_as_session_update_refuses_it(session: dict[str, Any]) -> None:
    transcription = session.get("type") == "transcription"
    present = defaults(ServerOptions(), "sess_1", transcription=transcription, expires_at=0)
    with pytest.raises(ProtocolError) as refusal:
        rules.check_update(present, session)
        updated(present, session)
    of = issuer()
    answer = create({"session": session}, of)
    error = told(answer)["error"]
    assert answer.status == 400
    assert (error["message"], error["code"], error["param"]) == (
        str(refusal.value),
        refusal.value.code,
        refusal.value.param,
    )
    assert of.registry.count(NOW) == 0


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"session": None}, (400, "invalid_type", "session")),
        ({"session": []}, (400, "invalid_type", "session")),
        ({"session": "realtime"}, (400, "invalid_type", "session")),
        ({"model": "gpt-realtime"}, (400, "unknown_parameter", "model")),
        ({"expires_after": 600}, (400, "invalid_type", "expires_after")),
        ({"expires_after": None}, (400, "invalid_type", "expires_after")),
        ({"expires_after": {"seconds": 9}}, (400, "invalid_value", "expires_after.seconds")),
        ({"expires_after": {"seconds": 7201}}, (400, "invalid_value", "expires_after.seconds")),
        ({"expires_after": {"seconds": 60.5}}, (400, "invalid_type", "expires_after.seconds")),
        ({"expires_after": {"seconds": True}}, (400, "invalid_type", "expires_after.seconds")),
        ({"expires_after": {"seconds": "60"}}, (400, "invalid_type", "expires_after.seconds")),
        ({"expires_after": {"anchor": "now"}}, (400, "invalid_value", "expires_after.anchor")),
        ({"expires_after": {"minutes": 1}}, (400, "unknown_parameter", "expires_after.minutes")),
        ({"session": {"type": "realtime", "model": 5}}, (400, "invalid_type", "session.model")),
        ({"session": {"type": "realtime", "model": ""}}, (400, "invalid_value", "session.model")),
        ({"session": {"type": "realtime", "model": "m" * 513}}, (400, "invalid_value", "session.model")),
        ({"session": {"type": "realtime", "model": TRANSLATION_MODEL}}, (400, "translation_not_supported", None)),
        (
            {"session": {"type": "realtime", "instructions": "x" * MAX_CONFIG_BYTES}},
            (400, "invalid_value", "session"),
        ),
        ([], (400, "invalid_json", None)),
        (b"", (200, "", None)),
        (b"{", (400, "invalid_json", None)),
        (b'{"session": NaN}', (400, "invalid_json", None)),
        (b'{"session": "\xff"}', (400, "invalid_json", None)),
        (b'{"session": {"type": "realtime", "x": ' + b"[" * 200 + b"]" * 200 + b"}}", (400, "invalid_json", None)),
        (b"[" * 200_000, (400, "invalid_json", None)),
        (b" " * (MAX_CONFIG_BYTES + 2**16 + 1), (413, "body_too_large", None)),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bodies(body: Any, expected: tuple[int, str, str | None]) -> None:
    of = issuer()
    answer = create(body, of)
    if expected[0] == 200:
        made(answer)
    else:
        assert problem(answer) == expected
        assert of.registry.count(NOW) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"type": "application/json"}, 200),
        ({"type": "Application/JSON; charset=UTF-8"}, 200),
        ({"type": "text/plain"}, 415),
        ({"type": "application/json, text/plain"}, 415),
        ({"type": "application/jsonp"}, 415),
        ({"type": "application/x-www-form-urlencoded"}, 415),
        ({"type": None}, 415),
        ({"content_encoding": "gzip"}, 415),
    ],
)
def test_only_json_is_read(headers: dict[str, Any], status: int) -> None:
    answer = create_client_secret(post(NEW, {}, **headers), KITCHEN, issuer(), NOW)
    assert answer.status == status
    twice = Request("POST", NEW, "", (("content-type", "application/json"),) * 2, b"{}")
    assert create_client_secret(twice, KITCHEN, issuer(), NOW).status == 415


def test_a_secret_makes_no_secrets() -> None:
    of = issuer()
    entry = of.registry.find(digest_of(made(create({}, of))["value"]), NOW)
    secret = Identity("secret", "kitchen", entry)
    for answer in (
        create({}, of, secret),
        create_session(post(OLD, {}), secret, of, NOW),
        create_transcription_session(post(OLD_TRANSCRIPTION, {}), secret, of, NOW),
        no_translations(secret),
        models(secret, ServerOptions()),
        model(secret, ServerOptions(), "gpt-realtime"),
    ):
        assert problem(answer) == (403, "insufficient_permissions", None)
    assert of.registry.count(NOW) == 1


def test_when_the_registry_is_full() -> None:
    of = Issuer(ServerOptions(), MemoryRegistry(RegistryLimits(per_key=1, total=2)))
    made(create({"expires_after": {"seconds": 100}}, of))
    full = create({}, of, now=NOW + 10)
    assert problem(full) == (429, "rate_limit_exceeded", None)
    assert full.headers == (("retry-after", "90"),)
    made(create({}, of, Identity("key", "garage")))
    full = create({}, of, Identity("key", "cellar"))
    assert problem(full) == (503, "client_secrets_exhausted", None)
    assert full.headers == (("retry-after", "100"),)
    made(create({}, of, now=NOW + 100))


def test_translations_are_not_offered() -> None:
    assert problem(no_translations(KITCHEN)) == (400, "translation_not_supported", None)


# ---- the older endpoints

FLAT: dict[str, Any] = {
    "model": "gpt-4o-realtime-preview",
    "modalities": ["text"],
    "voice": "coral",
    "instructions": "Be brief.",
    "input_audio_format": "g711_ulaw",
    "turn_detection": None,
    "temperature": 1.1,
    "max_response_output_tokens": 100,
    "tools": [FUNCTION],
}


def test_the_old_shape() -> None:
    """As the old reference has it: flat, with a key of one minute in it."""
    of = issuer()
    answer = made(create_session(post(OLD, FLAT), KITCHEN, of, NOW))
    secret = answer.pop("client_secret")
    assert secret["value"].startswith("ek_") and secret["expires_at"] == int(NOW) + 60
    assert answer.pop("id").startswith("sess_")
    assert answer == {
        **FLAT,
        "object": "realtime.session",
        "expires_at": 0,
        "output_audio_format": "pcm16",
        "input_audio_transcription": None,
        "input_audio_noise_reduction": None,
        "speed": 1.0,
        "tool_choice": "auto",
        "tracing": None,
        "prompt": None,
        "include": None,
    }
    start = start_of(Identity("secret", "", of.registry.find(digest_of(secret["value"]), NOW)))
    assert start is not None and (start.model, start.temperature) == ("gpt-4o-realtime-preview", 1.1)
    assert start.session["audio"]["input"] == {"format": {"type": "audio/pcmu"}, "turn_detection": None}
    assert not of.registry.find(digest_of(secret["value"]), NOW + 60)


def test_the_old_defaults() -> None:
    answer = made(create_session(post(OLD), KITCHEN, issuer(), NOW))
    assert (answer["modalities"], answer["temperature"], answer["voice"]) == (["text", "audio"], 0.8, "alloy")
    assert answer["max_response_output_tokens"] == "inf" and answer["turn_detection"]["type"] == "server_vad"


def test_the_old_transcription_session() -> None:
    body = {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "whisper-1"}}
    of = issuer()
    answer = made(create_transcription_session(post(OLD_TRANSCRIPTION, body), KITCHEN, of, NOW))
    assert answer["object"] == "realtime.transcription_session" and "voice" not in answer and "model" not in answer
    assert answer["input_audio_transcription"] == {"model": "whisper-1"}
    secret = answer["client_secret"]
    start = start_of(Identity("secret", "", of.registry.find(digest_of(secret["value"]), NOW)))
    assert start is not None and start.transcription
    assert secret["expires_at"] == int(NOW) + 60


def test_the_old_key_may_last_longer() -> None:
    body = {"client_secret": {"expires_after": {"anchor": "created_at", "seconds": 600}}}
    answer = made(create_session(post(OLD, body), KITCHEN, issuer(), NOW))
    assert answer["client_secret"]["expires_at"] == int(NOW) + 600


@pytest.mark.parametrize(
    ("body", "expected", "words"),
    [
        ({"voice": 5}, (400, "invalid_type", "voice"), "Invalid type for 'voice'"),
        ({"type": "realtime"}, (400, "unknown_parameter", "type"), "Unknown parameter: 'type'"),
        ({"audio": {}}, (400, "unknown_parameter", "audio"), "Unknown parameter: 'audio'"),
        ({"temperature": 2}, (400, "invalid_value", "temperature"), "Invalid 'temperature'"),
        ({"temperature": "x"}, (400, "invalid_type", "temperature"), "Invalid type for 'temperature'"),
        ({"input_audio_format": "mp3"}, (400, "invalid_value", "input_audio_format"), "'pcm16', 'g711_ulaw'"),
        ({"turn_detection": {"threshold": 2}}, (400, "invalid_value", "turn_detection.threshold"), "threshold"),
        ({"tools": [{"type": "function"}]}, (400, "missing_required_parameter", "tools[0].name"), "'tools[0].name'"),
        ({"client_secret": {"value": "x"}}, (400, "unknown_parameter", "client_secret.value"), "client_secret.value"),
        (b"[]", (400, "invalid_json", None), "JSON object"),
    ],
)
def test_the_old_refusals_name_the_body(body: Any, expected: tuple[int, str, str | None], words: str) -> None:
    answer = create_session(post(OLD, body), KITCHEN, issuer(), NOW)
    assert problem(answer) == expected
    assert words in told(answer)["error"]["message"] and "session." not in told(answer)["error"]["message"]


@pytest.mark.parametrize(
    ("operation", "create_it"),
    [
        (operations.create_session(FLAT), create_session),
        (operations.create_transcription_session({}), create_transcription_session),
    ],
)
def test_our_own_client_reads_the_old_ones(
    operation: operations.Operation[Any], create_it: Callable[[Request, Identity, Issuer, float], Answer]
) -> None:
    answer = create_it(post(OLD, operation.body), KITCHEN, issuer(), NOW)
    old = operation.read(operations.Answer(answer.status, {}, answer.body))
    assert old.client_secret.expires_at == int(NOW) + 60 and not isinstance(old.session, HybridSession)


# ---- models


def test_models() -> None:
    options = ServerOptions(model="house-voice")
    listed = told(models(NOBODY, options))
    assert listed["object"] == "list" and [each["id"] for each in listed["data"]] == ["house-voice"]
    assert told(model(KITCHEN, options, "house-voice")) == listed["data"][0]
    assert set(listed["data"][0]) == {"id", "object", "created", "owned_by"}
    assert problem(model(KITCHEN, options, "other")) == (404, "model_not_found", "model")


# ---- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 10_000) | st.floats(-2, 2) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PLACES: list[tuple[str, ...]] = [
    *((name,) for name in REALTIME),
    *(("audio", side, name) for side, names in (("input", INPUT), ("output", OUTPUT)) for name in names),
    *(("audio", "input", "turn_detection", name) for name in SERVER_VAD),
]
GOOD: dict[tuple[str, ...], list[Any]] = {
    ("output_modalities",): [["text"], ["audio"]],
    ("max_output_tokens",): [1, 4096, "inf"],
    ("tool_choice",): ["none", "required", {"type": "function", "name": "look"}],
    ("tools",): [[], [FUNCTION]],
    ("tracing",): ["auto", None],
    ("truncation",): ["disabled", {"type": "retention_ratio", "retention_ratio": 0.5}],
    ("audio", "input", "format"): [{"type": "audio/pcmu"}, {"type": "audio/pcm", "rate": 24000}],
    ("audio", "input", "turn_detection"): [None, {"type": "semantic_vad", "eagerness": "low"}],
    ("audio", "input", "transcription"): [None, {"model": "whisper-1"}, {"model": "gpt-live-transcribe"}],
    ("audio", "input", "noise_reduction"): [None, {"type": "near_field"}],
    ("audio", "output", "format"): [{"type": "audio/pcma"}],
    ("audio", "output", "speed"): [0.25, 1.5],
    ("audio", "output", "voice"): ["marin", {"id": "voice_1"}],
    ("instructions",): ["", "Be brief.", None],
    ("model",): ["gpt-realtime", "m"],
    ("prompt",): [None, {"id": "p", "variables": {"x": "y"}}],
    ("include",): [None, ["item.input_audio_transcription.logprobs"]],
    ("parallel_tool_calls",): [True],
    ("reasoning",): [{"effort": "low"}],
    ("type",): ["realtime"],
    ("audio",): [{}],
    **{("audio", "input", "turn_detection", name): [value] for name, value in rules.SERVER_VAD.items()},
}


def _older(session: dict[str, Any]) -> dict[str, Any]:
    """As the older endpoints take it."""
    return {name: value for name, value in flat(session).items() if name not in ("type", "truncation")}


@st.composite
def wild(draw: st.DrawFn) -> dict[str, Any]:
    """A session with some members that are good, and some that may be anything."""
    session: dict[str, Any] = {"type": draw(st.sampled_from(["realtime", "realtime", "transcription"]))}
    anything = draw(st.integers(0, 3))  # so many of the members
    for number, place in enumerate(draw(st.lists(st.sampled_from(PLACES), max_size=6))):
        holder = session
        for name in place[:-1]:
            inner = holder.setdefault(name, {})
            if not isinstance(inner, dict):
                break
            holder = inner
        else:
            holder[place[-1]] = draw(JSON if number < anything else st.sampled_from(GOOD[place]))
    return session


@given(wild(), st.sampled_from([create_client_secret, create_session, create_transcription_session]))
@settings(max_examples=300)
def test_whatever_is_asked_for_is_refused_cleanly_or_opens_a_session(
    session: dict[str, Any], create_it: Callable[[Request, Identity, Issuer, float], Answer]
) -> None:
    of = issuer()
    body = {"session": session} if create_it is create_client_secret else _older(session)
    answer = create_it(post(NEW, body), KITCHEN, of, NOW)
    if answer.status != 200:
        status, code, _ = problem(answer)
        assert status == 400 and code and of.registry.count(NOW) == 0
        return
    told_of = told(answer)
    value = told_of["value"] if create_it is create_client_secret else told_of["client_secret"]["value"]
    start = start_of(Identity("secret", "kitchen", of.registry.find(digest_of(value), NOW)))
    assert start is not None
    config = begun(defaults(of.options, "sess_1", start, expires_at=0), start, of.rules)
    if create_it is create_client_secret:
        assert reported({**config, "id": told_of["session"]["id"]}) == told_of["session"]
