"""The page itself: by keyboard alone, in both colour schemes, on a phone, with little motion, and when things fail."""

from __future__ import annotations

import json
import re
import ssl
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from engine.server import Credentials, ServerOptions
from engine.server.responders import Say
from engine.server.web.keys import KeyRing, Keys, digest_of
from tests.playground.browser import Tab
from tests.playground.conftest import Open
from tests.playground.served import Served
from tests.server.harness import Says

PHONE = {"width": 390, "height": 844}
VIEWS = ("talk", "session", "events", "timing", "recording")

WIDER = """() => {
  const wide = [...document.querySelectorAll("body *")].filter((each) => {
    const box = each.getBoundingClientRect();
    const style = getComputedStyle(each);
    const scrolls = each.parentElement.closest("pre, .events, .turns");
    const hidden = box.width <= 1 || style.visibility === "hidden" || scrolls;
    return !hidden && (box.right > innerWidth + 0.5 || box.left < -0.5);
  });
  const scrolled = [...document.querySelectorAll("html, body, .panel, .turns, .events")].filter(
    (each) => each.scrollWidth > each.clientWidth,
  );
  return [...wide, ...scrolled].map((each) => `${each.tagName}#${each.id}.${each.className}`);
}"""

NAMELESS = """() => [...document.querySelectorAll("button, input, select, textarea, canvas, [role]")].filter((each) => {
  const label = each.labels?.length ? [...each.labels].map((one) => one.textContent).join("") : "";
  const ids = (each.getAttribute("aria-labelledby") ?? "").split(" ");
  const by = ids.map((id) => document.getElementById(id)?.textContent ?? "");
  const own = ["INPUT", "SELECT", "TEXTAREA"].includes(each.tagName) ? "" : each.textContent;
  const quiet = ["alert", "status"].includes(each.getAttribute("role"));
  return !quiet && !(each.getAttribute("aria-label") || label.trim() || by.join("").trim() || own.trim());
}).map((each) => each.outerHTML.slice(0, 120))"""


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes() -> list[dict[str, str]]:
    """The colours of the light and of the dark scheme."""
    text = files("engine.server.web").joinpath("playground", "base.css").read_text()
    blocks = re.findall(r":root \{(.*?)\n *\}", text, re.S)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    return [light, {**light, **dark}]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read(scheme: int) -> None:
    colours = schemes()[scheme]
    for ground in ("ground", "surface", "sunken"):
        for ink in ("ink", "soft", "near-text", "far-text"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
        assert contrast(colours["focus"], colours[ground]) >= 3
    assert contrast(colours["edge"], colours["surface"]) >= 3
    assert contrast(colours["act-ink"], colours["act"]) >= 4.5
    for wash in ("near-wash", "alarm-wash"):
        assert contrast(colours["ink"], colours[wash]) >= 4.5
    assert contrast(colours["near-text"], colours["near-wash"]) >= 4.5
    assert contrast(colours["soft"], colours["near-wash"]) >= 4.5
    assert contrast(colours["alarm"], colours["surface"]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, {"width": 320, "height": 640}, {"width": 768, "height": 1024}])
def test_nothing_is_wider_than_the_screen(served: Served, open_tab: Open, scheme: str, size: dict[str, int]) -> None:
    tab = open_tab(served.page, viewport=size, color_scheme=scheme)
    assert tab.page.evaluate(WIDER) == []
    tab.connect()
    tab.page.fill("#words", "w" * 400)
    tab.page.keyboard.press("Enter")
    tab.wait("#turns > li:nth-child(2)")
    tab.page.check("#mode [value=push]")
    tab.wait("#hold")
    for view in VIEWS:
        tab.show(view) if view != "talk" or size["width"] < 960 else None
        if view == "events":
            tab.page.locator("#events summary").first.click()
        assert tab.page.evaluate(WIDER) == [], view
    tab.show("session")
    tab.page.fill("#f-speed", "7")
    tab.page.click("#apply")
    tab.wait("#answer .refused")
    tab.page.check("#session-view [value=json]")
    assert tab.page.evaluate(WIDER) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_scheme_is_the_systems(served: Served, open_tab: Open, scheme: str) -> None:
    tab = open_tab(served.page, color_scheme=scheme)
    ground = tab.page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
    assert light > 200 if scheme == "light" else light < 50


def test_on_a_phone_one_view_at_a_time(served: Served, open_tab: Open) -> None:
    tab = open_tab(served.page, viewport=PHONE, has_touch=True)
    assert tab.page.is_visible("#connect-button")
    for view in ("session", "events", "timing", "recording"):
        tab.show(view)
        assert tab.page.is_visible(f"#panel-{view}")
        assert not tab.page.is_visible("#stage")
    tab.show("talk")
    assert tab.page.is_visible("#stage")
    box = tab.page.locator("#connect-button").bounding_box()
    assert box["height"] >= 40, "a finger's size"
    assert box["y"] + box["height"] <= PHONE["height"], "on the first screen"


