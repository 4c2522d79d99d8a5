"""Stages from Python: compiled by numba, and refused when the machine code could make an audio thread wait.

What is judged is the code itself, not the source: numba's LLVM module is optimised once more as one closed program, so
that paths which cannot be taken fall away, and whatever it still calls outside must be on the list of harmless names.
Only for the message of a refusal the function is compiled again with its line numbers. Needs the extra `stages`.
"""

from __future__ import annotations

import dis
import importlib
import inspect
import math
import re
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from engine.errors import ConfigError, MissingExtraError

Shape = tuple[int, ...] | None

_MATHS = (
    "acos|acosh|asin|asinh|atan|atan2|atanh|cbrt|ceil|copysign|cos|cosh|erf|erfc|exp|exp2|expm1|fabs|floor|fma|fmax|fmin|fmod"
    "|frexp|hypot|ldexp|log|log10|log1p|log2|lrint|lround|modf|nearbyint|nextafter|pow|remainder|rint|round|scalbn|sin|sincos"
    "|sinh|sqrt|tan|tanh|trunc"
)
HARMLESS = re.compile(
    rf"llvm\..*|__svml_\w+|(?:{_MATHS})f?|mem(?:cpy|move|set)|numba_(?:sdiv|srem|udiv|urem|cpow|cpowf|frexpf?|ldexpf?)"
    r"|__(?:u?div|u?mod)ti3|__powi[sd]f2"
)
"""Functions outside that neither allocate, lock, print, raise nor know Python."""

_REASONS = (
    (re.compile(r"NRT_(?!.*cref)\w*[Aa]lloc\w*|NRT_Reallocate|malloc|calloc|realloc"), "allocates memory"),
    (re.compile(r"NRT_\w+|free"), "allocates or frees memory"),
    (re.compile(r"raises_"), "can raise an exception"),
    (re.compile(r"numba_(do_raise|unpickle|runtime_build_excinfo_struct)"), "can raise an exception"),
    (re.compile(r"printf|puts|putchar|PySys_\w+"), "prints"),
    (re.compile(r"Py\w+|_Py\w+|numba_gil_\w+"), "calls the Python interpreter"),
    (re.compile(r"numba_(get_\w*random\w*|rnd_\w+)"), "uses the shared random generator"),
    (re.compile(r"<pointer>"), "calls a function through a pointer, which cannot be inspected"),
)
_MARK = "raises_"
_CALL = re.compile(r"^ .*?\bcall\b.*?([@%])\"?([\w.<>$-]+)\"?\(.*, !dbg (!\d+)", re.MULTILINE)
"""Of LLVM's text: a call of a function (@) or through a value (%), its name, and the number of its place."""


def compile_stage(function: Callable[..., Any], state: NDArray[Any] | None) -> Any:
    """The numba CFunc of `function(state, block)`, or of `function(block)` where there is no state.

    Raises `ConfigError` naming the line that cannot be compiled, or that could allocate, raise, print or reach Python.
    """
    _numba()
    function = getattr(function, "py_func", None) or inspect.unwrap(function)  # what @njit and @cfunc were put on
    _check_parameters(function, state)
    _check_fields(function, state)
    shape = None if state is None else state.shape
    try:
        compiled, found = _judged(function, None if state is None else state.dtype, shape)
    except Exception as error:  # numba reports what it cannot do by many types, KeyError among them
        raise ConfigError(
            f"stage {function.__name__} cannot be compiled: {_line_of(error, function)}: {_gist(error)}"
        ) from None
    if not found:
        return compiled
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about lines of helper functions that numba makes up
        told = _compile(function, state.dtype if state is not None else None, shape, debug=True, _dbg_optnone=True)
    line, why = _blame(told.inspect_llvm())
    where = f"{function.__code__.co_filename}:{line or function.__code__.co_firstlineno}"
    raise ConfigError(
        f"stage {function.__name__} is refused: {where} {why or _reason(min(found))}; an audio thread may neither "
        "allocate, raise, print nor call Python: use loops over the block and arrays in the state"
    )


def _numba() -> Any:
    try:
        return importlib.import_module("numba")
    except ImportError:
        raise MissingExtraError("a stage written in Python", "stages") from None


def _check_parameters(function: Callable[..., Any], state: NDArray[Any] | None) -> None:
    expected = ["state", "block"] if state is not None else ["block"]
    if not inspect.isfunction(function):
        raise ConfigError(f"stage is {function!r}: give a Python function or the address of a C function")
    if function.__code__.co_argcount != len(expected) or function.__code__.co_flags & (
        inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
    ):
        given = "with" if state is not None else "without"
        raise ConfigError(f"stage {function.__name__} {given} state must take ({', '.join(expected)})")


def _check_fields(function: Callable[..., Any], state: NDArray[Any] | None) -> None:
    """Fields that the record has not: numba would not say where."""
    if state is None or state.dtype.names is None or state.size != 1:
        return
    name, line, before = function.__code__.co_varnames[0], 0, ""
    for step in dis.get_instructions(function):
        line = _starts_line(step) or line
        if before == name and step.opname in ("LOAD_ATTR", "STORE_ATTR") and step.argval not in state.dtype.names:
            where = f"{function.__code__.co_filename}:{line}"
            raise ConfigError(
                f"stage {function.__name__} cannot be compiled: {where}: state has no field {step.argval!r}, "
                f"it has {', '.join(state.dtype.names)}"
            )
        loaded = step.argval if step.opname.startswith("LOAD_FAST") else ""
        before = loaded[-1] if isinstance(loaded, tuple) else loaded


