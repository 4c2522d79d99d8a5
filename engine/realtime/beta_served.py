"""The older dialect in terms of today's, on a server's side: what a client of then says, and what it is told.

    beta = BetaServed()                       # one per connection: it knows the session's temperature
    event = wire.decode(beta.incoming(message), Role.CLIENT)
    told = beta.outgoing(wire.encode(answer))     # None: the older dialect has no such event

Members of today's that the older dialect has not are refused as unknown parameters, so a client that mixes both finds
out. Errors name fields as that client knows them. Temperature, which is gone today, is checked, kept and reported.
"""

from __future__ import annotations

import msgspec

from engine.errors import ProtocolError, RemoteProtocolError
from engine.realtime import problems
from engine.realtime.beta_names import (
    EVENTS,
    FORMAT_NAMES,
    OF_RESPONSES,
    PART_NAMES,
    PARTS,
    PLACES,
    Json,
    flat,
    named_flat,
    nest,
    nested,
    parsed,
    part,
    with_parts,
)

TEMPERATURE = 0.8
"""Of a session that sets none."""
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.6, 1.2

_KEPT = ("id", "object", "model", "instructions", "tools", "tool_choice", "tracing", "prompt", "include", "expires_at")
_SESSION = frozenset({*PLACES, *_KEPT, "temperature"})
_RESPONSE = frozenset(
    {
        *OF_RESPONSES,
        *("instructions", "tools", "tool_choice", "temperature", "max_output_tokens", "max_response_output_tokens"),
        *("conversation", "metadata", "prompt", "input"),
    }
)
_ONLY_TODAY = frozenset({"type", "audio", "output_modalities", "parallel_tool_calls", "reasoning", "truncation"})
_UNKNOWN_HERE = {
    f"{holder}.{name}" for holder in ("session", "response") for name in (*_ONLY_TODAY, "max_output_tokens")
}
_UNTOUCHED = (b'{"type":"input_audio_buffer.append"', b'{"type": "input_audio_buffer.append"')
_RENAMED = {
    f'{{"type":"{new}"'.encode(): f'{{"type":"{old}"'.encode()
    for old, new in EVENTS.items()  # as wire.encode begins them
}
_PATHS = {
    f"{holder}.{'.'.join(PLACES[name])}{end}": f"{holder}.{name}"
    for holder, names in (("session", PLACES), ("response", OF_RESPONSES))
    for name in names
    for end in (".type", "")  # a format is one word, so its type is the format: the longer path is looked for first
    if not end or name.endswith("_format")
}


