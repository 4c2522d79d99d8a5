"""The queue of received speech and its ledger: what became of every sample of every item."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import checked
from engine.audio.formats import AudioFormat
from engine.audio.packets import LinkStats, Packet, link_stats
from engine.audio.stats import PlayoutStats, playout_stats
from engine.errors import ConfigError, EngineError
from engine.native import Block, address, buffer, lib, new

ItemKey = tuple[str, int]
"""(item_id, content_index), as the protocol names a piece of sound."""


@dataclass(frozen=True, slots=True)
class Position:
    """What became of one item's sound, in source samples of the queue's format.

    `queued` were pushed; of these `played` left the queue at full gain (ducked or not), `faded` left it inside an
    interruption's fade, `discarded` never left it, and the rest waits.
    """

    item_id: str
    content_index: int
    generation: int
    queued: int
    played: int
    faded: int
    discarded: int
    complete: bool
    ended: bool
    rate: int

    @property
    def waiting(self) -> int:
        """Samples still in the queue."""
        return self.queued - self.played - self.faded - self.discarded

    @property
    def played_ms(self) -> int:
        """Whole milliseconds played, rounded down: what `conversation.item.truncate` may claim."""
        return self.played * 1000 // self.rate


class PlayoutPolicy(enum.Enum):
    """How the queue meets the way sound arrives. FIXED: waits for `start_ms` and `refill_ms`, alters nothing.

    BURST, for senders that give sound as fast as they make it: starts on the first delta unless earlier responses
    came slower than 1.2 times real time, then waits for what they would have needed (400 ms at most); plays at 0.94,
    pitch kept, while less than 150 ms are at hand and the end is not.

    PACED, for packets that come at the pace they are spoken (`push_packet`): holds them as long as the link's delays so
    far advise, puts them in order, makes up for those that are lost or late, plays faster or slower, in pauses above
    all, to keep that delay, and follows the sender's clock. `start_ms` and `refill_ms` are not used.
    """

    FIXED = "fixed"
    BURST = "burst"
    PACED = "paced"

    @property
    def code(self) -> int:
        """The C value."""
        return int(getattr(lib, f"RT_PLAYOUT_{self.name}"))


def fill_config(
    c: Any,
    audio_format: AudioFormat,
    *,
    capacity_s: float,
    fade_ms: float,
    start_ms: float,
    refill_ms: float,
    policy: PlayoutPolicy,
    max_delay_ms: float,
    patience: float,
) -> None:
    """Checks what is common to all owners of a C playout; raises `ConfigError` naming the field."""
    c.format = audio_format.code
    c.capacity_frames = int(capacity_s * audio_format.rate)
    c.fade_ms = int(checked("fade_ms", fade_ms, 1, 200))
    c.start_ms = int(checked("start_ms", start_ms, 0, 2000))
    c.refill_ms = int(checked("refill_ms", refill_ms, 0, 2000))
    c.policy = policy.code
    most = min(10000.0, capacity_s * 1000) if policy is PlayoutPolicy.PACED else 10000.0
    c.max_delay_ms = int(checked("max_delay_ms", max_delay_ms, 200, most))
    c.patience = checked("patience", patience, 0.25, 4)


class PlayoutQueue:
    """The loop thread's side of a C playout: push sound, latch generations, read the ledger.

    At most 64 items are alive at once; `retire` what has ended. All methods belong to one thread; the C side plays
    on another.
    """

    def __init__(self, pointer: Any, audio_format: AudioFormat) -> None:
        self._playout = pointer
        self.format = audio_format
        self._numbers: dict[ItemKey, int] = {}  # at most RT_PLAYOUT_ITEMS: push refuses a 65th live item
        self._keys: dict[int, ItemKey] = {}
        self._halves: dict[int, bytes] = {}  # the first byte of a sample whose second has not come yet
        self._next = 1

    @property
    def newest(self) -> int:
        """The newest open generation, 0 before the first."""
        return int(lib.rt_playout_newest(self._playout))

    def open(self) -> int:
        """Open the next generation and return it. What an interruption latched stays dead; what comes now may sound."""
        generation = self.newest + 1
        lib.rt_playout_open(self._playout, generation)
        return generation

    def push(self, item_id: str, content_index: int, data: bytes | memoryview, generation: int | None = None) -> int:
        """Queue sound in wire form. Returns the bytes taken: all, or fewer when the queue is full (push the rest
        later).

        A sample cut in two by the caller is joined again. Raises `ConfigError` when the item is complete, belongs
        to another generation, or the generation was never opened.
        """
        if generation is None:
            generation = self.newest or self.open()
        key = (item_id, content_index)
        number = self._numbers.get(key) or self._next
        joined = 0
        held = self._halves.get(number)
        if held and len(data):  # only the sample that was cut in two is put together; the rest is not copied
            if self._put(key, number, generation, held + bytes(data[:1]), 1) != 1:
                return 0
            del self._halves[number]
            data, joined = memoryview(data)[1:], 1
        size = self.format.sample_bytes
        frames = len(data) // size
        taken = self._put(key, number, generation, data, frames)
        if taken < frames:
            return joined + max(taken, 0) * size
        if frames * size < len(data):
            self._halves[number] = bytes(data[frames * size :])
        return joined + len(data)

    def _put(self, key: ItemKey, number: int, generation: int, sound: bytes | memoryview, frames: int) -> int:
        """Frames taken, -1 when the queue or its table of items is full."""
        taken = int(lib.rt_playout_push(self._playout, number, generation, buffer(sound), frames))
        if taken == lib.RT_FULL:
            return -1
        if taken < 0:
            raise ConfigError(
                f"sound for {key} in generation {generation} refused: complete, of another generation, or not open "
                "(or the queue is PACED: use push_packet)"
            )
        self._remember(key, number)
        return taken

    def push_packet(self, item_id: str, content_index: int, packet: Packet, generation: int | None = None) -> bool:
        """PACED: queue one packet. False when the queue has no room for it: drop it, as a late one would be.

        Raises `ConfigError` for a field out of range, an item that is complete or of another generation, a generation
        never opened, or a queue of another policy.
        """
        if generation is None:
            generation = self.newest or self.open()
        key = (item_id, content_index)
        number = self._numbers.get(key) or self._next
        frames = packet.frames(self.format.sample_bytes)
        header = new("rt_jitter_packet *", packet.header(frames))
        status = lib.rt_playout_push_packet(self._playout, number, generation, header, buffer(packet.payload), frames)
        if status == lib.RT_BAD_ARGUMENT:
            raise ConfigError(
                f"packet for {key} in generation {generation} refused: not a PACED queue, or the item is complete, "
                "of another generation, or that is not open"
            )
        if status == lib.RT_OK:
            self._remember(key, number)
        return bool(status == lib.RT_OK)

    def link(self) -> LinkStats:
        """PACED: what is known of the link, one snapshot. Raises `ConfigError` for another policy."""
        raw = new("rt_playout_link *")
        while (status := lib.rt_playout_read_link(self._playout, raw)) == lib.RT_FULL:
            pass
        if status != lib.RT_OK:
            raise ConfigError("this queue is not PACED: it keeps no figures of a link")
        return link_stats(raw)

    def _remember(self, key: ItemKey, number: int) -> None:
        if key not in self._numbers:
            self._numbers[key] = number
            self._keys[number] = key
            self._next = number + 1

    def complete(self, item_id: str, content_index: int) -> bool:
        """Say that no more sound of this item comes. True when noted (or the item has no sound); False when the
        queue is full.
        """
        number = self._numbers.get((item_id, content_index))
        return number is None or lib.rt_playout_complete(self._playout, number) == lib.RT_OK

    def interrupt(self, generation: int | None = None) -> None:
        """Fade out and discard this generation (default: the newest) and all older ones, also what is pushed later."""
        lib.rt_playout_interrupt(self._playout, self.newest if generation is None else generation)

    def position(self, item_id: str, content_index: int) -> Position | None:
        """The ledger of one item; None when it has no sound or is retired."""
        number = self._numbers.get((item_id, content_index))
        return None if number is None else self._position(number)

    def positions(self) -> list[Position]:
        """The ledger of all items that are not retired, oldest first."""
        return [self._position(number) for number in sorted(self._keys)]

    def _position(self, number: int) -> Position:
        row = new("rt_playout_item *")
        while (status := lib.rt_playout_read_item(self._playout, number, row)) == lib.RT_FULL:
            pass  # the playback thread was in the way a thousand times: it runs for microseconds, so this ends
        if status != lib.RT_OK:
            raise EngineError(f"item number {number} is not in the ledger")
        item_id, content_index = self._keys[number]
        return Position(
            item_id,
            content_index,
            row.generation,
            row.queued,
            row.played,
            row.faded,
            row.discarded,
            bool(row.complete),
            bool(row.ended),
            self.format.rate,
        )

    def key(self, number: int) -> ItemKey | None:
        """Which item the C core's events mean; None when it is retired."""
        return self._keys.get(number)

    def retire(self, item_id: str, content_index: int) -> bool:
        """Forget an item none of whose sound waits. False while some does."""
        key = (item_id, content_index)
        number = self._numbers.get(key)
        if number is None:
            return True
        if lib.rt_playout_retire(self._playout, number) != lib.RT_OK:
            return False
        del self._numbers[key], self._keys[number]
        self._halves.pop(number, None)
        return True

    @property
    def waiting(self) -> int:
        """Source samples in the queue."""
        return int(lib.rt_playout_waiting(self._playout))

    def stats(self) -> PlayoutStats:
        """One snapshot."""
        raw = new("rt_playout_stats *")
        while lib.rt_playout_read_stats(self._playout, raw) != lib.RT_OK:
            pass
        return playout_stats(raw)


