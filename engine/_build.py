"""Build step: collect the C declarations Python may use and emit the extension's C source.

Run by CMake as `python _build.py CSRC_DIR OUTPUT.c`. Each header in csrc/ marks its public part with the comments
`cdef begin` and `cdef end`, so a declaration is written once.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cffi

SECTION = re.compile(r"/\* cdef begin \*/(.*?)/\* cdef end \*/", re.DOTALL)


def declarations(csrc: Path) -> tuple[str, list[str]]:
    """Return the joined public sections and the names of the headers that hold them, status header first."""
    headers = sorted(csrc.glob("*.h"), key=lambda path: (path.name != "rt.h", _rank(path), path.name))
    parts: list[str] = []
    names: list[str] = []
    for header in headers:
        sections = SECTION.findall(header.read_text(encoding="utf-8"))
        if sections:
            names.append(header.name)
            parts.extend(section.replace("RT_NONBLOCKING", "") for section in sections)
    return "\n".join(parts), names


def _rank(header: Path) -> int:
    """Order headers by how deep they include others, so that types are declared before they are used."""
    if not header.exists():
        return 0
    included = re.findall(r'#include "([^"]+)"', header.read_text(encoding="utf-8"))
    return 1 + max((_rank(header.parent / name) for name in included), default=0)


def main(csrc: str, output: str) -> None:
    cdef, headers = declarations(Path(csrc))
    builder = cffi.FFI()
    builder.cdef(cdef)
    source = "\n".join(f'#include "{name}"' for name in headers)
    builder.set_source("engine._native", source, py_limited_api=True)
    builder.emit_c_code(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
