"""Barge-in against the server inside at its default settings: what is taken back, what ends, and who decides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from engine.audio import EventKind
from engine.conversation import OpenConnection
from engine.server import ServerOptions
from engine.transport import Connection

from .harness import HOP, RATE, BargeIn, Held, Policy, Shorts, caller, held, question, tones

ALL_AT_ONCE = ServerOptions(burst=1000)  # no slow-down while little is at hand: played is what was sent
BURST_AT = 6 * RATE  # the reply to the first question is under way


def knock(seconds: float, kind: str) -> Shorts:
    """Loud sounds without a voice; or the beginning of a word, `seconds` less 0.12 of it."""
    if kind == "uh":
        return caller()[round(0.8 * RATE) : round((0.68 + seconds) * RATE)]
    rng = np.random.default_rng(5)
    samples = round(seconds * RATE)
    white = rng.standard_normal(samples)
    fall = np.exp(-np.arange(samples) / (0.06 * RATE))
    shapes = {
        "noise": white,
        "cough": white * fall,
        "rumble": np.convolve(white, np.ones(12) / 12**0.5, "same"),
        "knocks": np.where(np.arange(samples) % 1600 < 200, white * 2, 0.01 * white),
        "bang": np.sign(white) * fall * 2,
    }
    return np.asarray(np.clip(shapes[kind] * 0.2 * 32767, -32767, 32767), np.int16)


def with_burst(burst: Shorts) -> Shorts:
    """The first question, then silence with a burst in it."""
    sound = question(8.0)
    sound[BURST_AT : BURST_AT + len(burst)] = burst
    return sound


def told(talk: Held) -> list[tuple[str, str]]:
    """What was said over the wire, without sound and time."""
    return [
        (entry.kind, entry.type)
        for entry in talk.log.entries
        if entry.kind != "sound" and entry.type != "input_audio_buffer.append"
    ]


@pytest.mark.parametrize("kind", ["noise", "cough", "rumble", "knocks", "bang", "uh"])
def test_a_burst_of_200_ms_leaves_response_conversation_and_queue_as_they_were(kind: str) -> None:
    calm, burst = held(question(8.0)), held(with_burst(knock(0.2, kind)))
    assert len(burst.log.reports(EventKind.RESTORED)) == len(burst.log.reports(EventKind.DUCKED))
    assert not burst.log.reports(EventKind.CONFIRMED)
    assert told(burst) == told(calm)
    for turn, same in zip(burst.turns, calm.turns, strict=True):
        assert (turn.role, turn.text, turn.status, turn.interrupted) == (same.role, same.text, same.status, False)
        assert (turn.played_ms, turn.received_ms) == (same.played_ms, same.received_ms)
    if kind != "uh":
        return  # whether it ducks for a moment is the detector's
    assert burst.log.reports(EventKind.DUCKED), "it was heard"
    ducked = burst.log.reports(EventKind.DUCKED)[0].position
    restored = burst.log.reports(EventKind.RESTORED)[-1].position
    heard, expected = burst.loudspeaker, calm.loudspeaker
    length = min(len(heard), len(expected))
    touched = np.flatnonzero(heard[:length] != expected[:length])
    assert ducked <= touched[0]
    assert touched[-1] < restored + HOP
    assert burst.stats[0].held_hops >= 20
    sent = np.frombuffer(burst.log.sent_audio(), np.int16)
    assert not sent[ducked : restored - HOP].any(), "silence in its place, and the burst is dropped"


def recorded_samples(talk: Held, about: int) -> int:
    """How many samples of the first reply the recording of the loudspeaker has before the fade, to the sample.

    Found from the sound alone: of all places around `about`, the one from which the reply as it was received, times the
    gain of the duck, times a raised cosine of 20 ms and then nothing, is what was recorded.
    """
    turn = next(turn for turn in talk.turns if turn.role == "assistant")
    source = talk.played_reply(turn).astype(float)
    start = talk.log.reports(EventKind.PLAYING)[0].position
    end = about + 4 * HOP
    heard, source = talk.loudspeaker[start : start + end].astype(float), source[:end]
    ducked = np.flatnonzero(heard != source)[0] // HOP * HOP
    low = 10 ** (-18 / 20)
    gain = np.full(end, low)
    gain[:ducked] = 1
    gain[ducked : ducked + HOP] = np.linspace(1, low, HOP, endpoint=False)
    fade = np.concatenate([0.5 + 0.5 * np.cos(np.pi * (np.arange(480) + 0.5) / 480), np.zeros(end)])
    errors = []
    for played in range(about - 2 * HOP, about + 2 * HOP):
        expected = source * gain
        expected[played:] *= fade[: end - played]
        errors.append(np.abs(heard - expected).max())
    assert min(errors) < 0.51, "nothing else was heard"
    assert np.sum(np.array(errors) < 0.6) == 1, "and only one place fits"
    return about - 2 * HOP + int(np.argmin(errors))


def test_a_real_interruption_ends_with_what_the_recording_of_the_loudspeaker_contains() -> None:
    talk = held(server=tones(options=ALL_AT_ONCE))
    first, second = (turn for turn in talk.turns if turn.role == "assistant")
    queue = talk.stats[1].playout
    played = queue.played - len(talk.played_reply(second))
    confirmed = talk.log.reports(EventKind.CONFIRMED)[0].position
    start = talk.log.reports(EventKind.PLAYING)[0].position
    assert played == confirmed - start == recorded_samples(talk, played), "0 samples off"
    assert queue.faded == 480
    (truncate,) = talk.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == first.played_ms == played * 1000 // RATE
    assert not talk.log.of("sent", "response.cancel"), "the server ended it by itself"
    assert not talk.log.of("sent", "conversation.item.delete"), "and what was heard whole is left alone"


def test_what_was_held_goes_out_at_once_with_its_beginning() -> None:
    talk = held(server=tones(options=ALL_AT_ONCE))
    ducked = talk.log.reports(EventKind.DUCKED)[0].position
    confirmed = talk.log.reports(EventKind.CONFIRMED)[0].position
    sent = np.frombuffer(talk.log.sent_audio(), np.int16)
    microphone = caller()
    hold = microphone[ducked : confirmed + HOP]
    assert hold.any()
    windows = np.lib.stride_tricks.sliding_window_view(sent[: confirmed + 40 * HOP], len(hold))
    assert (windows[::HOP] == hold).all(axis=1).sum() == 1, "sent once, whole"
    assert (sent[:ducked] == microphone[:ducked]).all()


def session(interrupts: bool) -> dict[str, Any]:
    """Turn detection that ends responses by itself, or does not."""
    return {"audio": {"input": {"turn_detection": {"type": "server_vad", "interrupt_response": interrupts}}}}


TABLE = [
    # policy, server interrupts: ducked, confirmed here, reply ended, cancel sent, held
    (Policy.EITHER, True, True, True, True, False, True),
    (Policy.EITHER, False, True, True, True, True, True),
    (Policy.LOCAL, True, True, True, True, False, True),
    (Policy.LOCAL, False, True, True, True, True, True),
    (Policy.SERVER, True, True, False, True, False, False),
    (Policy.SERVER, False, True, False, True, True, False),
    (Policy.NEVER, True, False, False, False, False, False),
    (Policy.NEVER, False, False, False, False, False, False),
]


@pytest.mark.parametrize(("policy", "interrupts", "ducks", "confirms", "ends", "cancels", "holds"), TABLE)
def test_who_decides(
    policy: Policy, interrupts: bool, ducks: bool, confirms: bool, ends: bool, cancels: bool, holds: bool
) -> None:
    slow = ServerOptions(burst=2)  # the answer is still on its way when the second question begins
    talk = held(server=tones(options=slow), barge_in=BargeIn(policy), session=session(interrupts))
    assert bool(talk.log.reports(EventKind.DUCKED)) == ducks
    assert bool(talk.log.reports(EventKind.CONFIRMED)) == confirms
    first = next(turn for turn in talk.turns if turn.role == "assistant")
    assert first.interrupted == ends
    assert len(talk.log.of("sent", "response.cancel")) == cancels
    assert bool(talk.log.of("sent", "conversation.item.truncate")) == ends
    assert not talk.log.of("sent", "conversation.item.delete")
    assert not talk.log.of("received", "error")
    sent = np.frombuffer(talk.log.sent_audio(), np.int16)
    length = min(len(sent), len(caller()))
    assert (sent[:length] != caller()[:length]).any() == holds, "only who holds sends anything but what was heard"


# ---- a network that stands still


def stalled(begin: float, end: float) -> OpenConnection:
    """The server inside behind a connection that takes nothing and gives nothing between these seconds."""

    class Stalling:
        def __init__(self, inner: Connection) -> None:
            self.inner = inner

        async def wait(self) -> None:
            now = asyncio.get_running_loop().time()
            if begin <= now < end:
                await asyncio.sleep(end - now)

        async def send(self, data: bytes | str) -> None:
            await self.wait()
            await self.inner.send(data)

        async def receive(self) -> bytes | str:
            message = await self.inner.receive()
            await self.wait()
            return message

        async def close(self, code: int = 1000, reason: str = "") -> None:
            await self.inner.close(code, reason)

    @asynccontextmanager
    async def open_connection() -> AsyncIterator[Connection]:
        async with tones(options=ALL_AT_ONCE)() as inner:
            yield Stalling(inner)

    return open_connection


def test_a_stalled_network_does_not_put_off_the_silence() -> None:
    free, stuck = held(server=tones(options=ALL_AT_ONCE)), held(server=stalled(6.9, 11.5))
    (confirmed,) = stuck.log.reports(EventKind.CONFIRMED)[:1]
    assert 6.95 < confirmed.position / RATE < 11, "inside the stall"
    assert confirmed == free.log.reports(EventKind.CONFIRMED)[0]
    quiet = confirmed.position + 2 * HOP
    assert not stuck.loudspeaker[quiet : round(11.5 * RATE)].any()
    assert (stuck.loudspeaker[:quiet] == free.loudspeaker[:quiet]).all()
    (truncate,) = stuck.log.of("sent", "conversation.item.truncate")
    assert truncate["audio_end_ms"] == free.log.of("sent", "conversation.item.truncate")[0]["audio_end_ms"]
    assert [turn.role for turn in stuck.turns] == [turn.role for turn in free.turns]