class Playout:
    """The playout block by itself: push sound, take mono float32 at 24 kHz. For phone legs, tests, benchmarks and
    callers without a device.

    `capacity_s` seconds of sound are held; `fade_ms` 1 to 200; `start_ms` and `refill_ms` 0 to 2000 are waited for
    before a response starts and before sound goes on after an underrun, longer if `policy` advises it. For the policy
    PACED: `max_delay_ms`, 200 to 10000 and no more than the capacity, above which the oldest sound is skipped, and
    `patience`, 0.25 to 4: more waits longer and makes up less.
    """

    def __init__(
        self,
        audio_format: AudioFormat = AudioFormat.PCM,
        *,
        capacity_s: float = 120.0,
        fade_ms: int = 20,
        start_ms: int = 0,
        refill_ms: int = 300,
        policy: PlayoutPolicy = PlayoutPolicy.BURST,
        max_delay_ms: int = 2000,
        patience: float = 1.0,
    ) -> None:
        config = new("rt_playout_config *")
        fill_config(
            config,
            audio_format,
            capacity_s=checked("capacity_s", capacity_s, 0.03, 600.0),
            fade_ms=fade_ms,
            start_ms=start_ms,
            refill_ms=refill_ms,
            policy=policy,
            max_delay_ms=max_delay_ms,
            patience=patience,
        )
        self._block = Block(lib.rt_playout_size(config))
        self._playout = self._block.pointer("rt_playout *")
        lib.rt_playout_init(self._playout, config)
        self.queue = PlayoutQueue(self._playout, audio_format)
        self._rest = np.empty(0, dtype=np.float32)

    def push(self, item_id: str, content_index: int, samples: bytes | NDArray[Any]) -> int:
        """Queue int16 (PCM) or uint8 (G.711) samples, or bytes in wire form; returns the samples taken."""
        wanted = np.int16 if self.queue.format is AudioFormat.PCM else np.uint8
        if isinstance(samples, np.ndarray):
            if samples.dtype != wanted or samples.ndim != 1:
                raise ConfigError(f"samples is {samples.ndim}-D {samples.dtype}: give a 1-D {np.dtype(wanted)} array")
            samples = samples.tobytes()
        return self.queue.push(item_id, content_index, samples) // self.queue.format.sample_bytes

    def push_packet(self, item_id: str, content_index: int, packet: Packet) -> bool:
        """PACED: queue one packet; see `PlayoutQueue.push_packet`."""
        return self.queue.push_packet(item_id, content_index, packet)

    def complete(self, item_id: str, content_index: int) -> bool:
        """No more sound of this item comes."""
        return self.queue.complete(item_id, content_index)

    def process(self, frames: int, now_us: int | None = None) -> NDArray[np.float32]:
        """The next `frames` samples at 24 kHz, 0 to 10 million. Silence when nothing waits.

        `now_us` is the time of the first of them on the clock of the packets' arrivals (PACED); without it 10 ms pass
        with each 10 ms of sound, from 0 on.
        """
        if now_us is not None:
            lib.rt_playout_clock(self._playout, now_us)
        if not 0 <= frames <= 10_000_000:
            raise ConfigError(f"frames is {frames}: give 0 to 10000000")
        missing = max(0, frames - len(self._rest))
        hops = -(-missing // lib.RT_HOP)
        fresh = np.empty(hops * lib.RT_HOP, dtype=np.float32)
        for i in range(hops):
            lib.rt_playout_process(self._playout, 0, address(fresh[i * lib.RT_HOP :], "float *"))
        sound = np.concatenate([self._rest, fresh])
        self._rest = sound[frames:].copy()
        return sound[:frames]

    def interrupt(self) -> None:
        """Fade out what sounds and discard what waits; push opens a new generation."""
        self.queue.interrupt()
        self.queue.open()

    def played(self) -> list[Position]:
        """The ledger, oldest item first."""
        return self.queue.positions()
