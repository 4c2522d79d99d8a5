"""`transcripts` of a script: what the user will say, turn of sound by turn of sound.

    transcripts:
      - "What is the weather in Paris?"
      - {text: "Thank you.", delay: 0.4, languages: [en], logprob: -0.2}
      - {segments: [{text: "Hello.", speaker: A, start: 0, end: 0.8}, {text: "Hi.", speaker: B, start: 0.8, end: 1.5}]}
      - {fail: "The sound could not be understood."}

`text` of a turn with segments is theirs, when it is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.server.recognisers.base import Heard, Spoken
from engine.server.responders.places import Place, fields, kind_of

_HEARD = ("text", "delay", "segments", "languages", "logprob", "fail")
_SPOKEN = ("text", "speaker", "start", "end")


def transcripts(data: Any, place: Place) -> tuple[Heard, ...]:
    """Check the list. Raises ConfigError."""
    return tuple(_heard(entry, place.at(number)) for number, entry in enumerate(_list(data, place)))


def _heard(data: Any, place: Place) -> Heard:
    if isinstance(data, str):
        return Heard(data)
    fields(data, _HEARD, place)
    segments = tuple(
        _spoken(entry, place.at("segments").at(number))
        for number, entry in enumerate(_list(data.get("segments", []), place.at("segments")))
    )
    languages = _list(data.get("languages", []), place.at("languages"))
    return Heard(
        text=_text(data, "text", place, " ".join(segment.text for segment in segments)),
        delay=_number(data, "delay", place, 0.0, least=0.0),
        segments=segments,
        languages=tuple(str(code) for code in languages),
        logprob=_number(data, "logprob", place, -0.1),
        failure=_text(data, "fail", place, ""),
    )


def _spoken(data: Any, place: Place) -> Spoken:
    fields(data, _SPOKEN, place)
    start = _number(data, "start", place, 0.0, least=0.0)
    end = _number(data, "end", place, start, least=start)
    return Spoken(_text(data, "text", place, ""), _text(data, "speaker", place, "A"), start, end)


def _list(data: Any, place: Place) -> Sequence[Any]:
    if not isinstance(data, list):
        raise place.error(f"must be a list, not {kind_of(data)}")
    return data


def _text(data: Mapping[str, Any], key: str, place: Place, otherwise: str) -> str:
    value = data.get(key, otherwise)
    if not isinstance(value, str):
        raise place.at(key).error(f"must be a text, not {kind_of(value)}: put it in quotes")
    return value


def _number(data: Mapping[str, Any], key: str, place: Place, otherwise: float, least: float | None = None) -> float:
    value = data.get(key, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float) or (least is not None and value < least):
        raise place.at(key).error(f"is {value!r}: use a number" + (f" from {least:g}" if least is not None else ""))
    return float(value)


Check = Callable[[Any, Place], Any]

__all__ = ["transcripts"]
