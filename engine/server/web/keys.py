"""The API keys of a server: from a file or the environment, kept as SHA-256 only.

A file has one key a line, after the name of its owner, which limits and the log know it by; without one it is called
by its digest's beginning. Two keys of one name are one owner's, as while one takes the other's place. `#` at the
beginning of a line or after a space begins a comment: elsewhere it is part of the key. In place of a key there
may be its digest, so that the file holds no key at all:

    # made with: printf %s "$KEY" | sha256sum | cut -c -64
    kitchen  sk-kitchen-9f6b1e5c2d8a4f70
    garage   sha256:5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import logging
import os
import re
import stat
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from engine.errors import ConfigError

VARIABLE = "BARGEIN_API_KEYS"
"""Environment variable with keys, separated by commas or spaces."""
LEAST, MOST = 16, 512
"""Characters of a key: a shorter one could be guessed from its digest."""
MAX_KEYS = 1000
"""Every one of them is compared with every key that is shown, which takes some 40 µs."""
MAX_FILE_BYTES = 2**20

_DIGEST = re.compile(r"sha256:[0-9a-fA-F]{64}")
_KEY = re.compile(rf"[\x21-\x7e]{{{LEAST},{MOST}}}")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}")
_log = logging.getLogger("bargein.server")


def digest_of(secret: str) -> bytes:
    """SHA-256 of a key or client secret: all that is kept of one."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).digest()


class Keys:
    """A set of keys that does not change. True when there is any."""

    def __init__(self, names: Mapping[bytes, str] | None = None) -> None:
        self._names = dict(names or {})
        self._owners = frozenset(self._names.values())

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, owner: str) -> bool:
        return owner in self._owners

    def __repr__(self) -> str:
        return f"Keys({len(self)})"

    def owner(self, key: str) -> str | None:
        """The name of the owner of this key, None when it is not known. Takes as long for every key."""
        given, found = digest_of(key), None
        for digest, name in self._names.items():
            if hmac.compare_digest(digest, given):
                found = name
        return found


class KeyRing:
    """The keys in force, and where they are read again. `current` changes as a whole."""

    def __init__(self, current: Keys | None = None, file: Path | None = None) -> None:
        self.current = current or Keys()
        self._file = file

    def __repr__(self) -> str:
        return f"KeyRing({len(self.current)} keys)"

    @property
    def reloadable(self) -> bool:
        """Whether there is a file."""
        return self._file is not None

    def reload(self) -> None:
        """Read the file again. Raises ConfigError, and keeps the keys there are, when it cannot be used or is empty:
        a server with keys never comes to be one without. Without a file nothing happens.

        A key that is gone opens nothing any more, nor do client secrets whose owner has no key left; sessions go on.
        """
        if self._file is not None:
            self.current = read_file(self._file)


def key_ring(file: str | Path | None = None, environment: MutableMapping[str, str] = os.environ) -> KeyRing:
    """The keys of a file, else those of the environment, else none. Raises ConfigError.

    The variable is removed from `environment`: programs that the server starts shall not inherit it.
    """
    given = environment.pop(VARIABLE, "")
    if file is not None:
        return KeyRing(read_file(Path(file)), Path(file))
    return KeyRing(_keys(VARIABLE, [("", key) for key in given.replace(",", " ").split()]))


def read_file(path: Path) -> Keys:
    """The keys of a file. Raises ConfigError, which names the line and never shows what is in it."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise ConfigError(f"keys file {path}: {error.strerror or error}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"keys file {path}: it is longer than {MAX_FILE_BYTES} bytes")
    entries = []
    for number, line in enumerate(data.removeprefix(codecs.BOM_UTF8).decode("ascii", errors="replace").splitlines(), 1):
        words = _COMMENT.sub("", line).split()
        if len(words) > 2:
            raise ConfigError(f"keys file {path}, line {number}: give one key, or a name and a key")
        if words:
            entries.append((words[0] if len(words) == 2 else "", words[-1]))
            _check(f"keys file {path}, line {number}", *entries[-1])
    if not entries:
        raise ConfigError(f"keys file {path}: there is no key in it")
    if mode & stat.S_IRWXO and not all(_DIGEST.fullmatch(key) for _, key in entries):
        _log.warning("keys file %s can be read by everybody: chmod 600 it, or give digests (sha256:...)", path)
    return _keys(f"keys file {path}", entries)


def _keys(where: str, entries: list[tuple[str, str]]) -> Keys:
    if len(entries) > MAX_KEYS:
        raise ConfigError(f"{where}: there are more than {MAX_KEYS} keys")
    names: dict[bytes, str] = {}
    for name, key in entries:
        _check(where, name, key)
        digest = bytes.fromhex(key[7:]) if _DIGEST.fullmatch(key) else digest_of(key)
        names[digest] = name or f"key-{digest.hex()[:12]}"
    return Keys(names)


def _check(where: str, name: str, key: str) -> None:
    if key.startswith("ek_"):
        raise ConfigError(f"{where}: a key cannot begin with ek_, which client secrets begin with")
    if not (_DIGEST.fullmatch(key) or (_KEY.fullmatch(key) and not key.startswith("sha256:"))):
        raise ConfigError(f"{where}: a key has {LEAST} to {MOST} visible characters, or is sha256: and 64 hex digits")
    if name and not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name has at most 32 letters, digits, dots, dashes and underscores")


__all__ = ["VARIABLE", "KeyRing", "Keys", "digest_of", "key_ring", "read_file"]
