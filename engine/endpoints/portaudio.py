"""PortAudio through sounddevice: what devices there are, and streams whose callback is C. The only module that knows
sounddevice; it is imported when a device is first used.

PortAudio is not made for two threads at once and keeps one list of devices, frozen when it is initialised: everything
here holds one lock, and the list is renewed only while no stream of the process is open.
"""

from __future__ import annotations

import atexit
import fnmatch
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from engine.audio import DeviceCallback
from engine.errors import ConfigError, DeviceError, MissingExtraError

LOCK_S = 10.0  # a sound system that answers later than this is taken for dead
LIST_S = 15.0  # the same for the helper process
NO_LIBRARY = "PortAudio is not installed: apt-get install libportaudio2 (and libasound2-plugins for PulseAudio)"
HELPER = "import json, sounddevice as s; print(json.dumps([list(s.query_devices()), list(s.query_hostapis())]))"

_lock = threading.Lock()
_list = threading.Lock()  # taken before `_lock`
_open: set[Stream] = set()  # strong references: memory must outlive the audio thread that writes into it


@dataclass(frozen=True, slots=True)
class DeviceEntry:
    """One device as PortAudio lists it. `index` holds only until the list is renewed; `name` is what to keep."""

    index: int
    name: str
    host_api: str
    inputs: int
    outputs: int
    default_rate: int
    default_input: bool
    default_output: bool

    @property
    def stable_name(self) -> str:
        """The name without the card number, which changes from plug to plug."""
        return re.sub(r"\s*\(hw:[^)]*\)", "", self.name)

    @property
    def hidden(self) -> bool:
        """Behind a sound server or a plug: true rate, channels and format of the hardware cannot be known."""
        return self.host_api == "ALSA" and "(hw:" not in self.name


def library() -> Any:
    """The module sounddevice. Raises `MissingExtraError` without it, `DeviceError` without PortAudio itself."""
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise MissingExtraError("a sound device", "device") from None
    except OSError:
        raise DeviceError(NO_LIBRARY) from None
    return sounddevice


@contextmanager
def _exclusive() -> Iterator[Any]:
    module = library()
    if not _lock.acquire(timeout=LOCK_S):
        raise DeviceError(f"the sound system has not answered for {LOCK_S:g} s: restart it, or unplug the device")
    try:
        yield module
    finally:
        _lock.release()


@contextmanager
def steady() -> Iterator[None]:
    """While this is held the list is not renewed: the number of a device found in it is still its number when it is
    opened. Raises `DeviceError`.
    """
    if not _list.acquire(timeout=LOCK_S):
        raise DeviceError(f"the sound system has not answered for {LOCK_S:g} s: restart it, or unplug the device")
    try:
        yield
    finally:
        _list.release()


def devices() -> list[DeviceEntry]:
    """The devices PortAudio knew when it was initialised. Raises `DeviceError`."""
    with _exclusive() as sounddevice:
        return _entries(list(sounddevice.query_devices()), list(sounddevice.query_hostapis()))


