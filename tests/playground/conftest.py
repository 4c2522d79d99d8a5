"""Chromium with a fake microphone, and the embedded server with its page.

Where Chromium or its driver is absent, the tests that need it are skipped, or fail if BARGEIN_REQUIRE has `chromium`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from engine.server import ServerOptions
from engine.server.responders import Say
from tests.playground.browser import Tab, microphone, program, skip_or_fail
from tests.playground.served import Served
from tests.server.harness import Says

ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",  # /dev/shm of a container is small
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]
LONG = "Good morning to you all, and to everybody who is listening at home today. " * 24

Open = Callable[..., Tab]


# Not for the whole session: while it is there, no other test of this thread can have a loop.
@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The browser, with somebody at the microphone who speaks for 1.5 s in every 8 s."""
    skip_or_fail()
    from playwright.sync_api import sync_playwright

    sound = microphone(tmp_path_factory.mktemp("sound") / "microphone.wav")
    arguments = [*ARGUMENTS, f"--use-file-for-fake-audio-capture={sound}"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program(), headless=True, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture
def open_tab(chromium: Any) -> Iterator[Open]:
    """Opens pages, each in a browser profile of its own; settings are those of a profile."""
    tabs: list[Tab] = []

    def opened(address: str, **settings: Any) -> Tab:
        given = {"viewport": {"width": 1280, "height": 800}, "accept_downloads": True, **settings}
        tabs.append(Tab(chromium.new_context(**given).new_page()))
        return tabs[-1].open(address)

    yield opened
    for tab in tabs:
        tab.page.context.close()
    for tab in tabs:
        tab.check()


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server that answers everything with a minute and more of beeps."""
    skip_or_fail()
    with Served(Says([Say(LONG)]), ServerOptions(burst=8)) as server:
        yield server


@pytest.fixture
def tab(served: Served, open_tab: Open) -> Tab:
    """The page, not connected."""
    return open_tab(served.page)
