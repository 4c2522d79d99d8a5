"""The published schema with its corrections applied, values that satisfy it, and what is compared with what."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from hypothesis import strategies as st

from engine.realtime import events as ev
from engine.realtime import types as t
from engine.realtime.roles import Role
from engine.realtime.types.shape import Shape
from tests.conftest import shared_path

PAIRS: dict[str, type[Shape]] = {
    "RealtimeSessionCreateRequestGA": t.RealtimeSession,
    "RealtimeTranscriptionSessionCreateRequestGA": t.TranscriptionSession,
    "RealtimeSessionCreateResponseGA": t.ReportedSession,
    "RealtimeTranscriptionSessionCreateResponseGA": t.ReportedTranscription,
    "RealtimeSessionCreateResponse": t.HybridSession,
    "RealtimeSession": t.BetaSession,
    "RealtimeSessionCreateRequest": t.BetaSession,
    "RealtimeTranscriptionSessionCreateRequest": t.BetaTranscriptionSession,
    "RealtimeTranscriptionSessionCreateResponse": t.BetaTranscriptionSession,
    "RealtimeCreateClientSecretRequest": t.ClientSecretRequest,
    "RealtimeCreateClientSecretResponse": t.ClientSecret,
    "RealtimeCallCreateRequest": t.CallRequest,
    "RealtimeCallRejectRequest": t.RejectRequest,
    "RealtimeCallReferRequest": t.ReferRequest,
    "WebhookRealtimeCallIncoming": t.RealtimeCallIncoming,
    "RealtimeConversationItemMessageSystem": t.SystemMessage,
    "RealtimeConversationItemMessageUser": t.UserMessage,
    "RealtimeConversationItemMessageAssistant": t.AssistantMessage,
    "RealtimeConversationItemFunctionCall": t.FunctionCall,
    "RealtimeConversationItemFunctionCallOutput": t.FunctionCallOutput,
    "RealtimeMCPListTools": t.McpListTools,
    "RealtimeMCPToolCall": t.McpCall,
    "RealtimeMCPApprovalRequest": t.McpApprovalRequest,
    "RealtimeMCPApprovalResponse": t.McpApprovalResponse,
    "RealtimeResponseCreateParams": t.ResponseRequest,
    "RealtimeResponse": t.Response,
    "RealtimeFunctionTool": t.FunctionTool,
    "MCPTool": t.McpTool,
    "MCPToolFilter": t.ToolFilter,
    "ToolChoiceFunction": t.ToolChoiceFunction,
    "ToolChoiceMCP": t.ToolChoiceMcp,
    "AudioTranscription": t.Transcription,
    "AudioTranscriptionResponse": t.Transcription,
    "RealtimeReasoning": t.Reasoning,
    "Prompt": t.Prompt,
    "InputTextContent": t.InputText,
    "InputImageContent": t.InputImage,
    "InputFileContent": t.InputFile,
}
"""Schema to shape."""

LEFT_OUT = {
    "RealtimeBeta": "the older dialect's events: translated to today's before they are typed",
    "RealtimeTranslation": "the translation protocol, another API",
    "RealtimeClientEventTranscriptionSessionUpdate": "an event of the older dialect; today session.update",
    "RealtimeServerEventTranscriptionSessionUpdated": "an event of the older dialect; today session.updated",
    "RealtimeConversationItemWithReference": "the older dialect's items",
    "WebhookLiveCallIncoming": "another API's webhook, kept as WebhookEvent",
}
"""Beginning of a schema's name to the reason why it is compared with nothing."""


