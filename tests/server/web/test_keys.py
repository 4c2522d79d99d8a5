"""API keys: where they come from, what is kept of them, and how they are read again."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from engine.errors import ConfigError
from engine.server.web.keys import MAX_FILE_BYTES, MAX_KEYS, VARIABLE, KeyRing, Keys, digest_of, key_ring, read_file

KITCHEN, GARAGE = "sk-kitchen-0123456789", "sk-garage-0123456789"


def keys_file(path: Path, text: str, mode: int = 0o600) -> Path:
    file = path / "keys"
    file.write_text(text)
    file.chmod(mode)
    return file


def test_a_file_of_keys_names_and_digests(tmp_path: Path) -> None:
    digest = hashlib.sha256(GARAGE.encode()).hexdigest()
    text = f"# ours\nkitchen {KITCHEN}  # upstairs\n\n  garage\tsha256:{digest}\nsk-without-a-name-1\n"
    keys = read_file(keys_file(tmp_path, text))
    assert (keys.owner(KITCHEN), keys.owner(GARAGE)) == ("kitchen", "garage")
    assert keys.owner("sk-without-a-name-1") == f"key-{digest_of('sk-without-a-name-1').hex()[:12]}"
    assert (len(keys), bool(keys), "garage" in keys, "cellar" in keys) == (3, True, True, False)
    for wrong in ("", "sk-", KITCHEN[:-1], KITCHEN + "x", digest, f"sha256:{digest}", "é", "\udcff"):
        assert keys.owner(wrong) is None


def test_a_sign_of_comments_inside_of_a_key_belongs_to_it(tmp_path: Path) -> None:
    """Else the part before it would open, and the key itself would not."""
    keys = read_file(keys_file(tmp_path, f"kitchen {KITCHEN}#2026#\t# upstairs\n#{GARAGE}\n"))
    assert (len(keys), keys.owner(KITCHEN), keys.owner(f"{KITCHEN}#2026#")) == (1, None, "kitchen")


def test_a_file_as_some_editors_write_it(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(b"\xef\xbb\xbfkitchen " + KITCHEN.encode() + b"\r\n")
    assert read_file(file).owner(KITCHEN) == "kitchen"


def test_nothing_of_a_key_is_kept_but_its_digest(tmp_path: Path) -> None:
    keys = read_file(keys_file(tmp_path, f"kitchen {KITCHEN}\n"))
    assert vars(keys)["_names"] == {hashlib.sha256(KITCHEN.encode()).digest(): "kitchen"}
    assert KITCHEN not in repr(keys) + repr(KeyRing(keys)) + repr(vars(keys))


def test_every_key_is_compared_with_the_one_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """In constant time each, and never fewer because one has matched."""
    names = {digest_of(f"sk-0123456789abcde{number}"): f"n{number}" for number in range(5)}
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for shown in ("sk-0123456789abcde0", "sk-0123456789abcde4", "unknown"):
        compared.clear()
        Keys(names).owner(shown)
        assert compared == [(digest, digest_of(shown)) for digest in names]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no key"),
        ("# nothing\n\n", "no key"),
        ("a b sk-0123456789abcdef\n", "line 1: give one key"),
        ("sk-0123456789abcdef\ntooshort\n", "line 2: a key has 16 to 512"),
        ("ek_0123456789abcdef0123\n", "line 1: a key cannot begin with ek_"),
        ("sha256:0123\n", "64 hex digits"),
        ("sk-0123456789abcdé\n", "visible characters"),
        ("na/me sk-0123456789abcdef\n", "line 1: a name has"),
        ("x" * 513, "16 to 512"),
        ("\n".join(f"sk-0123456789-{number:05}" for number in range(MAX_KEYS + 1)), "more than 1000 keys"),
        ("#" * (MAX_FILE_BYTES + 1), "longer than"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_without_its_words(text: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint) as raised:
        read_file(keys_file(tmp_path, text))
    assert str(tmp_path) in str(raised.value)
    assert not any(word in str(raised.value) for word in text.split() if len(word) > 5)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        key_ring(tmp_path / "none", {})


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o604, True)])
def test_a_file_that_others_can_read(mode: int, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_file(keys_file(tmp_path, f"{KITCHEN}\n", mode))
    assert ("can be read by everybody" in caplog.text) is warned
    caplog.clear()
    read_file(keys_file(tmp_path, f"sha256:{digest_of(KITCHEN).hex()}\n", mode))
    assert not caplog.text, "digests open nothing"


def test_keys_of_the_environment_are_taken_out_of_it() -> None:
    environment = {VARIABLE: f"{KITCHEN}, {GARAGE}", "HOME": "/"}
    ring = key_ring(None, environment)
    assert len(ring.current) == 2 and ring.current.owner(GARAGE)
    assert environment == {"HOME": "/"}, "programs that the server starts do not inherit them"
    ring.reload()
    assert len(ring.current) == 2
    assert not key_ring(None, environment).current
    with pytest.raises(ConfigError, match=VARIABLE):
        key_ring(None, {VARIABLE: "short"})


def test_a_file_goes_before_the_environment(tmp_path: Path) -> None:
    environment = {VARIABLE: GARAGE}
    ring = key_ring(keys_file(tmp_path, KITCHEN), environment)
    assert (ring.current.owner(KITCHEN) is not None, ring.current.owner(GARAGE)) == (True, None)
    assert not environment


def test_reading_again(tmp_path: Path) -> None:
    file = keys_file(tmp_path, f"a {KITCHEN}\n")
    ring = key_ring(file, {})
    file.write_text(f"b {GARAGE}\n")
    assert ring.current.owner(KITCHEN) == "a"
    ring.reload()
    assert (ring.current.owner(KITCHEN), ring.current.owner(GARAGE)) == (None, "b")


@pytest.mark.parametrize("text", [None, "", "nonsense\n"])
def test_a_server_with_keys_never_comes_to_be_one_without(text: str | None, tmp_path: Path) -> None:
    file = keys_file(tmp_path, f"a {KITCHEN}\n")
    ring = key_ring(file, {})
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with pytest.raises(ConfigError):
        ring.reload()
    assert ring.current.owner(KITCHEN) == "a"