def _starts_line(step: dis.Instruction) -> int:
    """The line that begins here, 0 for none: Python 3.13 changed what `starts_line` holds."""
    number = getattr(step, "line_number", step.starts_line)
    return int(number or 0)


@lru_cache(maxsize=64)  # what a second stage of the same kind uses again; then the oldest is forgotten
def _judged(function: Callable[..., Any], dtype: Any, shape: Shape) -> tuple[Any, frozenset[str]]:
    """The compiled function and what it may not call."""
    compiled = _compile(function, dtype, shape, forceinline=True)
    return compiled, frozenset(foreign_calls(compiled.inspect_llvm()))


def _compile(function: Callable[..., Any], dtype: Any, shape: Shape, **options: Any) -> Any:
    """A cfunc around the function: pointers become one record, or an array, and the block."""
    numba = _numba()
    carray, types = numba.carray, numba.types
    inner = numba.njit(error_model="numpy", **options)(function)
    if shape is None:

        def entry(_state: Any, block: Any, n: Any) -> None:
            inner(carray(block, (n,)))

    elif dtype.names and math.prod(shape) == 1:

        def entry(_state: Any, block: Any, n: Any) -> None:
            inner(carray(_state, (1,))[0], carray(block, (n,)))

    else:

        def entry(_state: Any, block: Any, n: Any) -> None:
            inner(carray(_state, shape), carray(block, (n,)))

    state_type = types.voidptr if shape is None else types.CPointer(numba.from_dtype(dtype))
    signature = types.void(state_type, types.CPointer(types.float32), types.uintp)
    return numba.cfunc(signature, error_model="numpy")(entry)


def foreign_calls(llvm: str) -> set[str]:
    """What the code can still call outside itself, once all that cannot happen has been taken out of it, and is not
    harmless.
    """
    from llvmlite.binding import ValueKind

    found: set[str] = set()
    module = _closed_program(llvm)
    own = {function.name for function in module.functions if not function.is_declaration}
    for function in module.functions:
        for block in function.blocks:
            for instruction in block.instructions:
                if instruction.opcode not in ("call", "invoke", "callbr"):
                    continue
                callee = list(instruction.operands)[-1]
                if callee.value_kind != ValueKind.function:
                    found.add("<pointer>")
                elif callee.name not in own and not HARMLESS.fullmatch(callee.name):
                    found.add(callee.name)
    return found


def _closed_program(llvm: str) -> Any:
    """The module with nothing visible but the entry, optimised as a whole."""
    from llvmlite import binding

    text = re.sub(r"^(attributes #\d+ = \{)(.*)\}$", _may_be_inlined, llvm, flags=re.MULTILINE)
    module = binding.parse_assembly(text)
    for function in module.functions:
        if not function.is_declaration and not function.name.startswith("cfunc."):
            function.linkage = "internal"
    machine = binding.Target.from_default_triple().create_target_machine(opt=3)
    builder = binding.create_pass_builder(machine, binding.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    return module


def _may_be_inlined(attributes: re.Match[str]) -> str:
    kept = re.sub(r"\b(noinline|optnone|nounwind)\b", "", attributes[2])
    return f"{attributes[1]} nounwind{kept}}}"


def _blame(llvm: str) -> tuple[int, str]:
    """The first line that still calls what it may not, and why it may not; (0, "") when no line can be told.

    Raising is a store of the exception's description: a call of a marker is put beside each, to see which survive.
    """
    marked = re.sub(r"^ *store .*!numba_exception_output.*$", _marked, llvm, flags=re.MULTILINE)
    text = str(_closed_program(f"{marked}\ndeclare void @{_MARK}() nounwind\n"))
    lines = {
        number: int(line)
        for number, line in re.findall(r"^(!\d+) = (?:distinct )?!DILocation\(line: (\d+)", text, re.MULTILINE)
    }
    blamed = []
    for kind, name, location in re.findall(
        r"^ .*?\bcall\b.*?([@%])\"?([\w.<>$-]+)\"?\(.*, !dbg (!\d+)", text, re.MULTILINE
    ):
        callee = name if kind == "@" else "<pointer>"
        own = kind == "@" and not _is_declared(text, name)
        if lines.get(location) and not own and not HARMLESS.fullmatch(callee):
            blamed.append((lines[location], _reason(callee)))
    return min(blamed, default=(0, ""))


def _marked(store: re.Match[str]) -> str:
    location = re.search(r", !dbg !\d+", store[0])
    return f"{store[0]}\n  call void @{_MARK}(){location[0] if location else ''}"


def _is_declared(llvm: str, name: str) -> bool:
    return re.search(rf"^declare .*@\"?{re.escape(name)}\"?\(", llvm, re.MULTILINE) is not None


def _reason(callee: str) -> str:
    for pattern, reason in _REASONS:
        if pattern.fullmatch(callee):
            return reason
    return f"calls {callee}, which is not known to be harmless"


def _line_of(error: Exception, function: Callable[..., Any]) -> str:
    """The place in the user's file that numba complains about, else where the function begins."""
    name = function.__code__.co_filename
    numbers = re.findall(rf'File "[^"]*{re.escape(name.rsplit("/", 1)[-1])}", line (\d+)', str(error))
    return f"{name}:{numbers[-1] if numbers else function.__code__.co_firstlineno}"


def _gist(error: Exception) -> str:
    """numba's complaint in one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    told = [line.strip() for line in text.splitlines() if line.strip()]
    useful = [line for line in told if not re.match(r"Failed in nopython|During:|File |Cannot|- ", line)]
    return (useful or told or ["unknown reason"])[0][:200]