def test_everything_by_keyboard(tab: Tab) -> None:
    press = tab.page.keyboard.press

    def focused() -> str:
        return str(tab.page.evaluate("() => document.activeElement.id || document.activeElement.value"))

    def until(name: str) -> None:
        for _ in range(60):
            press("Tab")
            if focused() == name:
                assert tab.page.evaluate(
                    "() => { const s = getComputedStyle(document.activeElement); return s.outlineStyle !== 'none'; }"
                ), f"the focus on {name} can be seen"
                return
        raise AssertionError(f"Tab does not reach {name}")

    until("connect-button")
    press("Enter")
    tab.wait("body[data-state=open]")
    tab.page.wait_for_timeout(50)
    assert focused() == "words", "where the next thing is done"
    tab.page.keyboard.type("Good day")
    press("Enter")
    tab.wait("#turns .turn.far")
    press("Shift+Tab")
    assert focused() == "interrupt"
    press("Enter")
    tab.wait("#turns .interrupted")
    tab.page.focus("#tab-session")
    press("ArrowRight")
    assert tab.page.is_visible("#panel-events")
    press("End")
    assert tab.page.is_visible("#panel-recording")
    press("Home")
    assert tab.page.is_visible("#panel-session")
    press("ArrowRight")
    until("events-words")
    tab.page.keyboard.type("response.cancel")
    tab.wait("#events .type", has_text="response.cancel")
    tab.page.focus("#events summary")
    press("Enter")
    tab.wait("#events pre", has_text='"type": "response.cancel"')
    tab.page.focus("#disconnect")
    press("Enter")
    tab.wait("body[data-state=idle]")
    tab.page.wait_for_timeout(50)
    assert focused() == "connect-button"


def test_every_control_has_a_name(tab: Tab) -> None:
    assert tab.page.evaluate(NAMELESS) == []
    tab.connect()
    assert tab.page.evaluate(NAMELESS) == []


def test_the_filter_shows_what_was_asked_for(tab: Tab) -> None:
    tab.connect()
    tab.show("events")
    tab.wait("#events .type", has_text="input_audio_buffer.append")
    tab.page.check("#events-which [value=received]")
    types = tab.page.locator("#events .type").all_text_contents()
    assert "session.created" in types
    assert "input_audio_buffer.append" not in types
    tab.page.check("#events-which [value=errors]")
    assert tab.page.locator("#events li").count() == 0
    tab.page.check("#events-which [value=all]")
    tab.page.fill("#events-words", "no such word")
    assert tab.page.locator("#events li").count() == 0
    tab.page.fill("#events-words", "alloy")
    assert tab.page.locator("#events .type").all_text_contents() == ["session.created"]
    tab.page.fill("#events-words", "")
    tab.page.click("#events-clear")
    tab.wait("#events .type", has_text="input_audio_buffer.append")


def test_with_little_motion_the_picture_does_not_run(served: Served, open_tab: Open) -> None:
    tab = open_tab(served.page, reduced_motion="reduce")
    tab.expected = ["willReadFrequently"]  # this test reads the picture
    moved = """
      const { Waveform } = await part("waveform.js");
      const wave = new Waveform(document.getElementById("wave"));
      wave.fit();
      const loud = new Int16Array(960).fill(16000);
      const columns = () => {
        wave.paint();
        const { width } = wave.canvas;
        const row = wave.pen.getImageData(0, wave.canvas.height / 2 - 8, width, 1).data;
        return [...Array(width).keys()].filter((x) => row[4 * x + 3] > 0);
      };
      wave.piece(loud, loud, true);
      const first = columns();
      wave.piece(loud, loud, true);
      const second = columns();
      for (let n = 0; n < 2000; n += 1) wave.piece(loud, loud, true);
      return { first, second, full: columns().length, kept: wave.bars.length };
    """
    told = tab.run(moved)
    assert told["first"] == told["second"][: len(told["first"])] == [0, 1]
    assert told["second"] == [0, 1, 3, 4]
    assert told["kept"] == 1200
    calm = tab.page.evaluate("() => getComputedStyle(document.getElementById('mute')).transitionDuration")
    assert calm == "0s"


# ---- what goes wrong


def test_on_a_phone_a_notice_is_seen_in_every_view(open_tab: Open) -> None:
    with Served(Says([Say("Good day.")])) as server:
        tab = open_tab(server.page, viewport=PHONE)
        tab.connect()
        tab.show("events")
        server.stop()
        tab.wait("#notices .notice")
        tab.show("talk")
        assert tab.page.is_visible("#notices .notice")
        assert tab.page.evaluate(WIDER) == []
        tab.page.get_by_role("button", name="Put away").click()
        assert not tab.page.is_visible("#notices .notice")


