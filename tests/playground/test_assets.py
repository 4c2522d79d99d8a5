"""The parts of the page as the server answers with them, and what they may and may not contain. No browser here."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from engine.server.web.assets import answer, asset
from engine.server.web.messages import Answer, Request

PARTS = sorted(part.name for part in files("engine.server.web").joinpath("playground").iterdir() if part.is_file())
SCRIPTS = [name for name in PARTS if name.endswith(".js")]


def part(name: str) -> Answer:
    found = asset("/" if name == "index.html" else f"/playground/{name}")
    assert found is not None, name
    return found


def text(name: str) -> str:
    return part(name).body.decode()


def test_the_page_is_what_a_browser_can_show() -> None:
    page = part("index.html")
    assert page.status == 200
    assert page.type == "text/html; charset=utf-8"
    assert page.body.startswith(b"<!doctype html>")


@pytest.mark.parametrize(
    ("name", "type"), [("main.js", "text/javascript"), ("base.css", "text/css"), ("mark.svg", "image/svg+xml")]
)
def test_each_kind_of_part_has_its_type(name: str, type: str) -> None:
    assert part(name).type.split(";")[0] == type


@pytest.mark.parametrize(
    "path",
    ["/playground", "/playground/", "/playground/index.html", "/index.html", "/playground/../assets.py", "/main.js",
     "/playground/nothing.js", "/playground/MAIN.JS", "/v1/realtime", "", "//", "/playground/./main.js"],
)  # fmt: skip
def test_nothing_else_is_answered(path: str) -> None:
    assert asset(path) is None


def test_every_part_that_is_asked_for_is_there() -> None:
    page = text("index.html")
    asked = set(re.findall(r'(?:src|href)="([^"#]+)"', page))
    asked |= {f"playground/{name}" for script in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', text(script))}
    asked |= {"playground/duplex.js"}  # the audio thread's
    assert {asset(f"/{path}") is not None for path in asked} == {True}
    assert {f"playground/{name}" for name in PARTS} - {"playground/index.html"} == asked, "a part that nobody asks for"


@pytest.mark.parametrize("name", PARTS)
def test_nothing_comes_from_elsewhere(name: str) -> None:
    found = re.findall(r"(?:https?|wss?):?//[^\s\"'`)]+", text(name))
    assert [url for url in found if url != "http://www.w3.org/2000/svg"] == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_text_becomes_html_or_code(name: str) -> None:
    sinks = r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|Function)\b"
    assert re.findall(sinks, text(name)) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_nothing_is_stored(name: str) -> None:
    assert re.findall(r"\b(localStorage|sessionStorage|indexedDB|cookie|caches|serviceWorker)\b", text(name)) == []


@pytest.mark.parametrize("name", [*SCRIPTS, *(name for name in PARTS if name.endswith(".css"))])
def test_a_part_is_small_and_says_what_it_is_for(name: str) -> None:
    lines = text(name).splitlines()
    assert lines[0].startswith(("// ", "/* "))
    assert len(lines) < 400
    assert name.endswith(".css") or max(map(len, lines)) <= 120


def test_the_policy_lets_nothing_in_that_is_not_ours() -> None:
    policy = dict(part("index.html").headers)["content-security-policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe" not in policy
    assert "*" not in policy


def test_the_page_has_no_inline_code_or_style() -> None:
    page = text("index.html")
    assert re.findall(r"<script(?![^>]*\bsrc=)", page) == []
    assert re.findall(r"<style|\bstyle=|\bon[a-z]+=|javascript:", page) == []


@pytest.mark.parametrize("name", PARTS)
def test_a_part_the_browser_has_is_not_sent_again(name: str) -> None:
    whole = part(name)
    etag = dict(whole.headers)["etag"]
    path = "/" if name == "index.html" else f"/playground/{name}"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = asset(path, known)
        assert again is not None
        assert (again.status, again.body) == (304, b"")
        assert dict(again.headers)["etag"] == etag
    assert asset(path, '"other"') is whole
    assert dict(whole.headers)["cache-control"] == "no-cache"


def test_the_tags_of_different_parts_differ() -> None:
    assert len({dict(part(name).headers)["etag"] for name in PARTS}) == len(PARTS)


def test_a_request_is_answered() -> None:
    page = part("index.html")
    etag = dict(page.headers)["etag"]
    assert answer(Request("GET", "/")) is page
    assert answer(Request("GET", "/", headers=(("if-none-match", etag),))).status == 304
    assert answer(Request("GET", "/playground/nothing.js")).status == 404
