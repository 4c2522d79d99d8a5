"""How the server understands: float32 mono at 24 kHz in, words out.

A `Recogniser` is given to `serve` and `serve_connection`, or brought along by a brain (its `recogniser`).
"""

from __future__ import annotations

from engine.server.recognisers.base import Heard, Recogniser, Spoken

__all__ = ["Heard", "Recogniser", "Spoken"]
