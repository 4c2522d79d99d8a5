"""The door to the C core, and the only module that knows cffi.

`lib` holds the functions declared in the headers of csrc/. Their contracts (units, ranges, threads) stand there;
the faces in `engine.audio` check arguments, so `lib` is not for direct use elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from engine import _native  # type: ignore[attr-defined]  # built by CMake, see engine/_build.py

lib: Any = _native.lib
_ffi: Any = _native.ffi

ALIGNMENT = 64


class Block:
    """Memory for one C block: 64-byte aligned, zeroed, every page touched, alive as long as this object."""

    def __init__(self, size: int) -> None:
        if size <= 0:
            raise ValueError(f"block size is {size}: the configuration was refused by the C core")
        self._memory = np.zeros(size + ALIGNMENT, dtype=np.uint8)
        self._memory.fill(0)  # touches every page now, so that an audio thread never takes the page fault
        offset = -self._memory.ctypes.data % ALIGNMENT
        self.view = self._memory[offset : offset + size]

    def pointer(self, ctype: str) -> Any:
        """The block's address as `ctype`, e.g. "rt_ring *". Keep the Block alive while the pointer is used."""
        return _ffi.cast(ctype, self.view.ctypes.data)


def address(array: np.ndarray[Any, Any], ctype: str) -> Any:
    """The address of a C-contiguous array as `ctype`, e.g. "float *". Keep the result alive while it is used: it
    holds the array.

    Goes through the buffer protocol, nine times quicker than `array.ctypes`.
    """
    return _ffi.from_buffer(_ARRAYS.get(ctype) or _ffi.typeof(ctype.replace(" *", "[]")), array)


_ARRAYS: dict[str, Any] = {
    ctype: _ffi.typeof(ctype.replace(" *", "[]"))
    for ctype in ("float *", "int16_t *", "uint8_t *", "rt_record *", "rt_event *", "rt_pair *")
}
_ARRAYS["void *"] = _ffi.typeof("char[]")  # C takes any object pointer for void *


unfilled: Callable[[int], Any] = partial(_ffi.new_allocator(should_clear_after_alloc=False), _ffi.typeof("char[]"))
"""So many bytes of memory for C to fill, aligned for any number; alive as long as the object."""

content: Callable[[Any, int], Any] = _ffi.unpack
"""What stands at the beginning: so many bytes of `unfilled` memory as bytes, so many numbers of an array as a list."""


buffer: Callable[[Any], Any] = _ffi.from_buffer
"""A `char *` view of C-contiguous memory (bytes-like, or an array), without a copy. Raises ValueError or BufferError
for other memory. Keep the result alive while it is used."""


def new(ctype: str, initial: Any = None) -> Any:
    """A zeroed C struct or value owned by the returned object, e.g. new("rt_gate_config *")."""
    return _ffi.new(ctype, initial) if initial is not None else _ffi.new(ctype)


def pointer(ctype: str, address: int) -> Any:
    """An address from elsewhere (machine code, an array) as `ctype`. Nothing is kept alive by it."""
    return _ffi.cast(ctype, address)


def function(name: str) -> Any:
    """The C function of this name as a pointer, for those who call it from C."""
    return _ffi.addressof(lib, name)


def c_function_address(thing: Any) -> int | None:
    """The address of a cffi function pointer, of any FFI; None for what is none. Raises `ValueError` for a callback
    into Python, which would take the GIL.
    """
    if not isinstance(thing, _ffi.CData) or _ffi.typeof(thing).kind != "function":
        return None
    if " calling <" in repr(thing):
        raise ValueError(f"{thing!r} is a callback into Python")
    return int(_ffi.cast("uintptr_t", thing))


def text(pointer: Any) -> str:
    """A C string as str."""
    value: bytes = _ffi.string(pointer)
    return value.decode()


def status_text(status: int) -> str:
    """What a status code of the core means."""
    return text(lib.rt_status_text(status))