@cache
def corrected() -> dict[str, Any]:
    """The schemas, corrections applied."""
    document = json.loads(shared_path("protocol", "realtime.schema.json").read_text())
    for operation in json.loads(shared_path("protocol", "schema-corrections.json").read_text())["patch"]:
        assert operation["op"] == "replace"
        *path, last = operation["path"].strip("/").split("/")
        place = document
        for step in path:
            place = place[step]
        place[last] = operation["value"]
    schemas: dict[str, Any] = document["components"]["schemas"]
    # The corrections let today's sessions echo a custom voice; the older one's request takes one too.
    voice = {"$ref": "#/components/schemas/VoiceIdsOrCustomVoice"}
    schemas["RealtimeSession"]["properties"]["voice"] = voice
    hybrid = schemas["RealtimeSessionCreateResponse"]["properties"]["audio"]["properties"]["output"]
    hybrid["properties"]["voice"] = voice
    return schemas


@cache
def definitions(name: str) -> dict[str, Any]:
    """One schema as a document of its own for jsonschema."""
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": corrected()}}


def schemas_of_events() -> dict[str, tuple[Role, type[ev.Event]]]:
    """Every schema in the two unions of events, its sender and its type here. Fails for one that is not here."""
    found: dict[str, tuple[Role, type[ev.Event]]] = {}
    for union, role in (("RealtimeClientEvent", Role.CLIENT), ("RealtimeServerEvent", Role.SERVER)):
        for reference in corrected()[union].get("anyOf") or corrected()[union]["oneOf"]:
            name = reference["$ref"].rsplit("/", 1)[1]
            if left_out(name) is None:
                kind = corrected()[name]["properties"]["type"]
                kind = kind.get("const") or kind["enum"][0]
                found[name] = (role, ev.EVENTS[role][kind])
    return found


def left_out(name: str) -> str | None:
    """Why a schema is compared with nothing; None when it is compared."""
    return next((reason for start, reason in LEFT_OUT.items() if name.startswith(start)), None)


def reached(name: str) -> Iterator[str]:
    """The schemas that a schema refers to, itself first."""
    seen = [name]
    for each in seen:
        yield each
        seen += [ref for ref in _references(corrected()[each]) if ref not in seen]


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rsplit("/", 1)[1]
        for inner in schema.values():
            yield from _references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _references(inner)


# ---- values of a schema

WORDS = st.text("abc é", max_size=4)
FREE = st.none() | st.booleans() | st.integers(-9, 9) | WORDS | st.dictionaries(WORDS, st.integers(0, 9), max_size=2)


@cache
def values(name: str) -> st.SearchStrategy[Any]:
    """JSON values of a named schema."""
    return st.deferred(lambda: _values(corrected()[name], ""))


def _values(schema: Mapping[str, Any], name: str) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return values(schema["$ref"].rsplit("/", 1)[1])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return st.one_of([_values(each, name) for each in schema[choice]])
    if "allOf" in schema:
        return _values(schema["allOf"][0], name)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type") or ("array" if "items" in schema else None)
    if kind == "object":
        return _objects(schema)
    if kind == "array":
        return st.lists(_values(schema["items"], name), min_size=schema.get("minItems", 0), max_size=2)
    if kind == "integer":
        return st.integers(schema.get("minimum", -5), schema.get("maximum", 5000))
    if kind == "number":
        return st.floats(schema.get("minimum", -5), schema.get("maximum", 5000), allow_nan=False)
    if kind == "string":
        return st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else WORDS
    return {"boolean": st.booleans(), "null": st.none()}.get(str(kind), FREE)


def _objects(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    if not properties:
        more = schema.get("additionalProperties")
        return st.dictionaries(WORDS, _values(more, "") if isinstance(more, dict) else FREE, max_size=2)
    required = set(schema.get("required", ()))
    required |= {"type"} & set(properties) if "enum" in properties.get("type", {}) else set()  # tells shapes apart
    members = {name: _values(inner, name) for name, inner in properties.items()}
    return st.fixed_dictionaries(
        {name: each for name, each in members.items() if name in required},
        optional={name: each for name, each in members.items() if name not in required},
    )


# ---- null


def without_nulls(value: Any) -> Any:
    """The corrections' null rule: an optional member that is null counts as absent. Requests clear with it too."""
    value = copy.deepcopy(value)
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value
