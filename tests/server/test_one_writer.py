"""One actor per session, one place that writes each thing: read from the source, since a second writer breaks nothing
until the day that both write at once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import engine.server

ROOM = Path(engine.server.__file__).parent
WRITERS = {
    "_active": {"answering.Answering.__init__", "answering.Answering._start", "answering.Answering._ended"},
    "_aside": {"answering.Answering.__init__"},
    "_turn_waits": {
        "answering.Answering.__init__",
        "answering.Answering.answer_turn",
        "answering.Answering.interrupt",
        "answering.Answering._ended",
    },
    "config": {"state.SessionState.__init__", "handlers.Handlers._session_update"},
    "over": {"run.ResponseRun.__init__", "run.ResponseRun.finish"},
}
"""The response slot, the turn that waits, the configuration, and whether a response is over: who assigns them."""


@cache
def assignments() -> tuple[tuple[str, str], ...]:
    """Every attribute that is assigned in the session's files, and by which method."""
    return tuple(_assignments())


def _assignments() -> Iterator[tuple[str, str]]:
    for path in ROOM.glob("*.py"):
        for owner in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)):
            for method in (node for node in owner.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
                for node in ast.walk(method):
                    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                    for target in targets:
                        for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                            if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
                                yield each.attr, f"{path.stem}.{owner.name}.{method.name}"


@pytest.mark.parametrize("attribute", WRITERS)
def test_nobody_else_writes_it(attribute: str) -> None:
    found = {where for name, where in assignments() if name == attribute}
    assert found == WRITERS[attribute]


def test_the_source_is_read() -> None:
    assert len(assignments()) > 100
