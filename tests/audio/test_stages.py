"""User DSP in the chains: where it stands, how it is changed while sound runs, what of it is refused, and that no
Python thread can hold it up.
"""

from __future__ import annotations

import ctypes
import gc
import itertools
import math
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import BargeIn, Duplex, DuplexConfig, EventKind, Pacer, Policy, Stage, stage
from engine.errors import ConfigError, MissingExtraError

from .sounds import HOP, Bench, hops, reply, voice

numba = pytest.importorskip("numba", reason="the extra `stages` is absent")

CPATH = Path(__file__).resolve()
GAIN = np.dtype([("gain", "f4"), ("calls", "i8"), ("memory", "f4", (3,)), ("number", "i4")])


def scaled(state: Any, block: Any) -> None:
    """Times state.gain, and counts."""
    for i in range(len(block)):
        block[i] *= state.gain
    state.calls += 1


def gain(factor: float, latency: int = 0) -> Stage:
    """A stage that scales and counts."""
    return stage(scaled, state_of(factor), latency=latency)


def state_of(factor: float = 0.5) -> NDArray[Any]:
    state = np.zeros(1, dtype=GAIN)
    state["gain"] = factor
    return state


def sent(duplex: Duplex) -> NDArray[np.int16]:
    """The sound of all waiting records."""
    parts = [record["payload"].view(np.int16) for record in duplex.read_records()]
    return np.concatenate(parts) if parts else np.empty(0, np.int16)


# ---- in the chains


def test_a_capture_stage_shapes_what_is_sent_and_not_what_the_detector_hears() -> None:
    bench = Bench()
    bench.duplex.set_stages("capture", [gain(0.0)])
    sound = voice(HOP * 20)
    bench.say(sound)
    out = sent(bench.duplex)
    assert out[:HOP].any()  # the stage comes in along a fade
    assert not out[HOP:].any()
    assert bench.of(EventKind.SPEECH_STARTED)


def test_a_playback_stage_shapes_the_reply_before_the_duck() -> None:
    bench = Bench(BargeIn(Policy.NEVER))
    bench.duplex.set_stages("playback", [gain(0.5)])
    sound = reply(HOP * 20)
    bench.play(sound)
    heard = bench.say(hops(20))
    assert np.abs(heard[HOP:].astype(int) - sound[HOP:] / 2).max() <= 1


def test_stages_run_in_the_given_order() -> None:
    def plus(block: Any) -> None:
        for i in range(len(block)):
            block[i] += 0.25

    for order, value in (((0, 1), 0.25 + 0.1 * 0.5), ((1, 0), (0.25 + 0.1) * 0.5)):
        bench = Bench(sample="float32")
        both = [gain(0.5), stage(plus)]
        bench.duplex.set_stages("playback", [both[i] for i in order])
        generation = bench.queue.open()
        bench.queue.push("a", 0, np.full(HOP * 4, round(0.1 * 32768), np.int16).tobytes(), generation)
        for _ in range(4):
            heard = bench.duplex.process(np.zeros(HOP, np.float32))
        assert heard == pytest.approx(value, abs=1e-4)


def test_bypass_and_back_without_a_click() -> None:
    bench = Bench(sample="float32")
    half = gain(0.5, latency=24)
    bench.duplex.set_stages("capture", [half])
    before = bench.duplex.capture_latency_ms(HOP)
    steady = np.full(HOP, 0.5, np.float32)
    for bypassed in (False, True, False):
        bench.duplex.bypass(half, bypassed)
        for _ in range(3):
            bench.duplex.capture(steady)
        out = sent(bench.duplex) / 32768
        assert out[-1] == pytest.approx(0.5 if bypassed else 0.25, abs=1e-4)
        assert np.abs(np.diff(out)).max() < 0.25 * math.pi / 2 / HOP + 2 / 32768
        assert bench.duplex.capture_latency_ms(HOP) == pytest.approx(before - 1.0 * bypassed)
    assert half.state is not None
    assert half.state["calls"][0] == 9  # it heard every hop


