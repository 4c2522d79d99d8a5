"""noise_reduction acts on what is written to the input buffer: what is detected and committed is the filtered sound, at
the same offsets, and without it nothing is touched.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import AudioFormat
from engine.server.cleaning import Cleaner
from engine.server.formats import Samples, decode_all
from engine.server.input_audio import InputAudio, SpeechStarted, SpeechStopped
from engine.server.turns import TurnSettings
from tests.server.harness import PCM, PCMU, question, run, session, silence, speech, wire
from tests.server.test_input_audio import buffer

NEAR, FAR = {"type": "near_field"}, {"type": "far_field"}
RNG = np.random.default_rng(11)
HISS = (RNG.standard_normal(24000 * 8) * 0.01).astype(np.float32)


def noisy(*parts: Samples) -> Samples:
    clean = np.concatenate(parts)
    return clean + HISS[: clean.size]


TALK = noisy(silence(1.5), speech("good morning to you"), silence(1.0), speech("and good night"), silence(1.0))


def everything(audio: InputAudio, data: bytes, sizes: list[int]) -> tuple[list[Any], bytes]:
    """All happenings for one cut of the data, and what a commit takes at the end."""
    found, at, number = [], 0, 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        found += list(audio.append(data[at : at + size]))
        at, number = at + size, number + 1
    return found, audio.take()


def cleaned(wanted: Any = NEAR, format: AudioFormat = PCM, turns: TurnSettings | None = None) -> InputAudio:
    audio = buffer(format, turns)
    audio.reduce_noise(wanted)
    return audio


def power(samples: Samples, start_s: float, end_s: float) -> float:
    part = samples[int(start_s * 24000) : int(end_s * 24000)]
    return 10 * float(np.log10(np.mean(part.astype(np.float64) ** 2) + 1e-12))


@pytest.mark.parametrize(("wanted", "least_db"), [(NEAR, 5.0), (FAR, 8.0)])
@pytest.mark.parametrize("format", list(AudioFormat))
def test_steady_noise_goes_down_and_speech_stays_where_it_was(
    wanted: Any, least_db: float, format: AudioFormat
) -> None:
    data = wire(TALK, format=format)
    _, committed = everything(cleaned(wanted, format), data, [960])
    assert len(committed) == len(data)
    before, after = decode_all(data, format), decode_all(committed, format)
    assert power(before, 0.8, 1.4) - power(after, 0.8, 1.4) > least_db
    talk = slice(int(1.5 * 24000), int(3.0 * 24000))
    shifts = range(-240, 241, 8)
    found = [float(np.dot(before[talk], np.roll(after, -shift)[talk])) for shift in shifts]
    assert abs(shifts[int(np.argmax(found))]) <= 16  # less than a millisecond
    assert power(before, 1.6, 2.4) - power(after, 1.6, 2.4) < 2.0


def test_the_signal_to_noise_ratio_of_a_tone_rises() -> None:
    tone = np.sin(np.arange(24000) * 2 * np.pi * 500 / 24000).astype(np.float32) * 0.1
    data = wire(noisy(silence(2.0), tone, silence(0.5), tone, silence(1.0)))
    _, committed = everything(cleaned(), data, [4800])
    before, after = decode_all(data, PCM), decode_all(committed, PCM)
    gain = [power(each, 2.1, 2.9) - power(each, 1.0, 1.9) for each in (before, after)]
    assert gain[1] - gain[0] > 5.0


@pytest.mark.parametrize(
    "wanted", [None, {"type": "near_field", "strength": 0}, {"type": "far_field", "strength": 0.0}]
)
@pytest.mark.parametrize("format", list(AudioFormat))
def test_off_passes_every_byte(wanted: Any, format: AudioFormat) -> None:
    data = wire(TALK, format=format)
    assert everything(cleaned(wanted, format), data, [777])[1] == data


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 20_000), min_size=1, max_size=5), st.sampled_from(list(AudioFormat)))
def test_any_cut_gives_the_same_sound_and_the_same_turns(sizes: list[int], format: AudioFormat) -> None:
    data = wire(TALK[: 24000 * 5], format=format)
    turns = TurnSettings(silence_ms=300)
    whole = everything(cleaned(FAR, format, turns), data, [len(data)])
    assert everything(cleaned(FAR, format, turns), data, sizes) == whole


def test_what_is_detected_is_the_filtered_sound() -> None:
    """A detector that hears every sound hears less of the filtered one."""

    class Level:
        def __init__(self) -> None:
            self.rest = np.zeros(0, np.float32)

        def process(self, samples: Samples) -> np.ndarray[Any, np.dtype[np.float32]]:
            sound = np.concatenate([self.rest, samples])
            hops = sound.size // 240
            self.rest = sound[hops * 240 :]
            level = np.sqrt(np.mean(sound[: hops * 240].reshape(-1, 240) ** 2, axis=1))
            return np.asarray(level > 0.006, np.float32)

    def starts(wanted: Any) -> int:
        audio = InputAudio(PCM, Level, settings=TurnSettings(), limit_bytes=2**25, history_ms=1000)
        audio.reduce_noise(wanted)
        # The reducer needs a moment to know the noise, a turn that it opens then ends by silence.
        return sum(
            isinstance(each, SpeechStarted) and each.start_ms > 1000 for each in audio.append(wire(HISS[: 24000 * 4]))
        )

    whole = InputAudio(PCM, Level, settings=TurnSettings(), limit_bytes=2**25, history_ms=1000)
    assert sum(isinstance(each, SpeechStarted) for each in whole.append(wire(HISS[: 24000 * 4]))) == 1
    assert starts(FAR) == 0


@pytest.mark.parametrize("format", list(AudioFormat))
def test_offsets_and_lengths_stay_true_over_commits_and_changes(format: AudioFormat) -> None:
    data = wire(TALK, format=format)
    per_ms = format.bytes_per_ms
    audio = cleaned(NEAR, format)
    taken = b""
    for number, wanted in enumerate([NEAR, FAR, None, FAR, {"type": "near_field", "strength": 1e6}, None, NEAR]):
        audio.reduce_noise(wanted)
        part = data[number * 333 * per_ms : (number + 1) * 333 * per_ms]
        for start in range(0, len(part), 171):
            list(audio.append(part[start : start + 171]))
        assert audio.now_ms == (number + 1) * 333
        assert audio.buffered_ms == 333
        piece = audio.take()
        assert len(piece) == len(part)
        if wanted is None:
            assert piece == part
        taken += piece
        assert audio.buffered_ms == 0
    loud = slice(int(1.6 * 24000), int(2.3 * 24000))
    before, after = decode_all(data, format)[loud], decode_all(taken, format)[loud]
    assert np.corrcoef(before, after)[0, 1] > 0.97


def test_half_a_sample_waits_for_its_other_half() -> None:
    data = wire(TALK)
    audio = cleaned(NEAR)
    list(audio.append(data[:48001]))
    audio.reduce_noise(None)
    list(audio.append(data[48001:50001]))
    assert audio.take()[48000:] == data[48000:50000]
    list(audio.append(data[50001:50003]))
    assert audio.take() == data[50000:50002]


def test_a_turn_that_is_detected_holds_the_filtered_bytes_between_its_offsets() -> None:
    data = wire(TALK)
    whole = everything(cleaned(FAR), data, [len(data)])[1]
    found, _ = everything(cleaned(FAR, turns=TurnSettings()), data, [960])
    starts = [each.start_ms for each in found if isinstance(each, SpeechStarted)]
    stops = [each for each in found if isinstance(each, SpeechStopped)]
    assert len(stops) == 2
    for start_ms, stop in zip(starts, stops, strict=True):
        assert stop.audio == whole[start_ms * 48 : stop.end_ms * 48]


def test_a_long_stream_keeps_little() -> None:
    cleaner = Cleaner(PCMU, NEAR)
    for _ in range(50):
        cleaner.process(bytes(8000))
        cleaner.flush()
    assert cleaner.held == 0
    assert len(cleaner._skip) <= 4
    assert cleaner._recent.size <= 8000 * 0.1


def test_a_session_commits_what_it_filtered() -> None:
    async def scene() -> None:
        async with session() as client:
            data = wire(noisy(silence(2.0), speech(), silence(1.0)))
            for wanted in (None, FAR, None):
                detection = {"turn_detection": None, "noise_reduction": wanted}
                updated = await client.update(audio={"input": detection})
                assert updated["session"]["audio"]["input"]["noise_reduction"] == wanted
                seen = len(client.events)
                await client.append(data)
                await client.send("input_audio_buffer.commit")
                item = (await client.next("conversation.item.done", after=seen))["item"]
                await client.send("conversation.item.retrieve", item_id=item["id"])
                kept = await client.next("conversation.item.retrieved", after=seen)
                audio = b64decode(kept["item"]["content"][0]["audio"])
                assert len(audio) == len(data)
                difference = power(decode_all(data, PCM), 1.0, 1.9) - power(decode_all(audio, PCM), 1.0, 1.9)
                assert audio == data if wanted is None else difference > 8.0

    run(scene)


@pytest.mark.parametrize("format", list(AudioFormat))
def test_a_voice_turn_has_the_same_offsets_with_and_without(format: AudioFormat) -> None:
    async def scene(wanted: Any) -> list[int]:
        async with session() as client:
            rate = {"rate": 24000} if format is PCM else {}
            given = {"noise_reduction": wanted, "format": {"type": format.value, **rate}}
            await client.update(audio={"input": given})
            await client.append(question(format))
            started = await client.next("input_audio_buffer.speech_started")
            stopped = await client.next("input_audio_buffer.speech_stopped")
            return [started["audio_start_ms"], stopped["audio_end_ms"]]

    without, near = run(lambda: scene(None)), run(lambda: scene(NEAR))
    assert near == pytest.approx(without, abs=40)
