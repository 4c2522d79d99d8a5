"""`chat_app.py` as a process, for one module's tests."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class ChatApp:
    """A running app. `url` is its base."""

    def __init__(self, url: str) -> None:
        self.url = url

    def log(self) -> dict[str, Any]:
        """The requests so far, and how many streams were left."""
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(self.url.removesuffix("/v1") + "/log", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def last(self) -> dict[str, Any]:
        """The newest request."""
        found: dict[str, Any] = self.log()["requests"][-1]
        return found


@contextmanager
def chat_app() -> Iterator[ChatApp]:
    """Start it, and end it by closing its input."""
    command = [sys.executable, str(Path(__file__).with_name("chat_app.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield ChatApp(process.stdout.readline().strip())
        process.communicate(timeout=60)


async def until_left(app: ChatApp, before: int) -> None:
    """Wait until the service has seen one more client go."""
    while (await asyncio.to_thread(app.log))["left"] == before:  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(0.02)
