"""`bargein doctor`: tries the sound devices, says what they can and what is wrong, and which settings to use."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.cli import config, mend
from engine.cli.canceller import Learnt, learn
from engine.cli.config_write import write
from engine.cli.main import plain, say
from engine.cli.probe import Trial, attempt, load
from engine.endpoints import Device
from engine.endpoints.negotiate import Wishes, pair
from engine.endpoints.portaudio import DeviceEntry, devices
from engine.endpoints.waiting import in_thread
from engine.errors import DeviceError, MissingExtraError

BLOCKS_MS = (5.0, 10.0, 20.0)
LATENCIES_MS: tuple[float | None, ...] = (None, 40.0, 100.0, 200.0, 400.0)
HIDDEN_MS: tuple[float | None, ...] = (100.0, 200.0, 400.0)  # a sound server loses sound below that, without a flag
MOST_PAIRS = 8
CHIRPS = 3
ECHO_MATTERS_DB = -50.0  # below that no detector takes it for speech

EVERY = "every setting lost sound under load: use another device, or a machine that does less besides"

Names = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class Advice:
    """What to use; names are None where the system's default is meant, `echo` where it is not known."""

    microphone: str | None
    loudspeaker: str | None
    block_ms: float
    latency_ms: float | str
    echo: str | None

    def values(self) -> dict[str, Any]:
        """As keys of bargein.toml; what is the default anyway is left out."""
        return {f"device.{name}": value for name, value in dataclasses.asdict(self).items() if value is not None}


async def run(options: Namespace) -> int:
    """Try, tell, and with --write keep it. 0 when there is something to talk through, else 1."""
    told = _Told(options.json)
    try:
        entries = await in_thread(devices)
    except (DeviceError, MissingExtraError) as missing:
        return told.wrong(str(missing))
    apis = sorted({entry.host_api for entry in entries})
    told.check("PortAudio", f"{len(entries)} devices, {', '.join(apis) or 'none'}")
    for problem in mend.beforehand(bool(options.microphone or options.loudspeaker)):
        told.wrong(problem)
    try:
        chosen, trial = await _best(options, entries, told)
    except DeviceError as missing:
        return told.wrong(f"{missing}" if entries else mend.no_device())
    _describe(trial, told)
    for problem in mend.of(trial):
        told.wrong(problem)
    if not (trial.found or trial.silent):
        told.note(mend.unheard(trial))
    learnt = await _canceller(options, chosen, trial, told)
    trials = await _under_load(options, chosen, told)
    best = _choose(trials)
    if best is None:
        return told.wrong(EVERY if trials else "no setting opens while the machine is busy: use another device")
    return _advise(options, chosen, best, _echo(trial, learnt), told)


# ---- which devices


async def _best(options: Namespace, entries: Sequence[DeviceEntry], told: _Told) -> tuple[Names, Trial]:
    """The pair that is asked for, or the first that hears itself, or the first that opens."""
    pairs = _candidates(options, entries)
    good: list[tuple[Names, Trial]] = []
    refused: DeviceError | None = None
    for names in pairs:
        try:
            trial = await attempt(_device(options, names, options.block_ms, _asked_ms(options)), CHIRPS)
        except DeviceError as error:
            refused = refused or error
            told.check(_pair_name(names), "does not open", {"problem": plain(str(error))})
            continue
        if len(pairs) > 1:
            heard = "does not hear itself" if trial.delay_ms is None else f"hears itself after {trial.delay_ms:.0f} ms"
            told.check(_pair_name(names), f"opens, {heard}")
        good.append((names, trial))
        if trial.found:
            break
    if not good:
        assert refused is not None
        raise refused
    return next((each for each in good if each[1].found), good[0])


