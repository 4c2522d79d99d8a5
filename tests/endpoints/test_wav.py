"""WAV files: every kind that is read, every kind that is refused, and files that were never finished."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.audio import alaw_decode, alaw_encode, ulaw_decode, ulaw_encode
from engine.endpoints import wav
from engine.endpoints.wav import Wav, WavWriter, read_wav
from engine.errors import ConfigError, MediaError

RAMP = np.array([0, 1, -1, 256, -256, 12345, -12345, 32767, -32768, 7], np.int16)
PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")


def chunk(name: bytes, body: bytes, size: int | None = None, pad: bytes = b"\0") -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + pad * (len(body) % 2)


def fmt(tag: int = PCM, channels: int = 1, rate: int = 24000, bits: int = 16, align: int | None = None) -> bytes:
    align = channels * ((bits + 7) // 8) if align is None else align
    return struct.pack("<HHIIHH", tag, channels, rate, (rate * align) & 0xFFFFFFFF, align, bits)


def extensible(tag: int, bits: int, valid: int, tail: bytes = GUID_TAIL) -> bytes:
    return fmt(EXTENSIBLE, 1, 24000, bits) + struct.pack("<HHIH", 22, valid, 4, tag) + tail


def riff(*chunks: bytes, size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def plain(data: bytes, header: bytes) -> bytes:
    return riff(chunk(b"fmt ", header), chunk(b"data", data))


def bits24(samples: np.ndarray[Any, Any]) -> bytes:
    return b"".join((int(s) << 8).to_bytes(3, "little", signed=True) for s in samples)


def load(content: bytes, tmp_path: Path, **options: Any) -> Wav:
    path = tmp_path / "sound.wav"
    path.write_bytes(content)
    return read_wav(path, **options)


S16 = RAMP.astype("<i2").tobytes()
LEVELS_8 = np.array([0, 128, 255], np.uint8)

# name -> file, samples expected
GOOD: dict[str, tuple[bytes, list[int]]] = {
    "pcm16": (plain(S16, fmt()), RAMP.tolist()),
    "pcm8": (plain(LEVELS_8.tobytes(), fmt(bits=8)), [-32768, 0, 32512]),
    "pcm24": (plain(bits24(RAMP), fmt(bits=24)), RAMP.tolist()),
    "pcm24 rounds": (plain((0x7F80).to_bytes(3, "little") + (0x81).to_bytes(3, "little"), fmt(bits=24)), [128, 1]),
    "pcm24 clips": (plain(b"\xff\xff\x7f", fmt(bits=24)), [32767]),
    "pcm20 in three bytes": (plain(bits24(RAMP), fmt(bits=20)), RAMP.tolist()),
    "pcm32": (plain((RAMP.astype("<i4") * 65536).tobytes(), fmt(bits=32)), RAMP.tolist()),
    "float32": (plain((RAMP / 32768).astype("<f4").tobytes(), fmt(FLOAT, bits=32)), RAMP.tolist()),
    "float64": (plain((RAMP / 32768).astype("<f8").tobytes(), fmt(FLOAT, bits=64)), RAMP.tolist()),
    "float without measure": (
        plain(np.array([np.nan, np.inf, -np.inf, 1e30, -2.0, 1.0], "<f4").tobytes(), fmt(FLOAT, bits=32)),
        [0, 32767, -32768, 32767, -32768, 32767],
    ),
    "mu-law": (plain(ulaw_encode(RAMP).tobytes(), fmt(ULAW, bits=8)), ulaw_decode(ulaw_encode(RAMP)).tolist()),
    "A-law": (plain(alaw_encode(RAMP).tobytes(), fmt(ALAW, bits=8)), alaw_decode(alaw_encode(RAMP)).tolist()),
    "stereo mean": (plain(np.array([100, 200, -5, -6, 32767, 32767], "<i2").tobytes(), fmt(channels=2)),
                    [150, -6, 32767]),
    "stereo float mean keeps one side of an infinity": (
        plain(np.array([np.inf, 0.5, np.nan, 0.5], "<f4").tobytes(), fmt(FLOAT, 2, bits=32)), [24576, 8192]),
    "32 channels": (plain(np.arange(32, dtype="<i2").tobytes(), fmt(channels=32)), [16]),
    "extensible pcm24": (riff(chunk(b"fmt ", extensible(PCM, 24, 24)), chunk(b"data", bits24(RAMP))), RAMP.tolist()),
    "extensible 20 in 24": (riff(chunk(b"fmt ", extensible(PCM, 24, 20)), chunk(b"data", bits24(RAMP))), RAMP.tolist()),
    "extensible float": (
        riff(chunk(b"fmt ", extensible(FLOAT, 32, 32)), chunk(b"data", (RAMP / 32768).astype("<f4").tobytes())),
        RAMP.tolist(),
    ),
    "chunks around": (
        riff(chunk(b"JUNK", b"odd"), chunk(b"fmt ", fmt() + b"\0\0"), chunk(b"LIST", b"x" * 5), chunk(b"data", S16),
             chunk(b"id3 ", b"zz")),
        RAMP.tolist(),
    ),
    "data before fmt": (riff(chunk(b"data", b"\1\0\2\0"), chunk(b"fmt ", fmt())), [1, 2]),
    "odd chunk without padding": (
        riff(chunk(b"LIST", b"odd", pad=b""), chunk(b"fmt ", fmt()), chunk(b"data", S16)), RAMP.tolist()),
    "wrong block align": (plain(S16, fmt(align=0)), RAMP.tolist()),
    "length 0 of a stream": (riff(chunk(b"fmt ", fmt()), chunk(b"data", S16, 0), size=0), RAMP.tolist()),
    "length -1 of a stream": (riff(chunk(b"fmt ", fmt()), chunk(b"data", S16, 0xFFFFFFFF), size=0xFFFFFFFF),
                              RAMP.tolist()),
    "length of a SoX pipe": (riff(chunk(b"fmt ", fmt()), chunk(b"data", S16, 0x7FFFFFFF - 44)), RAMP.tolist()),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_reads(name: str, tmp_path: Path) -> None:
    content, expected = GOOD[name]
    sound = load(content, tmp_path)
    assert sound.samples.dtype == np.int16
    assert sound.samples.tolist() == expected
    assert sound.note == ""
    assert sound.rate == 24000
    assert sound.seconds == len(expected) / 24000


@pytest.mark.parametrize(
    ("name", "content", "count", "note"),
    [
        ("truncated", riff(chunk(b"fmt ", fmt()), chunk(b"data", S16, 4000)), 10, "20 of 4000 bytes"),
        (
            "truncated inside a sample",
            riff(chunk(b"fmt ", fmt()), chunk(b"data", S16, 4000))[:-1],
            9,
            "19 of 4000 bytes",
        ),
        ("odd byte at the end", plain(S16 + b"\1", fmt()), 10, "last 1 bytes"),
    ],
)
def test_says_what_is_missing(name: str, content: bytes, count: int, note: str, tmp_path: Path) -> None:
    sound = load(content, tmp_path)
    assert len(sound.samples) == count
    assert note in sound.note


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 192000])
def test_reads_every_rate(rate: int, tmp_path: Path) -> None:
    assert load(plain(S16, fmt(rate=rate)), tmp_path).rate == rate


def test_takes_one_channel(tmp_path: Path) -> None:
    content = plain(np.arange(6, dtype="<i2").tobytes(), fmt(channels=3))
    sound = load(content, tmp_path, channel=2)
    assert sound.samples.tolist() == [2, 5]
    assert sound.channels == 3
    for absent in (3, -1):
        with pytest.raises(ConfigError, match="choose from 0 to 2"):
            load(content, tmp_path, channel=absent)


def test_reads_a_long_file_in_blocks(tmp_path: Path) -> None:
    samples = np.random.default_rng(7).integers(-32768, 32768, (200_001, 2)).astype("<i2")
    sound = load(plain(samples.tobytes(), fmt(channels=2)), tmp_path)
    np.testing.assert_array_equal(sound.samples, np.rint(samples.astype(np.float64).mean(axis=1)))


BAD = {
    "empty": (b"", "is empty"),
    "no samples": (plain(b"", fmt()), "holds no sound"),
    "less than one sample": (plain(b"\1", fmt()), "holds no sound"),
    "no samples, chunk after": (riff(chunk(b"fmt ", fmt()), chunk(b"data", b""), chunk(b"LIST", b"abcd")), "no sound"),
    "cut after the header": (riff(chunk(b"fmt ", fmt()), chunk(b"data", b"", 4000)), "ends early"),
    "no fmt": (riff(chunk(b"data", S16)), "no 'fmt ' chunk"),
    "no data": (riff(chunk(b"fmt ", fmt())), "no 'data' chunk"),
    "short fmt": (riff(chunk(b"fmt ", fmt()[:12]), chunk(b"data", S16)), "16 are needed"),
    "cut in fmt": (riff(chunk(b"fmt ", fmt()))[:30], "16 are needed"),
    "no channels": (plain(S16, fmt(channels=0, align=0)), "0 channels"),
    "33 channels": (plain(S16 * 20, fmt(channels=33)), "33 channels"),
    "slow": (plain(S16, fmt(rate=7999)), "7999 samples per second"),
    "fast": (plain(S16, fmt(rate=384_000)), "384000 samples per second"),
    "ADPCM": (plain(S16, fmt(2, bits=4)), "Microsoft ADPCM"),
    "IMA ADPCM": (plain(S16, fmt(0x11, bits=4)), "IMA ADPCM"),
    "unknown tag": (plain(S16, fmt(0x1234)), "kind 0x1234"),
    "64-bit integers": (plain(S16, fmt(bits=64)), "PCM of 64 bits"),
    "4-bit": (plain(S16, fmt(bits=4)), "PCM of 4 bits"),
    "half floats": (plain(S16, fmt(FLOAT, bits=16)), "float of 16 bits"),
    "24 bits in four bytes": (plain(S16, fmt(bits=24, align=4)), "4 bytes each"),
    "extensible, other GUID": (
        riff(chunk(b"fmt ", extensible(PCM, 16, 16, b"x" * 14)), chunk(b"data", S16)),
        "unknown",
    ),
    "extensible, cut": (riff(chunk(b"fmt ", fmt(EXTENSIBLE)), chunk(b"data", S16)), "unknown extensible"),
    "many chunks": (riff(*[chunk(b"JUNK", b"")] * 10_001, chunk(b"fmt ", fmt()), chunk(b"data", S16)), "10000 chunks"),
    "Ogg": (b"OggS\0\2" + b"\0" * 60, "Ogg"),
    "FLAC": (b"fLaC\0\0\0\x22" + b"\0" * 60, "FLAC"),
    "MP3 with tag": (b"ID3\4\0" + b"\0" * 60, "MP3"),
    "MP3": (b"\xff\xfb\x90\x64" + b"\0" * 60, "MP3"),
    "AAC": (b"\xff\xf1\x50\x80" + b"\0" * 60, "AAC"),
    "M4A": (b"\0\0\0\x20ftypM4A " + b"\0" * 60, "MP4"),
    "text": ("Grüße, this is a note.\n".encode(), "text"),
    "web page": (b"<!DOCTYPE html>\n<html>", "web page"),
    "AVI": (b"RIFF\0\0\0\0AVI LIST", "AVI"),
    "WebP": (b"RIFF\0\0\0\0WEBPVP8 ", "something else inside"),
    "RF64": (b"RF64\xff\xff\xff\xffWAVEds64", "more than 4 GB"),
    "RIFX": (b"RIFX\0\0\0\0WAVEfmt ", "big-endian"),
    "first bytes": (b"RIFF\0\0", "cut off"),
    "zeros": (b"\0" * 100, "zeros"),
    "noise": (b"\x91\x02\x83\x04" * 9, "91 02 83 04"),
}


@pytest.mark.parametrize("name", BAD)
def test_refuses(name: str, tmp_path: Path) -> None:
    content, problem = BAD[name]
    with pytest.raises(MediaError) as caught:
        load(content, tmp_path)
    message = str(caught.value)
    assert problem in message
    assert message.startswith(str(tmp_path / "sound.wav") + ": ")
    assert "; " in message, "a remedy must follow"
    assert message.isprintable(), "one line"


def test_refuses_what_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a folder"):
        read_wav(tmp_path)
    with pytest.raises(MediaError, match="no such file"):
        read_wav(tmp_path / "absent.wav")
    with pytest.raises(MediaError, match="cannot be read"):
        read_wav("nul\0byte.wav")
    with pytest.raises(MediaError, match="pipe or device"):
        read_wav("/dev/null")


def test_a_name_with_a_line_break_stays_on_one_line(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        read_wav(tmp_path / "two\nlines.wav")
    assert str(caught.value).isprintable()


def test_refuses_a_file_of_more_than_2_gb(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(plain(S16, fmt()))
        file.truncate(wav.READ_LIMIT_BYTES + 1)  # sparse: takes no room
    with pytest.raises(MediaError, match="at most 2 GB"):
        read_wav(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_refuses_an_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(plain(S16, fmt()))
    path.chmod(0)
    with pytest.raises(MediaError, match="permissions"):
        read_wav(path)


def sound_or_media_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            sound = load(content, Path(folder))
        except MediaError as error:
            assert str(error).isprintable()
        else:
            assert len(sound.samples) > 0
            assert wav.RATES_HZ[0] <= sound.rate <= wav.RATES_HZ[1]


@given(st.binary(max_size=200))
def test_random_bytes_give_a_sound_or_a_media_error(content: bytes) -> None:
    sound_or_media_error(content)


@given(
    st.sampled_from(sorted(GOOD)),
    st.lists(st.tuples(st.integers(0, 70), st.integers(0, 255)), max_size=4),
    st.integers(0, 120),
)
def test_damaged_headers_give_a_sound_or_a_media_error(name: str, changes: list[tuple[int, int]], length: int) -> None:
    content = bytearray(GOOD[name][0])
    for place, value in changes:
        if place < len(content):
            content[place] = value
    sound_or_media_error(bytes(content[: max(length, 12)]))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_what_is_written_is_read(channels: int, tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, (1000, channels)).astype(np.int16)
    path = tmp_path / "out.wav"
    with WavWriter(path, 16000, channels) as writer:
        for piece in (samples[:1], samples[1:1], samples[1:400], samples[400:]):
            writer.write(piece if channels > 1 else piece[:, 0])
        assert writer.frames == 1000
        assert writer.seconds == 1000 / 16000
    for channel in range(channels):
        np.testing.assert_array_equal(read_wav(path, channel=channel).samples, samples[:, channel])
    with wave.open(str(path)) as standard:  # an independent reader agrees
        assert (standard.getframerate(), standard.getnchannels(), standard.getsampwidth()) == (16000, channels, 2)
        assert standard.readframes(2000) == samples.astype("<i2").tobytes()
    assert path.stat().st_size == 44 + 2 * samples.size


def test_a_dead_writer_leaves_its_sound(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    program = (
        "import os, sys, numpy as np\n"
        "from engine.endpoints.wav import WavWriter\n"
        "WavWriter(sys.argv[1], 24000, 1).write(np.arange(480, dtype=np.int16))\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == 9
    sound = read_wav(path)
    assert sound.samples.tolist() == list(range(480))
    assert sound.note == ""


def test_writer_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="rate"):
        WavWriter(tmp_path / "a.wav", 4000)
    with pytest.raises(ConfigError, match="channels"):
        WavWriter(tmp_path / "a.wav", 24000, 0)
    with pytest.raises(MediaError, match="cannot be written"):
        WavWriter(tmp_path / "absent" / "a.wav", 24000)
    with pytest.raises(MediaError, match="cannot be written"):
        WavWriter(tmp_path, 24000)
    monkeypatch.setattr(wav, "WRITE_LIMIT_BYTES", 2000)
    writer = WavWriter(tmp_path / "a.wav", 24000, 2)
    for wrong in (np.zeros(4, np.int16), np.zeros((4, 1), np.int16), np.zeros((4, 2), np.float32)):
        with pytest.raises(ConfigError, match="samples has"):
            writer.write(wrong)  # type: ignore[arg-type]
    writer.write(np.ones((500, 2), np.int16))
    with pytest.raises(MediaError, match="4 GB"):
        writer.write(np.ones((1, 2), np.int16))
    writer.close()
    writer.close()
    with pytest.raises(MediaError, match="closed"):
        writer.write(np.ones((1, 2), np.int16))
    assert len(read_wav(tmp_path / "a.wav").samples) == 500


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_a_media_error() -> None:
    with pytest.raises(MediaError, match="cannot be written"):
        WavWriter("/dev/full", 24000)
