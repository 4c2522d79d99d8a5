"""RIFF/WAVE files: any of the usual kinds in, 16-bit PCM out.

`read_wav` gives one channel of int16 samples at the file's own rate; nothing is resampled here. `WavWriter` writes as
the sound comes and leaves a file that can be read even when the process dies. Every failure is a MediaError of one line
that names the file, the problem and what to do.

Formats: "Multimedia Programming Interface and Data Specifications 1.0" (IBM, Microsoft 1991) and WAVEFORMATEXTENSIBLE.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from engine.audio.g711 import alaw_decode, ulaw_decode
from engine.errors import ConfigError, MediaError

RATES_HZ = (8000, 192_000)
"""Lowest and highest sample rate that is read or written."""

MAX_CHANNELS = 32

READ_LIMIT_BYTES = 2_000_000_000
"""A larger file is refused. The samples of one that is taken need at most twice its size in memory."""

WRITE_LIMIT_BYTES = 0xFFFF_FFFF - 36 - 1
"""Sound bytes that fit one WAV file: its lengths are 32 bits wide, and the largest one means 'unknown'."""

_CONVERT = "convert it: ffmpeg -i INPUT -ac 1 -ar 24000 -c:a pcm_s16le OUTPUT.wav"
_UNKNOWN_LENGTH = 0xFFFF_FFFF
_PIPED_LENGTH = 0x7FFF_0000  # SoX writes the largest signed length, less some header, when it cannot seek back
_MAX_CHUNKS = 10_000
_BLOCK_FRAMES = 65_536

_PCM, _FLOAT, _ALAW, _ULAW, _EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_TAG_NAMES = {
    0x0002: "Microsoft ADPCM", 0x0011: "IMA ADPCM", 0x0031: "GSM 6.10", 0x0050: "MPEG", 0x0055: "MP3",
    0x0064: "G.726", 0x00FF: "AAC", 0x0161: "Windows Media Audio", 0x0270: "ATRAC3", 0x2000: "AC-3",
}  # fmt: skip


_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"OggS", "Ogg (Opus or Vorbis)"), (0, b"fLaC", "FLAC"), (0, b"ID3", "MP3"), (4, b"ftyp", "MP4/M4A"),
    (0, b"FORM", "AIFF"), (0, b".snd", "a Sun/NeXT .au file"), (0, b"caff", "a Core Audio file"), (0, b"#!AMR", "AMR"),
    (0, b"\x1aE\xdf\xa3", "WebM/Matroska"), (0, b"wvpk", "WavPack"), (0, b"NIST_1A", "NIST SPHERE"),
    (0, b"\x30\x26\xb2\x75", "Windows Media"), (0, b"RF64", "RF64, the WAV kind for more than 4 GB"),
    (0, b"BW64", "BW64, the WAV kind for more than 4 GB"), (0, b"RIFX", "RIFX, a WAV file in big-endian order"),
    (8, b"AVI ", "an AVI video"), (0, b"PK\x03\x04", "a ZIP archive"), (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"\x89PNG", "a PNG picture"), (0, b"\xff\xd8\xff", "a JPEG picture"), (0, b"%PDF", "a PDF document"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Wav:
    """The sound of one file."""

    rate: int
    """Samples per second, 8000 to 192000: the file's own."""
    samples: NDArray[np.int16]
    """One channel, shape (n,), n >= 1."""
    channels: int
    """How many the file has, 1 to 32."""
    note: str = ""
    """What was missing or left out, for the user; empty for a whole file."""

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.samples) / self.rate


def read_wav(path: str | os.PathLike[str], *, channel: int | None = None) -> Wav:
    """Read a whole file: channel number `channel` (from 0), or the mean of all channels.

    PCM of 8 to 32 bits, float of 32 and 64, A-law and mu-law; 1 to 32 channels; 8000 to 192000 Hz. What lies outside
    int16 is clipped, NaN becomes 0. A file that ends early, or never got its lengths, gives the whole frames that are
    there. Raises MediaError for a file that cannot be used, ConfigError for a channel that is not in it. Blocks.
    """
    where = shown(path)
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{where}: is a folder; name a WAV file in it")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{where}: is a pipe or device, not a file; save the sound to a WAV file first")
        if status.st_size > READ_LIMIT_BYTES:
            raise MediaError(
                f"{where}: has {status.st_size / 1e9:.2f} GB, at most 2 GB are read; cut it into shorter files"
            )
        with Path(path).open("rb") as file:
            return _Reader(file, status.st_size, where).read(channel)
    except FileNotFoundError:
        raise MediaError(f"{where}: no such file; check the path") from None
    except PermissionError:
        raise MediaError(f"{where}: may not be read by this user; check its permissions") from None
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise MediaError(f"{where}: cannot be read ({reason}); check the path and the disk") from None
    except MemoryError:
        raise MediaError(f"{where}: too long for the memory of this machine; cut it into shorter files") from None


