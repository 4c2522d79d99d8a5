"""Pictures for the tests: as much of a PNG or JPEG as has a size."""

from __future__ import annotations

import zlib
from base64 import b64encode


def png(width: int, height: int, rest: int = 100) -> bytes:
    """Signature and IHDR, then `rest` bytes of nothing in particular."""
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + header + zlib.crc32(header).to_bytes(4, "big") + b"\x55" * rest


def segment(marker: int, content: bytes) -> bytes:
    """One segment of a JPEG."""
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(width: int, height: int, *, before: bytes = b"", frame: int = 0xC0) -> bytes:
    """Start, what is given, a start of frame, and the beginning of the picture."""
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return b"\xff\xd8" + before + segment(frame, b"\x08" + size + b"\x03" + bytes(9)) + segment(0xDA, bytes(10))


def uri(data: bytes, kind: str = "png") -> str:
    """The data URI."""
    return f"data:image/{kind};base64,{b64encode(data).decode()}"
