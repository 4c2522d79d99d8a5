"""The short way of a WebSocket's frames: the same messages for any cut of the bytes, and always the library's rules."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from engine.clock import run_virtual
from engine.server.carrier import LARGE_BYTES, MOST_IN_A_ROW, READ_AHEAD_BYTES, Carrier
from engine.server.web import head

REQUEST = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
MOST = 4 * LARGE_BYTES


class Wire(asyncio.Transport):
    """What the carrier does to its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.reading = True
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.ended

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Door:
    """Opens to everybody, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def came(self, carrier: Carrier) -> None:
        self.told.append("came")

    def arrived(self, carrier: Carrier, request_head: bytes, rest: bytes) -> None:
        self.told.append("arrived")
        assert carrier.open(request_head, rest) is None

    def overlong(self, carrier: Carrier) -> None:
        self.told.append("overlong")
        carrier.refuse(b"too long")

    def gone(self, carrier: Carrier) -> None:
        self.told.append("gone")


def knocking() -> tuple[Carrier, Wire, Door]:
    """A carrier that has heard nothing yet."""
    door, wire = Door(), Wire()
    carrier = Carrier(ServerProtocol(max_size=MOST), door)
    carrier.connection_made(wire)
    return carrier, wire, door


def opened(rest: bytes = b"") -> tuple[Carrier, Wire]:
    carrier, wire, _ = knocking()
    carrier.data_received(REQUEST + rest)
    assert carrier.protocol.state is State.OPEN
    wire.written.clear()
    return carrier, wire


def text(data: bytes, fin: bool = True, opcode: Opcode = Opcode.TEXT, mask: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=mask)


def read(data: bytes) -> list[tuple[int, bytes]]:
    """The frames of a server's bytes: opcode and payload."""
    found, at = [], 0
    while at < len(data):
        size, head = data[at + 1], 2
        if size > 125:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[at + 2 : at + head], "big")
        found.append((data[at] & 15, data[at + head : at + head + size]))
        at += head + size
    return found


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(100):
            await test()

    run_virtual(main())


async def taken(carrier: Carrier) -> list[bytes]:
    """All that can be taken now."""
    found = []
    try:
        while True:
            async with asyncio.timeout(1):
                found.append(await carrier.take())
    except TimeoutError:
        return found


PIECES = st.one_of(
    st.tuples(st.just("text"), st.sampled_from([0, 1, 125, 126, 1300, 65535, 65536, 65537, 100_000])),
    st.tuples(st.just("binary"), st.integers(0, 300)),
    st.tuples(st.just("fragments"), st.integers(0, 2000)),
    st.tuples(st.just("ping"), st.integers(0, 125)),
)