def test_a_swap_is_a_crossfade() -> None:
    bench = Bench(sample="float32")
    steady = np.full(HOP, 0.5, np.float32)
    for factor in (1.0, 0.1, -1.0, 0.5, 0.0):
        bench.duplex.set_stages("capture", [gain(factor)])
        for _ in range(3):
            bench.duplex.capture(steady)
    out = sent(bench.duplex) / 32768
    assert np.abs(np.diff(out)).max() < 0.75 * math.pi / 2 / HOP + 2 / 32768


def test_what_a_stage_delays_is_in_the_latency() -> None:
    duplex = Duplex(DuplexConfig())
    before = duplex.capture_latency_ms(480), duplex.playback_latency_ms(480)
    duplex.set_stages("capture", [gain(1, latency=24), gain(1, latency=48)])
    duplex.set_stages("playback", [gain(1, latency=240)])
    assert duplex.capture_latency_ms(480) - before[0] == pytest.approx(3.0)
    assert duplex.playback_latency_ms(480) - before[1] == pytest.approx(10.0)


def test_a_stage_that_goes_mad_harms_nobody() -> None:
    def mad(block: Any) -> None:
        block[0] = math.nan
        block[1] = math.inf

    bench = Bench()
    bench.duplex.set_stages("capture", [stage(mad)])
    bench.duplex.set_stages("playback", [stage(mad)])
    bench.play(reply(HOP * 10))
    heard = bench.say(voice(HOP * 10))
    assert np.abs(heard.astype(int)).max() <= 32767
    bench.duplex.set_stages("capture", [])
    bench.duplex.set_stages("playback", [])
    bench.say(hops(60))
    sent(bench.duplex)
    sound = voice(HOP)
    bench.say(sound)
    assert (sent(bench.duplex) == sound).all()


# ---- whose memory it is


def test_a_replaced_stage_lives_until_a_hop_has_passed_without_it() -> None:
    bench = Bench()
    old = gain(0.5)
    gone = weakref.ref(old)
    bench.duplex.set_stages("capture", [old])
    bench.say(hops(2))
    bench.duplex.set_stages("capture", [gain(1)])
    del old
    gc.collect()
    bench.duplex.read_events()
    assert gone() is not None
    bench.say(hops(1))  # the hop that fades it out, then the events are read
    gc.collect()
    assert gone() is None


def test_without_a_thread_it_is_let_go_at_once() -> None:
    duplex = Duplex()
    old = gain(0.5)
    gone = weakref.ref(old)
    duplex.set_stages("playback", [old])
    duplex.set_stages("playback", [])
    del old
    gc.collect()
    assert gone() is not None
    duplex.settle_stages()
    gc.collect()
    assert gone() is None


def test_a_pacer_that_stops_lets_go() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=24000, playback_rate=24000, max_block=HOP))
    pacer = Pacer(duplex, voice(HOP), speed=100)
    old = gain(0.5)
    gone = weakref.ref(old)
    duplex.set_stages("capture", [old])
    pacer.start()
    while not old.state["calls"][0]:  # type: ignore[index]
        time.sleep(0.001)
    pacer.stop()
    duplex.set_stages("capture", [])
    del old
    duplex.settle_stages()
    gc.collect()
    assert gone() is None


def test_changes_that_no_hop_takes_over_are_bounded() -> None:
    duplex = Duplex()
    stages = [gain(1), gain(1)]
    with pytest.raises(ConfigError, match="no hop has passed since 64 changes"):
        for turn in range(100):
            duplex.set_stages("capture", [stages[turn % 2]])
    assert len(duplex.stages("capture")) == 1


def test_swapping_while_a_pacer_runs() -> None:
    duplex = Duplex(DuplexConfig(capture_rate=24000, playback_rate=24000, max_block=HOP, records_ms=60000))
    pacer = Pacer(duplex, np.full(24000 * 60, 8000, np.int16), speed=20)
    made = [gain(0.5 + i / 20) for i in range(8)]
    pacer.start()
    turn = 0
    while turn < 300:
        some = made[turn % 8 : turn % 8 + turn % 3 + 1]
        try:
            duplex.set_stages("capture", some)
            duplex.bypass(some[0], turn % 8 == 4)
            turn += 1
        except ConfigError as error:
            assert "no hop has passed" in str(error)
            time.sleep(0.001)
        if turn % 10 == 0:
            time.sleep(0.001)
    pacer.stop()
    out = sent(duplex) / 32768
    assert duplex.capture_stats().lost_records == 0
    assert len(out) > HOP
    # three slots that fade by a half at most, of a sound of .25
    assert np.abs(np.diff(out)).max() < 3 * 0.5 * 0.25 * math.pi / 2 / HOP + 2 / 32768
    duplex.capture(np.zeros(HOP, np.int16))


