"""The log of `bargein serve`: a line on stderr for every turn and session, with figures and no words."""

from __future__ import annotations

import logging
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager

from engine.cli.config_keys import LOGS


def log_options(to: ArgumentParser) -> None:
    """`serve`: --log and --log-words."""
    lines = to.add_argument_group("log of turns and sessions: a line each on stderr, with figures, no words, no keys")
    lines.add_argument("--log", choices=LOGS, default="logfmt", help="how its lines are written (default: logfmt)")
    lines.add_argument("--log-words", action="store_true", help="with lines of what is said on both sides")


@contextmanager
def session_lines(form: str) -> Iterator[None]:
    """Write the records of `bargein.sessions` while the block runs."""
    from engine.server.sessionlog import LOGGER, JsonLines

    if form == "none":
        yield
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter("%(message)s"))
    logger = logging.getLogger(LOGGER)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]


__all__ = ["log_options", "session_lines"]
