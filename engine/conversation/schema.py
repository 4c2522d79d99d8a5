"""What a model must know to call a Python function: a JSON Schema from the signature, words from the docstring."""

from __future__ import annotations

import copy
import inspect
import re
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from engine.errors import ConfigError

_SECTION = re.compile(r"(Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):\s*$")
_NAMED = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_FIELD = re.compile(r":(\w+)\s*([^:]*):\s*(.*)")


class Arguments:
    """The arguments of one function: `schema` for the model, `decode` for what the model sends.

    `context` is the name of the parameter whose type is `context_type`: it is ours to give and not in the schema.
    Raises `ConfigError` for a signature that JSON arguments cannot fill.
    """

    def __init__(self, name: str, function: Callable[..., Any], context_type: type) -> None:
        self.description, told = documented(function)
        self.context: str | None = None
        where = f"tool {name!r}"
        hints = _hints(where, function)
        fields: list[tuple[str, Any, Any]] = []
        for parameter in inspect.signature(function).parameters.values():
            kind = hints.get(parameter.name, parameter.empty)
            if kind is context_type:
                self.context = parameter.name
            else:
                fields.append(_field(where, parameter, kind, told.get(parameter.name)))
        if strange := set(told) - {field[0] for field in fields} - {self.context}:
            raise ConfigError(f"{where}: its docstring describes {min(strange)!r}, which is no parameter of it")
        try:
            self._struct = msgspec.defstruct(f"{name}_arguments", fields, kw_only=True, forbid_unknown_fields=True)
            self.schema = _schema(self._struct)
            self._decoder = msgspec.json.Decoder(self._struct)
        except (TypeError, ValueError) as problem:
            words = " ".join(str(problem).split())
            raise ConfigError(f"{where}: its parameters have no JSON Schema: {words:.300}") from None

    def decode(self, text: str) -> dict[str, Any]:
        """The keyword arguments in a JSON text; empty text is no arguments. Raises `ValueError` with words for the
        model, which name the place and never the value.
        """
        try:
            decoded = self._decoder.decode(text.strip() or "{}")
        except msgspec.ValidationError as problem:
            raise ValueError(f"wrong arguments: {problem}") from None
        except (msgspec.DecodeError, UnicodeError, RecursionError) as problem:
            raise ValueError(f"the arguments are not valid JSON: {problem}") from None
        return {name: getattr(decoded, name) for name in self._struct.__struct_fields__}


def _hints(where: str, function: Callable[..., Any]) -> dict[str, Any]:
    plain = inspect.isroutine(function) or inspect.isclass(function)
    try:
        return typing.get_type_hints(function if plain else type(function).__call__, include_extras=True)
    except (NameError, TypeError, AttributeError) as problem:
        raise ConfigError(f"{where}: a type in its signature is not known: {problem}") from None


def _field(where: str, parameter: inspect.Parameter, kind: Any, words: str | None) -> tuple[str, Any, Any]:
    name = parameter.name
    if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
        raise ConfigError(f"{where}: parameter {parameter} cannot be given by name: write out the parameters")
    if kind is parameter.empty:
        hint = "; for a method, make the tool of the bound one: engine.tool(thing.method)" if name == "self" else ""
        raise ConfigError(f"{where}: parameter {name!r} has no type: write {name}: str, or what it is{hint}")
    kind = _described(kind, words)
    default = parameter.default
    if default is parameter.empty:
        return name, kind, msgspec.NODEFAULT
    if isinstance(default, (list, dict, set)):
        return name, kind, msgspec.field(default_factory=lambda: copy.deepcopy(default))
    return name, kind, default


def _described(kind: Any, words: str | None) -> Any:
    """The type with its description: of the annotation (a text or a msgspec.Meta), else of the docstring."""
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    inner = get_args(kind)[0] if marks else kind
    for mark in marks:
        if isinstance(mark, str):
            words = mark
        elif isinstance(mark, msgspec.Meta):
            inner = Annotated[inner, mark]
            words = None if mark.description else words
    return Annotated[inner, msgspec.Meta(description=words)] if words else inner


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of one object, without references where nothing refers to itself."""
    (root,), components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    found = _inlined(root, components, ())
    if found is None:
        name = root["$ref"].rpartition("/")[2]
        found = {**components.pop(name), "$defs": components}
    found.pop("title", None)
    found.setdefault("required", [])
    return dict(found)


def _inlined(value: Any, components: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    """A copy with every reference replaced; None when one of them leads into itself."""
    if isinstance(value, list):
        entries = [_inlined(entry, components, inside) for entry in value]
        lost = any(entry is None and was is not None for entry, was in zip(entries, value, strict=True))
        return None if lost else entries
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        if name in inside:
            return None
        target = _inlined(components[name], components, (*inside, name))
        rest = {key: inner for key, inner in value.items() if key != "$ref"}
        return None if target is None else {**target, **rest}
    result = {}
    for key, inner in value.items():
        result[key] = _inlined(inner, components, inside)
        if result[key] is None and inner is not None:
            return None
    return result


# ---- docstrings


def documented(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of its parameters by name: Google's `Args:` or Sphinx's `:param x:`.
    What it says of exceptions is not for the model.
    """
    told: dict[str, str] = {}
    kept: list[str] = []
    section, name, indent = "", "", 0
    for line in (inspect.getdoc(function) or "").splitlines():
        text, depth = line.strip(), len(line) - len(line.lstrip())
        if heading := _SECTION.fullmatch(text) if depth == 0 else None:
            section, name, indent = heading[1], "", 0
        elif field := _FIELD.match(text) if depth == 0 else None:
            section = "Args" if field[1] == "param" else field[1]
            name = (field[2].split() or [""])[-1] if field[1] == "param" else ""
            indent = 1  # what goes on is indented
            if name:
                told[name] = field[3]
            elif field[1] in ("return", "returns"):
                kept.append(f"Returns: {field[3]}")
        elif section in ("Args", "Arguments", "Parameters") and (depth or not text):
            indent = indent or depth
            entry = _NAMED.match(text) if depth == indent and not text.startswith(":") else None
            if entry and not (indent == 1 and name):
                name, told[entry[1]] = entry[1], entry[2]
            elif name and text:
                told[name] = f"{told[name]} {text}".strip()
        elif section == "Returns" and (depth or not text):
            if text:
                kept.append(f"Returns: {text}")
        elif section not in ("Raises", "raises", "Yields") or (depth == 0 and text):
            section = ""
            kept.append(line)
    return "\n".join(kept).strip(), {name: words for name, words in told.items() if words}


__all__ = ["Arguments", "documented"]
