"""What do the smallest things cost? The figures of `test_micro.py` (pytest-benchmark), to compare between commits.

`pytest bench --benchmark-only` shows them with all that pytest-benchmark knows; here each is the median of one call.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

Row = tuple[str, float, float, float, str]

TESTS = Path(__file__).with_name("test_micro.py")


def main() -> list[Row]:
    try:
        import pytest_benchmark  # noqa: F401
    except ImportError as error:
        raise ImportError(f"pytest-benchmark: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "--benchmark-only", f"--benchmark-json={report}"]
        command = [sys.executable, "-P", "-m", "pytest", *options, str(TESTS)]  # -P: the engine that is installed
        subprocess.run(command, check=True, capture_output=True)
        found = json.loads(report.read_text(encoding="utf-8"))["benchmarks"]
    return [
        (one["name"].removeprefix("test_").replace("_", " "), one["stats"]["median"] * 1e6, math.nan, math.nan, "us")
        for one in found
    ]


if __name__ == "__main__":
    for name, microseconds, *_ in main():
        print(f"{name:50} {microseconds:9.2f} us")