def bytes_of(kind: str, size: int) -> bytes:
    data = bytes(n * 7 % 251 for n in range(size))
    if kind == "fragments":  # a ping may stand between them, and an empty one among them
        middle = text(b"", False, Opcode.CONT) + text(b"?", opcode=Opcode.PING)
        return text(data[: size // 3], False) + middle + text(data[size // 3 :], True, Opcode.CONT)
    return text(data, opcode={"text": Opcode.TEXT, "binary": Opcode.BINARY, "ping": Opcode.PING}[kind])


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8), st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_any_cut_of_the_bytes_gives_the_same_messages(pieces: list[tuple[str, int]], cuts: Sequence[int]) -> None:
    async def test() -> None:
        carrier, wire = opened()
        data, at, turn = b"".join(bytes_of(*piece) for piece in pieces), 0, 0
        while at < len(data):
            carrier.data_received(data[at : at + cuts[turn % len(cuts)]])
            at, turn = at + cuts[turn % len(cuts)], turn + 1
        expected = [bytes(n * 7 % 251 for n in range(size)) for kind, size in pieces if kind != "ping"]
        assert await taken(carrier) == expected
        pongs = sum(kind in ("ping", "fragments") for kind, _ in pieces)
        assert [opcode for opcode, _ in read(b"".join(wire.written))] == [Opcode.PONG] * pongs

    run(test)


def test_whole_frames_pass_the_library_by(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        carrier, _ = opened()
        monkeypatch.setattr(carrier.protocol, "receive_data", None)  # would fail when called
        data = text(b"a" * 1300) * 3
        for piece in (data[:3000], data[3000:]):
            carrier.data_received(piece)
        assert await taken(carrier) == [b"a" * 1300] * 3

    run(test)


@pytest.mark.parametrize("split", [0, 1, 20, 25])
def test_frames_that_do_not_wait_for_the_handshake(split: int) -> None:
    async def test() -> None:
        frames = text(b"one") + text(b"two\r\n\r\n") + text(b"three")
        carrier, _ = opened(frames[:split])
        carrier.data_received(frames[split:])
        assert await taken(carrier) == [b"one", b"two\r\n\r\n", b"three"]

    run(test)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_any_cut_of_the_head_opens(cuts: Sequence[int]) -> None:
    async def test() -> None:
        carrier, wire, door = knocking()
        data, at, turn = REQUEST + text(b"first"), 0, 0
        while at < len(data):
            carrier.data_received(data[at : at + cuts[turn % len(cuts)]])
            at, turn = at + cuts[turn % len(cuts)], turn + 1
        assert door.told == ["came", "arrived"]
        assert b"".join(wire.written).startswith(b"HTTP/1.1 101 ")
        assert await taken(carrier) == [b"first"]

    run(test)


@pytest.mark.parametrize("step", [1000, 10**6])
@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_a_head_without_end_is_answered_once_and_not_kept(step: int, end: bytes) -> None:
    async def test() -> None:
        carrier, wire, door = knocking()
        data = b"GET / HTTP/1.1\r\nX: " + b"x" * (head.MOST_BYTES + 5000) + end
        for at in range(0, len(data), step):
            carrier.data_received(data[at : at + step])
        assert door.told == ["came", "overlong"]
        assert wire.written == [b"too long"]
        assert wire.ended
        assert not carrier._head
        carrier.data_received(REQUEST)
        assert door.told == ["came", "overlong"]
        carrier.connection_lost(None)
        assert door.told == ["came", "overlong", "gone"]

    run(test)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (text(b"not masked", mask=False), 1002),
        (b"\x83\x80" + bytes(4), 1002),
        (text(b"no beginning", opcode=Opcode.CONT), 1002),
        (text(b"x", False) + text(b"a second beginning"), 1002),
        (b"\x81\xff" + (MOST + 1).to_bytes(8, "big") + bytes(4), 1009),
        (text(b"x" * (MOST - 10), False) + text(b"x" * 11, True, Opcode.CONT), 1009),
    ],
    ids=["not masked", "no such opcode", "no beginning", "two beginnings", "too large", "too large in fragments"],
)
def test_what_breaks_the_rules_is_the_librarys(bad: bytes, code: int) -> None:
    async def test() -> None:
        carrier, wire = opened()
        data = text(b"before") + bad + text(b"after")
        for at in range(0, len(data), 5000):
            carrier.data_received(data[at : at + 5000])
        assert await taken(carrier) == [b"before"]
        opcode, payload = read(b"".join(wire.written))[-1]
        assert (opcode, Close.parse(payload).code) == (Opcode.CLOSE, code)
        assert wire.ended
        carrier.connection_lost(None)
        with pytest.raises(ConnectionClosed):
            await carrier.take()
        with pytest.raises(ConnectionClosed):
            await carrier.put(b"late")
        assert not carrier.post(b"late")

    run(test)


def test_what_is_put_in_one_turn_leaves_in_one_write_and_before_the_close() -> None:
    async def test() -> None:
        carrier, wire = opened()
        sizes = [0, 125, 126, 20_000]
        for size in sizes:
            await carrier.put(b"y" * size)
        assert wire.written == []
        await asyncio.sleep(0)
        assert len(wire.written) == 1
        await carrier.put(b"z" * 100_000)  # not held back
        assert len(wire.written) == 2
        await carrier.put(b"last")
        carrier.data_received(text(Close(1000, "").serialize(), opcode=Opcode.CLOSE))
        frames = read(b"".join(wire.written))
        assert [len(payload) for _, payload in frames] == [*sizes, 100_000, 4, 2]
        assert frames[-1][0] == Opcode.CLOSE
        await asyncio.sleep(0)
        assert len(wire.written) == 4  # and nothing after it

    run(test)