def parse_wav(data: bytes, where: str) -> Wav:
    """As `read_wav`, of a file's bytes; `where` names them in errors. Also what a pipe got, without lengths."""
    try:
        return _Reader(BytesIO(data), len(data), where).read(None)
    except ValueError as error:
        raise MediaError(f"{where}: cannot be read ({error})") from None


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message of one line: as it is, or quoted where it holds characters that do not print."""
    text = os.fspath(path)
    return text if text.isprintable() and text else repr(text)


def _looks_like(head: bytes) -> str:
    """What begins with these bytes, for the message that refuses it."""
    for place, magic, name in _MAGIC:
        if head[place : place + len(magic)] == magic:
            return name
    if head[:4] == b"RIFF":
        return "RIFF with something else inside" if len(head) >= 12 else "the first bytes of a WAV file, cut off"
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "AAC" if head[1] & 0xF6 == 0xF0 else "MP3"
    text = head.decode("utf-8", errors="ignore")
    if len(text.encode()) >= len(head) - 3 and text and all(c.isprintable() or c in "\t\r\n\f" for c in text):
        return "a web page" if text.lstrip().lower().startswith(("<!doctype html", "<html")) else "text"
    if not any(head):
        return "a file of zeros, such as an unfinished download"
    return f"raw sound or an unknown kind (it begins with {head[:4].hex(' ')})"


@dataclass(frozen=True)
class _Format:
    """How samples lie in the data chunk."""

    tag: int
    channels: int
    rate: int
    width: int
    """Bytes of one sample of one channel."""

    @property
    def frame(self) -> int:
        return self.width * self.channels


class _Reader:
    """One pass over one open file."""

    def __init__(self, file: BinaryIO, size: int, where: str) -> None:
        self._file = file
        self._size = size
        self._where = where

    def read(self, channel: int | None) -> Wav:
        fmt, start, length, note = self._find()
        if channel is not None and not 0 <= channel < fmt.channels:
            raise ConfigError(f"{self._where}: has no channel {channel!r}; choose from 0 to {fmt.channels - 1}")
        frames, rest = divmod(length, fmt.frame)
        if not frames:
            raise self._error("holds no sound" + (f" ({note})" if note else ""), "record it again")
        if rest and not note:
            note = f"the last {rest} bytes are not a whole sample and were left out"
        self._file.seek(start)
        samples = np.empty(frames, np.int16)
        done = 0
        while done < frames:
            data = self._file.read(min(_BLOCK_FRAMES, frames - done) * fmt.frame)
            count = len(data) // fmt.frame
            if not count:
                note = f"the file became shorter while it was read: {done} of {frames} samples"
                break
            samples[done : done + count] = _mono(data[: count * fmt.frame], fmt, channel)
            done += count
        if not done:
            raise self._error("became empty while it was read", "try again when its writer has finished")
        return Wav(fmt.rate, samples[:done], fmt.channels, note)

    def _error(self, problem: str, remedy: str = _CONVERT) -> MediaError:
        return MediaError(f"{self._where}: {problem}; {remedy}")

    def _find(self) -> tuple[_Format, int, int, str]:
        """Walk the chunks. Returns format, first byte and length of the sound that is there, and a note."""
        head = self._file.read(64)
        if not head:
            raise self._error("is empty", "record it again")
        if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
            raise self._error(f"is not a WAV file; it looks like {_looks_like(head)}")
        finished = len(head) >= 8 and int.from_bytes(head[4:8], "little") + 8 == self._size
        fmt: _Format | None = None
        data: tuple[int, int, str] | None = None
        for name, start, size in self._chunks(finished):
            if name == b"fmt " and fmt is None:
                fmt = self._format(start, size)
            elif name == b"data" and data is None:
                data = self._data(start, size, finished)
            if fmt and data:
                return fmt, *data
        missing = "sound (no 'data' chunk)" if fmt else "description of its sound (no 'fmt ' chunk)"
        raise self._error(f"has no {missing}: it is damaged or was cut off", "record or convert it again")

    def _chunks(self, finished: bool) -> Iterator[tuple[bytes, int, int]]:
        """Name, first byte and stated size of each chunk that begins in the file."""
        place = 12
        for _ in range(_MAX_CHUNKS):
            self._file.seek(place)
            header = self._file.read(8)
            if len(header) < 8:
                return
            name, size = struct.unpack("<4sI", header)
            yield name, place + 8, size
            if name == b"data" and size == 0 and not finished:
                return  # written by a stream: the rest is sound, not chunks
            place += 8 + size
            if size % 2:
                self._file.seek(place)
                # Chunks start on even bytes, yet some writers forget. No name begins with a zero; the pad byte is one.
                place += self._file.read(1) == b"\0"
        raise self._error(f"has more than {_MAX_CHUNKS} chunks: it is damaged")

    def _data(self, start: int, size: int, finished: bool) -> tuple[int, int, str]:
        there = max(self._size - start, 0)
        if size == _UNKNOWN_LENGTH or (size == 0 and not finished) or (size > there and size >= _PIPED_LENGTH):
            return start, there, ""  # written by a stream that never got to fill in the length
        if size > there:
            return start, there, f"the file ends early: {there} of {size} bytes of sound are there"
        return start, size, ""

    def _format(self, start: int, size: int) -> _Format:
        self._file.seek(start)
        body = self._file.read(min(size, 40))
        if len(body) < 16:
            raise self._error(f"has a 'fmt ' chunk of {len(body)} bytes, 16 are needed: it is damaged")
        tag, channels, rate, _, align, bits = struct.unpack("<HHIIHH", body[:16])
        if tag == _EXTENSIBLE:
            if len(body) < 40 or body[26:40] != _GUID_TAIL:
                raise self._error("holds sound of an unknown extensible kind")
            tag = int.from_bytes(body[24:26], "little")
        width = self._width(tag, bits)
        if not 1 <= channels <= MAX_CHANNELS:
            raise self._error(f"has {channels} channels, 1 to {MAX_CHANNELS} are read")
        if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
            raise self._error(f"has {rate} samples per second, {RATES_HZ[0]} to {RATES_HZ[1]} are read")
        if align > channels * width and align % channels == 0:
            raise self._error(f"keeps {bits}-bit samples in {align // channels} bytes each, which has no fixed meaning")
        return _Format(tag, channels, rate, width)

    def _width(self, tag: int, bits: int) -> int:
        """Bytes per sample, or an error that names what is not read."""
        if tag == _PCM and 8 <= bits <= 32:
            return (bits + 7) // 8  # 12 or 20 bits fill the upper part of their bytes
        if tag == _FLOAT and bits in (32, 64):
            return bits // 8
        if tag in (_ALAW, _ULAW) and bits in (0, 8):
            return 1
        if tag in (_PCM, _FLOAT, _ALAW, _ULAW):
            kind = {_PCM: "PCM", _FLOAT: "float", _ALAW: "A-law", _ULAW: "mu-law"}[tag]
            raise self._error(f"holds {kind} of {bits} bits per sample, which is not read")
        raise self._error(f"holds {_TAG_NAMES.get(tag, f'sound of kind 0x{tag:04x}')}, which is not read")


def _mono(data: bytes, fmt: _Format, channel: int | None) -> NDArray[np.int16]:
    """Whole frames to int16, one value per frame."""
    flat = _linear(data, fmt)
    frames = flat.reshape(-1, fmt.channels)
    one: NDArray[Any] = (
        frames[:, channel] if channel is not None else frames[:, 0] if fmt.channels == 1 else frames.mean(axis=1)
    )
    samples: NDArray[np.int16] = one if one.dtype == np.int16 else np.clip(np.rint(one), -32768, 32767).astype(np.int16)
    return samples


def _linear(data: bytes, fmt: _Format) -> NDArray[Any]:
    """Samples as int16, or as float64 in units of int16 where there is more to round."""
    if fmt.tag in (_ALAW, _ULAW):
        codes = np.frombuffer(data, np.uint8)
        return alaw_decode(codes) if fmt.tag == _ALAW else ulaw_decode(codes)
    if fmt.tag == _FLOAT:
        values = np.frombuffer(data, f"<f{fmt.width}")
        # Clipped per channel and before scaling: an infinity must not swallow the mean.
        safe: NDArray[Any] = np.clip(np.nan_to_num(values, nan=0.0), -1.0, 1.0)
        return safe.astype(np.float64) * 32768.0
    if fmt.width == 1:
        return (np.frombuffer(data, np.uint8).astype(np.int16) - 128) * np.int16(256)
    if fmt.width == 2:
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    if fmt.width == 4:
        return np.frombuffer(data, "<i4") / 65536.0
    wide = np.zeros((len(data) // 3, 4), np.uint8)  # 24 bits become the upper three bytes of 32
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.reshape(-1).view("<i4") / 65536.0


class WavWriter:
    """A 16-bit PCM WAV file that grows. An existing file is replaced. One thread at a time.

    Every `write` reaches the system at once, and until `close` the header says "length unknown", as for a stream: when
    the process dies, all that was written can be read. `rate` in Hz (8000 to 192000), `channels` 1 to 32, else
    ConfigError. Raises MediaError when the file cannot be made or written.
    """

    def __init__(self, path: str | os.PathLike[str], rate: int, channels: int = 1) -> None:
        if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
            raise ConfigError(f"rate is {rate!r}: use {RATES_HZ[0]} to {RATES_HZ[1]} Hz")
        if not 1 <= channels <= MAX_CHANNELS:
            raise ConfigError(f"channels is {channels!r}: use 1 to {MAX_CHANNELS}")
        self.rate = rate
        self.channels = channels
        self._where = shown(path)
        self._bytes = 0
        try:
            self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - closed by close()
        except (OSError, ValueError) as error:
            raise self._error("cannot be written", error) from None
        try:
            self._put(self._header(_UNKNOWN_LENGTH, _UNKNOWN_LENGTH))
        except MediaError:
            self._file.close()
            raise

    @property
    def frames(self) -> int:
        """Samples per channel written so far."""
        return self._bytes // (2 * self.channels)

    @property
    def seconds(self) -> float:
        """Sound written so far."""
        return self.frames / self.rate

    def write(self, samples: NDArray[np.int16]) -> None:
        """Append int16 samples of shape (n, channels), or (n,) for one channel; n may be 0.

        Raises ConfigError for another dtype or shape, MediaError when the disk refuses or the file would pass 4 GB
        (what was written before stays).
        """
        if self._file.closed:
            raise MediaError(f"{self._where}: is closed already; write before close()")
        array = np.asarray(samples)
        if array.dtype != np.int16:
            raise ConfigError(f"samples has dtype {array.dtype}: give int16")
        if array.shape[1:] != (self.channels,) and not (array.ndim == 1 and self.channels == 1):
            raise ConfigError(f"samples has shape {array.shape}: give (n, {self.channels})")
        if self._bytes + array.nbytes > WRITE_LIMIT_BYTES:
            raise MediaError(f"{self._where}: a WAV file ends at 4 GB; go on in a new file")
        data = np.ascontiguousarray(array, "<i2").tobytes()
        self._put(data)
        self._bytes += len(data)

    def close(self) -> None:
        """Fill in the lengths and close. A second call does nothing."""
        if self._file.closed:
            return
        try:
            if self._file.seekable():  # a pipe keeps the header of a stream
                self._file.truncate(44 + self._bytes)  # a write that failed half-way leaves no odd bytes behind
                self._file.seek(0)
                self._put(self._header(36 + self._bytes, self._bytes))
        except OSError as error:
            raise self._error("cannot be finished", error) from None
        finally:
            self._file.close()

    def __enter__(self) -> WavWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _header(self, riff: int, data: int) -> bytes:
        frame = 2 * self.channels
        fmt = struct.pack("<HHIIHH", _PCM, self.channels, self.rate, self.rate * frame, frame, 16)
        return (
            struct.pack("<4sI4s4sI", b"RIFF", riff, b"WAVE", b"fmt ", len(fmt))
            + fmt
            + struct.pack("<4sI", b"data", data)
        )

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except OSError as error:
            raise self._error("cannot be written", error) from None

    def _error(self, problem: str, error: OSError | ValueError) -> MediaError:
        if isinstance(error, FileNotFoundError):
            return MediaError(f"{self._where}: {problem}: its folder does not exist; make it first")
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return MediaError(f"{self._where}: {problem} ({reason}); choose another place or make room")
