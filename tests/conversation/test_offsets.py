"""The embedded server's offsets, mapped back: to the sound that it heard there, and to one moment whatever the gate and
the microphone's chain do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.audio import GateMode, Hearing

from .harness import HOP, RATE, SPEECH, Gate, Held, held

CHAINS = {
    "plain": None,
    "held back": Hearing(noise_reduction="near_field", noise_strength=0.0),
    "echo": Hearing(echo="aec", comfort_noise=False),
}
LATE = {"plain": 0, "held back": 0, "echo": 120}  # samples by which sound stands later than its position says


def offsets(talk: Held) -> list[tuple[str, int]]:
    """What the server said of speech, in its order."""
    found: list[tuple[str, int]] = []
    for entry in talk.log.entries:
        if entry.kind == "received" and entry.type == "input_audio_buffer.speech_started":
            found.append(("start", entry.message["audio_start_ms"]))
        elif entry.kind == "received" and entry.type == "input_audio_buffer.speech_stopped":
            found.append(("end", entry.message["audio_end_ms"]))
    return found


@pytest.fixture(scope="module")
def talks() -> dict[tuple[str, GateMode], Held]:
    return {(chain, mode): held(gate=Gate(mode), hearing=CHAINS[chain]) for chain in CHAINS for mode in GateMode}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("mode", list(GateMode))
def test_an_offset_is_where_that_sound_was_captured(
    talks: dict[tuple[str, GateMode], Held], chain: str, mode: GateMode
) -> None:
    talk = talks[chain, mode]
    sent = np.frombuffer(talk.log.sent_audio(), np.int16).astype(int)
    microphone, late = talk.recorded[:, 0].astype(int), LATE[chain]
    told = offsets(talk)
    assert [kind for kind, _ in told] == ["start", "end"] * 2
    compared = 0
    for kind, offset in told:
        captured: Any = talk.conversation.time_map.captured(offset, end=kind == "end")
        at = 24 * (offset if kind == "start" else offset - 10)  # the hop that begins, or ends, there
        moment = 24 * (captured if kind == "start" else captured - 10) - late
        heard, there = sent[at : at + HOP], microphone[moment : moment + HOP]
        if heard.any():  # not digital silence in its place
            compared += 1
            assert np.abs(heard - there).max() <= max(2, 0.2 * np.abs(there).max()), (kind, offset, captured)
    assert compared >= (2 if mode is not GateMode.SILENCE else 1)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("mode", list(GateMode))
def test_the_end_of_speech_is_one_moment(talks: dict[tuple[str, GateMode], Held], chain: str, mode: GateMode) -> None:
    ends = {}
    for which in (mode, GateMode.OFF):
        talk = talks[chain, which]
        ends[which] = [
            talk.conversation.time_map.captured(offset, end=True) for kind, offset in offsets(talk) if kind == "end"
        ]
    for end, plain, (_, spoken) in zip(ends[mode], ends[GateMode.OFF], SPEECH, strict=True):
        assert end is not None and plain is not None
        assert abs(end - plain) <= 10, "within a hop"
        assert 400 <= end - spoken * 1000 <= 700, "500 ms of silence are counted"


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("mode", list(GateMode))
def test_seconds_sent_and_captured_are_counted(
    talks: dict[tuple[str, GateMode], Held], chain: str, mode: GateMode
) -> None:
    talk = talks[chain, mode]
    capture = talk.stats[0]
    sent_ms = len(talk.log.sent_audio()) // 48
    assert sent_ms == 10 * (capture.sound_hops + capture.silence_hops) == talk.conversation.time_map.sent_ms
    assert abs(capture.hops - len(talk.recorded) // HOP) <= 1
    unheard = capture.hops - capture.sound_hops  # said while nobody spoke, or held back
    assert capture.omitted_hops + capture.silence_hops >= unheard - 1
    if mode is GateMode.PAUSE:
        assert sent_ms < 0.6 * 10 * capture.hops, "this is what a pause saves"
    elif mode is GateMode.OFF:  # all of it, and the silence in place of what was held while a barge-in was undecided
        assert abs(capture.sound_hops - capture.hops) <= 1
    else:
        assert abs(sent_ms - 10 * capture.hops) <= 500, "what goes out early is left out later"
    assert RATE == 100 * HOP
