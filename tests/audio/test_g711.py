"""G.711 from Python: the ITU's own vectors, plain formulas, and errors that help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import g711
from engine.errors import ConfigError
from tests.conftest import shared_path

EVERY_SAMPLE = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = np.arange(256).astype(np.uint8)

Law = tuple[Callable[[Any], Any], Callable[[Any], Any]]
ULAW: Law = (g711.ulaw_encode, g711.ulaw_decode)
ALAW: Law = (g711.alaw_encode, g711.alaw_decode)
LAWS = pytest.mark.parametrize("law", [ULAW, ALAW], ids=["ulaw", "alaw"])


def vector(name: str) -> NDArray[np.int16]:
    return np.frombuffer(shared_path("audio", "g711", name).read_bytes(), dtype="<i2").astype(np.int16)


@pytest.mark.parametrize(("law", "codes", "decoded"), [(ULAW, "u", "reu"), (ALAW, "a", "rea")], ids=["ulaw", "alaw"])
def test_equals_the_itu_vectors_on_all_inputs(law: Law, codes: str, decoded: str) -> None:
    encode, decode = law
    source = vector("sweep.src")
    assert len(source) == 65536
    coded = encode(source)
    np.testing.assert_array_equal(coded, vector(f"sweep-r.{codes}"))
    np.testing.assert_array_equal(decode(coded), vector(f"sweep-r.{decoded}"))


def ulaw_values() -> NDArray[np.int64]:
    """G.711 table 2a by its definition: 8 segments of 16 steps, each twice as wide as the one before."""
    inverted = 255 - np.arange(256)
    segment, step = inverted // 16 % 8, inverted % 16
    magnitude = 4 * ((2 * step + 33) * 2**segment - 33)
    return np.where(inverted >= 128, -magnitude, magnitude)


def alaw_values() -> NDArray[np.int64]:
    """G.711 table 1a by its definition: the first two segments share a step, then each doubles it."""
    plain = np.arange(256) ^ 0x55
    segment, step = plain // 16 % 8, plain % 16
    magnitude = 8 * np.where(segment == 0, 2 * step + 1, (2 * step + 33) * 2 ** np.maximum(segment - 1, 0))
    return np.where(plain >= 128, magnitude, -magnitude)


@pytest.mark.parametrize(("law", "values"), [(ULAW, ulaw_values()), (ALAW, alaw_values())], ids=["ulaw", "alaw"])
def test_decodes_every_code_by_the_definition(law: Law, values: NDArray[np.int64]) -> None:
    np.testing.assert_array_equal(law[1](EVERY_CODE), values)


@LAWS
def test_encodes_every_sample_to_a_level_within_half_a_step(law: Law) -> None:
    encode, decode = law
    levels = np.unique(decode(EVERY_CODE).astype(np.int64))
    got = decode(encode(EVERY_SAMPLE)).astype(np.int64)
    wanted = EVERY_SAMPLE.astype(np.int64)
    above = levels[np.minimum(np.searchsorted(levels, got, side="right"), len(levels) - 1)]
    below = levels[np.maximum(np.searchsorted(levels, got) - 1, 0)]
    step = np.maximum(above - got, got - below)
    inside = (wanted >= levels[0]) & (wanted <= levels[-1])
    assert (np.abs(got - wanted) <= step / 2 + 8)[inside].all()  # 8: the low bits that G.711 never sees
    assert (np.diff(got) >= 0).all()


@LAWS
def test_code_to_linear_to_code_is_the_identity_but_for_negative_zero(law: Law) -> None:
    encode, decode = law
    changed = EVERY_CODE[encode(decode(EVERY_CODE)) != EVERY_CODE]
    assert changed.tolist() == ([0x7F] if law is ULAW else [])


def test_silence_has_the_laws_own_code() -> None:
    zeros = np.zeros(3, dtype=np.int16)
    assert g711.ulaw_encode(zeros).tolist() == [g711.ULAW_SILENCE] * 3
    assert g711.alaw_encode(zeros).tolist() == [g711.ALAW_SILENCE] * 3


@LAWS
def test_takes_strided_and_empty_and_read_only_arrays(law: Law) -> None:
    encode, decode = law
    np.testing.assert_array_equal(encode(EVERY_SAMPLE[::-3]), encode(EVERY_SAMPLE)[::-3])
    np.testing.assert_array_equal(decode(EVERY_CODE[::2]), decode(EVERY_CODE)[::2])
    assert encode(EVERY_SAMPLE[:0]).shape == decode(EVERY_CODE[:0]).shape == (0,)
    frozen = EVERY_CODE.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(decode(frozen), decode(EVERY_CODE))


ACROSS = [
    (g711.ulaw_to_alaw, g711.ulaw_decode, g711.alaw_encode),
    (g711.alaw_to_ulaw, g711.alaw_decode, g711.ulaw_encode),
]


@pytest.mark.parametrize(("across", "decode", "encode"), ACROSS, ids=["ulaw to alaw", "alaw to ulaw"])
def test_between_the_laws_is_the_way_through_linear_on_every_code(across: Any, decode: Any, encode: Any) -> None:
    np.testing.assert_array_equal(across(EVERY_CODE), encode(decode(EVERY_CODE)))
    assert across(b"") == b""


def test_there_and_back_between_the_laws_stays_within_one_step() -> None:
    """Tandem coding: a code that went to the other law and back is at most one away, its sign but for zero's kept."""
    for there, back in ((g711.ulaw_to_alaw, g711.alaw_to_ulaw), (g711.alaw_to_ulaw, g711.ulaw_to_alaw)):
        decode = g711.ulaw_decode if there is g711.ulaw_to_alaw else g711.alaw_decode
        levels = decode(EVERY_CODE).astype(int)
        returned = decode(back(there(EVERY_CODE))).astype(int)
        order = np.unique(levels)
        assert (np.abs(np.searchsorted(order, returned) - np.searchsorted(order, levels)) <= 1).all()


