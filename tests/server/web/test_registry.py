"""The registry of client secrets: found until they expire, bounded for each key and for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.server.web.registry import ENTRY_BYTES, Entry, MemoryRegistry, RegistryFull, RegistryLimits


def entry(owner: str = "a", expires_at: int = 100, size: int = 0) -> Entry:
    return Entry(owner, 0.0, expires_at, b"x" * size)


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_an_entry_is_found_as_often_as_asked_until_it_expires() -> None:
    registry = MemoryRegistry()
    registry.add(digest(1), kept := entry(expires_at=100), 0)
    assert [registry.find(digest(1), now) for now in (0, 50, 99.999)] == [kept] * 3
    assert registry.find(digest(2), 0) is None
    assert registry.count(99.999) == 1
    assert registry.find(digest(1), 100) is None
    assert registry.count(100) == 0


def test_a_key_that_is_full_is_refused_until_its_first_expires_and_others_are_not() -> None:
    registry = MemoryRegistry(RegistryLimits(per_key=2))
    registry.add(digest(1), entry(expires_at=50), 0)
    registry.add(digest(2), entry(expires_at=20), 0)
    with pytest.raises(RegistryFull) as full:
        registry.add(digest(3), entry(expires_at=10), 1.5)
    assert (full.value.retry_after_s, full.value.shared) == (19, False)
    assert registry.find(digest(1), 1.5) and registry.find(digest(2), 1.5), "nothing is forgotten early"
    registry.add(digest(4), entry("b"), 1.5)
    registry.add(digest(3), entry(), 20)
    assert registry.count(20) == 3


def test_a_registry_that_is_full_is_refused_for_everybody() -> None:
    registry = MemoryRegistry(RegistryLimits(per_key=2, total=3))
    for number, owner in enumerate("abc"):
        registry.add(digest(number), entry(owner, expires_at=10 + number), 0)
    with pytest.raises(RegistryFull) as full:
        registry.add(digest(9), entry("d"), 9.9)
    assert (full.value.retry_after_s, full.value.shared) == (1, True)
    registry.add(digest(9), entry("d"), 10)


@pytest.mark.parametrize("limits", [RegistryLimits(per_key_bytes=2**23), RegistryLimits(total_bytes=2**23)])
def test_the_sessions_of_the_entries_are_bounded(limits: RegistryLimits) -> None:
    registry = MemoryRegistry(limits)
    registry.add(digest(1), entry(size=2**22), 0)
    with pytest.raises(RegistryFull):
        registry.add(digest(2), entry(size=2**22), 0)
    registry.add(digest(2), entry(size=2**22 - 2 * ENTRY_BYTES), 0)
    with pytest.raises(RegistryFull):
        registry.add(digest(3), entry(), 0)


@pytest.mark.parametrize("field", ["per_key", "per_key_bytes", "total", "total_bytes"])
@pytest.mark.parametrize("value", [0, -1, 2**40])
def test_limits_out_of_range(field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=field):
        RegistryLimits(**{field: value})


def test_the_same_secret_twice_is_refused() -> None:
    registry = MemoryRegistry()
    registry.add(digest(1), entry(), 0)
    with pytest.raises(ConfigError):
        registry.add(digest(1), entry(), 0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(0, 3)), max_size=60))
def test_it_counts_what_a_plain_list_counts(steps: list[tuple[str, int, int]]) -> None:
    limits = RegistryLimits(per_key=4, total=7)
    registry, plain, now = MemoryRegistry(limits), list[tuple[int, Entry]](), 0
    for number, (owner, lasts, passes) in enumerate(steps):
        now += passes
        plain = [(known, each) for known, each in plain if each.expires_at > now]
        new = entry(owner, now + lasts)
        full = len(plain) >= 7 or sum(each.owner == owner for _, each in plain) >= 4
        if full:
            with pytest.raises(RegistryFull):
                registry.add(digest(number), new, now)
        else:
            registry.add(digest(number), new, now)
            plain.append((number, new))
        assert registry.count(now) == len(plain)
        assert [registry.find(digest(known), now) for known in range(number + 1)] == [
            dict(plain).get(known) for known in range(number + 1)
        ]
    assert registry.count(10**6) == 0
    assert not registry._shares and registry._size == 0
