"""The rules of a script: plain data, checked once, with errors that name the place.

    rules:
      - match: {turn: 1}                   # the first response of the conversation
        do:
          - say: "Hello. What can I do for you?"
      - match: {text: "weather|rain"}      # a regular expression searched in what the user wrote or said, case ignored
        do:
          - call: {name: get_weather, arguments: {city: Paris}}   # seconds: 1.5 lets the arguments come bit by bit
      - match: {tool: get_weather, output: "rain"}
        do:
          - delay: 0.3                     # seconds
          - say: "Take an umbrella."
      - match: {text: "break"}
        do:
          - fail: {code: rate_limit_exceeded, message: "Slow down."}
      - match: {text: "music"}
        do:
          - audio: {file: jingle.wav, transcript: "La la la."}   # beside this file; at most 60 s
    default:                               # when no rule matches
      - say: "You said {text}"

    transcripts:                           # what the user says, for want of a recogniser: see transcripts.py
      - "What is the weather like?"

The first rule whose conditions all hold is taken. Conditions: `turn` (number or list), `text`, `tool` and `output`
(of the last function output; a rule with either matches only when there is one), `instructions` (regular
expressions). In `say` and `text` the words {text}, {turn}, {tool} and {output} are filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.endpoints.wav import read_wav
from engine.errors import MediaError
from engine.server.formats import RATE
from engine.server.recognisers.base import Heard
from engine.server.responders.base import Audio, Fail, McpCall, Say, Stop, Text, ToolCall, Turn
from engine.server.responders.mcp import mcp_call, mcp_servers
from engine.server.responders.places import Place, fields, kind_of
from engine.server.responders.transcripts import transcripts
from engine.server.sound import at_rate

_CONDITIONS = ("turn", "text", "tool", "output", "instructions")
_STEPS = ("say", "text", "audio", "call", "mcp", "delay", "fail", "stop")
MAX_DELAY_S = 3600.0
MAX_AUDIO_S = 60.0


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A function call whose arguments take so many seconds to come."""

    call: ToolCall
    seconds: float