def devices_now() -> list[DeviceEntry]:
    """The devices there are now, asked in a process of its own, so that open streams are not disturbed. Takes some
    tenths of a second; for a thread. Raises `DeviceError`.
    """
    library()
    try:
        done = subprocess.run(
            [sys.executable, "-c", HELPER], capture_output=True, timeout=LIST_S, check=True, stdin=subprocess.DEVNULL
        )
        found, apis = json.loads(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise DeviceError(f"the devices cannot be listed: {error}") from None
    return _entries(found, apis)


def renew() -> bool:
    """Make PortAudio look anew. False, and nothing done, while a stream of this process is open."""
    with steady(), _exclusive() as sounddevice:
        if _open:
            return False
        sounddevice._terminate()
        sounddevice._initialize()
        return True


def _entries(found: list[Any], apis: list[Any]) -> list[DeviceEntry]:
    inputs = {api["default_input_device"] for api in apis[:1]}
    outputs = {api["default_output_device"] for api in apis[:1]}
    return [
        DeviceEntry(
            index,
            each["name"],
            apis[each["hostapi"]]["name"],
            each["max_input_channels"],
            each["max_output_channels"],
            int(each["default_samplerate"]),
            index in inputs,
            index in outputs,
        )
        for index, each in enumerate(found)
    ]


def find(entries: Sequence[DeviceEntry], wanted: str | None, kind: str) -> DeviceEntry:
    """The device for `kind` ("input" or "output") whose name is `wanted`, or matches it as a pattern (`*`, `?`), or
    contains it; capitals do not matter. The first that does, exact names before patterns. None: the system's default.

    Raises `DeviceError` naming what there is.
    """
    able = [each for each in entries if (each.inputs if kind == "input" else each.outputs) > 0]
    if wanted is None:
        default = [each for each in able if (each.default_input if kind == "input" else each.default_output)]
        if default or able:
            return (default or able)[0]
    else:
        name = wanted.casefold()
        exact = [each for each in able if name in (each.name.casefold(), each.stable_name.casefold())]
        like = [
            each for each in able if fnmatch.fnmatchcase(each.name.casefold(), name) or name in each.name.casefold()
        ]
        if exact or like:
            return (exact or like)[0]
    there = ", ".join(repr(each.stable_name) for each in able[:20]) or "none at all; is a sound server running?"
    asked = "there are no" if wanted is None else f"no {wanted!r} among the"
    raise DeviceError(f"{asked} {kind} devices: {there}")


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """One stream to open: direction "capture", "playback", "both" or "reference"; device index and channels of
    each direction it has; `latency_s` None for the device's low one.
    """

    direction: str
    microphone: int | None
    loudspeaker: int | None
    capture_channels: int
    playback_channels: int
    rate: int
    sample: str
    block: int
    latency_s: float | None

    @property
    def kind(self) -> str:
        """sounddevice's name of the direction."""
        return {"capture": "input", "playback": "output", "both": "duplex", "reference": "input"}[self.direction]

    def _pair(self, capture: Any, playback: Any) -> Any:
        return {"playback": playback, "both": (capture, playback)}.get(self.direction, capture)

    def arguments(self) -> dict[str, Any]:
        """What sounddevice is asked for."""
        return {
            "samplerate": self.rate,
            "blocksize": self.block,
            "device": self._pair(self.microphone, self.loudspeaker),
            "channels": self._pair(self.capture_channels, self.playback_channels),
            "dtype": self.sample,
            "latency": "low" if self.latency_s is None else self.latency_s,
            "clip_off": True,
            "dither_off": True,
        }


def supported(plan: StreamPlan) -> str | None:
    """None when the device says it can do this, else what it says."""
    with _exclusive() as sounddevice:
        try:
            for kind, device, channels in (
                ("input", plan.microphone, plan.capture_channels),
                ("output", plan.loudspeaker, plan.playback_channels),
            ):
                if device is not None:
                    check = getattr(sounddevice, f"check_{kind}_settings")
                    check(device=device, channels=channels, dtype=plan.sample, samplerate=plan.rate)
        except (sounddevice.PortAudioError, ValueError) as error:
            return str(error)
    return None


class Stream:
    """An open stream of PortAudio, its callback in C. For threads that may wait; `alive` for any."""

    def __init__(self, plan: StreamPlan, callback: DeviceCallback) -> None:
        self.plan = plan
        self.callback = callback
        self._owner = os.getpid()
        with _exclusive() as sounddevice:
            _close_at_exit()
            try:
                self._stream = sounddevice._StreamBase(
                    plan.kind,
                    callback=callback.callback,
                    userdata=callback.userdata,
                    finished_callback=callback.finished,
                    **plan.arguments(),
                )
            except (sounddevice.PortAudioError, ValueError) as error:
                raise DeviceError(_explained(error, plan)) from None
            _open.add(self)

    def start(self) -> None:
        """Let sound flow. Raises `DeviceError`."""
        with _exclusive() as sounddevice:
            try:
                self._stream.start()
            except sounddevice.PortAudioError as error:
                raise DeviceError(_explained(error, self.plan)) from None

    def close(self) -> None:
        """Stop at once and give everything back; harmless twice. Afterwards no audio thread runs."""
        if self not in _open:
            return
        if os.getpid() != self._owner:
            _open.discard(self)
            return  # a forked child has no such thread
        with _exclusive():
            self._stream.abort()
            self._stream.close()
            _open.discard(self)

    @property
    def alive(self) -> bool:
        """Whether PortAudio holds it for running."""
        if self not in _open or self.callback.stats().finished:
            return False
        try:
            return bool(self._stream.active)
        except Exception:  # PortAudioError, of a module that may not even be importable any more
            return False

    @property
    def latency_ms(self) -> tuple[float | None, float | None]:
        """What PortAudio says of microphone and loudspeaker; None for nonsense (89 478 s has been seen) or nothing."""
        told = self._stream.latency
        capture, playback = {"both": told, "playback": (None, told)}.get(self.plan.direction, (told, None))
        return _sane(capture), _sane(playback)

    @property
    def rate(self) -> float:
        """The rate PortAudio says the stream has."""
        return float(self._stream.samplerate)


def _sane(seconds: float | None) -> float | None:
    return seconds * 1000.0 if seconds is not None and 0.0 < seconds < 5.0 else None


def _explained(error: Exception, plan: StreamPlan) -> str:
    text = str(error)
    what = f"the device refuses {plan.sample} at {plan.rate} Hz, {plan.direction}"
    if "Device unavailable" in text or "-9985" in text:
        return f"{what}: it is busy or unplugged; `fuser -v /dev/snd/*` shows who has it ({text})"
    if "Invalid sample rate" in text or "-9997" in text:
        return f"{what}: leave `rate` out to use one that it offers ({text})"
    if "Invalid number of channels" in text or "-9998" in text:
        return f"{what}: it has fewer channels than were asked for ({text})"
    return f"{what}: {text}"


def _close_at_exit() -> None:
    """The interpreter must not tear memory down under an audio thread. Registered after sounddevice's own, so it runs
    before it.
    """
    if not _registered:
        _registered.append(True)
        atexit.register(close_all)


_registered: list[bool] = []


def close_all() -> None:
    """Close every stream of the process."""
    for stream in list(_open):
        stream.close()


def checked_name(field: str, value: object) -> str | None:
    """The value, if it is a name or None; raises `ConfigError`."""
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise ConfigError(f"{field} is {value!r}: give the device's name or a pattern of it; `devices()` lists them")
    return value
