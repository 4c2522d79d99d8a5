"""Shapes: absent, null and a value are three things, nothing that came is lost, and nothing secret is shown."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec import UNSET

from engine.errors import RemoteProtocolError
from engine.realtime import types as t
from engine.realtime.types import reading
from engine.realtime.types.shape import Shape
from tests.realtime.any_shape import shapes

ALL = [cls for name, cls in vars(t).items() if isinstance(cls, type) and issubclass(cls, Shape)]
BASES = {t.Shape, t.Tagged, t.Item}


def test_absent_null_and_a_value_are_three_things() -> None:
    absent = t.AudioInput.from_wire({})
    null = t.AudioInput.from_wire({"turn_detection": None})
    value = t.AudioInput.from_wire({"turn_detection": {"type": "server_vad"}})
    assert (absent.turn_detection, null.turn_detection, value.turn_detection) == (UNSET, None, t.ServerVad())
    assert [each.to_wire() for each in (absent, null, value)] == [
        {},
        {"turn_detection": None},
        {"turn_detection": {"type": "server_vad"}},
    ]


def test_what_is_unknown_is_kept_on_every_level() -> None:
    wire: dict[str, Any] = {
        "type": "realtime",
        "shiny": {"a": [1]},
        "*": "a member of that name",
        "extra": "and of this one",
        "audio": {"input": {"x": None, "turn_detection": {"type": "psychic_vad", "depth": 3}}, "third": {}},
        "tools": [{"type": "web_search", "k": 1}, {"type": "function", "name": "f", "strict": True}],
    }
    session = t.RealtimeSession.from_wire(wire)
    assert session.to_wire() == wire
    assert session.extra == {"shiny": {"a": [1]}, "*": "a member of that name", "extra": "and of this one"}
    assert isinstance(session.tools, tuple)
    assert session.tools[0] == {"type": "web_search", "k": 1}
    assert session.tools[1] == t.FunctionTool(name="f", extra={"strict": True})
    assert "psychic_vad" in repr(session)
    assert "shiny" in repr(session)


def test_what_does_not_fit_is_kept_and_its_type_stays_true() -> None:
    wire = {"audio": {"input": {"format": "pcm16", "turn_detection": {"type": "server_vad", "threshold": "high"}}}}
    session = t.HybridSession.from_wire(wire)
    assert session.to_wire() == wire
    audio = session.audio
    assert isinstance(audio, t.Audio)
    assert isinstance(audio.input, t.AudioInput)
    assert audio.input.format is UNSET
    assert audio.input.turn_detection == t.ServerVad(extra={"threshold": "high"})


def test_a_default_is_not_made_up_for_what_is_absent() -> None:
    assert t.PcmFormat().to_wire() == {"type": "audio/pcm", "rate": 24000}
    assert t.PcmFormat.from_wire({"type": "audio/pcm"}).rate is UNSET


def test_extra_is_merged_last_objects_into_objects() -> None:
    output = t.AudioOutput(voice="ash", speed=1.0)
    session = t.RealtimeSession(audio=t.Audio(output=output), extra={"audio": {"output": {"speed": 2, "x": 1}}, "y": 2})
    assert session.to_wire() == {
        "type": "realtime",
        "audio": {"output": {"voice": "ash", "speed": 2, "x": 1}},
        "y": 2,
    }
    assert session.to_wire(extra=False)["audio"] == {"output": {"voice": "ash", "speed": 1.0}}
    assert msgspec.json.decode(session.to_json()) == session.to_wire()


def test_what_lacks_its_heart_is_refused_by_name() -> None:
    with pytest.raises(RemoteProtocolError, match=r"no ClientSecret: it has no expires_at") as caught:
        t.ClientSecret.from_wire({"value": "ek_1234"})
    assert caught.value.param == "expires_at"
    with pytest.raises(RemoteProtocolError, match="its type is not 'realtime'"):
        t.RealtimeSession.from_wire({"type": "transcription"})


HYBRID = {
    "id": "sess_1",
    "object": "realtime.session",
    "expires_at": 1756324625,
    "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "noise_reduction": None}},
    "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200},
    "tools": [],
    "tracing": "auto",
    "client_secret": {"value": "ek_abcdefgh", "expires_at": 1756324625},
}
BETA = {
    "id": "sess_2",
    "object": "realtime.session",
    "modalities": ["text", "audio"],
    "voice": "alloy",
    "input_audio_format": "g711_ulaw",
    "output_audio_format": "g711_alaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "turn_detection": None,
    "temperature": 0.8,
    "max_response_output_tokens": "inf",
    "client_secret": {"value": "ek_abcdefgh", "expires_at": 1},
}


@pytest.mark.parametrize(
    ("wire", "kind"),
    [
        (HYBRID, t.HybridSession),
        (BETA, t.BetaSession),
        ({"type": "realtime", "id": "s", "object": "realtime.session", "audio": {}}, t.ReportedSession),
        ({"type": "transcription", "id": "s", "object": "realtime.transcription_session"}, t.ReportedTranscription),
    ],
)
def test_every_dialect_of_a_session_is_told_apart_and_kept(wire: dict[str, Any], kind: type[Shape]) -> None:
    session = t.session_of(wire)
    assert type(session) is kind
    assert session.extra is UNSET
    assert session.to_wire() == wire


def test_the_hybrid_session_in_todays_shape() -> None:
    today = t.HybridSession.from_wire(HYBRID).to_reported()
    assert isinstance(today.audio, t.Audio)
    assert isinstance(today.audio.input, t.AudioInput)
    assert today.audio.input.turn_detection == t.ServerVad(
        threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200
    )
    assert today.audio.input.noise_reduction is None


def test_items_are_told_apart_by_type_and_role() -> None:
    said = t.item_of({"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": None}]})
    assert said == t.UserMessage(content=(t.AudioPart(transcript=None),))
    older = {"type": "message", "role": "assistant", "content": [{"type": "audio", "transcript": "x"}]}
    answer = t.item_of(older)
    assert isinstance(answer, t.AssistantMessage)
    assert answer.to_wire() == older
    assert t.item_of({"type": "message", "role": "narrator", "content": []}) is None
    assert t.item_of({"type": "song"}) is None
    assert t.user_text("hi").to_wire() == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "hi"}],
    }


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind not in BASES], ids=lambda kind: str(kind.__name__))
def test_every_shape_returns_from_the_wire(kind: type[Shape]) -> None:
    @given(shapes(kind))
    def check(shape: Shape) -> None:
        assert kind.from_wire(shape.to_wire()).to_wire() == shape.to_wire()

    check()


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: str(kind.__name__))
def test_every_shape_is_frozen_and_documented(kind: type[Shape]) -> None:
    assert kind.__struct_config__.frozen
    assert inspect.getdoc(kind)
    assert "__doc__" in vars(kind)
    for member in reading.plan(kind):
        assert member.name == member.wire_name


def test_endpoints_name_their_bodies() -> None:
    assert len({(each.method, each.path) for each in t.ENDPOINTS}) == len(t.ENDPOINTS)
    assert t.HANGUP_CALL.path.format(call_id="rtc_1") == "/realtime/calls/rtc_1/hangup"


def members_without_words(path: Path) -> Iterator[str]:
    """Members of classes whose next statement is no docstring."""
    for owner in ast.walk(ast.parse(path.read_text())):
        if isinstance(owner, ast.ClassDef):
            for node, after in zip(owner.body, [*owner.body[1:], None], strict=True):
                told = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                if isinstance(node, ast.AnnAssign) and not told:
                    yield f"{owner.name}.{ast.unparse(node.target)}"


@pytest.mark.parametrize(
    "name", ["audio", "beta", "items", "prompts", "reports", "responses", "rest", "session", "tools"]
)
def test_every_member_is_documented(name: str) -> None:
    assert list(members_without_words(Path(inspect.getfile(t)).with_name(f"{name}.py"))) == []