Step = Say | Text | Audio | ToolCall | SlowCall | McpCall | Delay | Fail | Stop


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must all hold, and what to do then. None and () mean: not asked."""

    steps: tuple[Step, ...]
    turns: tuple[int, ...] = ()
    text: re.Pattern[str] | None = None
    tool: str | None = None
    output: re.Pattern[str] | None = None
    instructions: re.Pattern[str] | None = None

    def matches(self, turn: Turn) -> bool:
        """Whether this rule is for that turn."""
        last = turn.tool_outputs[-1] if turn.tool_outputs else None
        if self.tool is not None or self.output is not None:
            if last is None or (self.tool is not None and self.tool != last.name):
                return False
            if self.output is not None and not self.output.search(last.output):
                return False
        elif self.text is not None and last is not None:
            return False  # the words were answered by the call already: an output is not a second question
        if self.turns and turn.number not in self.turns:
            return False
        if self.text is not None and not self.text.search(turn.text):
            return False
        return self.instructions is None or bool(self.instructions.search(turn.instructions))


@dataclass(frozen=True, slots=True)
class Rules:
    """Every rule of a script, in order, and the default."""

    rules: tuple[Rule, ...]
    default: tuple[Step, ...]
    transcripts: tuple[Heard, ...] = ()
    mcp: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def needs_words(self) -> bool:
        """Whether an answer depends on what the user says, so that it waits for the recogniser."""
        said = [
            step.text
            for steps in (*(rule.steps for rule in self.rules), self.default)
            for step in steps
            if isinstance(step, Say | Text)
        ]
        return any(rule.text is not None for rule in self.rules) or any("{text}" in text for text in said)

    def steps_for(self, turn: Turn) -> tuple[Step, ...]:
        """What to do in that turn."""
        return next((rule.steps for rule in self.rules if rule.matches(turn)), self.default)


def parse(data: Any, source: str = "script", lines: Mapping[tuple[str | int, ...], int] | None = None) -> Rules:
    """Check a plain dict and make Rules of it.

    Raises ConfigError naming the field (and the line when `lines` knows it).
    """
    place = Place(source, lines or {})
    fields(data, ("rules", "default", "transcripts", "mcp"), place)
    rules = data.get("rules", [])
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise place.at("rules").error("must be a list of rules")
    default = steps(data["default"], place.at("default")) if "default" in data else (Say("I have no answer to that."),)
    made = tuple(_rule(rule, place.at("rules").at(n)) for n, rule in enumerate(rules))
    return Rules(
        made,
        default,
        transcripts(data.get("transcripts", []), place.at("transcripts")),
        mcp_servers(data.get("mcp", {}), place.at("mcp")),
    )


def _rule(data: Any, place: Place) -> Rule:
    fields(data, ("match", "do"), place)
    if "do" not in data:
        raise place.error("has no 'do': say what should happen, e.g. do: [{say: Hello}]")
    match = data.get("match", {})
    at = place.at("match")
    fields(match, _CONDITIONS, at)
    tool = match.get("tool")
    if tool is not None and not isinstance(tool, str):
        raise at.at("tool").error("must be the name of a function")
    return Rule(
        steps=steps(data["do"], place.at("do")),
        turns=_turns(match["turn"], at.at("turn")) if "turn" in match else (),
        text=_pattern(match.get("text"), at.at("text")),
        tool=tool,
        output=_pattern(match.get("output"), at.at("output")),
        instructions=_pattern(match.get("instructions"), at.at("instructions")),
    )


def _turns(value: Any, place: Place) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) else [value]
    if not all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in numbers) or not numbers:
        raise place.error(f"is {value!r}: use a number from 1, or a list of them")
    return tuple(numbers)


def _pattern(value: Any, place: Place) -> re.Pattern[str] | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise place.error(f"must be a regular expression in quotes, not {kind_of(value)}")
    try:
        return re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise place.error(f"is not a regular expression: {error}") from None


def steps(data: Any, place: Place) -> tuple[Step, ...]:
    """Check a list of steps. Raises ConfigError."""
    if not isinstance(data, list):
        raise place.error(f"must be a list of steps ({', '.join(_STEPS)}), not {kind_of(data)}")
    return tuple(_step(step, place.at(n)) for n, step in enumerate(data))


def _step(data: Any, place: Place) -> Step:
    fields(data, _STEPS, place)
    if len(data) != 1:
        raise place.error(f"must be exactly one of {', '.join(_STEPS)}")
    kind, value = next(iter(data.items()))
    at = place.at(kind)
    if kind == "delay":
        return Delay(_seconds(value, at))
    if kind == "audio":
        return _audio(value, at)
    if kind == "call":
        return _call(value, at)
    if kind == "mcp":
        return mcp_call(value, at)
    if kind == "fail":
        return _fail(value, at)
    if kind == "stop":
        if value not in (None, "max_output_tokens", "content_filter"):
            raise at.error(f"is {value!r}: use max_output_tokens, content_filter or nothing")
        return Stop(value)
    if not isinstance(value, str):
        raise at.error(f"must be a text, not {kind_of(value)}: put it in quotes")
    return Say(value) if kind == "say" else Text(value)


def _seconds(value: Any, place: Place) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DELAY_S:
        raise place.error(f"is {value!r}: use seconds from 0 to {MAX_DELAY_S:.0f}")
    return float(value)


def _audio(value: Any, place: Place) -> Audio:
    """A WAV file beside the script's own."""
    given = {"file": value} if isinstance(value, str) else value
    fields(given, ("file", "transcript"), place)
    name, transcript = given.get("file"), given.get("transcript", "")
    if not isinstance(name, str) or not isinstance(transcript, str):
        raise place.error("must be the path of a WAV file, or a mapping with file and transcript, both texts")
    try:
        wav = read_wav(Path(place.source).parent / name)
    except MediaError as error:
        raise place.error(str(error)) from None
    if wav.seconds > MAX_AUDIO_S:
        raise place.error(f"has {wav.seconds:.0f} s: at most {MAX_AUDIO_S:g} s are played")
    return Audio(at_rate(wav.samples.astype(np.float32) / np.float32(32768), RATE, wav.rate), transcript)


def _call(value: Any, place: Place) -> ToolCall | SlowCall:
    if isinstance(value, str):
        return ToolCall(value)
    fields(value, ("name", "arguments", "call_id", "seconds"), place)
    name, arguments = value.get("name"), value.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise place.at("name").error("must be the name of a function")
    # A text goes out as it is, so that a test can send broken JSON.
    arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
    call = ToolCall(name, arguments, str(value.get("call_id", "")))
    return SlowCall(call, _seconds(value["seconds"], place.at("seconds"))) if "seconds" in value else call


def _fail(value: Any, place: Place) -> Fail:
    if value is None or isinstance(value, str):
        return Fail(value or "The script asked for a failure.")
    fields(value, ("message", "code", "type"), place)
    for key, text in value.items():
        if not isinstance(text, str):
            raise place.at(key).error(f"must be a text, not {kind_of(text)}")
    return Fail(**{"message": "The script asked for a failure.", **value})
