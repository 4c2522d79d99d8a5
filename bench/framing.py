"""What does sound cost on its way into an append event, and out of a delta into the playout queue, by frame length?

One message each, no socket. Append: ours begins with the records of the capture half (10 ms each, as they lie in its
ring) and ends with the message's UTF-8, cut by `frame_ms`; the peers begin with the frame's bytes, already joined, and
end with the same. Delta: all begin with the message's UTF-8; ours ends with the samples in the C playout queue, checked
and counted in its ledger, the peers with the decoded bytes in a deque, as players keep them. An odd delta ends in half
a sample. Peers: json + base64, orjson + pybase64, and the openai package's own `input_audio_buffer.append` and `recv`
of a connection that goes nowhere, base64 by hand as its users do. All take turns; best of many rounds.
"""

from __future__ import annotations

import base64
import json
import sys
import timeit
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.audio import Inlet, Playout
from engine.audio.duplex import RECORD
from engine.conversation.framing import Framer
from engine.realtime import Role, events, wire

Row = tuple[str, float, float, float, str]
Contenders = dict[str, Callable[[], object]]

FRAMES_MS = (10, 20, 50, 100, 200)
BYTES_PER_MS = 48
ROUNDS = 30
CALLS = 200
OURS = "bargein"
STDLIB = "json + base64"
FAST = "orjson + pybase64"
OPENAI = "openai"


def sound(milliseconds: int) -> bytes:
    """PCM at 24 kHz."""
    return np.random.default_rng(1).normal(0, 3000, 24 * milliseconds).clip(-32768, 32767).astype("<i2").tobytes()


def records(frame: bytes) -> np.ndarray[Any, Any]:
    """As the capture half writes them, 10 ms each."""
    made = np.zeros(len(frame) // (10 * BYTES_PER_MS), RECORD)
    made["bytes"] = 10 * BYTES_PER_MS
    made["payload"] = np.frombuffer(frame, np.uint8).reshape(len(made), -1)
    return made


def delta_message(frame: bytes) -> bytes:
    return wire.encode(
        events.ResponseOutputAudioDelta(
            event_id="event_Cs3kQ0vXnTzY7aBcDeFgH",
            response_id="resp_Cs3kQ1vXnTzY7aBcDeFgH",
            item_id="item_Cs3kQ2vXnTzY7aBcDeFgH",
            output_index=0,
            content_index=0,
            delta=frame,
        )
    )


@dataclass
class Player:
    """Our way in, its queue emptied by an interruption whenever it is nearly full: outside the measured calls."""

    playout: Playout = field(default_factory=lambda: Playout(capacity_s=600))

    def __post_init__(self) -> None:
        self.inlet = Inlet(self.playout.queue)
        self.generation = self.playout.queue.open()

    def take(self, message: bytes) -> None:
        event: Any = wire.decode(message, Role.SERVER)
        if not self.inlet.push(event.item_id, event.content_index, self.generation, event.delta):
            raise RuntimeError("the queue is full: the figure would be wrong")

    def clear(self) -> None:
        self.playout.interrupt()
        self.inlet.drop(self.generation)
        while self.playout.queue.waiting:
            self.playout.process(2400)
        for position in self.playout.played():
            self.playout.queue.retire(position.item_id, position.content_index)
        self.generation = self.playout.queue.newest


class Nowhere:
    """Stands in the place of the openai package's WebSocket."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.sent = b""

    def send(self, data: str | bytes, **_: object) -> None:
        self.sent = data.encode() if isinstance(data, str) else data

    def recv(self, **_: object) -> bytes:
        return self.message


def appenders(frame: bytes, frame_ms: int) -> Contenders:
    framer, made = Framer(BYTES_PER_MS, frame_ms), records(frame)

    def ours() -> bytes:
        (cut,) = framer.cut(made)
        return wire.encode(events.InputAudioBufferAppend(audio=cut))

    def stdlib() -> bytes:
        return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(frame).decode()}).encode()

    contenders: Contenders = {OURS: ours, STDLIB: stdlib}
    try:
        import orjson
        import pybase64

        contenders[FAST] = lambda: orjson.dumps(
            {"type": "input_audio_buffer.append", "audio": pybase64.b64encode_as_string(frame)}
        )
    except ImportError as error:
        left_out(error)
    try:
        from openai.resources.realtime.realtime import RealtimeConnection

        nowhere: Any = Nowhere(b"")
        connection = RealtimeConnection(nowhere)

        def peer() -> object:
            connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())
            return nowhere.sent

        contenders[OPENAI] = peer
    except ImportError as error:
        left_out(error)
    for name, call in contenders.items():
        message: Any = call()
        if base64.b64decode(json.loads(message)["audio"]) != frame:
            raise RuntimeError(f"{name} sends something else")
    return contenders


def players(frame: bytes) -> tuple[Contenders, Player]:
    message = delta_message(frame)
    player = Player()
    heard: deque[bytes] = deque(maxlen=1000)

    def stdlib() -> None:
        heard.append(base64.b64decode(json.loads(message)["delta"]))

    contenders: Contenders = {OURS: lambda: player.take(message), STDLIB: stdlib}
    try:
        import orjson
        import pybase64

        contenders[FAST] = lambda: heard.append(pybase64.b64decode(orjson.loads(message)["delta"], validate=True))
    except ImportError as error:
        left_out(error)
    try:
        from openai.resources.realtime.realtime import RealtimeConnection

        nowhere: Any = Nowhere(message)
        connection = RealtimeConnection(nowhere)

        def peer() -> None:
            event: Any = connection.recv()
            heard.append(base64.b64decode(event.delta))

        contenders[OPENAI] = peer
    except ImportError as error:
        left_out(error)
    return contenders, player


def left_out(error: ImportError) -> None:
    print(f"framing: a peer is left out: {error}", file=sys.stderr)


def measure(contenders: Contenders, between: Callable[[], None] = lambda: None) -> dict[str, float]:
    """Microseconds per call of each, best round."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            best[name] = min(best[name], timeit.timeit(call, number=CALLS) / CALLS * 1e6)
        between()
    return best


def rows(what: str, best: dict[str, float]) -> list[Row]:
    mine = best.pop(OURS)
    return [(f"{what}, beside {name}", mine, peer, peer / mine, "us") for name, peer in best.items()]


def main() -> list[Row]:
    table: list[Row] = []
    for frame_ms in FRAMES_MS:
        table += rows(f"append of {frame_ms} ms", measure(appenders(sound(frame_ms), frame_ms)))
    for frame_ms in FRAMES_MS:
        contenders, player = players(sound(frame_ms))
        table += rows(f"delta of {frame_ms} ms to playout", measure(contenders, player.clear))
    contenders, player = players(sound(100)[:-1])
    table += rows("odd delta of 100 ms to playout", measure(contenders, player.clear))
    return table


def show(table: list[Row]) -> None:
    print(f"{'framing':58} {'bargein':>9} {'peer':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in table:
        print(f"{name:58} {mine:9.2f} {peer:9.2f} {ratio:6.1f}x  {unit}")


if __name__ == "__main__":
    show(main())
