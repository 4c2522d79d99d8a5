"""Which version serves, as its installed distribution says."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("bargein")
except PackageNotFoundError:  # run from a source tree that is not installed
    VERSION = "unknown"

__all__ = ["VERSION"]
