"""Pictures for the model: a file, or its bytes, as the data URI that travels."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, MediaError

Picture = str | os.PathLike[str] | bytes
"""A PNG or JPEG: a path, the bytes of one, or a data: URI."""
MOST_BYTES = 15 * 2**20
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def part(picture: Picture, detail: str | None = None) -> dict[str, Any]:
    """The input_image part of a message. Raises `MediaError` for what is no PNG or JPEG, or too large."""
    if detail not in (None, "auto", "low", "high"):
        raise ConfigError(f"detail is {detail!r}: use auto, low or high")
    return {"type": "input_image", "image_url": _uri(picture), **({"detail": detail} if detail else {})}


def _uri(picture: Picture) -> str:
    if isinstance(picture, str) and picture.startswith("data:"):
        return picture
    where = "the picture" if isinstance(picture, bytes) else f"picture {str(picture)!r}"
    try:
        data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    except OSError as problem:
        raise MediaError(f"{where} cannot be read: {problem.strerror}") from None
    kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
    if kind is None:
        raise MediaError(f"{where} is neither PNG nor JPEG: convert it")
    if len(data) > MOST_BYTES:
        raise MediaError(f"{where} has {len(data)} bytes, at most {MOST_BYTES} can be sent: make it smaller")
    return f"data:{kind};base64,{b64encode(data).decode()}"


__all__ = ["Picture", "part"]
