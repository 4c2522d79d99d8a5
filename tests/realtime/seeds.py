"""Every name in the reference documents: fields, values, types and endpoints, read from their text as it is.

The documents were scraped from web pages: indentation and links are lost, lists are glued together. What is read here
are the shapes that a declaration has in each of the five; prose is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.conftest import shared_path

NAME = r"[a-z][a-z0-9_]*"
FIELD = re.compile(r"^\d*\s*-\s*`(?:--)?(?P<name>[a-z][a-z0-9_-]*): ", re.MULTILINE)
SEPARATED = re.compile(rf"^\s*(?P<name>{NAME}): (?:optional )?(?:object|number|string|array|boolean|\")", re.MULTILINE)
GLUED = re.compile(
    rf"^(?P<name>{NAME}?)(?:string|object|array\[object\]|number|One Of|Any Of)(?:required)?$|^(?P<bare>modalities)$",
    re.MULTILINE,
)
MEMBERS = re.compile(r"\{ (?P<names>[a-z_, ]+?)(?:, \d+ more)? \}")
VALUE = re.compile(r"^\d*\s*-\s*`?\"(?P<name>[^\"]+)\"`?$", re.MULTILINE)
NUMBER = re.compile(r"^\d+\s+-\s+`(?P<name>\d+)`$", re.MULTILINE)
LITERALS = re.compile(r"Literal\[(?P<names>[^\]]*)\]|: (?:optional )?(?P<more>\"[^`\n]*)`")
QUOTED = re.compile(r"\"([^\"]+)\"")
BACKTICKED = re.compile(r"`(?P<name>connector_[a-z]+|gpt-[a-z0-9.-]+|whisper-1)`")
ALLOWED = re.compile(r"^Allowed values?:(?P<names>\S+)$", re.MULTILINE)
CLASS = re.compile(r"`class (?P<name>[A-Za-z]+)")
CAMEL = re.compile(r"\b(?P<name>(?:[A-Z][a-z]+){2,}[A-Za-z]*)\b")
OBJECT = re.compile(r"^(?P<name>(?:[A-Z][a-z]+){2,})(?:\n| ?object \{)", re.MULTILINE)
ENDPOINT = re.compile(r"\*\*(?P<method>post|get|delete)\*\* `(?P<path>/[^`]+)`")


class Names(NamedTuple):
    """What one document declares."""

    fields: set[str]
    values: set[str]
    types: set[str]
    endpoints: set[str]


def documents() -> Iterator[tuple[str, Names]]:
    """Each of the documents by its number."""
    for path in sorted(shared_path("seeds").glob("*.txt")):
        text = path.read_text()
        yield path.name[:3], names(text, path.name[:3])


def names(text: str, number: str) -> Names:
    """What this document declares."""
    fields = {found["name"].replace("-", "_") for found in FIELD.finditer(text)}
    values = {found["name"] for pattern in (VALUE, NUMBER, BACKTICKED) for found in pattern.finditer(text)}
    for found in LITERALS.finditer(text):
        values |= set(QUOTED.findall(found["names"] or found["more"]))
    values -= {"connector_id"}  # a field, whose name looks like one of its values
    for found in MEMBERS.finditer(text):
        fields |= {name for name in re.split(r"[, ]+", found["names"]) if name}
    if number == "001":
        fields |= {found["name"] for found in SEPARATED.finditer(text)}
        values |= set(QUOTED.findall(text)) | {"item.input_audio_transcription.logprobs"}
    if number == "004":
        fields |= {found["name"] or found["bare"] for found in GLUED.finditer(text)}
        values |= {value for found in ALLOWED.finditer(text) for value in unglued(found["names"])}
    types = {found["name"] for found in CLASS.finditer(text)}
    if number == "000":
        types |= {found["name"] for found in CAMEL.finditer(text)}
    if number in ("001", "004"):
        types |= {found["name"] for found in OBJECT.finditer(text)}
    endpoints = {f"{found['method'].upper()} {found['path']}" for found in ENDPOINT.finditer(text)}
    return Names(fields - {""}, values, types, endpoints)


WORDS = (
    "gpt-4o-mini-realtime-preview-2024-12-17", "gpt-4o-realtime-preview-2024-10-01",
    "gpt-4o-realtime-preview-2024-12-17", "gpt-4o-mini-realtime-preview", "gpt-4o-realtime-preview", "pcm16",
    "g711_ulaw", "g711_alaw", "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "low", "medium",
    "high", "json_object",
)  # fmt: skip


def unglued(text: str) -> Iterator[str]:
    """A list of values whose separators were lost. Fails on a word that is in none of the lists."""
    while text:
        word = next((word for word in WORDS if text.startswith(word)), None)
        assert word, f"a value nobody has heard of at {text!r}"
        yield word
        text = text[len(word) :]
