"""Every name of the reference documents has its place: each place exists, and nothing in the documents is missing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from engine.realtime import types as t
from engine.realtime.types import reading, vocabulary
from engine.realtime.types.marks import Between, Vocabulary
from engine.realtime.types.shape import Shape
from tests.realtime import seeds

LIST: dict[str, dict[str, Any]] = tomllib.loads((Path(__file__).parent / "reference.toml").read_text())


def place(name: str) -> Any:
    """What is at a place: a shape, a list of names, an endpoint, or a member of one."""
    owner, _, member = name.removeprefix("vocabulary.").partition(".")
    thing = getattr(vocabulary, owner, None) or getattr(t, owner)
    if not member:
        return thing
    if isinstance(thing, t.Endpoint):
        return getattr(thing, member)
    members = {each.wire_name: each for each in reading.plan(thing)}
    return members[member] if member in members else fixed_type(thing, member)


def fixed_type(kind: type[Shape], member: str) -> str:
    assert member == kind.__struct_config__.tag_field
    return str(kind.__struct_config__.tag)


@pytest.mark.parametrize(("name", "where"), [*LIST["fields"].items(), *LIST["types"].items()])
def test_every_place_exists(name: str, where: str) -> None:
    assert place(where) is not None
    if name in LIST["fields"] and not isinstance(place(where), str):
        assert place(where).wire_name == name.rpartition(".")[2]


@pytest.mark.parametrize(("where", "values"), LIST["values"].items())
def test_every_value_is_known_at_its_place(where: str, values: list[str]) -> None:
    thing = place(where)
    for value in values:
        if isinstance(thing, Vocabulary):
            assert value in thing
        elif isinstance(thing, reading.Member):
            assert Between(int(value), int(value)) in thing.marks
        else:
            assert value == thing


@pytest.mark.parametrize(("name", "where"), LIST["endpoints"].items())
def test_every_endpoint_is_at_its_place(name: str, where: str) -> None:
    endpoint = place(where)
    assert name == f"{endpoint.method} {endpoint.path}"


def test_every_member_of_a_listed_shape_is_listed_or_newer_than_the_documents() -> None:
    newer = {
        "strength", "languages", "keywords", "tunnel_id", "allowed_callers", "prompt_cache_breakpoint",
    }  # fmt: skip
    listed = set(LIST["fields"].values())
    kinds = {getattr(t, where.partition(".")[0]) for where in listed} - {t.ACCEPT_CALL}
    for kind in kinds:
        for member in reading.plan(kind):
            assert f"{kind.__name__}.{member.name}" in listed or member.name in newer


def test_nothing_in_the_documents_is_missing() -> None:
    fields = {name.rpartition(".")[2] for name in LIST["fields"]}
    values = {value for listed in LIST["values"].values() for value in listed}
    elsewhere = set(LIST["elsewhere"])
    counted = 0
    for number, found in seeds.documents():
        assert found.fields - fields - elsewhere == set(), number
        assert found.values - values - elsewhere == set(), number
        assert found.types - set(LIST["types"]) - elsewhere == set(), number
        assert found.endpoints - set(LIST["endpoints"]) == set(), number
        counted += sum(map(len, found))
    print(f"{counted} names in the documents: all listed, {len(elsewhere)} of them not of the wire")
    assert counted > 250
    assert all(len(reason) > 10 for reason in LIST["elsewhere"].values())
