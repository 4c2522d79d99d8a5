"""Chromium without a window, and what every test asks of a page it has open there."""

from __future__ import annotations

import json
import os
import shutil
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audio.sounds import Shorts, voice

RATE = 24000
PATIENCE_MS = 60_000  # a slow machine is no failure


def program() -> str | None:
    """Chromium, by the names it goes under."""
    names = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def missing() -> str | None:
    """What this machine lacks for the tests in a browser; None when it has all."""
    if program() is None:
        return "Chromium is absent: apt-get install chromium"
    try:
        import playwright  # noqa: F401
    except ModuleNotFoundError:
        return "playwright is absent: make test-browser installs it"
    return None


def skip_or_fail() -> None:
    """Skip with one line, or fail where BARGEIN_REQUIRE has `chromium`."""
    if (reason := missing()) is None:
        return
    if "chromium" in os.environ.get("BARGEIN_REQUIRE", "").split(","):
        pytest.fail(f"BARGEIN_REQUIRE has chromium, but {reason}")
    pytest.skip(f"no browser: {reason}")


def microphone(path: Path) -> Path:
    """A file for the fake microphone, which repeats it: half a second of silence, a second and a half of speech, six
    of silence.
    """
    sound = np.concatenate([np.zeros(RATE // 2, np.int16), voice(RATE * 3 // 2), np.zeros(RATE * 6, np.int16)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    return path


def read_stereo(path: Path) -> tuple[Shorts, Shorts]:
    """Left and right of a WAV file of two channels at 24 kHz."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, RATE)
        both = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


class Tab:
    """One page. Whatever it writes to the console as a warning or error is a failure, unless it was `expected`."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.expected: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self._heard(message.type, message.text))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.said.append(f"{kind}: {text}")

    def open(self, address: str) -> Tab:
        """Load the page; returns itself."""
        self.page.goto(address)
        return self

    def connect(self) -> None:
        """Press Connect, and wait for the session."""
        self.page.click("#connect-button")
        self.page.locator("body[data-state=open]").wait_for()

    def show(self, name: str) -> None:
        """Another view."""
        self.page.click(f"#tab-{name}")

    def wait(self, selector: str, **more: Any) -> Any:
        """The first element of a selector, once it is there."""
        found = self.page.locator(selector, **more).first
        found.wait_for()
        return found

    def text(self, selector: str) -> str:
        """What an element says."""
        return str(self.page.locator(selector).first.inner_text())

    def run(self, script: str, *arguments: Any) -> Any:
        """The result of an async JavaScript function body, with `arguments` as its `given`. The page's own modules come
        by `await part("resampler.js")`.
        """
        body = f"const part = (name) => import(`/playground/${{name}}`); {script}"
        return self.page.evaluate(f"async (given) => {{ {body} }}", list(arguments))

    def until(self, script: str) -> None:
        """Wait until a JavaScript function says so. (The driver's own way needs code from text, which the page's policy
        refuses.)
        """
        for _ in range(PATIENCE_MS // 50):
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"it never came to be: {script}")

    def events(self, type: str) -> list[dict[str, Any]]:
        """The page's own log of a type, from its view of events, which has to be on screen."""
        self.page.fill("#events-words", type)
        found = []
        for row in self.page.locator("#events details").all():
            if not row.evaluate("(row) => row.open"):
                row.locator("summary").click()
            parsed = json.loads(row.locator("pre").text_content())
            found += parsed if isinstance(parsed, list) else [parsed]
        self.page.fill("#events-words", "")
        return [event for event in found if event["type"] == type]

    def download(self, button: str, path: Path) -> Path:
        """Press a button that makes a file."""
        with self.page.expect_download() as made:
            self.page.click(button)
        made.value.save_as(path)
        return path

    def check(self) -> None:
        """Nothing unexpected was said."""
        assert [line for line in self.said if not any(part in line for part in self.expected)] == []