def test_the_policy_is_kept_by_the_browser(tab: Tab) -> None:
    tab.expected = ["Content Security Policy", "Trusted", "script-src", "connect-src"]
    told = tab.page.evaluate(
        """async () => {
          const tries = [];
          const outcome = (work) => Promise.resolve().then(work).then(() => "done", () => "refused");
          const attempt = async (work) => tries.push(await outcome(work));
          await attempt(() => { document.body.innerHTML = "<b>x</b>"; });
          await attempt(() => fetch("http://127.0.0.1:9/"));
          const script = document.createElement("script");
          await attempt(() => { script.textContent = "window.ran = true"; document.head.append(script); });
          return [tries, window.ran ?? false, document.querySelectorAll("b").length];
        }"""
    )
    assert told == [["refused", "refused", "refused"], False, 0]


def test_another_format_would_be_noise_and_is_told(tab: Tab) -> None:
    tab.connect()
    tab.page.check("#session-view [value=json]")
    session = {"type": "realtime", "audio": {"output": {"format": {"type": "audio/pcmu"}}}}
    tab.page.fill("#json-text", json.dumps({"type": "session.update", "session": session}))
    tab.page.click("#session-json [type=submit]")
    assert "audio/pcm only" in tab.wait("#notices .notice").inner_text()


def without(browser: Any, address: str, script: str) -> Tab:
    """A page in a browser where something is otherwise."""
    context = browser.new_context()
    context.add_init_script(script)
    return Tab(context.new_page()).open(address)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("NotAllowedError", "may not use the microphone"),
        ("NotFoundError", "There is no microphone"),
        ("NotReadableError", "taken by another program"),
    ],
)
def test_without_a_microphone_one_can_type(chromium: Any, served: Served, name: str, said: str) -> None:
    refuse = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{name}'))"
    tab = without(chromium, served.page, refuse)
    tab.connect()
    notice = tab.wait("#notices .notice")
    assert said in notice.inner_text()
    assert tab.text("#status") == "No microphone"
    tab.page.fill("#words", "Good day")
    tab.page.keyboard.press("Enter")
    tab.wait("#turns .turn.far")
    tab.show("events")
    assert tab.events("input_audio_buffer.append") == []
    tab.page.evaluate("() => { delete navigator.mediaDevices.getUserMedia; }")
    notice.get_by_role("button", name="Try again", exact=True).click()
    tab.wait("#events .type", has_text="input_audio_buffer.append")
    assert tab.page.locator("#notices .notice").count() == 0
    tab.page.context.close()
    tab.check()