def test_a_reader_that_is_slow_stops_the_socket_and_a_writer_waits() -> None:
    async def test() -> None:
        carrier, wire = opened()
        count = READ_AHEAD_BYTES // 1000
        for _ in range(count - 5):
            carrier.data_received(text(b"a" * 1000))
        assert wire.reading
        for _ in range(5):
            carrier.data_received(text(b"a" * 1000))
        assert not wire.reading
        assert len(await taken(carrier)) == count
        assert wire.reading

        assert carrier.post(b"b")
        carrier.pause_writing()
        assert not carrier.post(b"c")
        putting = asyncio.create_task(carrier.put(b"d"))
        await asyncio.sleep(1)
        assert not putting.done()
        carrier.resume_writing()
        await putting
        assert [payload for _, payload in read(b"".join(wire.written))] == [b"b", b"d"]
        carrier.pause_writing()
        putting = asyncio.create_task(carrier.put(b"b"))
        await asyncio.sleep(1)
        carrier.connection_lost(None)
        await putting  # the next one is told

    run(test)


@pytest.mark.parametrize("cut", [1, 7, 10**6])
def test_who_reads_nothing_gets_no_pongs(cut: int) -> None:
    async def test() -> None:
        carrier, wire = opened()
        carrier.pause_writing()
        data = text(b"p" * 100, opcode=Opcode.PING) * 50 + text(b"said")
        for at in range(0, len(data), cut):
            carrier.data_received(data[at : at + cut])
        assert wire.written == []
        assert await taken(carrier) == [b"said"]
        carrier.resume_writing()
        carrier.data_received(text(b"again", opcode=Opcode.PING))
        assert read(b"".join(wire.written)) == [(Opcode.PONG, b"again")]

    run(test)


def test_many_messages_of_one_client_let_others_run() -> None:
    async def test() -> None:
        carrier, _ = opened()
        carrier.data_received(text(b"a") * 10 * MOST_IN_A_ROW)
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(other())
        for _ in range(10 * MOST_IN_A_ROW):
            await carrier.take()
        assert turns >= 9
        beside.cancel()

    run(test)


def test_waiting_ends_with_the_connection() -> None:
    async def test() -> None:
        carrier, _ = opened()
        taking: asyncio.Task[Any] = asyncio.create_task(carrier.take())
        await asyncio.sleep(1)
        carrier.data_received(text(b"half")[:5])
        carrier.eof_received()
        carrier.connection_lost(None)
        with pytest.raises(ConnectionClosed) as closed:
            await taking
        assert closed.value.rcvd is None

    run(test)


def test_messages_are_offered_in_the_moment_they_come_and_stay_in_order() -> None:
    async def test() -> None:
        carrier, _ = opened()
        offered: list[bytes] = []

        def taker(message: bytes) -> bool:
            offered.append(message)
            return message != b"b"

        carrier.deliver(taker)
        carrier.data_received(b"".join(map(text, (b"a", b"b", b"c"))))
        assert offered == [b"a", b"b"]
        assert await carrier.take() == b"b"
        carrier.data_received(text(b"d"))
        assert offered == [b"a", b"b"]  # c is still before it
        assert await taken(carrier) == [b"c", b"d"]
        carrier.data_received(text(b"e") * 3 * MOST_IN_A_ROW)
        assert offered[2:] == [b"e"] * MOST_IN_A_ROW
        assert await taken(carrier) == [b"e"] * 2 * MOST_IN_A_ROW

    run(test)


def test_who_closes_hears_the_peers_close_behind_all_that_nobody_takes_any_more() -> None:
    async def test() -> None:
        carrier, wire = opened()
        carrier.data_received(text(b"a" * READ_AHEAD_BYTES))
        assert not wire.reading
        closing = asyncio.create_task(carrier.close(1001, "over"))
        await asyncio.sleep(0)
        assert wire.reading
        carrier.data_received(text(b"a" * READ_AHEAD_BYTES) * 3)
        assert wire.reading
        carrier.data_received(text(Close(1001, "over").serialize(), opcode=Opcode.CLOSE))
        carrier.eof_received()
        carrier.connection_lost(None)
        await closing
        with pytest.raises(ConnectionClosed) as closed:
            await carrier.take()
        assert closed.value.rcvd == Close(1001, "over")

    run(test)