def _candidates(options: Namespace, entries: Sequence[DeviceEntry]) -> list[Names]:
    """What is asked for; where nothing is, the defaults, then each device of hardware with the other's default."""
    asked = options.microphone, options.loudspeaker
    wishes = Wishes(*asked, None, 10.0, None, None, None, None)
    pair(wishes, entries)  # raises DeviceError naming what there is
    if any(asked):
        return [asked]
    real = [entry for entry in entries if not entry.hidden]
    inputs = [entry.stable_name for entry in real if entry.inputs and not entry.default_input]
    outputs = [entry.stable_name for entry in real if entry.outputs and not entry.default_output]
    same: list[Names] = [(name, name) for name in inputs if name in outputs]
    more: list[Names] = [*same, *((name, None) for name in inputs), *((None, name) for name in outputs)]
    return list(dict.fromkeys([(None, None), *more]))[:MOST_PAIRS]


def _device(options: Namespace, names: Names, block_ms: float, latency_ms: float | None) -> Device:
    return Device(
        *names,
        rate=options.rate,
        block_ms=block_ms,
        latency_ms=latency_ms,
        microphone_channel=options.microphone_channel,
        loudspeaker_channels=options.loudspeaker_channels,
        priority=options.priority,
        reopen=False,
    )


# ---- under load


async def _under_load(options: Namespace, names: Names, told: _Told) -> list[Trial]:
    """Blocks at rising latencies with every processor busy, until some keep sound whole."""
    hidden = pair(_device(options, names, 10.0, None).wishes, await in_thread(devices)).hidden
    trials: list[Trial] = []
    told.head()
    with load():
        for latency_ms in HIDDEN_MS if hidden else LATENCIES_MS:
            for block_ms in BLOCKS_MS:
                try:
                    trial = await attempt(_device(options, names, block_ms, latency_ms), CHIRPS)
                except DeviceError as error:
                    told.check(f"{block_ms:g} ms at {_latency(latency_ms)}", plain(str(error)))
                    continue
                trials.append(trial)
                told.row(trial)
            if any(trial.clean for trial in trials):
                break
    return trials


def _choose(trials: Sequence[Trial]) -> Trial | None:
    """The clean one that answers soonest; of equals, the larger block, which costs less."""
    clean = [trial for trial in trials if trial.clean]
    return min(clean, key=lambda trial: (round(_wait_ms(trial)), -trial.block_ms), default=None)


def _wait_ms(trial: Trial) -> float:
    said = (trial.opened.microphone_ms or 0.0) + (trial.opened.loudspeaker_ms or 0.0)
    return trial.round_trip_ms if trial.round_trip_ms is not None else said + trial.block_ms


# ---- what follows from it


def _matters(trial: Trial) -> bool:
    return trial.echo_db is not None and trial.echo_db > ECHO_MATTERS_DB


def _echo(trial: Trial, learnt: Learnt | None) -> str | None:
    """The echo mode to use; None when nothing is known, since nothing was heard."""
    if trial.silent:
        return None
    if not _matters(trial):
        return "off"
    return "half_duplex" if learnt is not None and not learnt.converged else "auto"


async def _canceller(options: Namespace, names: Names, trial: Trial, told: _Told) -> Learnt | None:
    """Whether the canceller can learn the echo, where there is one."""
    if not _matters(trial):
        return None
    try:
        learnt = await learn(_device(options, names, options.block_ms, _asked_ms(options)))
    except DeviceError as error:
        told.check("echo canceller", plain(str(error)))
        return None
    told.check("echo canceller", learnt.told)
    told.data({"type": "canceller", **dataclasses.asdict(learnt)})
    return learnt


def _advise(options: Namespace, names: Names, best: Trial, echo: str | None, told: _Told) -> int:
    advice = Advice(*names, best.block_ms, _latency_to_use(options, best), echo)
    told.advice(advice)
    if options.write:
        path = config.writable()
        write(path, advice.values())
        say(f"written to {path}")
    elif not options.json:
        print("bargein doctor --write keeps it", flush=True)
    return 1 if told.grave else 0


def _asked_ms(options: Namespace) -> float | None:
    """The latency of the first trial: the one that is asked for, else the device's low one."""
    return None if isinstance(options.latency_ms, str) else options.latency_ms


def _latency_to_use(options: Namespace, best: Trial) -> float | str:
    """ "auto" where the lowest that was tried kept sound whole, since that is where it begins; else what did."""
    lowest = HIDDEN_MS[0] if best.opened.unknown else LATENCIES_MS[0]
    if best.latency_ms is None:
        return "auto"
    return "auto" if best.latency_ms == lowest and _asked_ms(options) is None else best.latency_ms