def test_a_page_from_afar_without_https_says_why_it_hears_nothing(chromium: Any, served: Served) -> None:
    tab = without(chromium, served.page, "Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    tab.connect()
    assert "https pages" in tab.wait("#notices .notice").inner_text()
    tab.page.context.close()
    tab.check()


def test_a_microphone_that_is_unplugged_is_missed(tab: Tab) -> None:
    tab.page.add_init_script(
        """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await open(wanted));"""
    )
    tab.page.reload()
    tab.connect()
    tab.wait("#status[data-kind=ready], #status[data-kind=hearing]")
    tab.page.evaluate("() => window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    assert "was disconnected" in tab.wait("#notices .notice").inner_text()
    tab.wait("#status", has_text="No microphone")


def test_a_server_that_goes_is_told_and_can_come_back(open_tab: Open) -> None:
    with Served(Says([Say("Good day.")])) as server:
        tab = open_tab(server.page)
        tab.connect()
        server.stop()
        notice = tab.wait("#notices .notice")
        assert "going away" in notice.inner_text() or "lost" in notice.inner_text()
        tab.wait("body[data-state=idle]")
        assert tab.text("#status") == "Not connected"
        tab.expected = ["ERR_CONNECTION_REFUSED"]  # the browser's own words
        notice.get_by_role("button", name="Connect again").click()
        tab.wait("#notices .notice", has_text="nothing answers")
    with Served(Says([Say("Here again.")]), port=urlsplit(server.page).port):
        tab.page.get_by_role("button", name="Connect again").click()
        tab.wait("body[data-state=open]")
        assert tab.page.locator("#notices .notice").count() == 0
        tab.page.fill("#words", "Are you there?")
        tab.page.keyboard.press("Enter")
        tab.wait("#turns .turn.far", has_text="Here again.")
        tab.page.click("#disconnect")
        tab.wait("body[data-state=idle]")


def test_a_server_that_is_full_says_so(open_tab: Open) -> None:
    with Served(Says([Say("Good day.")]), ServerOptions(max_sessions=1)) as server:
        first, second = open_tab(server.page), open_tab(server.page)
        first.connect()
        second.expected = ["WebSocket connection to", "Failed to load resource"]
        second.page.click("#connect-button")
        assert "may be full" in second.wait("#notices .notice").inner_text()
        first.page.click("#disconnect")
        first.wait("body[data-state=idle]")


JUNK = """() => {
  const types = [
    "session.created", "session.updated", "error", "response.created", "response.done", "response.output_item.added",
    "response.output_item.done", "response.output_audio.delta", "response.output_audio.done",
    "response.output_text.delta", "response.output_audio_transcript.delta", "response.output_audio_transcript.done",
    "response.function_call_arguments.delta", "response.function_call_arguments.done", "conversation.item.added",
    "conversation.item.done", "conversation.item.deleted", "conversation.item.truncated", "rate_limits.updated",
    "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.cleared",
    "conversation.item.input_audio_transcription.completed", "conversation.item.input_audio_transcription.failed",
    "of.no.kind", "__proto__", "constructor",
  ];
  const junk = [undefined, null, 0, "x", [], {}, { id: 1, type: {}, content: [null], error: null }];
  const members = ["session", "error", "response", "item", "item_id", "delta", "transcript", "audio_end_ms"];
  const hear = (data) => window.socket.onmessage({ data });
  for (const type of types) {
    for (const value of junk) {
      hear(JSON.stringify({ type, ...Object.fromEntries(members.map((name) => [name, value])) }));
    }
  }
  for (const data of ["", "null", "[]", "3", "{}", "{", '{"type":1}', '{"type":null}', new Blob(["x"])]) hear(data);
}"""


def test_a_server_that_speaks_nonsense_does_not_stop_the_page(chromium: Any, served: Served) -> None:
    note = """const Real = window.WebSocket;
      window.WebSocket = class extends Real { constructor(...given) { super(...given); window.socket = this; } };"""
    tab = without(chromium, served.page, note)
    tab.connect()
    tab.page.click("#mute")
    tab.page.evaluate(JUNK)
    assert "not as it should be" in tab.wait("#notices [data-name=strange]").inner_text()
    tab.page.fill("#words", "Good day")
    tab.page.keyboard.press("Enter")
    tab.wait("#turns .turn.far .said", has_text="Good morning to you all")
    tab.page.context.close()
    tab.check()


def test_a_key_that_cannot_be_one_is_not_sent(tab: Tab) -> None:
    tab.page.fill("#key", 'sk-"1 2"')
    tab.page.click("#connect-button")
    assert "no key has" in tab.wait("#notices .notice").inner_text()
    assert tab.page.locator("body[data-state=idle]").count() == 1


def test_a_key_goes_as_a_subprotocol_and_is_kept_nowhere(chromium: Any, served: Served) -> None:
    note = """const Real = window.WebSocket;
      window.opened = [];
      window.WebSocket = class extends Real {
        constructor(url, names) { window.opened.push([String(url), names]); super(url, names); }
      };"""
    tab = without(chromium, served.page, note)
    tab.page.fill("#key", "sk-secret")
    tab.page.fill("#model", "gpt-realtime-mini")
    tab.connect()
    [[url, names]] = tab.page.evaluate("() => window.opened")
    assert names == ["realtime", "openai-insecure-api-key.sk-secret"]
    assert url.endswith("/v1/realtime?model=gpt-realtime-mini")
    kept = tab.page.evaluate("() => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
    assert "secret" not in kept
    tab.show("recording")
    tab.show("events")
    assert "secret" not in tab.text("#events")
    tab.page.context.close()
    tab.check()


def test_a_server_with_keys_asks_for_one(open_tab: Open) -> None:
    key = "sk-the-key-of-the-test-0123456789"
    ring = KeyRing(Keys({digest_of(key): "test"}))
    with Served(Says([Say("Good day.")]), credentials=Credentials(ring)) as server:
        tab = open_tab(server.page)
        tab.expected = ["WebSocket connection to", "401"]
        tab.page.click("#connect-button")
        tab.wait("#notices .notice", has_text="wants a valid key")
        tab.page.fill("#key", "sk-wrong-0123456789")
        tab.page.click("#connect-button")
        tab.wait("body[data-state=idle] #notices .notice", has_text="wants a valid key")
        tab.page.fill("#key", key)
        tab.connect()
        tab.page.click("#disconnect")
        tab.wait("body[data-state=idle]")


@pytest.mark.parametrize("front", ["bare", "asgi"])
def test_it_talks_over_tls(open_tab: Open, front: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Served(Says([Say("Good day.")]), tls=context, front=front) as server:
        assert server.page.startswith("https://")
        tab = open_tab(server.page, ignore_https_errors=True)
        tab.connect()
        tab.wait("#turns .turn.far", has_text="Good day.")
