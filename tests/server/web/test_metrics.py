"""/metrics: well-formed, bounded, and right; and /capabilities."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from engine.clock import run_virtual
from engine.server import ServerOptions
from engine.server.figures import About, SessionFigures, TurnFigures
from engine.server.mcp.rules import NONE
from engine.server.responders import Say, Script
from engine.server.voices import ToneVoice
from engine.server.web.capabilities import capabilities
from engine.server.web.messages import Answer, refusal
from engine.server.web.metrics import REFUSALS, Metrics, answer
from tests.server.harness import Says, question, run, session

ABOUT = About("sess_1", "realtime")
CANARY = "sk-canary-0123456789"

_NAME, _LABEL = r"[a-zA-Z_][a-zA-Z0-9_]*", r'[a-zA-Z_]+="[^"\\\n]*"'
_SAMPLE = re.compile(rf"({_NAME})(\{{{_LABEL}\}})? (\S+)")
_COMMENT = re.compile(rf"# (HELP|TYPE) ({_NAME}) (.+)")


def read(text: str) -> dict[str, float]:
    """All series by name and label; what is not in the format fails."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if comment := _COMMENT.fullmatch(line):
            if comment[1] == "TYPE":
                assert comment[2] not in kinds, f"{comment[2]} twice"
                kinds[comment[2]] = comment[3]
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        base = re.sub(r"_(bucket|sum|count)$", "", sample[1]) if sample[1] not in kinds else sample[1]
        assert kinds[base] in ("counter", "gauge", "histogram")
        assert sample[0] not in found
        found[sample[1] + (sample[2] or "")] = float(sample[3])
    return found


def turn(**more: Any) -> TurnFigures:
    figures: dict[str, Any] = {"latency_s": 0.4, "status": "completed", "out_of_band": False, "reason": ""} | more
    return TurnFigures("r", 1, duration_s=1.0, audio_ms=100, input_tokens=10, output_tokens=5, tools=0, **figures)


def test_an_untouched_server_has_every_series() -> None:
    found = read(Metrics().text())
    for name in (
        "bargein_sessions",
        'bargein_sessions_total{type="realtime"}',
        'bargein_refused_total{reason="unauthorized"}',
        "bargein_turn_latency_seconds_count",
        "bargein_barge_in_latency_seconds_count",
        "bargein_loop_lag_seconds_count",
        'bargein_frame_lateness_seconds_bucket{le="+Inf"}',
        "bargein_client_secrets",
        "bargein_draining",
    ):
        assert found[name] == 0, name
    assert found["process_cpu_seconds_total"] > 0 and found["process_resident_memory_bytes"] > 2**20


def test_sessions_and_turns() -> None:
    metrics = Metrics()
    metrics.opened(ABOUT)
    metrics.opened(About("sess_2", "transcription"))
    metrics.turn(ABOUT, turn())
    metrics.turn(ABOUT, turn(latency_s=0.05))
    metrics.turn(ABOUT, turn(latency_s=99.0, out_of_band=True))
    metrics.turn(ABOUT, turn(latency_s=None, status="cancelled", reason="turn_detected"))
    metrics.interrupted(ABOUT, 0.17)
    metrics.late(0.003)
    metrics.closed(ABOUT, SessionFigures(5.0, 4, 1, 0, 40, 20, 3, 1000))
    found = read(metrics.text(draining=True, secrets=7))
    assert (found["bargein_sessions"], found['bargein_sessions_total{type="transcription"}']) == (1, 1)
    assert (found['bargein_responses_total{status="completed"}'], found['bargein_tokens_total{direction="input"}']) == (
        3,
        40,
    )
    assert found['bargein_turn_latency_seconds_bucket{le="0.05"}'] == 1, "at most, not less"
    assert found['bargein_turn_latency_seconds_bucket{le="0.3"}'] == 1
    assert found['bargein_turn_latency_seconds_bucket{le="0.5"}'] == 2
    assert found['bargein_turn_latency_seconds_bucket{le="+Inf"}'] == found["bargein_turn_latency_seconds_count"] == 2
    assert found["bargein_turn_latency_seconds_sum"] == pytest.approx(0.45)
    assert found['bargein_barge_in_latency_seconds_bucket{le="0.2"}'] == 1
    assert found['bargein_frame_lateness_seconds_bucket{le="0.005"}'] == 1
    assert (found['bargein_sessions_closed_total{code="1000"}'], found["bargein_errors_total"]) == (1, 3)
    assert (found["bargein_draining"], found["bargein_client_secrets"]) == (1, 7)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (refusal(401, "No.", code="invalid_api_key"), "unauthorized"),
        (refusal(401, "No."), "unauthorized"),
        (refusal(403, "No.", code="invalid_origin"), "invalid_origin"),
        (refusal(403, "No.", code="insufficient_permissions"), "forbidden"),
        (refusal(429, "No.", code="rate_limit_exceeded"), "rate_limit_exceeded"),
        (refusal(503, "No.", code="server_full"), "server_full"),
        (refusal(400, "No.", code=CANARY), "other"),
    ],
)
def test_refusals_by_reason(refused: Answer, reason: str) -> None:
    metrics = Metrics()
    metrics.refused(refused)
    found = {name: value for name, value in read(metrics.text()).items() if name.startswith("bargein_refused")}
    assert {name for name, value in found.items() if value} == {f'bargein_refused_total{{reason="{reason}"}}'}
    assert len(found) == len(REFUSALS) + 1


