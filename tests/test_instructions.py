"""The judgement of bench/instructions.py, which CI relies on; the counting itself is `make instructions`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import instructions
from bench.instructions import Count

DUMP = """\
positions: line
events: Ir
summary: 170
ob=(1) /usr/lib/libc.so.6
fn=(1) memcpy
0 30
ob=(2) /tmp/x/workloads
fn=(2) rt_vad_process
0 100
cob=(1)
cfn=(1)
calls=3 0
0 30
+1 40
"""


def test_calls_are_not_counted_twice() -> None:
    assert instructions.spent(DUMP) == (140, 30)


def test_mean_and_worst_hop() -> None:
    assert instructions.summary([(100, 1), (300, 3)]) == Count(200, 300, 2)


@pytest.mark.parametrize(
    ("now", "fails"),
    [
        (Count(1000, 2000, 0), False),
        (Count(1049, 2099, 500), False),
        (Count(1051, 2000, 0), True),
        (Count(949, 2000, 0), True),
        (Count(1000, 2101, 0), True),
    ],
)
def test_five_per_cent_either_way(now: Count, fails: bool) -> None:
    assert bool(instructions.complaints({"vad": now}, {"vad": Count(1000, 2000, 0)})) is fails


def test_a_few_instructions_are_not_a_change() -> None:
    assert instructions.complaints({"interrupt": Count(65, 89, 0)}, {"interrupt": Count(48, 69, 0)}) == []


def test_every_workload_is_recorded_and_exists() -> None:
    count = Count(1000, 2000, 0)
    assert instructions.complaints({"new": count}, {"old": count}) == [
        "new: not recorded",
        "old: recorded, but there is no such workload",
    ]


def test_the_worst_hop_of_the_whole_is_bounded() -> None:
    whole = {"both halves, 48 kHz": Count(1000, 3001, 0)}
    assert instructions.complaints(whole, whole) == ["both halves, 48 kHz: the worst hop takes 3.00 times the mean"]
    half = {"capture half, 48 kHz": Count(1000, 3001, 0)}
    assert instructions.complaints(half, half) == []


def test_another_compiler_is_said_and_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {"compiler": "gcc 12", "machine": "x86_64", "flags": "-O3"}
    monkeypatch.setattr(instructions, "place", lambda: here)
    monkeypatch.setattr(instructions, "counted", lambda: {"vad": Count(9000, 9000, 0)})
    record = tmp_path / "instructions.json"
    counts = {"vad": {"mean": 1000, "worst": 1000, "outside": 0}}
    record.write_text(json.dumps({**here, "compiler": "gcc 13", "counts": counts}))
    assert instructions.check(record) == 0
    assert "not checked: recorded with compiler 'gcc 13', here it is 'gcc 12'" in capsys.readouterr().out
    record.write_text(json.dumps({**here, "counts": counts}))
    assert instructions.check(record) == 1
    assert "vad: mean hop 1000 -> 9000 instructions (+800.0%)" in capsys.readouterr().out


def test_the_record_is_of_the_whole_chain_too() -> None:
    counts = json.loads(instructions.RECORD.read_text(encoding="utf-8"))["counts"]
    assert {"vad", "gate", "resample 48 to 24 kHz", "both halves, 48 kHz, pcm"} <= counts.keys()
