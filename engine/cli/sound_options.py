"""The options of `devices`, `config`, `talk` and `doctor`; nothing here imports what the commands need."""

from __future__ import annotations

from argparse import ArgumentParser


def devices_options(to: ArgumentParser) -> None:
    """`devices`."""
    to.add_argument("--json", action="store_true", help="each device as a line of JSON")


def config_options(to: ArgumentParser) -> None:
    """`config`."""
    to.add_argument("filter", nargs="?", metavar="PART", help="only keys with this in their name")
    to.add_argument("--json", action="store_true", help="each setting as a line of JSON")