# ---- what can be given


@pytest.mark.parametrize(
    ("chain", "stages", "complaint"),
    [
        ("middle", [], "use capture or playback"),
        ("capture", [scaled], r"make it with engine\.audio\.stage"),
        ("capture", [1], r"make it with engine\.audio\.stage"),
    ],
)
def test_bad_lists_are_refused(chain: str, stages: Any, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Duplex().set_stages(chain, stages)


def test_one_stage_runs_in_one_place() -> None:
    duplex = Duplex()
    one = gain(1)
    with pytest.raises(ConfigError, match="twice"):
        duplex.set_stages("capture", [one, one])
    with pytest.raises(ConfigError, match="at most 8"):
        duplex.set_stages("capture", [gain(1)] * 9)
    duplex.set_stages("capture", [one])
    with pytest.raises(ConfigError, match="other chain"):
        duplex.set_stages("playback", [one])
    with pytest.raises(ConfigError, match="neither chain"):
        duplex.bypass(gain(1))
    duplex.set_stages("capture", [])
    with pytest.raises(ConfigError, match="still leaves"):
        duplex.set_stages("playback", [one])


@pytest.mark.parametrize(
    "state",
    [np.zeros(0), np.array([None]), [1.0], 3, np.zeros((4, 4))[:, 0], np.frombuffer(b"12345678")],
    ids=["empty", "objects", "list", "number", "strided", "read-only"],
)
def test_a_state_that_machine_code_cannot_use_is_refused(state: Any) -> None:
    with pytest.raises(ConfigError, match="state is"):
        stage(scaled, state)


@pytest.mark.parametrize("latency", [-1, 2401, math.nan, math.inf])
def test_a_latency_out_of_range_is_refused(latency: Any) -> None:
    with pytest.raises(ConfigError, match="latency is"):
        stage(scaled, state_of(), latency=latency)


def test_parameters_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"scaled without state must take \(block\)"):
        stage(scaled)
    with pytest.raises(ConfigError, match=r"with state must take \(state, block\)"):
        stage(lambda block: None, state_of())
    things: tuple[Any, ...] = ("name", None, 1.5, True, 0, -1, 1 << 64, [], len)
    for thing in things:
        with pytest.raises(ConfigError, match="stage is"):
            stage(thing)


def test_a_jitted_function_is_taken_too() -> None:
    assert stage(numba.njit(scaled), state_of()).name == "scaled"


def test_states_may_be_plain_arrays() -> None:
    def delayed(state: Any, block: Any) -> None:
        for i in range(len(block)):
            state[1, i], block[i] = block[i], state[0, i]
        for i in range(len(block)):
            state[0, i] = state[1, i]

    one = stage(delayed, np.zeros((2, HOP), np.float32), latency=HOP)
    block = np.ones(HOP, np.float32)
    one.run(block)
    assert not block.any()
    one.run(block)
    assert (block == 1).all()


# ---- C


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's C stage, compiled."""
    folder = tmp_path_factory.mktemp("stage")
    source, out = folder / "half.c", folder / "half.so"
    source.write_text(
        "#include <stdint.h>\n"
        "void half(void *state, float *block, uintptr_t n)\n"
        "{ for (uintptr_t i = 0; i < n; i++) block[i] *= 0.5f; if (state) ++*(int64_t *)state; }\n"
    )
    try:
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", str(source), "-o", str(out)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler")
    return out


