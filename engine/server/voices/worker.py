"""The one thread that speaks, for all sessions of the process: synthesis never holds up a loop."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

WORKER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="bargein-voice")
"""Its queue holds at most the sentences that speaking sessions have asked for ahead, two each."""
