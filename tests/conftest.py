"""What every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A loaded machine is slow, and that is no failure: only what the values show is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def shared_path(*parts: str) -> Path:
    """A file of the shared speech and protocol data, or a skip that says where it was looked for.

    The data lie in $BARGEIN_SHARED, else in `shared` beside the repository; they are not part of it.
    """
    root = Path(os.environ.get("BARGEIN_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"shared data absent: {'/'.join(parts)} not in BARGEIN_SHARED or ../shared")
    return path
