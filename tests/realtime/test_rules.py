"""What a client may send: every rule refuses in words that name field, value, rule and remedy; the rest is let pass."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.realtime import rules
from engine.realtime import types as t


def speaking(**members: Any) -> t.RealtimeSession:
    return t.RealtimeSession(audio=t.Audio(output=t.AudioOutput(**members)))


def hearing(**members: Any) -> t.RealtimeSession:
    return t.RealtimeSession(audio=t.Audio(input=t.AudioInput(**members)))


def writing(model: str, **members: Any) -> t.TranscriptionSession:
    heard = t.AudioInput(transcription=t.Transcription(model=model), **members)
    return t.TranscriptionSession(audio=t.TranscriptionAudio(input=heard))


VAD = "session.audio.input.turn_detection"
FORMAT = "session.audio.input.format"
MCP = {"type": "mcp", "server_label": "files"}

REFUSED: list[tuple[t.Shape | Mapping[str, Any], str, str, str, str]] = [
    # what is asked, field, value, a word of the rule, a word of the remedy
    (speaking(speed=3), "session.audio.output.speed", "3", "0.25 to 1.5", "use 1.5"),
    (speaking(speed=0.1), "session.audio.output.speed", "0.1", "0.25 to 1.5", "use 0.25"),
    (speaking(speed=float("nan")), "session.audio.output.speed", "nan", "0.25 to 1.5", "use a number"),
    (speaking(speed=True), "session.audio.output.speed", "True", "must be a number", "change"),
    (speaking(voice=5), "session.audio.output.voice", "5", "a string or an object (CustomVoice)", "change"),
    (speaking(voice={}), "session.audio.output.voice.id", "missing", "required", "give it"),
    (hearing(format=t.PcmFormat(rate=16000)), f"{FORMAT}.rate", "16000", "must be 24000", "use 24000"),
    (hearing(format="pcm16"), FORMAT, "'pcm16'", "an object, not a word", 'use {"type": "audio/pcm"}'),
    (speaking(format="g711_ulaw"), "session.audio.output.format", "'g711_ulaw'", "an object", '"audio/pcmu"'),
    (hearing(format=5), FORMAT, "5", "an object (PcmFormat)", "change"),
    (
        hearing(transcription="whisper-1"),
        "session.audio.input.transcription",
        "'whisper-1'",
        "an object",
        'use {"model": "whisper-1"}, or None',
    ),
    (hearing(format={"rate": 24000}), f"{FORMAT}.type", "missing", "required", "audio/pcm, audio/pcmu, audio/pcma"),
    (hearing(format={"type": "audio/pcmu", "rate": 16000}), f"{FORMAT}.rate", "16000", "8000", "leave it out"),
    (hearing(turn_detection=t.ServerVad(threshold=1.5)), f"{VAD}.threshold", "1.5", "0 to 1", "use 1"),
    (hearing(turn_detection=t.ServerVad(prefix_padding_ms=-1)), f"{VAD}.prefix_padding_ms", "-1", "0 to", "use 0"),
    (hearing(turn_detection=t.ServerVad(idle_timeout_ms=4999)), f"{VAD}.idle_timeout_ms", "4999", "5000", "5000"),
    (
        hearing(turn_detection={"type": "server_vad", "create_response": None}),
        f"{VAD}.create_response",
        "None",
        "true or false",
        "change",
    ),
    (
        hearing(turn_detection={"type": "semantic_vad", "idle_timeout_ms": 6000}),
        f"{VAD}.idle_timeout_ms",
        "6000",
        "only server_vad has it",
        "leave it out, or use server_vad",
    ),

    (hearing(turn_detection="none"), VAD, "'none'", "an object", "or None to turn it off"),
    (
        hearing(noise_reduction=t.NoiseReduction(strength=-1.0)),
        "session.audio.input.noise_reduction.strength",
        "-1.0",
        "0 to any size",
        "use 0",
    ),
    (
        hearing(transcription=t.Transcription(languages=())),
        "session.audio.input.transcription.languages",
        "[]",
        "must not be empty",
        "leave it out",
    ),
    (
        t.RealtimeSession(output_modalities=("audio", "text")),
        "session.output_modalities",
        "['audio', 'text']",
        "never both",
        'use ["audio"]',
    ),
    (t.RealtimeSession(output_modalities=()), "session.output_modalities", "[]", "never neither", 'use ["audio"]'),
    (t.RealtimeSession(max_output_tokens=0), "session.max_output_tokens", "0", "1 to 4096", "use 1"),
    (t.RealtimeSession(max_output_tokens="all"), "session.max_output_tokens", "'all'", "inf", "a number"),
    (t.RealtimeSession(instructions=5), "session.instructions", "5", "a string", "change"),  # type: ignore[arg-type]
    (
        t.RealtimeSession(truncation=t.RetentionRatio(retention_ratio=1.2)),
        "session.truncation.retention_ratio",
        "1.2",
        "0 to 1",
        "use 1",
    ),
    (
        t.RealtimeSession(
            truncation=t.RetentionRatio(retention_ratio=1, token_limits=t.TokenLimits(post_instructions=-1))
        ),
        "session.truncation.token_limits.post_instructions",
        "-1",
        "0 to",
        "use 0",
    ),
    (
        {"truncation": {"type": "retention_ratio"}},
        "session.truncation.retention_ratio",
        "missing",
        "required",
        "a number",
    ),
    ({"tools": [MCP]}, "session.tools[0]", "with none of them", "exactly one", "give one"),
    (
        {"tools": [{**MCP, "server_url": "https://x", "connector_id": "connector_gmail"}]},
        "session.tools[0]",
        "server_url and connector_id",
        "exactly one",
        "leave out",
    ),
    ({"tools": [{**MCP, "tunnel_id": "mine"}]}, "session.tools[0].tunnel_id", "'mine'", "32", "correct"),
    ({"tools": ["f"]}, "session.tools[0]", "'f'", "an object (FunctionTool)", "change"),
    ({"prompt": {"version": "2"}}, "session.prompt.id", "missing", "required", "give it"),
    ({"voice": "echo"}, "session.voice", "'echo'", "older dialect", "use session.audio.output.voice"),
    ({"modalities": ["text"]}, "session.modalities", "['text']", "older dialect", "use session.output_modalities"),
    ({"temperature": 0.8}, "session.temperature", "0.8", "older dialect", "no temperature"),
    ({"id": "sess_1"}, "session.id", "'sess_1'", "server's to set", "leave it out"),
    (
        writing("gpt-realtime-whisper", turn_detection=t.ServerVad()),
        VAD,
        "{'type': 'server_vad'}",
        "gpt-realtime-whisper takes no turn detection",
        "use None",
    ),
    (writing("gpt-live-transcribe", turn_detection=t.ServerVad()), VAD, "server_vad", "takes no turn", "use None"),
    (
        {"type": "transcription", "model": "gpt-4o-transcribe"},
        "session.model",
        "'gpt-4o-transcribe'",
        "has none",
        "transcription.model",
    ),
    (t.ExpiresAfter(seconds=9), "body.seconds", "9", "10 to 7200", "use 10"),
    (t.RejectRequest(status_code=200), "body.status_code", "200", "400 to 699", "use 400"),
    (t.ReferRequest(target_uri="+1415"), "body.target_uri", "'+1415'", "a tel: or sip: address", "correct"),
    (t.BetaSession(temperature=1.3), "body.temperature", "1.3", "0.6 to 1.2", "use 1.2"),
    (t.ClientSecretRequest(session=speaking(speed=9)), "body.session.audio.output.speed", "9", "0.25", "use 1.5"),
    (t.ResponseRequest(metadata={str(n): "" for n in range(17)}), "body.metadata", "'0'", "0 to 16", "shorten"),
    (t.ResponseRequest(metadata={"k" * 65: ""}), "body.metadata", "kkk", "64", "shorten"),
    (t.ResponseRequest(metadata={"k": "v" * 513}), "body.metadata.k", "vvv", "512", "shorten"),
    (t.ResponseRequest(output_modalities=("text", "audio")), "body.output_modalities", "text", "never both", "use"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "field", "value", "rule", "remedy"), REFUSED)
def test_a_mistake_is_told_with_field_value_rule_and_remedy(
    asked: t.Shape | Mapping[str, Any], field: str, value: str, rule: str, remedy: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        rules.prepared(asked, where=field.partition(".")[0])
    (problem,) = rules.problems(_kind(asked), t.Shape.to_wire(asked) if isinstance(asked, t.Shape) else asked,
                                where=field.partition(".")[0]).problems  # fmt: skip
    assert str(problem) == str(caught.value)
    assert problem.field == field
    assert value in problem.value
    assert rule in problem.rule
    assert remedy in problem.remedy


def _kind(asked: t.Shape | Mapping[str, Any]) -> type[t.Shape]:
    if isinstance(asked, t.Shape):
        return type(asked)
    return t.TranscriptionSession if asked.get("type") == "transcription" else t.RealtimeSession


EFFECTIVE = {"type": "realtime", "model": "gpt-realtime", "tracing": "auto", "audio": {"output": {"speed": 1.0}}}


@pytest.mark.parametrize(
    ("asked", "state", "words"),
    [
        (speaking(voice="ash"), {"audio_started": True}, r"output\.voice is 'ash': the voice is fixed .*leave it out"),
        (speaking(speed=1.25), {"responding": True}, r"output\.speed is 1\.25: .*between turns.*after response\.done"),
        (t.RealtimeSession(model="gpt-audio-mini"), {}, r"session\.model is .*fixed at 'gpt-realtime'.*new session"),
        (t.RealtimeSession(tracing=None), {}, r"session\.tracing is None: it is fixed at 'auto'"),
        (t.TranscriptionSession(), {}, r"session\.type is 'transcription': it is fixed at 'realtime'"),
    ],
)
def test_what_the_session_forbids_by_now(asked: t.Shape, state: dict[str, bool], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        rules.prepared(asked, state=rules.SessionState(EFFECTIVE, **state))
    if state:
        rules.prepared(asked, state=rules.SessionState(EFFECTIVE))


def test_the_same_speed_is_no_change() -> None:
    rules.prepared(speaking(speed=1.0), state=rules.SessionState(EFFECTIVE, responding=True))


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"max_output_tokens is 0: .*; and .*speed is 9"):
        rules.prepared({"max_output_tokens": 0, "audio": {"output": {"speed": 9}}})


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (speaking(voice="nova"), "session.audio.output.voice is 'nova': no such voice is known here"),
        ({"shiny": 1}, "session.shiny is 1: it is not known here; put it into extra"),
        ({"instruction": "x"}, "session.instruction is 'x': it is not known here; did you mean instructions?"),
        ({"audio": {"input": {"turn_detection": {"type": "psychic_vad"}}}}, "psychic_vad"),
        ({"tools": [{"type": "web_search"}]}, "session.tools[0].type is 'web_search'"),
        (hearing(transcription=t.Transcription(model="whisper-9")), "'whisper-9': no such transcription model"),
        (
            hearing(transcription=t.Transcription(model="gpt-realtime-whisper", prompt="x")),
            "gpt-realtime-whisper takes no prompt",
        ),
    ],
)
def test_what_a_newer_server_may_know_is_sent_with_a_warning(
    asked: t.Shape | Mapping[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    sent = rules.prepared(asked)
    assert any(words in message for message in caplog.messages), caplog.messages
    plain = asked.to_wire() if isinstance(asked, t.Shape) else asked
    assert sent == {"type": "realtime", **plain}


def test_extra_is_merged_last_and_never_checked(caplog: pytest.LogCaptureFixture) -> None:
    asked = t.RealtimeSession(
        audio=t.Audio(output=t.AudioOutput(voice="ash", extra={"speed": 9})), extra={"audio": {"input": {"x": 1}}}
    )
    sent = rules.prepared(asked, extra={"audio": {"output": {"voice": {"id": "v"}}}, "novel": None})
    assert sent == {
        "type": "realtime",
        "audio": {"output": {"voice": {"id": "v"}, "speed": 9}, "input": {"x": 1}},
        "novel": None,
    }
    assert caplog.messages == []


def test_the_rules_can_be_turned_off_but_not_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sent = rules.prepared(speaking(speed=9), validate=False)
    assert sent["audio"] == {"output": {"speed": 9}}
    assert "validation is off" in caplog.text


def test_a_whole_and_correct_session_has_no_doubts(caplog: pytest.LogCaptureFixture) -> None:
    tools = (
        t.FunctionTool(name="f", description="d", parameters={"type": "object"}),
        t.McpTool(
            server_label="m",
            connector_id="connector_gmail",
            require_approval=t.ApprovalFilter(always=t.ToolFilter(read_only=False)),
            allowed_tools=("a",),
        ),
    )
    asked = t.RealtimeSession(
        model="gpt-realtime",
        output_modalities=("audio",),
        instructions="",
        audio=t.Audio(
            input=t.AudioInput(
                format=t.PcmaFormat(),
                transcription=t.Transcription(model="whisper-1", language="en", prompt="a, b"),
                noise_reduction=t.NoiseReduction(type="far_field", strength=0),
                turn_detection=t.SemanticVad(eagerness="low", create_response=False, interrupt_response=False),
            ),
            output=t.AudioOutput(format=t.PcmFormat(), voice=t.CustomVoice(id="voice_1"), speed=1),
        ),
        include=("item.input_audio_transcription.logprobs",),
        tools=tools,
        tool_choice=t.ToolChoiceMcp(server_label="m"),
        parallel_tool_calls=True,
        reasoning=t.Reasoning(effort="low"),
        max_output_tokens=4096,
        truncation=t.RetentionRatio(retention_ratio=0.8, token_limits=t.TokenLimits(post_instructions=8000)),
        tracing=t.Tracing(workflow_name="w", group_id="g", metadata={"a": 1}),
        prompt=t.Prompt(id="p", variables={"a": "b", "c": t.InputImage(image_url="https://x/y.png")}),
    )
    assert rules.prepared(asked) == asked.to_wire()
    assert rules.prepared(asked.to_wire()) == asked.to_wire()
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["instructions", "tools", "tool_choice", "max_output_tokens", "audio", "prompt"])
def test_null_clears_in_an_update(name: str) -> None:
    assert rules.prepared({name: None}) == {"type": "realtime", name: None}


def test_a_secret_is_not_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        rules.prepared({"tools": [{**MCP, "server_url": "https://x", "authorization": ["s3cret"]}]})
    assert "s3cret" not in str(caught.value)
    assert "session.tools[0].authorization is [hidden]: it must be a string" in str(caught.value)