def _describe(trial: Trial, told: _Told) -> None:
    opened = trial.opened
    names = f"{plain(opened.microphone)} and {plain(opened.loudspeaker)}"
    how = f"{opened.capture_rate / 1000:g} kHz {opened.sample}, {opened.streams} stream{'s' * (opened.streams > 1)}"
    told.check("opened", f"{names}: {how}" + (", behind a sound server" if opened.unknown else ""))
    told.check("real-time priority", plain(opened.realtime))
    if trial.delay_ms is None or trial.round_trip_ms is None or trial.echo_db is None:
        told.check("echo", "none: the microphone does not hear the loudspeaker")
    else:
        told.check("round trip", f"{trial.round_trip_ms:.1f} ms")
        told.check("echo", f"after {trial.delay_ms:.1f} ms, {trial.echo_db:+.1f} dB")
    if trial.drift_ppm is not None:
        told.check("drift", f"{trial.drift_ppm:+.1f} ppm, microphone against loudspeaker")
    told.check("noise floor", f"{trial.floor_db:.0f} dBFS, the loudest heard {trial.peak_db:.0f} dBFS")
    told.check("clipping", f"{trial.clipped} samples" if trial.clipped else "none")
    told.data({"type": "trial", **_plain_figures(trial)})


def _plain_figures(trial: Trial) -> dict[str, Any]:
    return {**dataclasses.asdict(trial), "clean": trial.clean}


def _latency(latency_ms: float | None) -> str:
    return "low" if latency_ms is None else f"{latency_ms:g} ms"


def _pair_name(names: Names) -> str:
    return " and ".join(name or "the default" for name in dict.fromkeys(names))


class _Told:
    """Lines for people, or JSON; remembers whether something is wrong that keeps one from talking."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self.grave = False

    def data(self, line: dict[str, Any]) -> None:
        """For --json."""
        if self._json:
            print(msgspec.json.encode(line).decode(), flush=True)

    def _people(self, line: str) -> None:
        if not self._json:
            print(line, flush=True)

    def check(self, what: str, text: str, more: dict[str, Any] | None = None) -> None:
        """One figure, or one thing that was tried."""
        self._people(f"{what:<20} {text}" + "".join(f": {value}" for value in (more or {}).values()))
        self.data({"type": "check", "what": what, "text": text, **(more or {})})

    def wrong(self, text: str) -> int:
        """Something is missing; the text has the command that mends it."""
        self.grave = True
        self.data({"type": "problem", "text": plain(text)})
        say(text)
        return 1

    def note(self, text: str) -> None:
        """Something to know, that keeps nobody from talking."""
        self.data({"type": "note", "text": plain(text)})
        say(text)

    def head(self) -> None:
        """Before the rows."""
        names = (("block", 8), ("latency", 9), ("round trip", 12), ("xruns", 7), ("missing", 10), ("shifts", 8))
        head = "".join(name.rjust(width) for name, width in names)
        self._people(f"\nwith every processor busy:\n{head}  chirps")

    def row(self, trial: Trial) -> None:
        """One trial under load."""
        trip = f"{trial.round_trip_ms:.1f} ms" if trial.round_trip_ms is not None else "-"
        lost = f"{trial.xruns:>7}{trial.missing_ms:>7.0f} ms{trial.shifts:>8}{trial.found:>6}/{trial.played}"
        setting = f"{trial.block_ms:>5g} ms{_latency(trial.latency_ms):>9}{trip:>12}"
        self._people(f"{setting}{lost}  {'whole' if trial.clean else 'sound was lost'}")
        self.data({"type": "trial", "load": True, **_plain_figures(trial)})

    def advice(self, advice: Advice) -> None:
        """What to use."""
        lines = [f"{key.partition('.')[2]} = {config.to_toml(value)}" for key, value in advice.values().items()]
        self._people("\n".join(("\nuse:", "[device]", *lines)))
        self.data({"type": "advice", **dataclasses.asdict(advice)})


__all__ = ["Advice", "run"]
