"""The callers of `load.py`: many full-duplex sessions over raw sockets in one loop, lean enough not to be measured.

Each session sends a frame of 20 ms every 20 ms of an absolute clock, whatever happens: a cycle of speech and silence,
over and over. Frames are encoded and masked once, before. What comes back is split into messages and looked at by
type; only what is needed to know that nothing was lost is decoded, see `Session.lost`.
"""

from __future__ import annotations

import array
import base64
import heapq
import json
import os
import random
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

FRAME_MS = 20
BYTES_PER_MS = 48
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
PROBE_EVERY = 50
"""A frame in so many is followed by a question that is answered at once: an item that there is not."""
IDLE_S = 0.0005
"""Longest that the generator sleeps: what is due is sent, and what came is timed, up to that late."""
MASK = b"\x5a\xc3\x3c\xa5"

clock: Callable[[], float] = time.perf_counter


def framed(payload: bytes) -> bytes:
    """A masked text frame, final."""
    size = len(payload)
    mask = int.from_bytes((MASK * (size // 4 + 1))[:size])
    masked = (int.from_bytes(payload) ^ mask).to_bytes(size)
    header = b"\x81" + (bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size))
    return header + MASK + masked


def messages(event: dict[str, object]) -> bytes:
    """One event as it goes out."""
    return framed(json.dumps(event, separators=(",", ":")).encode())


class Script:
    """What everybody says: `audio` (16-bit, 24 kHz) again and again, in frames."""

    def __init__(self, audio: bytes) -> None:
        assert len(audio) % FRAME_BYTES == 0
        self.audio = audio
        self.frames = [
            messages({"type": "input_audio_buffer.append", "audio": base64.b64encode(piece).decode()})
            for piece in (audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))
        ]

    def said(self, start_ms: int, end_ms: int) -> bytes:
        """What was said from one time of a session to another."""
        rounds = end_ms * BYTES_PER_MS // len(self.audio) + 1
        return (self.audio * rounds)[start_ms * BYTES_PER_MS : end_ms * BYTES_PER_MS]


@dataclass(slots=True)
class Session:
    """One caller."""

    socket: socket.socket
    script: Script
    began: float = 0.0
    """When its first frame is due."""
    sent: int = 0
    """Frames."""
    buffer: bytearray = field(default_factory=bytearray)
    probes: dict[bytes, float] = field(default_factory=dict)
    start_ms: int = 0
    end_ms: int = 0
    turns: list[tuple[int, int]] = field(default_factory=list)
    reply: list[bytes] = field(default_factory=list)
    replies: int = 0
    stopped_due: float = 0.0
    """When the frame was due whose silence ended the turn; 0 once the reply began."""
    kept: int = 0
    """Bytes of sound the server keeps for it: turns and replies."""
    trouble: list[str] = field(default_factory=list)

    def lost(self, turns: int) -> list[str]:
        """What went wrong, after the end. Every reply was compared with what was said between the offsets that the
        server named: one frame lost or doubled before, and none would be equal from there on."""
        found = list(self.trouble)
        if self.probes:
            found.append(f"{len(self.probes)} questions were not answered")
        if not len(self.turns) == self.replies == turns:
            found.append(f"{turns} turns were spoken, {len(self.turns)} heard, {self.replies} answered")
        return found


@dataclass(slots=True)
class Heard:
    """What the callers measured, in seconds."""

    late: array.array[float] = field(default_factory=lambda: array.array("d"))
    """From when a frame was due to when it was known to be handled."""
    own: array.array[float] = field(default_factory=lambda: array.array("d"))
    """From when a frame was due to when this process had sent it."""
    answers: array.array[float] = field(default_factory=lambda: array.array("d"))
    """From when the frame was due that ended a turn to the first sound of the reply."""


def connect(port: int) -> socket.socket:
    """A connection past its handshake and its first event."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    taken = b""
    while b"session.created" not in taken:
        more = made.recv(65536)
        if not more:
            raise ConnectionError(f"the server closed: {taken[:200]!r}")
        taken += more
    head, _, rest = taken.partition(b"\r\n\r\n")
    if b" 101 " not in head.splitlines()[0]:
        raise ConnectionError(f"the server answered {head[:200]!r}")
    while len(rest) < 4 or len(rest) < 4 + int.from_bytes(rest[2:4]):  # session.created is some kilobytes long
        rest += made.recv(65536)
    return made


class Callers:
    """`count` sessions. Make them, then `run`."""

    def __init__(self, port: int, count: int, script: Script, *, stretch: float = 1.0, seed: int = 1) -> None:
        self.script = script
        self.frame_s = FRAME_MS / 1000 * stretch
        """Time from frame to frame: longer than a frame when time is stretched."""
        self._cycle_s = len(script.frames) * self.frame_s
        self.heard = Heard()
        self.sessions = [Session(connect(port), script) for _ in range(count)]
        self._poll = select.epoll()
        self._by_fd = {session.socket.fileno(): session for session in self.sessions}
        for fd, session in self._by_fd.items():
            session.socket.setblocking(False)
            self._poll.register(fd, select.EPOLLIN)
        chance = random.Random(seed)
        self._starts = sorted(chance.random() * self._cycle_s for _ in self.sessions)  # places in the cycle, too
        self.counts = False

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for session in self.sessions:
            session.socket.setblocking(True)
            session.socket.sendall(b"\x88\x82" + MASK + bytes((0x03 ^ MASK[0], 0xE8 ^ MASK[1])))  # 1000
            session.socket.close()

    def run(self, rounds: int, began: Callable[[], None], ended: Callable[[], None]) -> None:
        """Everybody says the script `rounds` times, having begun somewhere in the first. `began` and `ended` are called
        when all of them speak, and when the first is done.
        """
        start = clock() + 0.05
        for session, at in zip(self.sessions, self._starts, strict=True):
            session.began = start + at
        frames = rounds * len(self.script.frames)
        marks = [(start + self._cycle_s, began), (start + rounds * self._cycle_s, ended)]
        due = [(session.began, number) for number, session in enumerate(self.sessions)]  # a heap: sorted it is one
        while due:
            now = clock()
            if marks and now >= marks[0][0]:
                self.counts = False  # asking the server takes time of ours
                marks.pop(0)[1]()
                self.counts = bool(marks)
                continue
            while due and due[0][0] <= now:
                at, number = due[0]
                session = self.sessions[number]
                self._send(session, at)
                if session.sent == frames:
                    heapq.heappop(due)
                else:
                    heapq.heapreplace(due, (session.began + session.sent * self.frame_s, number))
            self._receive(IDLE_S)
        self._drain()

    def _send(self, session: Session, due: float) -> None:
        number = session.sent
        data = self.script.frames[number % len(self.script.frames)]
        if self.counts and (number + session.socket.fileno()) % PROBE_EVERY == 0:
            name = f"probe{number}"
            data += messages({"type": "conversation.item.retrieve", "item_id": "none", "event_id": name})
            session.probes[name.encode()] = due
        try:
            taken = session.socket.send(data)
        except BlockingIOError:
            taken = 0
        session.sent += 1
        if self.counts:
            self.heard.own.append(clock() - due)
        if taken != len(data):  # the server does not read: its socket's buffers are full
            session.trouble.append(f"frame {number} did not fit into the socket")
            session.socket.setblocking(True)
            session.socket.sendall(data[taken:])
            session.socket.setblocking(False)

    def _receive(self, longest: float) -> None:
        found = self._poll.poll(0)
        if not found:
            time.sleep(longest)
            found = self._poll.poll(0)
        for fd, _ in found:
            session = self._by_fd[fd]
            data = session.socket.recv(262_144)
            now = clock()
            if not data:
                session.trouble.append("the server closed the connection")
                self._poll.unregister(fd)
                continue
            session.buffer += data
            self._take(session, now)

    def _take(self, session: Session, now: float) -> None:
        buffer, at = session.buffer, 0
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4]), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[at + 2 : at + 10]), 10
            if len(buffer) - at < head + size:
                break
            if buffer[at] == 0x81:
                self._message(session, bytes(buffer[at + head : at + head + size]), now)
            else:
                session.trouble.append(f"a frame of kind {buffer[at]:#x}")
            at += head + size
        del buffer[:at]

    def _message(self, session: Session, payload: bytes, now: float) -> None:
        kind = payload[9 : payload.index(b'"', 9)]
        if kind == b"response.output_audio.delta":
            if session.stopped_due:
                if self.counts:
                    self.heard.answers.append(now - session.stopped_due)
                session.stopped_due = 0.0
            session.reply.append(payload)
        elif kind == b"error":
            name = json.loads(payload)["error"]["event_id"]
            due = session.probes.pop((name or "").encode(), None)
            if due is None:
                session.trouble.append(payload[:300].decode())
            else:
                self.heard.late.append(now - due)
        elif kind == b"input_audio_buffer.speech_started":
            session.start_ms = json.loads(payload)["audio_start_ms"]
        elif kind == b"input_audio_buffer.speech_stopped":
            session.end_ms = json.loads(payload)["audio_end_ms"]
            session.turns.append((session.start_ms, session.end_ms))
            frame = -(-session.end_ms // FRAME_MS) - 1
            session.stopped_due = session.began + frame * self.frame_s
        elif kind == b"response.done":
            self._done(session, payload)

    def _done(self, session: Session, payload: bytes) -> None:
        sound = b"".join(base64.b64decode(json.loads(delta)["delta"]) for delta in session.reply)
        start_ms, end_ms = session.turns[-1]
        session.reply.clear()
        session.replies += 1
        session.kept += 2 * len(sound)
        if b'"status":"completed"' not in payload[:400]:
            session.trouble.append(payload[:300].decode())
        if sound != self.script.said(start_ms, end_ms):
            wanted = (end_ms - start_ms) * BYTES_PER_MS
            session.trouble.append(f"{len(sound)} bytes answered the {wanted} from {start_ms} ms on, and not the same")

    def _drain(self) -> None:
        """Wait for what is under way; silence from all of them for a second is the end of it."""
        last, quiet = self._pending(), clock()
        while clock() - quiet < 1.0:
            self._receive(0.01)
            if (pending := self._pending()) != last:
                last, quiet = pending, clock()

    def _pending(self) -> Sequence[int]:
        return [sum(map(len, map(getattr, [s] * 3, ("probes", "reply", "turns")))) for s in self.sessions]


__all__ = ["Callers", "Heard", "Script", "Session"]
