"""What a server says about a client's mistake: code, message and param, in the service's words where they are known.

Each function gives a ProtocolError for the caller to raise or to turn into an `error` event.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import ProtocolError

KIND = "invalid_request_error"
"""error.type of everything in this file."""


def unknown_event_type(kind: str, supported: Iterable[str]) -> ProtocolError:
    """A type that no client event has."""
    names = "', '".join(sorted(supported))
    message = f"Invalid value: '{kind[:80]}'. Supported values are: '{names}'."
    return ProtocolError(message, code="invalid_value", param="type")


def unknown_parameter(param: str) -> ProtocolError:
    """A member the session does not have; the whole update is refused."""
    return ProtocolError(f"Unknown parameter: '{param[:120]}'.", code="unknown_parameter", param=param[:120])


def missing(param: str) -> ProtocolError:
    """A required member is absent."""
    return ProtocolError(f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def invalid_type(param: str, expected: str, value: object) -> ProtocolError:
    """A member has another JSON type; `expected` with its article, such as "an object"."""
    message = f"Invalid type for '{param}': expected {expected}, but got {json_kind(value)} instead."
    return ProtocolError(message, code="invalid_type", param=param)


def invalid_value(param: str, message: str) -> ProtocolError:
    """A member has a value that is not possible; `message` is the whole text."""
    return ProtocolError(message, code="invalid_value", param=param)


def json_kind(value: object) -> str:
    """The JSON type of a Python value, with its article."""
    if value is None:
        return "null"
    kinds = {str: "a string", int: "an integer", float: "a number", bool: "a boolean", list: "an array"}
    return kinds.get(type(value), "an object")


def active_response(response_id: str) -> ProtocolError:
    """response.create while the default conversation's slot is taken."""
    message = (
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one."
    )
    return ProtocolError(message, code="conversation_already_has_active_response")


def too_many_responses(limit: int) -> ProtocolError:
    """response.create for one out-of-band response too many."""
    message = f"At most {limit} out-of-band responses may run at a time: wait for one to end, or cancel one."
    return ProtocolError(message, code="too_many_responses", param="response.conversation")


def cancel_not_active() -> ProtocolError:
    """response.cancel with nothing to cancel: a harmless race."""
    return ProtocolError("Cancellation failed: no active response found", code="response_cancel_not_active")


def buffer_too_small(buffered_ms: float) -> ProtocolError:
    """input_audio_buffer.commit with less than 100 ms in the buffer."""
    message = (
        "Error committing input audio buffer: buffer too small. "
        f"Expected at least 100ms of audio, but buffer only has {buffered_ms:.2f}ms of audio."
    )
    return ProtocolError(message, code="input_audio_buffer_commit_empty")


def voice_is_fixed() -> ProtocolError:
    """A voice in session.update after the first audio, even the same one."""
    message = "Cannot update a conversation's voice if assistant audio is present."
    return ProtocolError(message, code="cannot_update_voice")


def session_type_is_fixed(wanted: str, present: str) -> ProtocolError:
    """session.type of an update differs from the session's."""
    article = "an" if wanted[:1] in "aeiou" else "a"
    message = f"Passing {article} {wanted} session update event to a {present} session is not allowed."
    return ProtocolError(message, code="invalid_parameter", param="session.type")


def session_expired(minutes: int = 60) -> ProtocolError:
    """The longest session is over; close code 1001 follows."""
    message = f"Your session hit the maximum duration of {minutes} minutes."
    return ProtocolError(message, code="session_expired")


def beta_is_gone() -> ProtocolError:
    """A connection that asks for the older dialect where it is not served; close code 4000 follows."""
    message = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
    return ProtocolError(message, code="beta_api_shape_disabled")


def no_model_to_transcribe() -> ProtocolError:
    """A URL with intent=transcription and a model; close code 4000 follows."""
    return ProtocolError("You must not provide a model parameter for transcription sessions.", code="invalid_model")


def no_translation() -> ProtocolError:
    """A connection that asks for a translation session, which has a protocol of its own."""
    message = (
        "Translation sessions (/v1/realtime/translations, gpt-realtime-translate) are not offered by this server. "
        "Use /v1/realtime?model=... to converse, or /v1/realtime?intent=transcription to transcribe."
    )
    return ProtocolError(message, code="translation_not_supported")


def no_such_item(doing: str, item_id: str) -> ProtocolError:
    """`doing` is truncate, delete or retrieve."""
    gerund = {"truncate": "truncating", "delete": "deleting", "retrieve": "retrieving"}[doing]
    message = f"Error {gerund} item: the item with id '{item_id[:80]}' does not exist."
    return ProtocolError(message, code=f"item_{doing}_invalid_item_id", param="item_id")


def not_model_audio() -> ProtocolError:
    """conversation.item.truncate of an item without model audio, or of which nothing was played."""
    return ProtocolError("Only model output audio messages can be truncated", code="invalid_value", param="item_id")


def already_shorter(present_ms: int, wanted_ms: int) -> ProtocolError:
    """conversation.item.truncate beyond the end of the audio."""
    message = f"Audio content of {present_ms}ms is already shorter than {wanted_ms}ms"
    return ProtocolError(message, code="invalid_value", param="audio_end_ms")


def clear_belongs_to_calls() -> ProtocolError:
    """output_audio_buffer.clear on a WebSocket."""
    message = (
        "output_audio_buffer.clear is only supported on WebRTC and SIP connections, where the server plays the audio."
    )
    return ProtocolError(message, code="invalid_value", param="type")


def unknown_call(call_id: str) -> ProtocolError:
    """A function_call_output whose call is not in the conversation."""
    message = f"Tool call ID '{call_id[:80]}' not found in conversation."
    return ProtocolError(message, code="invalid_tool_call_id", param="item.call_id")
