"""The ten rules that no behaviour of a client may break, followed event by event as the client receives them.

1 one response at a time writes to the conversation; 2 each response.created has one response.done; 3 nothing of a
response comes after it; 4 what ends a response and the user's turn agree; 5 a response has the configuration that was
reported last; 6 audio is neither lost nor doubled; 7 no event is missing; 8 every task ends; 9 no output stands without
its call; 10 closing twice is closing once. Rules 8, 9 and 10 are the machine's to look at.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np

from engine.audio import AudioFormat
from tests.server.harness import check_usage

Event = dict[str, Any]
_ENDS = (
    "output_audio", "output_audio_transcript", "output_text", "content_part", "function_call_arguments", "output_item",
)  # fmt: skip
CLOSING = frozenset({f"response.{kind}.done" for kind in _ENDS} | {"conversation.item.done", "response.done"})
UNASKED = frozenset({"input_audio_buffer_full", "session_expired"})
"""Errors that answer no event of the client's."""


class Watch:
    """One session as its client sees it. `saw` takes each event once, in order."""

    def __init__(self) -> None:
        self.config: Event = {}
        self.active: str | None = None
        self.aside: set[str] = set()
        self.ended: dict[str, Event] = {}
        self.tags: dict[str, Event] = {}
        """Overrides of response.create, by the metadata that name them."""
        self.announced: str | None = None
        self.speaking = False
        self.answers: dict[str, int] = {}
        """Errors and other answers, by the event they answer or by their type."""
        self.items: dict[str, Event] = {}
        self.gone: set[str] = set()
        self.turns: dict[str, tuple[int, int]] = {}
        """Start and end in ms of items that turn detection made."""
        self.by_hand: list[str] = []
        self.heard: dict[tuple[str, int], bytearray] = {}
        """Sound of the model by item and part."""
        self.formats: dict[str, str] = {}
        self.numbers: dict[str, int] = {}
        """Which turn of the brain a response's sound is from."""
        self.truncated: dict[str, int] = {}
        self.overflowed = False
        self._start_ms = 0
        self._stopped: str | None = None
        self._must_end: str | None = None
        self._due = False  # a turn wants an answer

    def saw(self, event: Event) -> None:
        """Follow one event."""
        kind = event["type"]
        if self._must_end is not None:
            assert kind in CLOSING, f"4: {kind} before the interrupted response has ended"
        response_id = event.get("response_id")
        if response_id is not None:
            assert response_id not in self.ended, f"3: {kind} after response.done"
            assert response_id == self.active or response_id in self.aside, f"2: {kind} without response.created"
        handler = getattr(self, "_" + kind.replace(".", "_"), None)
        if handler is not None:
            handler(event)

    # ---- session

    def _session_created(self, event: Event) -> None:
        self.config = event["session"]

    def _session_updated(self, event: Event) -> None:
        self.config = event["session"]
        self._count("session.update")
        if self._detection() is None:
            self.speaking, self.announced = False, None

    def _error(self, event: Event) -> None:
        error = event["error"]
        assert error["code"] and error["message"], event
        if error["code"] == "input_audio_buffer_full":
            self.overflowed = True
        if error["code"] not in UNASKED:
            self._count(f"error {error['event_id']}")

    def _detection(self) -> Event | None:
        found: Event | None = self.config["audio"]["input"]["turn_detection"]
        return found

    def _count(self, what: str) -> None:
        self.answers[what] = self.answers.get(what, 0) + 1

    # ---- the user's turn

    def _input_audio_buffer_speech_started(self, event: Event) -> None:
        detection = self._detection()
        assert detection is not None and not self.speaking, "4: speech_started out of place"
        self.speaking, self.announced = True, event["item_id"]
        self._start_ms = event["audio_start_ms"]
        if detection.get("interrupt_response"):
            self._must_end, self._due = self.active, False  # a turn that waited is answered with this one

    def _input_audio_buffer_speech_stopped(self, event: Event) -> None:
        assert self.speaking, "4: speech_stopped while nobody spoke"
        self.speaking = False
        if event["item_id"] != self.announced:
            assert self.announced in self.items, "4: another item than the one announced"
        self._turn(event, self._start_ms)

    def _input_audio_buffer_timeout_triggered(self, event: Event) -> None:
        assert not self.speaking and self.active is None, "4: an idle timeout while something went on"
        self._turn(event, event["audio_start_ms"])

    def _turn(self, event: Event, start_ms: int) -> None:
        self._stopped = event["item_id"]
        self.turns[event["item_id"]] = (start_ms, event["audio_end_ms"])
        self._due = self._due or bool((self._detection() or {}).get("create_response"))

    def _input_audio_buffer_committed(self, event: Event) -> None:
        item_id = event["item_id"]
        if self._stopped is None:
            self.by_hand.append(item_id)
            self._count("input_audio_buffer.commit")
        else:
            assert item_id == self._stopped, "4: another turn is committed"
        self.speaking, self.announced, self._stopped = False, None, None

    def _input_audio_buffer_cleared(self, event: Event) -> None:
        self.speaking, self.announced = False, None
        self._count("input_audio_buffer.clear")

    # ---- the conversation

    def _conversation_item_added(self, event: Event) -> None:
        item = event["item"]
        assert item["id"] not in self.items or item["id"] in self.gone, "7: an item is added twice"
        self.items[item["id"]] = item
        self.gone.discard(item["id"])

    def _conversation_item_done(self, event: Event) -> None:
        assert event["item"]["id"] in self.items, "7: an item is done that was never added"
        self.items[event["item"]["id"]] = event["item"]

    def _conversation_item_deleted(self, event: Event) -> None:
        self._count("conversation.item.delete")
        self.gone.add(event["item_id"])

    def _conversation_item_truncated(self, event: Event) -> None:
        self._count("conversation.item.truncate")
        self.truncated[event["item_id"]] = event["audio_end_ms"]

    def _conversation_item_retrieved(self, event: Event) -> None:
        self._count("conversation.item.retrieve")
        item = event["item"]
        for index, part in enumerate(item.get("content", ())):
            known = self.heard.get((item["id"], index))
            if known is None or part.get("audio") is None:
                continue
            kept = b64decode(part["audio"])
            if item["id"] in self.truncated:
                assert bytes(known).startswith(kept), "6: what is kept was never sent"
                assert not part.get("transcript"), "6: a transcript of audio that was cut"
            else:
                assert kept == known, "6: what is kept is not what was sent"

    # ---- responses

    def _response_created(self, event: Event) -> None:
        response = event["response"]
        assert response["id"] not in self.ended and response["id"] not in self.aside, "2: created twice"
        if response["conversation_id"] is None:
            self.aside.add(response["id"])
        else:
            assert self.active is None, "1: two responses write to the conversation"
            self.active = response["id"]
        assert response["status"] == "in_progress" and response["output"] == []
        self.formats[response["id"]] = response["audio"]["output"]["format"]["type"]
        tag = (response["metadata"] or {}).get("tag")
        self._compare(response, self.tags.get(tag, {}) if tag else {})
        if tag:
            self._count(f"created {tag}")
        else:
            assert self._due, "4: an answer to no turn"
            self._due = False

    def _compare(self, response: Event, overrides: Event) -> None:
        expected = {name: self.config[name] for name in ("output_modalities", "max_output_tokens")}
        expected |= {name: value for name, value in overrides.items() if name in expected}
        output = {**self.config["audio"]["output"], **overrides.get("audio", {}).get("output", {})}
        told = response["audio"]["output"]
        found = {name: response[name] for name in expected}
        assert found == expected, f"5: {found}, but {expected} was in force"
        assert (told["voice"], told["format"]["type"]) == (output["voice"], output["format"]["type"]), "5: audio.output"

    def _response_output_audio_delta(self, event: Event) -> None:
        data = b64decode(event["delta"])
        response_id = event["response_id"]
        self.heard.setdefault((event["item_id"], event["content_index"]), bytearray()).extend(data)
        if self.formats[response_id] == AudioFormat.PCM.value:
            values = set(np.frombuffer(data, "<i2").tolist())
            number = self.numbers.setdefault(response_id, min(values))
            assert values == {number}, f"3: sound of turn {values} in a response of turn {number}"

    def _response_done(self, event: Event) -> None:
        response = event["response"]
        response_id, status = response["id"], response["status"]
        assert response_id not in self.ended, "2: a second response.done"
        reason = (response["status_details"] or {}).get("reason")
        if self._must_end is not None:
            assert (response_id, status, reason) == (self._must_end, "cancelled", "turn_detected"), "4: no interruption"
            self._must_end = None
        else:
            assert reason != "turn_detected", "4: interrupted by nobody"
        if response_id in self.aside:
            self.aside.discard(response_id)
        else:
            assert response_id == self.active, "2: response.done without response.created"
            self.active = None
        if reason == "client_cancelled":
            self._count("response.cancel")
        for item in response["output"]:
            assert item.get("status") != "in_progress", "3: an item is left open"
        check_usage(response["usage"])
        self.ended[response_id] = response

    # ---- when everything is over

    def rest(self) -> None:
        """Nothing is going on any more, and nothing was dropped."""
        assert self.active is None and not self.aside, f"2: {self.active or self.aside} has no response.done"
        assert self._must_end is None and not self.speaking
        assert not self._due, "4: a turn that was not answered"
        numbers = list(self.numbers.values())
        assert len(numbers) == len(set(numbers)), "3: two responses have sound of the same turn"
