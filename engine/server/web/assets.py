"""The playground's page and its parts, as they lie in the package: a few files, read once, known by name.

Nothing of the page comes from anywhere else, and its Content-Security-Policy holds it to that: scripts, styles and
pictures from here, connections to here, no inline code, no frames around it.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from engine.server.web.messages import Answer, Headers, Request, refusal

FOLDER = "playground"
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_COMMON: Headers = (
    ("content-security-policy", _POLICY),
    ("cache-control", "no-cache"),  # kept, and asked about each time: an upgraded server has an upgraded page
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "microphone=(self), camera=(), geolocation=()"),
)


def asset(path: str, if_none_match: str | None = None) -> Answer | None:
    """The answer to a GET of `path`: `/` is the page, `/playground/...` its parts; None for what is neither.

    `if_none_match` is that header of the request; a part the browser has already is answered 304.
    """
    found = _assets().get(path)
    if found is None or if_none_match is None:
        return found
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    if tags.isdisjoint({"*", dict(found.headers)["etag"]}):
        return found
    return Answer(304, b"", found.type, found.headers)


def answer(request: Request) -> Answer:
    """The answer to a GET of the page or of what is below `/playground/`, 404 included."""
    found = asset(request.path, request.only("if-none-match"))
    return found or refusal(404, f"Invalid URL ({request.method} {request.path[:200]})", code="not_found")


@lru_cache(maxsize=1)
def _assets() -> dict[str, Answer]:
    """Every path there is. A closed list: no path of a request ever becomes one of the disk."""
    parts = (part for part in files("engine.server.web").joinpath(FOLDER).iterdir() if part.is_file())
    found = {f"/{FOLDER}/{part.name}": _answer(part.name, part.read_bytes()) for part in parts if _known(part.name)}
    found["/"] = found.pop(f"/{FOLDER}/index.html")
    return found


def _known(name: str) -> bool:
    return name.rpartition(".")[2] in _TYPES


def _answer(name: str, body: bytes) -> Answer:
    etag = ("etag", f'"{sha256(body).hexdigest()[:24]}"')
    return Answer(200, body, _TYPES[name.rpartition(".")[2]], (*_COMMON, etag))