def test_functions_of_a_library(library: Path) -> None:
    from cffi import FFI

    opened = ctypes.CDLL(str(library))
    ffi = FFI()
    ffi.cdef("void half(void *state, float *block, uintptr_t n);")
    by_cffi: Any = ffi.dlopen(str(library))
    address = int(ctypes.cast(opened.half, ctypes.c_void_p).value or 0)
    for function in (opened.half, ffi.addressof(by_cffi, "half"), by_cffi.half, address):
        calls = np.zeros(1, np.int64)
        one = stage(function, calls)
        duplex = Duplex(DuplexConfig(capture_rate=24000, playback_rate=24000))
        duplex.set_stages("capture", [one])
        for _ in range(2):
            duplex.capture(np.full(HOP, 1000, np.int16))
        assert (sent(duplex)[HOP:] == 500).all()
        assert calls[0] == 2


def test_entrances_to_python_are_refused(library: Path) -> None:
    from cffi import FFI

    signature = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
    callback = FFI().callback("void(void *, float *, uintptr_t)", lambda state, block, n: None)
    for entrance in (signature(lambda state, block, n: None), ctypes.PyDLL(str(library)).half, callback):
        with pytest.raises(ConfigError, match="needs the GIL"):
            stage(entrance)


# ---- what is refused, with its line


@numba.njit  # type: ignore[untyped-decorator,unused-ignore]
def checked_root(x: float) -> float:
    """A user's helper, with its own raise."""
    if x < 0:
        raise ValueError("negative")
    return math.sqrt(x)


NUMBERS = [1.0, 2.0]
COSF: Any = ctypes.CDLL(None).abs
COSF.restype, COSF.argtypes = ctypes.c_int, [ctypes.c_int]


def zeros(state: Any, block: Any) -> None:
    state.gain = 1
    block[0] = np.zeros(len(block))[3]  # <- allocates memory


def append(state: Any, block: Any) -> None:
    kept = []  # <- allocates or frees memory
    for x in block:
        kept.append(x)
    block[0] = kept[-1]


def raising(state: Any, block: Any) -> None:
    for i in range(len(block)):
        if block[i] > 1:
            raise ValueError("too loud")  # <- can raise an exception


def helped(state: Any, block: Any) -> None:
    block[0] = 0
    block[1] = checked_root(block[1])  # <- can raise an exception


def printing(state: Any, block: Any) -> None:
    block[0] = 0
    print(state.number)  # <- calls the Python interpreter


def formatting(state: Any, block: Any) -> None:
    if len(f"number {state.number}") > 8:  # <- allocates memory
        block[0] = 0


def expression(state: Any, block: Any) -> None:
    block[0] = 0
    block[:] = block * 2 + 1  # <- allocates memory


def dice(state: Any, block: Any) -> None:
    block[0] = np.random.random()  # <- uses the shared random generator


def unseen(state: Any, block: Any) -> None:
    block[0] = 0
    block[1] = COSF(state.number)  # <- calls a function through a pointer


def global_list(state: Any, block: Any) -> None:
    block[0] = NUMBERS[state.number]  # <- reflected list


def unknown_field(state: Any, block: Any) -> None:
    block[0] = 1
    block[1] = state.nothing  # <- state has no field 'nothing', it has gain, calls, memory, number


def python_object(state: Any, block: Any) -> None:
    block[0] = 0
    block[1] = time.time()  # <- Unknown attribute


REFUSED: list[Callable[[Any, Any], None]] = [
    zeros, append, raising, helped, printing, formatting, expression, dice, unseen, global_list, unknown_field,
    python_object,
]  # fmt: skip


@pytest.mark.parametrize("function", REFUSED, ids=lambda function: function.__name__)
def test_code_that_could_stop_an_audio_thread_is_refused_with_its_line(function: Callable[[Any, Any], None]) -> None:
    first = function.__code__.co_firstlineno
    lines = CPATH.read_text().splitlines()
    line = next(number for number in itertools.count(first) if "# <- " in lines[number - 1])
    with pytest.raises(ConfigError) as refusal:
        stage(function, state_of())
    text = str(refusal.value)
    assert f"{CPATH}:{line} " in text or f"{CPATH}:{line}:" in text, text
    assert lines[line - 1].split("# <- ")[1] in text