ALL_WAYS = [
    (g711.ulaw_encode, EVERY_SAMPLE),
    (g711.alaw_encode, EVERY_SAMPLE),
    (g711.ulaw_decode, EVERY_CODE),
    (g711.alaw_decode, EVERY_CODE),
    (g711.ulaw_to_alaw, EVERY_CODE),
    (g711.alaw_to_ulaw, EVERY_CODE),
]


@pytest.mark.parametrize(("convert", "source"), ALL_WAYS)
def test_bytes_give_the_bytes_of_what_arrays_give(convert: Any, source: NDArray[Any]) -> None:
    wanted = convert(source).tobytes()
    data = source.tobytes()
    for given in (data, bytearray(data), memoryview(data), source.data):
        got = convert(given)
        assert type(got) is bytes
        assert got == wanted
    assert convert(b"") == b""
    shifted = memoryview(b"x" + data)[1:]  # not aligned
    assert convert(shifted) == wanted


@pytest.mark.parametrize("encode", [g711.ulaw_encode, g711.alaw_encode])
def test_half_a_sample_is_a_config_error(encode: Any) -> None:
    with pytest.raises(ConfigError, match="samples has 3 bytes, half a sample"):
        encode(b"abc")


WRONG: list[tuple[Any, str]] = [
    ([1, 2], "list"),
    (np.zeros(4, dtype=np.float32), "dtype float32"),
    (np.zeros(4, dtype=np.int32), "dtype int32"),
    (np.zeros((2, 2), dtype=np.int16), "dtype int16|shape"),
    (np.zeros((2, 2), dtype=np.uint8), "dtype uint8|shape"),
]


@LAWS
@pytest.mark.parametrize(("value", "named"), WRONG)
def test_a_wrong_array_is_a_config_error_that_names_it(law: Law, value: Any, named: str) -> None:
    for function in law:
        with pytest.raises(ConfigError, match=named):
            function(value)
