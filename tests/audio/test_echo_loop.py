"""An acoustic loop: what the loudspeaker plays comes back into the microphone through a simulated room, and somebody
may be in it. The assistant must not interrupt itself, and whoever talks must be able to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import BargeIn, Duplex, DuplexConfig, EventKind, Hearing, HearingStats, Policy
from engine.audio.room import Room, RoomConfig
from tests.audio.sounds import HOP, _caller, voice

Floats = NDArray[np.float32]
Echo = Callable[[Floats, Floats], Floats]
RATE = 24000
ROOM = RoomConfig(delay_s=0.06, t60_s=0.25, echo_db=-6.0, near_db=-6.0)
LEARNT_S = 3.0


def story() -> NDArray[np.int16]:
    """A reply with words and pauses: the caller of the demo, over and over."""
    return np.tile(_caller(RATE)[RATE // 2 : 9 * RATE], 8)


def in_a_room(config: RoomConfig = ROOM, seed: int = 1) -> Echo:
    room = Room(config, seed=seed)

    def through(played: Floats, near: Floats) -> Floats:
        return room.process(played, near).microphone

    return through


def headphones(_played: Floats, near: Floats) -> Floats:
    return near


@dataclass
class Told:
    """What happened: seconds of each kind of event, the figures, and what was sent, by captured sample."""

    events: list[tuple[float, EventKind]] = field(default_factory=list)
    figures: list[HearingStats] = field(default_factory=list)
    sent: NDArray[np.int16] = field(default_factory=lambda: np.zeros(60 * RATE, np.int16))
    playing: list[bool] = field(default_factory=list)

    def of(self, kind: EventKind, since_s: float = 0.0, until_s: float = 1e9) -> list[float]:
        return [second for second, each in self.events if each is kind and since_s <= second < until_s]


def converse(
    hearing: Hearing, echo: Echo, seconds: float, near: NDArray[np.int16] | None = None, rate: int = RATE
) -> Told:
    """A reply that goes on after every interruption, in a room."""
    block = rate // 100
    config = DuplexConfig(
        capture_rate=rate, playback_rate=rate, max_block=block, barge_in=BargeIn(Policy.LOCAL), hearing=hearing
    )
    duplex, told, reply, number = Duplex(config), Told(), story(), 0
    around = np.zeros(round(seconds * RATE) + HOP, np.float32)
    if near is not None:
        around[: len(near)] = near[: len(around)] / 32768
    played = np.zeros(HOP, np.float32)
    down, up = rate // RATE, RATE * block // rate
    for hop in range(round(seconds * 100)):
        if duplex.queue.waiting == 0:
            number += 1
            part = reply[(hop * HOP) % (len(reply) // 2) :][: 20 * RATE]
            duplex.queue.push(f"item{number}", 0, part.tobytes(), duplex.queue.open())
        heard = echo(played, around[hop * HOP : hop * HOP + HOP])
        samples = np.clip(np.rint(np.repeat(heard, down) * 32767), -32768, 32767).astype(np.int16)
        out = duplex.process(samples[:block])
        played = (out[::down][:up] / 32768).astype(np.float32)
        events = duplex.read_events()
        told.events += [(hop / 100, event.kind) for event in events]
        told.figures.append(duplex.hearing_stats())
        told.playing.append(duplex.playback_stats().playout.state == "playing")
        for record in duplex.read_records():
            at = int(record["position"])
            told.sent[at : at + HOP] = record["payload"].view(np.int16)
    return told


def talking(at_s: float, length_s: float, total_s: float) -> NDArray[np.int16]:
    """Silence, and somebody who talks for a while."""
    near = np.zeros(round(total_s * RATE), np.int16)
    begin = round(at_s * RATE)
    near[begin : begin + round(length_s * RATE)] = voice(round(length_s * RATE), seed=2, level=0.5)
    return near


def test_without_a_canceller_it_interrupts_itself() -> None:
    told = converse(Hearing(), in_a_room(), 6.0)
    assert len(told.of(EventKind.CONFIRMED)) > 2, "or the tests below would prove nothing"


@pytest.mark.parametrize("mode", ["aec", "auto"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_assistant_does_not_interrupt_itself(mode: Any, seed: int) -> None:
    told = converse(Hearing(echo=mode), in_a_room(seed=seed), 20.0)
    assert told.of(EventKind.CONFIRMED) == []
    assert len(told.of(EventKind.DUCKED, LEARNT_S)) <= 1
    last = told.figures[-1]
    assert last.echo == "aec" and last.converged and last.changes == 0
    assert last.erle_db > 10.0
    assert last.delay_ms is not None
    assert 50.0 <= last.delay_ms <= 70.0
    quiet = told.sent[10 * RATE : 19 * RATE].astype(float)
    assert np.sqrt(np.mean(quiet**2)) < 60, "what is sent of the reply is no louder than the room"


@pytest.mark.parametrize("mode", ["aec", "auto"])
@pytest.mark.parametrize("rate", [24000, 48000])
def test_somebody_who_talks_interrupts_at_once(mode: Any, rate: int) -> None:
    told = converse(Hearing(echo=mode), in_a_room(), 12.0, talking(9.0, 1.5, 12.0), rate)
    assert told.of(EventKind.CONFIRMED, 0.0, 9.0) == []
    confirmed = told.of(EventKind.CONFIRMED, 9.0)
    assert confirmed and confirmed[0] < 9.6
    assert told.of(EventKind.DUCKED, 9.0)[0] < 9.5
    said = told.sent[round(9.2 * RATE) : round(10.2 * RATE)].astype(float)
    assert np.sqrt(np.mean(said**2)) > 500, "and is sent"


def test_half_duplex_sends_silence_while_something_plays_and_nobody_interrupts() -> None:
    told = converse(Hearing(echo="half_duplex"), in_a_room(), 8.0, talking(4.0, 2.0, 8.0))
    assert told.of(EventKind.CONFIRMED) == [] and told.of(EventKind.DUCKED) == []
    assert all(told.playing[10:])
    assert not told.sent[RATE : 7 * RATE].any()
    last = told.figures[-1]
    assert last.echo == "half_duplex" and last.closed_hops > 700
    assert last.delay_ms is not None, "it learns all the same"


def test_half_duplex_opens_again_after_the_echo() -> None:
    block, duplex = (
        HOP,
        Duplex(DuplexConfig(capture_rate=RATE, playback_rate=RATE, max_block=HOP, hearing=Hearing(echo="half_duplex"))),
    )
    duplex.queue.push("item", 0, story()[:RATE].tobytes(), duplex.queue.open())
    duplex.queue.complete("item", 0)
    murmur = np.random.default_rng(2).integers(-300, 300, 3 * RATE).astype(np.int16)
    for hop in range(300):
        duplex.process(murmur[hop * block : hop * block + block])
    sent = duplex.read_records()
    loud = [bool(record["payload"].view(np.int16).any()) for record in sent]
    assert not any(loud[5:100]), "closed while it plays"
    assert all(loud[200:]), "and open a second later"
    assert sum(loud[100:200]) < 80, "but not before its echo is over"


def test_headphones_are_found_out_and_interrupting_is_easy() -> None:
    near = talking(6.0, 1.0, 8.0)
    told, plain = (converse(Hearing(echo=mode), headphones, 8.0, near) for mode in ("auto", "off"))
    figures = told.figures[590]
    assert figures.converged and figures.delay_ms is None and figures.echo == "aec"
    first, without = (each.of(EventKind.CONFIRMED)[0] for each in (told, plain))
    assert first - without <= 0.1


def test_auto_takes_the_last_resort_and_comes_back() -> None:
    """A loudspeaker that distorts, now louder, now softer, cannot be learnt; once it is repaired, it can."""
    room, hop = in_a_room(), [0]

    def rattles(played: Floats, near: Floats) -> Floats:
        hop[0] += 1
        if hop[0] < 1800:
            distorted = np.sign(played) * np.sqrt(np.abs(played)) * (1.5 if hop[0] // 3 % 2 else 0.4)
            played = distorted.astype(np.float32)
        return room(played, near)

    told = converse(Hearing(echo="auto"), rattles, 30.0)
    modes = [figures.echo for figures in told.figures]
    since = modes.index("half_duplex") / 100
    assert 10.0 <= since < 15.0
    assert modes[1799] == "half_duplex"
    assert modes[-1] == "aec" and told.figures[-1].changes == 2
    assert told.of(EventKind.DUCKED, since, 18.0) == []
    assert not told.sent[round((since + 0.1) * RATE) : 18 * RATE].any()


def test_a_muted_microphone_is_silent_and_the_room_is_learnt() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=RATE, playback_rate=RATE, max_block=HOP, hearing=Hearing(echo="aec")))
    room, played = in_a_room(), np.zeros(HOP, np.float32)
    duplex.set_mute(True)
    duplex.queue.push("item", 0, story()[: 8 * RATE].tobytes(), duplex.queue.open())
    for _ in range(600):
        heard = room(played, np.zeros(HOP, np.float32))
        played = (duplex.process((heard * 32767).astype(np.int16)) / 32768).astype(np.float32)
        assert not duplex.read_records()["payload"].any()
    stats = duplex.hearing_stats()
    assert stats.converged and stats.erle_db > 10.0
