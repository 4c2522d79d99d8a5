"""Pictures that clients send: data URIs of PNG and JPEG, of which only the header is read.

Nothing here decodes a picture and nothing is ever fetched. A picture's size is known from its header, so that one
which would unpack to more than `MAX_PIXELS` (a decompression bomb) is refused before a brain or a library meets it.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from math import ceil
from string import ascii_letters, digits
from typing import NoReturn

from engine.errors import ProtocolError
from engine.server.refusal import invalid_value

MAX_URI = 20 * 2**20
"""Characters of one data URI."""
MAX_PIXELS = 50_000_000
"""Of one picture: 200 MB when a brain unpacks it."""
MAX_SIDE = 32_768
"""Pixels."""

LOW_DETAIL_TOKENS = 85
TILE_TOKENS = 170
_TILE, _LONG_SIDE, _SHORT_SIDE = 512, 2048, 768

_SCHEMES = {"data:image/png;base64,": "PNG", "data:image/jpeg;base64,": "JPEG", "data:image/jpg;base64,": "JPEG"}
_ALPHABET = (ascii_letters + digits + "+/").encode()
_PNG = b"\x89PNG\r\n\x1a\n"
_SLICE = 2**16  # characters looked at in one go
_MAX_SEGMENTS = 1024  # of a JPEG before its size is known; a picture of a camera has some ten


@dataclass(frozen=True, slots=True)
class Picture:
    """What a header tells, in pixels."""

    width: int
    height: int

    def tokens(self, detail: str | None) -> int:
        """What it costs to look at, by the published estimate for vision models: 85 in low detail; otherwise it is
        scaled into 2048 by 2048, then to a short side of 768, and each tile of 512 by 512 adds 170. "auto" is high.
        """
        if detail == "low":
            return LOW_DETAIL_TOKENS
        scale = min(1.0, _LONG_SIDE / max(self.width, self.height))
        scale *= min(1.0, _SHORT_SIDE / (min(self.width, self.height) * scale))
        tiles = ceil(self.width * scale / _TILE) * ceil(self.height * scale / _TILE)
        return LOW_DETAIL_TOKENS + TILE_TOKENS * tiles


def inspect(param: str, uri: str) -> Picture:
    """The picture of a data URI. Raises ProtocolError for any other URL, for what is no PNG or JPEG, and for what is
    too large; the work is bounded by `MAX_URI`.
    """
    scheme = next((scheme for scheme in _SCHEMES if uri.startswith(scheme)), None)
    if scheme is None:
        kind = uri.partition(":")[0][:20]
        fetched = f" This server fetches no {kind} URL." if kind in ("http", "https", "file", "ftp") else ""
        raise _wrong(param, f"expected a data URI of a PNG or JPEG image (data:image/png;base64,...).{fetched}")
    if len(uri) > MAX_URI:
        raise _wrong(param, f"a data URI has at most {MAX_URI} characters, but got {len(uri)}.")
    reader = _Reader(param, uri, len(scheme))
    width, height = _png_size(reader) if _SCHEMES[scheme] == "PNG" else _jpeg_size(reader)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        limits = f"1 to {MAX_SIDE} pixels a side and {MAX_PIXELS} in all"
        raise _wrong(param, f"expected an image of {limits}, but its header says {width} by {height}.")
    return Picture(width, height)


class _Reader:
    """The bytes of a base64 text, which is checked as a whole and decoded only where it is asked for."""

    def __init__(self, param: str, uri: str, start: int) -> None:
        self._param, self._uri, self._start = param, uri, start
        others = b""
        for place in range(start, len(uri), _SLICE):
            others += uri[place : place + _SLICE].encode("ascii", "replace").translate(None, _ALPHABET)
            if len(others) > 2:
                break
        if others not in (b"", b"=", b"==") or not uri.endswith(others.decode()) or (len(uri) - start) % 4:
            raise _wrong(param, "expected base64-encoded image bytes.")

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes from place `at` on; a picture that ends before is refused."""
        first = self._start + at // 3 * 4
        found = b64decode(self._uri[first : first + (count // 3 + 2) * 4])[at % 3 : at % 3 + count]
        if len(found) < count:
            self.refuse("it ends within its header.")
        return found

    def refuse(self, why: str) -> NoReturn:
        raise _wrong(self._param, f"expected a PNG or JPEG image as its URI says, but {why}")


def _png_size(reader: _Reader) -> tuple[int, int]:
    """From the IHDR chunk, which is always the first."""
    header = reader.read(0, 24)
    if header[:8] != _PNG or header[8:16] != b"\x00\x00\x00\x0dIHDR":
        reader.refuse("it does not begin as a PNG does.")
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def _jpeg_size(reader: _Reader) -> tuple[int, int]:
    """From the start-of-frame segment; those before it are passed over by their lengths."""
    if reader.read(0, 3) != b"\xff\xd8\xff":
        reader.refuse("it does not begin as a JPEG does.")
    at = 2
    for _ in range(_MAX_SEGMENTS):
        fill, marker, high, low = reader.read(at, 4)
        if fill != 0xFF or marker in (0x00, 0xD9, 0xDA):  # lost, or the picture itself begins, or it is over
            break
        if marker == 0xFF:  # a byte of padding
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            size = reader.read(at + 5, 4)
            return int.from_bytes(size[2:], "big"), int.from_bytes(size[:2], "big")
        elif 0xD0 <= marker <= 0xD8 or marker == 0x01:  # these stand alone
            at += 2
        else:
            at += 2 + max((high << 8) + low, 2)
    return reader.refuse("its size is not found.")


def _wrong(param: str, problem: str) -> ProtocolError:
    return invalid_value(param, problem)