@pytest.mark.parametrize(
    "answer", [Answer(503, b'{"status":"draining"}'), Answer(400, b"{"), Answer(400, b"[]"), Answer(404)]
)
def test_an_answer_without_an_error_refuses_nobody(answer: Answer) -> None:
    """Such as that of /healthz to a balancer that asks every second."""
    metrics = Metrics()
    metrics.refused(answer)
    assert not any(value for name, value in read(metrics.text()).items() if "refused" in name)


def test_whatever_happens_the_series_stay_the_same() -> None:
    metrics = Metrics()
    before = set(read(metrics.text()))
    for number in range(50):
        metrics.opened(About(f"sess_{number}", f"type{number}", f"model{number}", CANARY))
        metrics.turn(ABOUT, turn(status=f"status{number}", reason=CANARY))
        metrics.closed(ABOUT, SessionFigures(1, 1, 1, 1, 1, 1, 1, 3000 + number))
        metrics.refused(refusal(400, "No.", code=f"code{number}"))
        metrics.words(ABOUT, "user", CANARY)
    text = metrics.text()
    assert set(read(text)) == before
    assert "canary" not in text and "sess_" not in text and "model1" not in text
    assert read(text)['bargein_sessions_closed_total{code="other"}'] == 50


def test_a_conversation_feeds_it() -> None:
    metrics = Metrics()

    async def test() -> None:
        async with session(Says([0.3, Say("Yes.")]), ServerOptions(watchers=(metrics,))) as client:
            assert read(metrics.text())["bargein_sessions"] == 1
            await client.speak(question())
            await client.next("response.done")

    run(test)
    found = read(metrics.text())
    assert (found["bargein_sessions"], found['bargein_sessions_total{type="realtime"}']) == (0, 1)
    assert (
        found['bargein_turn_latency_seconds_bucket{le="0.3"}']
        <= found['bargein_turn_latency_seconds_bucket{le="0.5"}']
        == 1
    )
    assert found["bargein_frame_lateness_seconds_count"] > 0


def test_the_loop_is_asked_how_late_it_is() -> None:
    metrics = Metrics()

    async def main() -> None:
        metrics.watch_loop()
        metrics.watch_loop()
        await asyncio.sleep(1.05)
        metrics.stop()
        metrics.stop()
        await asyncio.sleep(1)

    run_virtual(main())
    found = read(metrics.text())
    assert found["bargein_loop_lag_seconds_count"] == 10
    assert found['bargein_loop_lag_seconds_bucket{le="0.001"}'] == 10


def test_the_answer() -> None:
    told = answer(Metrics(), draining=False, secrets=lambda: 3)
    assert (told.status, told.type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert read(told.body.decode())["bargein_client_secrets"] == 3


# ---- /capabilities


def test_capabilities() -> None:
    options = ServerOptions(model="house", beta=True, max_sessions=3)
    brain = Script({"rules": [], "default": [{"say": "hm"}]}, "/home/somebody/private.yaml")
    told = capabilities(
        options, responder=brain, voice=ToneVoice(), recogniser=None, rules=NONE, endpoints=["GET /healthz"]
    )
    assert json.loads(json.dumps(told)) == told
    assert (told["models"], told["dialects"], told["limits"]["sessions"]) == (["house"], ["realtime", "realtime=v1"], 3)
    assert told["responder"] == "script" and "private" not in json.dumps(told)
    assert told["tools"] == {"function": True, "mcp": False} and told["recogniser"] is None
    assert {"type": "audio/pcmu"} in told["audio_formats"] and "marin" in told["voices"]
    assert set(told["turn_detection"]) == {"server_vad", "semantic_vad"}
