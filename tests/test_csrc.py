"""Rules of the C core, held by its text and by what its objects ask of the outside."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[1] / "csrc"
BLOCKS = sorted(CSRC.glob("*.c"))
HEADERS = sorted(CSRC.glob("*.h"))
NAMED_EXCEPTIONS = {
    "device": {"clock_gettime", "pthread_self", "pthread_setschedparam"},
    "wakeup": {"write"},
    "pacer": {
        "clock_gettime", "clock_nanosleep", "getpid", "pthread_create", "pthread_join", "pthread_sigmask", "sigfillset",
    },
}  # fmt: skip
ALLOWED = {"memcpy", "memmove", "memset"}
MATHS = {
    "acos", "asin", "atan", "atan2", "cbrt", "ceil", "copysign", "cos", "cosh", "exp", "exp2", "expm1", "fabs",
    "floor", "fma", "fmax", "fmin", "fmod", "frexp", "hypot", "ldexp", "log", "log10", "log1p", "log2", "lrint",
    "lround", "modf",
    "nearbyint", "pow", "remainder", "rint", "round", "scalbn", "sin", "sincos", "sinh", "sqrt", "tan", "tanh", "trunc",
}  # fmt: skip
COMPILERS_OWN = re.compile(
    r"__stack_chk_(fail|guard)(_local)?|_GLOBAL_OFFSET_TABLE_|__(mem\w+|\w+)_chk|__asan_\w+|__ubsan_\w+|__tsan_\w+"
    r"|__cpu_model"  # what the processor can do, for wide.h
)
FORBIDDEN = re.compile(
    r"\b(malloc|calloc|realloc|free|alloca|printf|fprintf|sprintf|snprintf|puts|putc|fopen|fwrite|abort|exit|errno|setjmp|longjmp"
    r"|pthread_\w+|mtx_\w+|sem_\w+|nanosleep|usleep|time|clock_gettime|rand|random|Py\w+|atomic_(?:fetch|exchange|compare)\w*)\s*\("
)


def nm(path: Path) -> set[str]:
    """The undefined symbols of one object."""
    tool = shutil.which("nm") or pytest.skip("nm is absent")
    out = subprocess.run([tool, "-u", str(path)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].partition("@")[0] for line in out.splitlines() if line.strip()}


def compiled(source: Path, folder: Path) -> Path:
    """The object of one source file, with the optimization that the wheel uses."""
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    out = folder / f"{source.stem}.o"
    flags = ["-std=gnu11", "-O2", "-fno-sanitize=all", f"-I{CSRC}"]
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(out)], capture_output=True, text=True, check=True)
    return out


def foreign(symbols: set[str], block: str) -> set[str]:
    """What a block asks for and may not."""
    maths = {name + suffix for name in MATHS for suffix in ("", "f")}
    return {
        name
        for name in symbols - ALLOWED - maths - NAMED_EXCEPTIONS.get(block, set())
        if not name.startswith("rt_") and not COMPILERS_OWN.fullmatch(name)
    }


def without_comments(text: str) -> str:
    """The code alone, comments and string literals blanked."""
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"', " ", text, flags=re.DOTALL)


@pytest.mark.parametrize("source", BLOCKS, ids=lambda path: path.stem)
def test_a_block_needs_only_memory_moves_and_maths(source: Path, tmp_path: Path) -> None:
    symbols = nm(compiled(source, tmp_path))
    assert foreign(symbols, source.stem) == set()
    for name in NAMED_EXCEPTIONS.get(source.stem, set()):
        assert name in symbols, f"{source.name} does not need {name} any more: take it off the list"


def test_the_check_finds_what_is_forbidden(tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text(
        '#include <stdlib.h>\n#include <stdio.h>\nvoid *f(int n) { printf("%d", n); return malloc((size_t)n); }\n'
    )
    assert foreign(nm(compiled(source, tmp_path)), "bad") == {"printf", "malloc"}
    assert FORBIDDEN.search(without_comments(source.read_text()))
    assert not FORBIDDEN.search(without_comments('/* malloc() */ char *s = "free()"; // printf()\n'))


@pytest.mark.parametrize(
    "path", [path for path in [*BLOCKS, *HEADERS] if path.stem not in NAMED_EXCEPTIONS], ids=lambda path: path.name
)
def test_no_forbidden_word_is_in_the_code(path: Path) -> None:
    found = FORBIDDEN.search(without_comments(path.read_text()))
    assert found is None, f"{path.name}: {found and found.group()}"


@pytest.mark.parametrize("path", [*BLOCKS, *HEADERS], ids=lambda path: path.name)
def test_there_is_no_changeable_global_state(path: Path) -> None:
    for line in without_comments(path.read_text()).splitlines():
        variable = re.match(
            r"(?:static |_Atomic |extern )*(?:unsigned |struct |const )*\w+[ *]+\w+(?:\[[^]]*\])*\s*(?:=|;)", line
        )
        assert variable is None or "const" in line or line.startswith(("typedef", "return")), f"{path.name}: {line}"


def declared(header: Path) -> list[tuple[str, bool]]:
    """Each function between the cdef marks, and whether a comment speaks of it: before it, its group, or beside it."""
    section = re.search(r"/\* cdef begin \*/(.*?)/\* cdef end \*/", header.read_text(), re.DOTALL)
    if section is None:
        return []
    found, spoken = [], False
    for statement in re.split(r"\n(?=\S)", section.group(1)):
        if statement.startswith("/*"):
            spoken = True
        function = re.search(r"\b(rt_\w+)\(", without_comments(statement))
        if function and not statement.startswith("typedef"):
            found.append((function.group(1), spoken or "/*" in statement))
        if not statement.rstrip() or statement.endswith("\n"):
            spoken = False
    return found


VERBS = ("_size", "_init", "_reset", "_latency")  # one verb set for every block: the architecture page speaks of them


@pytest.mark.parametrize(
    "header", [path for path in HEADERS if "cdef begin" in path.read_text()], ids=lambda path: path.name
)
def test_every_function_python_may_call_has_a_comment(header: Path) -> None:
    silent = [name for name, spoken in declared(header) if not (spoken or name.endswith(VERBS))]
    assert silent == [], f"{header.name}: declared without a word about them"


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_every_header_begins_with_its_contract(header: Path) -> None:
    top = header.read_text().split("*/")[0]
    assert top.startswith(f"/* {header.name} - ")
    assert top.count("\n") >= 2


def floats_of(header: Path) -> set[str]:
    """Every float and double in the structs that are state: after the cdef section, or all where there is none."""
    state = without_comments(header.read_text().split("/* cdef end */")[-1])
    found = set()
    for body in re.findall(r"\bstruct \w+ \{(.*?)\n\}", state, re.DOTALL):
        for fields in re.findall(r"\b(?:float|double) ([\w\s,\[\]*+]+);", body):
            found |= {re.sub(r"\W.*", "", field.strip()) for field in re.sub(r"\[[^]]*\]", "", fields).split(",")}
    return found


STATELESS = {"kaiser", "fft", "gru"}  # their structs are what init is told, and tables
OF_TIMES = {"due", "stamps"}  # no sound passes them: some numbers per callback, and times are never small


@pytest.mark.parametrize(
    "header",
    [path for path in HEADERS if floats_of(path) and path.stem not in STATELESS | OF_TIMES],
    ids=lambda path: path.name,
)
def test_the_scan_for_subnormals_knows_every_float(header: Path) -> None:
    lists = (CSRC / "tests" / "subnormal.h").read_text()
    listed = {field.rpartition(".")[2] for field in re.findall(r"FLOATS\(rt_\w+, ([\w.]+)\)", lists)}
    assert floats_of(header) - listed == set(), f"{header.name}: not in csrc/tests/subnormal.h"


def test_state_has_floats_to_scan() -> None:
    assert {"z1", "z2", "a1"} < floats_of(CSRC / "biquad.h")
    assert {"window", "past", "products"} < floats_of(CSRC / "vad_features.h")
    assert {"energy", "least_now"} < floats_of(CSRC / "vad.h")
    assert {"slow", "fast", "target_us"} < floats_of(CSRC / "delays.h")
    assert floats_of(CSRC / "gate.h") == {"history"}
