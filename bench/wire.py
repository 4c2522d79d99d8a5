"""What does an event cost between bytes of sound and the payload of a WebSocket message, beside json + base64?

Encoding: 20 ms of PCM (960 bytes) to the UTF-8 of `input_audio_buffer.append`. Decoding: the UTF-8 of
`response.output_audio.delta` with 200 ms of PCM (9,600 bytes) and all its ids to an event that holds bytes. All begin
and end with the payload's bytes, as both bargein and openai take them from the socket. Ours checks types, members,
base64 and depth; json + base64 and orjson + pybase64 check nothing but the syntax. The openai package is called as its
users do, `input_audio_buffer.append` and `recv` of a connection (which here goes nowhere) and base64 by hand: its own
transforms, locks and models are in the figure. All take turns on the same data; best of many rounds each.
"""

from __future__ import annotations

import base64
import json
import sys
import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.realtime import Role, events, wire

Row = tuple[str, float, float, float, str]
Contenders = dict[str, Callable[[], object]]

ROUNDS = 40
CALLS = 200
STDLIB = "json + base64"
OURS = "bargein"


def sound(milliseconds: int) -> bytes:
    """PCM at 24 kHz."""
    return np.random.default_rng(1).normal(0, 3000, 24 * milliseconds).clip(-32768, 32767).astype("<i2").tobytes()


APPEND = sound(20)
DELTA = events.ResponseOutputAudioDelta(
    event_id="event_Cs3kQ0vXnTzY7aBcDeFgH",
    response_id="resp_Cs3kQ1vXnTzY7aBcDeFgH",
    item_id="item_Cs3kQ2vXnTzY7aBcDeFgH",
    output_index=0,
    content_index=0,
    delta=sound(200),
)
PAYLOAD = wire.encode(DELTA)


def ours_encode() -> bytes:
    return wire.encode(events.InputAudioBufferAppend(audio=APPEND))


def ours_decode() -> object:
    return wire.decode(PAYLOAD, Role.SERVER)


def stdlib_encode() -> bytes:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(APPEND).decode()}).encode()


def stdlib_decode() -> object:
    event = json.loads(PAYLOAD)
    event["delta"] = base64.b64decode(event["delta"])
    return event


def add_fast(encoders: Contenders, decoders: Contenders) -> None:
    """The quickest packages one could put in the place of the standard library's."""
    import orjson
    import pybase64

    def encode() -> object:
        audio = pybase64.b64encode_as_string(APPEND)
        return orjson.dumps({"type": "input_audio_buffer.append", "audio": audio})

    def decode() -> object:
        event = orjson.loads(PAYLOAD)
        event["delta"] = pybase64.b64decode(event["delta"], validate=True)
        return event

    encoders["orjson + pybase64"] = encode
    decoders["orjson + pybase64"] = decode


class Nowhere:
    """Stands in the place of the openai package's WebSocket."""

    def __init__(self) -> None:
        self.sent = b""

    def send(self, data: str | bytes, **_: object) -> None:
        self.sent = data.encode() if isinstance(data, str) else data

    def recv(self, **_: object) -> bytes:
        return PAYLOAD


def add_openai(encoders: Contenders, decoders: Contenders) -> None:
    from openai.resources.realtime.realtime import RealtimeConnection

    nowhere: Any = Nowhere()
    connection = RealtimeConnection(nowhere)

    def encode() -> object:
        connection.input_audio_buffer.append(audio=base64.b64encode(APPEND).decode())
        return nowhere.sent

    def decode() -> object:
        event: Any = connection.recv()
        return event, base64.b64decode(event.delta)

    encode()
    if json.loads(nowhere.sent)["audio"] != json.loads(stdlib_encode())["audio"]:
        raise ImportError("this version of openai sends in another way")
    encoders["openai"] = encode
    decoders["openai"] = decode


def measure(contenders: Contenders) -> dict[str, float]:
    """Microseconds per call of each, best round; they take turns, so that a slow spell of the machine hits all."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            best[name] = min(best[name], timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    return best


def main() -> list[Row]:
    encoders: Contenders = {OURS: ours_encode, STDLIB: stdlib_encode}
    decoders: Contenders = {OURS: ours_decode, STDLIB: stdlib_decode}
    for add in (add_fast, add_openai):
        try:
            add(encoders, decoders)
        except ImportError as error:
            print(f"wire: a peer is left out: {error}", file=sys.stderr)
    rows: list[Row] = []
    for what, contenders in (("encode a 20 ms append", encoders), ("decode a 200 ms delta", decoders)):
        best = measure(contenders)
        mine = best.pop(OURS)
        rows += [(f"{what}, beside {name}", mine, peer, peer / mine, "us") for name, peer in best.items()]
    return rows


def show(rows: list[Row]) -> None:
    print(f"{'wire':52} {'bargein':>9} {'peer':>9} {'ratio':>7}")
    for name, mine, peer, ratio, unit in rows:
        print(f"{name:52} {mine:9.2f} {peer:9.2f} {ratio:6.1f}x  {unit}")


if __name__ == "__main__":
    show(main())
