"""The numba twins of G.711 equal the C core on every input there is."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from engine.audio import g711
from engine.errors import ConfigError

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = np.arange(256).astype(np.uint8)


@pytest.fixture(scope="module")
def twins() -> Any:
    pytest.importorskip("numba", reason='numba is absent: pip install "bargein[stages]" to test the twins')
    from engine.audio import g711_numba

    return g711_numba


@pytest.mark.parametrize("name", ["ulaw_encode", "alaw_encode", "ulaw_decode", "alaw_decode"])
def test_equals_the_core_on_every_input(twins: Any, name: str) -> None:
    source = EVERY_SAMPLE if name.endswith("encode") else EVERY_CODE
    got = getattr(twins, name)(source)
    wanted = getattr(g711, name)(source)
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("name", ["ulaw_to_alaw", "alaw_to_ulaw"])
def test_equals_the_core_between_the_laws(twins: Any, name: str) -> None:
    np.testing.assert_array_equal(getattr(twins, name)(EVERY_CODE), getattr(g711, name)(EVERY_CODE))


def test_a_compiled_function_may_call_the_scalar_twins(twins: Any) -> None:
    numba = pytest.importorskip("numba")
    code, value = twins.ulaw_code, twins.alaw_value

    def both(sample: int, law_code: int) -> int:
        return int(code(sample) * 100000 + value(law_code))

    assert numba.njit(both)(-1, 0xD5) == 0x7F * 100000 + 8


def test_without_numba_the_import_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "engine.audio.g711_numba", raising=False)
    with pytest.raises(ConfigError, match=r"pip install .bargein\[stages\]"):
        __import__("engine.audio.g711_numba")
