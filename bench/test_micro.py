"""One number for each small thing, to see a change from one commit to the next: `pytest bench --benchmark-only`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from engine.audio import AudioFormat, Duplex, DuplexConfig, Resampler, alaw_encode, ring, ulaw_decode, ulaw_encode
from engine.native import address, lib
from engine.realtime import Role, events, wire


def noise(samples: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.random.default_rng(2).normal(0, 3000, samples).clip(-32768, 32767).astype(np.int16)


def test_ring_write_and_read_10_ms(benchmark: BenchmarkFixture) -> None:
    writer, reader = ring(np.int16, 4800)
    block = noise(480)

    def through() -> Any:
        writer.write(block)
        return reader.read()

    assert np.array_equal(benchmark(through), block)


@pytest.mark.parametrize("encode", [ulaw_encode, alaw_encode])
def test_g711_encode_20_ms(benchmark: BenchmarkFixture, encode: Any) -> None:
    assert len(benchmark(encode, noise(160))) == 160


def test_g711_decode_200_ms(benchmark: BenchmarkFixture) -> None:
    assert len(benchmark(ulaw_decode, ulaw_encode(noise(1600)))) == 1600


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 24000), (44100, 24000), (24000, 48000), (8000, 24000)])
def test_resample_10_ms(benchmark: BenchmarkFixture, rate_in: int, rate_out: int) -> None:
    resampler = Resampler(rate_in, rate_out)
    block = noise(rate_in // 100).astype(np.float32) / 32768
    assert abs(len(benchmark(resampler.process, block)) - rate_out // 100) <= 1


@pytest.mark.parametrize("wire_format", [AudioFormat.PCM, AudioFormat.PCMU])
def test_duplex_hop_at_48_khz(benchmark: BenchmarkFixture, wire_format: AudioFormat) -> None:
    duplex = Duplex(DuplexConfig(send_format=wire_format, receive_format=wire_format))
    heard, played = noise(480), np.empty(480, dtype=np.int16)
    arguments = (duplex.pointer, address(heard, "void *"), address(played, "void *"), 480)
    reply = noise(wire_format.rate * wire_format.sample_bytes // 2).tobytes()

    def hop() -> Any:
        return lib.rt_duplex_process(*arguments)

    def refill() -> None:
        duplex.read_records()
        duplex.read_events()
        if duplex.queue.waiting < wire_format.rate:
            duplex.queue.push("item", 0, reply)

    run: Any = benchmark.pedantic  # pytest-benchmark leaves it untyped
    assert run(hop, setup=refill, rounds=2000) == lib.RT_OK


def test_wire_encode_a_20_ms_append(benchmark: BenchmarkFixture) -> None:
    audio = noise(480).tobytes()
    text = benchmark(lambda: wire.encode(events.InputAudioBufferAppend(audio=audio)))
    assert wire.decode(text, Role.CLIENT) == events.InputAudioBufferAppend(audio=audio)


def test_wire_decode_a_200_ms_delta(benchmark: BenchmarkFixture) -> None:
    delta = events.ResponseOutputAudioDelta(
        event_id="event_1",
        response_id="resp_1",
        item_id="item_1",
        output_index=0,
        content_index=0,
        delta=noise(4800).tobytes(),
    )
    assert benchmark(wire.decode, wire.encode(delta), Role.SERVER) == delta
