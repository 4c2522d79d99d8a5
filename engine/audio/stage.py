"""User DSP in the way of the sound: a Python function compiled to machine code, or any C function, on every 10 ms hop.

    def gain(state, block):                # block: 240 float32 samples at 24 kHz, changed in place
        for i in range(len(block)):
            block[i] *= state.factor

    quieter = stage(gain, np.array([(0.5,)], dtype=[("factor", "f4")]))
    duplex.set_stages("capture", [quieter])
    quieter.state["factor"] = 0.25         # while it runs

The Python face of csrc/stages.h. numba (the extra `stages`) is imported when the first Python function is compiled.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.checks import checked
from engine.audio.stagecode import compile_stage
from engine.errors import ConfigError
from engine.native import c_function_address, lib, new, pointer

MAX_STAGES: int = lib.RT_STAGE_SLOTS
"""Stages in one chain."""

MAX_WAITING = 64
"""Changes of a chain that may wait for a hop; the next is refused, since what they replaced is still kept."""


class Stage:
    """One DSP function with its memory, made by `stage`. It runs in one place at a time: give each Duplex its own.

    `state` is the numpy array the function works on. Any thread may read it, and write single numbers in it, while
    sound runs; for many values that belong together make a second stage and set it in place of the first.
    """

    def __init__(self, name: str, function: int, state: NDArray[Any] | None, latency: int, keep: Any) -> None:
        self.name = name
        self.state = state
        self.latency = latency
        self.address = function
        self._keep = keep  # the compiled code or the library's function

    def __repr__(self) -> str:
        return f"<Stage {self.name}, latency {self.latency}>"

    def run(self, block: NDArray[np.float32]) -> None:
        """Call it once on a block, in place: for tests and whole files. Not while it runs in a Duplex."""
        if block.dtype != np.float32 or block.ndim != 1 or not block.flags.c_contiguous or not block.flags.writeable:
            raise ConfigError(f"block is {block.shape} {block.dtype}: give contiguous float32 samples of one channel")
        pointer("rt_stage_function", self.address)(
            pointer("void *", 0 if self.state is None else self.state.ctypes.data),
            pointer("float *", block.ctypes.data),
            len(block),
        )


def stage(function: Any, state: NDArray[Any] | None = None, *, latency: int = 0) -> Stage:
    """A stage for `Duplex.set_stages`: mono float32 in hops of 240 samples at 24 kHz, changed in place.

    `function` is a Python function `f(state, block)`, or `f(block)` without state: compiled by numba with C's rules for
    division (x / 0 is inf), array bounds unchecked. `state` is a numpy array: one structured record arrives as a record
    (`state.gain`, `state.memory[i]`), any other array as an array. Or `function` is C code,
    `void f(void *state, float *block, uintptr_t n)`: a ctypes or cffi function of a library, or its address as int.

    `latency`: samples by which it delays the sound, 0..2400. Raises `ConfigError` naming the source line when Python
    code could allocate, raise, print or reach the interpreter, `MissingExtraError` without numba.
    """
    samples = int(checked("latency", latency, 0, lib.RT_STAGE_LATENCY))
    _check_state(state)
    address = _c_address(function)
    if address is not None:
        return Stage(getattr(function, "__name__", f"{address:#x}"), address, state, samples, function)
    compiled = compile_stage(function, state)
    return Stage(getattr(function, "__name__", "stage"), int(compiled.address), state, samples, compiled)


def _check_state(state: NDArray[Any] | None) -> None:
    if state is None:
        return
    if not isinstance(state, np.ndarray) or state.size == 0 or state.dtype.hasobject:
        raise ConfigError(f"state is {state!r:.80}: give a numpy array that is not empty and holds no Python objects")
    if not (state.flags.c_contiguous and state.flags.writeable and state.flags.aligned):
        raise ConfigError("state is not a contiguous, aligned, writable array: give a copy")


def _c_address(function: Any) -> int | None:
    """The address of C code, None for a Python function. Raises `ConfigError` for C entrances to Python code."""
    if isinstance(function, bool | float | str | bytes):
        raise ConfigError(f"stage is {function!r}: give a Python function or the address of a C function")
    if isinstance(function, int):
        if not 0 < function < 1 << (8 * ctypes.sizeof(ctypes.c_void_p)):
            raise ConfigError(f"stage is the address {function:#x}: give that of a C function")
        return function
    if isinstance(function, ctypes._CFuncPtr):  # type: ignore[attr-defined]
        kept = list((function._objects or {}).values())
        if any(type(thing).__name__ == "CThunkObject" for thing in kept) or function._flags_ & _PYTHON_API:
            raise ConfigError("stage is a ctypes function that needs the GIL: give the Python function or a C function")
        return _c_address(int(ctypes.cast(function, ctypes.c_void_p).value or 0))
    try:
        return c_function_address(function)
    except ValueError:
        raise ConfigError("stage is a cffi callback that needs the GIL: give the Python function itself") from None


_PYTHON_API = 4  # ctypes' FUNCFLAG_PYTHONAPI: a function of a PyDLL


class StageChain:
    """The stages of one half. Belongs to the loop thread; keeps every stage until the audio thread has left it."""

    def __init__(self, stages: Any) -> None:
        self._c = stages
        self._current: list[Stage] = []
        self._bypassed: set[Stage] = set()
        self._waiting: list[tuple[int, list[Stage]]] = []  # at most MAX_WAITING: then `post` refuses

    @property
    def stages(self) -> list[Stage]:
        """Those set last, in order."""
        return list(self._current)

    @property
    def kept(self) -> list[Stage]:
        """Those the audio thread may still call: set, or not yet passed."""
        self.release()
        return self._current + [stage for _, gone in self._waiting for stage in gone]

    def post(self, stages: Sequence[Stage], bypassed: set[Stage]) -> None:
        """Hand over a new list; raises `ConfigError` and changes nothing when it cannot be."""
        self.release()
        if len(stages) > MAX_STAGES:
            raise ConfigError(f"{len(stages)} stages are too many: give at most {MAX_STAGES}")
        if len(self._waiting) >= MAX_WAITING:
            raise ConfigError(f"no hop has passed since {MAX_WAITING} changes of stages: start the sound first")
        rows = new("rt_stage[]", MAX_STAGES)
        for row, each in zip(rows, stages, strict=False):
            row.function = pointer("rt_stage_function", each.address)
            row.state = pointer("void *", 0 if each.state is None else each.state.ctypes.data)
            row.latency = each.latency
            row.bypass = each in bypassed
        if lib.rt_stages_set(self._c, rows, len(stages)) != lib.RT_OK:
            raise ConfigError("one stage is in the chain twice with the same state: give each its own")
        gone = [each for each in self._current if each not in stages]
        if gone:
            self._waiting.append((int(lib.rt_stages_posted(self._c)), gone))
        self._current = list(stages)
        self._bypassed = bypassed & set(stages)

    def set_bypass(self, stage: Stage, bypass: bool) -> bool:
        """Whether the stage is here; then it is bypassed or not."""
        if stage not in self._current:
            return False
        self.post(self._current, self._bypassed | {stage} if bypass else self._bypassed - {stage})
        return True

    def replace(self, stages: Sequence[Stage]) -> None:
        """Hand over a new list; a stage that stays keeps its bypass."""
        self.post(stages, self._bypassed & set(stages))

    def release(self) -> None:
        """Let go of replaced stages that the audio thread has passed."""
        if self._waiting:
            passed = int(lib.rt_stages_passed(self._c))
            self._waiting = [(number, gone) for number, gone in self._waiting if number > passed]

    def settle(self) -> None:
        """Take over at once. Only while no audio thread runs."""
        lib.rt_stages_settle(self._c)
        self.release()
