"""No test of this room talks to a server that the environment names."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_server_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without these, `engine.connect` uses the server inside."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