class BetaServed:
    """Both directions of one connection."""

    def __init__(self, temperature: float | None = None) -> None:
        self._temperature = TEMPERATURE if temperature is None else temperature
        self._asked: float | None = None  # by the message that is being obeyed
        self._of_responses: dict[str, float] = {}  # by id, until response.done; as many as run at a time

    def incoming(self, message: bytes | str) -> bytes | str:
        """A client's message of then as one of today's.

        Raises RemoteProtocolError for what only today's dialect has, and for a temperature or modalities that the
        older one refused. Everything else that is wrong passes, and is found where it always is.
        """
        data = message if isinstance(message, bytes) else message.encode(errors="replace")
        if data.startswith(_UNTOUCHED):
            return message
        self._asked = None
        event = parsed(data)
        if event is None:
            return message
        event_id = event.get("event_id")
        try:
            if not self._understand(event):
                return message
        except ProtocolError as problem:
            known = event_id if isinstance(event_id, str) else None
            raise RemoteProtocolError(str(problem), code=problem.code, param=problem.param, event_id=known) from None
        return msgspec.json.encode(event)

    def _understand(self, event: Json) -> bool:
        """Rewrite an event in place; False when it is the same in both dialects."""
        match event["type"]:
            case "session.update" | "transcription_session.update" as kind:
                session = event.get("session")
                event["type"] = "session.update"
                if isinstance(session, dict):
                    self._check("session", session, _SESSION)
                    temperature = session.pop("temperature", self._temperature)
                    self._asked = TEMPERATURE if temperature is None else float(temperature)
                    event["session"] = nested(session, "realtime" if kind == "session.update" else "transcription")
            case "response.create":
                response = event.get("response")
                if isinstance(response, dict):
                    self._check("response", response, _RESPONSE)
                    event["response"] = self._response(response)
            case "conversation.item.create":
                event["item"] = with_parts(event.get("item"), PARTS)
            case _:
                return False
        return True

    def _check(self, where: str, given: Json, known: frozenset[str]) -> None:
        for name in given:
            if name in _ONLY_TODAY or (name == "max_output_tokens" and name not in known):
                raise problems.unknown_parameter(f"{where}.{name}")
        temperature = given.get("temperature")
        if temperature is not None:
            param = f"{where}.temperature"
            if isinstance(temperature, bool) or not isinstance(temperature, int | float):
                raise problems.invalid_type(param, "a number", temperature)
            if not LEAST_TEMPERATURE <= temperature <= MOST_TEMPERATURE:
                least, most = LEAST_TEMPERATURE, MOST_TEMPERATURE
                text = f"Invalid '{param}': expected {least:g} to {most:g}, but got {temperature!r:.40}."
                raise problems.invalid_value(param, text)
        modalities = given.get("modalities")
        if isinstance(modalities, list) and modalities not in (["text"], ["text", "audio"], ["audio", "text"]):
            text = (
                f"Invalid modalities: {modalities!s:.80}. Supported combinations are: ['text'] and ['audio', 'text']."
            )
            raise problems.invalid_value(f"{where}.modalities", text)

    def _response(self, old: Json) -> Json:
        temperature = old.get("temperature")
        self._asked = None if temperature is None else float(temperature)
        gone = (*OF_RESPONSES, "temperature", "max_response_output_tokens")
        result = {name: value for name, value in old.items() if name not in gone}
        if "max_response_output_tokens" in old:
            result.setdefault("max_output_tokens", old["max_response_output_tokens"])
        if isinstance(old.get("input"), list):
            result["input"] = [with_parts(item, PARTS) for item in old["input"]]
        nest(result, {name: old[name] for name in OF_RESPONSES if name in old})
        return result

    # ---- out

    def outgoing(self, message: bytes) -> bytes | None:
        """A message of the server's as a client of then reads it; None when it had nothing like it."""
        for new, old in _RENAMED.items():
            if message.startswith(new):
                return old + message[len(new) :]
        event = parsed(message)
        if event is None:
            return message
        match event["type"]:
            case "conversation.item.done":
                return None
            case "conversation.item.added":
                event["type"] = "conversation.item.created"
                event["item"] = with_parts(event.get("item"), PART_NAMES)
            case "response.output_item.added" | "response.output_item.done" | "conversation.item.retrieved":
                event["item"] = with_parts(event.get("item"), PART_NAMES)
            case "response.content_part.added" | "response.content_part.done":
                event["part"] = part(event.get("part"), PART_NAMES)
            case "session.created" | "session.updated":
                self._tell_session(event)
            case "response.created" | "response.done":
                event["response"] = self._told_response(event["response"], event["type"] == "response.done")
            case "error":
                self._asked = None
                _tell_error(event["error"])
            case _:
                return message
        return msgspec.json.encode(event)

    def _tell_session(self, event: Json) -> None:
        if self._asked is not None and event["type"] == "session.updated":
            self._temperature, self._asked = self._asked, None
        session: Json = event["session"]
        shown = {name: value for name, value in flat(session).items() if name in _SESSION}
        if session.get("type") == "transcription":
            event["type"] = f"transcription_{event['type']}"
        else:
            shown["temperature"] = self._temperature
        event["session"] = shown

    def _told_response(self, response: Json, done: bool) -> Json:
        response_id = str(response.get("id"))
        if done:
            temperature = self._of_responses.pop(response_id, self._temperature)
        else:
            temperature = self._temperature if self._asked is None else self._asked
            self._asked = None
            self._of_responses[response_id] = temperature
        result = {name: value for name, value in response.items() if name not in ("audio", "output_modalities")}
        result |= named_flat(response, OF_RESPONSES)
        result["temperature"] = temperature
        if isinstance(response.get("output"), list):
            result["output"] = [with_parts(item, PART_NAMES) for item in response["output"]]
        return result


def _tell_error(error: Json) -> None:
    if error.get("param") in _UNKNOWN_HERE and error.get("code") == "unknown_parameter":
        return  # said in the older words already
    for name in ("param", "message"):
        if isinstance(error.get(name), str):
            error[name] = _in_old_words(error[name])


def in_old_words(problem: ProtocolError) -> ProtocolError:
    """The same mistake with its fields as the older dialect names them."""
    if problem.param in _UNKNOWN_HERE and problem.code == "unknown_parameter":
        return problem
    param = None if problem.param is None else _in_old_words(problem.param)
    return ProtocolError(_in_old_words(str(problem)), code=problem.code, param=param)


def _in_old_words(text: str) -> str:
    for path, name in _PATHS.items():
        text = text.replace(path, name)
    for new, old in FORMAT_NAMES.items():
        text = text.replace(f"'{new}'", f"'{old}'")
    return text


__all__ = ["TEMPERATURE", "BetaServed", "in_old_words"]
