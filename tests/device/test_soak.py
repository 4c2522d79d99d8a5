"""Half a minute of `make soak-device`: the ledger and the counters come out exactly behind a real sound server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.device.soundserver import skip_or_fail

BENCH = Path(__file__).resolve().parents[2] / "bench"
if TYPE_CHECKING:
    from bench import memory, soak_device
else:
    sys.path.insert(0, str(BENCH))
    import memory
    import soak_device


def test_half_a_minute_comes_out_even(tmp_path: Path) -> None:
    skip_or_fail()
    told = soak_device.run(30, 1, tmp_path)
    assert told["wrong"] == []
    assert told["turns"] >= 2
    assert told["ledger"]["played"] > 24000
    assert told["device"]["callbacks"] > 1000
    assert len(told["resident_mb"]) == 3
    assert told["well"]


def rows(mb_per_hour: float, *, settling: float = 0.0, step: float = 0.0) -> list[memory.Sample]:
    """Ten minutes of samples with a noise of 50 kB: growth, what is taken at first, and one lump of pages later on."""
    noise = np.random.default_rng(7).normal(0, 0.05, 60)
    return [
        memory.Sample(
            k / 360,
            80 + mb_per_hour * k / 360 + settling * min(k, 15) / 15 + step * (k > 50) + noise[k],
            20 + mb_per_hour * k / 360 + settling * min(k, 15) / 15 + noise[-k],
        )
        for k in range(60)
    ]


@pytest.mark.parametrize(
    ("samples", "well"),
    [
        (rows(0.0), True),
        (rows(0.4, settling=5.0), True),
        (rows(0.0, step=1.0), False),
        (rows(2.0), False),
        (rows(3.6, settling=5.0), False),
    ],
    ids=["none", "settles", "a megabyte of pages late", "two per hour", "settles and leaks"],
)
def test_a_leak_is_told_from_settling(samples: list[memory.Sample], well: bool) -> None:
    found = soak_device.growth(samples)
    assert soak_device.bounded(found) is well, found


def test_what_is_in_use_is_seen_to_the_block() -> None:
    before, after, gone = memory.sample(0), None, None
    if before.in_use is None:
        pytest.skip("the allocator is not glibc's, 2.33 or newer: what is in use cannot be seen")
    kept = bytearray(3_000_000)
    after = memory.sample(0)
    del kept
    gone = memory.sample(0)
    assert after.in_use is not None and gone.in_use is not None
    assert abs(after.in_use - before.in_use - 3_000_000 / memory.MB) < 0.2
    assert abs(gone.in_use - before.in_use) < 0.2