def divided(state: Any, block: Any) -> None:
    for i in range(len(block)):
        block[i] = 1 / block[i] + state.number // (state.number - state.number)


def vector(state: Any, block: Any) -> None:
    block *= state.gain
    block += 1
    block[1:3] = 0


def maths(state: Any, block: Any) -> None:
    for i in range(len(block)):
        x = block[i]
        block[i] = math.tanh(x) + np.sin(x) + abs(x) ** 0.3 + 10 ** (x / 20) + math.log10(x * x + 1e-9) + x % state.gain


def memory(state: Any, block: Any) -> None:
    for i in range(len(block)):
        for k in range(2):
            state.memory[2 - k] = state.memory[1 - k]
        state.memory[0] = block[i]
        block[i] = (state.memory[0] + state.memory[1] + state.memory[2]) / 3


def caught(state: Any, block: Any) -> None:
    for x in (1.0, 2.0):
        block[0] *= x


@pytest.mark.parametrize("function", [divided, vector, maths, memory, caught], ids=lambda function: function.__name__)
def test_code_that_cannot_is_taken(function: Callable[[Any, Any], None]) -> None:
    block = np.zeros(HOP, np.float32)
    one = stage(function, state_of())
    one.run(block)
    if function is divided:
        assert np.isinf(block).all()  # C's rule: no exception, no GIL


# ---- numba is an extra


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_sound_does_not_import_numba() -> None:
    assert run("import sys, engine.audio; print('numba' in sys.modules, 'llvmlite' in sys.modules)") == "False False"


def test_a_missing_numba_is_named() -> None:
    assert "bargein[stages]" in run(
        "import sys; sys.modules['numba'] = None\n"
        "from engine.audio import stage\n"
        "from engine.errors import MissingExtraError\n"
        "try: stage(lambda block: None)\n"
        "except MissingExtraError as error: print(error)\n"
    )
    assert issubclass(MissingExtraError, ConfigError)


# ---- nobody can hold it up


def test_stages_act_on_every_hop_while_another_thread_holds_the_gil() -> None:
    sound = np.full(24000 * 10, 8000, np.int16)
    config = DuplexConfig(
        capture_rate=24000, playback_rate=24000, max_block=HOP, records_ms=60000, barge_in=BargeIn(Policy.NEVER)
    )
    duplex = Duplex(config)
    near, far = gain(0.5), gain(0.25)
    assert near.state is not None
    assert far.state is not None
    duplex.set_stages("capture", [near])
    duplex.set_stages("playback", [far])
    duplex.queue.push("a", 0, sound.tobytes())
    pacer = Pacer(duplex, sound, speed=5)
    hold = ctypes.PyDLL(None).usleep  # a PyDLL keeps the GIL while it is in C
    ticks, over, held = itertools.count(), threading.Event(), []

    def tick() -> None:
        while not over.is_set():
            next(ticks)
            time.sleep(0)

    def holder() -> None:
        assert near.state is not None
        assert far.state is not None
        near_calls, far_calls, before = near.state["calls"], far.state["calls"], next(ticks)
        counts = near_calls[0], far_calls[0]
        hold(1_500_000)
        held.extend([int(near_calls[0] - counts[0]), int(far_calls[0] - counts[1]), next(ticks) - before])

    others = [threading.Thread(target=tick), threading.Thread(target=holder)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody asks the holder to let go between its calls either
    try:
        pacer.start()
        for thread in others:
            thread.start()
        others[1].join()
    finally:
        over.set()
        sys.setswitchinterval(interval)
    others[0].join()
    pacer.stop()
    captured, played, ticked = held
    assert ticked == 1, "the GIL was not held"
    assert captured > 100  # 1.5 s at five times real time are 750 hops
    assert played > 100
    done = duplex.capture_stats().hops
    assert near.state["calls"][0] == done == far.state["calls"][0]
    out = sent(duplex)
    spoken = min(len(out), len(sound))
    assert (out[HOP:spoken] == 4000).all()
    recorded = pacer.recorded()
    assert len(recorded) == done * HOP
    assert (recorded[HOP:spoken, 1] == 2000).all()
