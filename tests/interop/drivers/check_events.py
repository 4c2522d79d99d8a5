"""Our events by the official package's own types: `check_events.py FILE`, a JSON event a line.

Prints what is wrong with one by its type, and members that the type does not have: `{"type", "problem"}` a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter, ValidationError


def unknown(value: Any, path: str = "") -> Iterator[str]:
    """Members that a model has taken and does not know."""
    if isinstance(value, BaseModel):
        yield from (f"{path}{name} is not known" for name in value.model_extra or {})
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name), f"{path}{name}.")
    elif isinstance(value, list):
        for item in value:
            yield from unknown(item, path)


def problems(event: dict[str, Any], adapter: TypeAdapter[Any]) -> Iterator[str]:
    try:
        yield from unknown(adapter.validate_python(event))
    except ValidationError as error:
        for wrong in error.errors():
            where = ".".join(str(part) for part in wrong["loc"])
            yield f"{where}: {wrong['msg']}, but is {str(wrong['input'])[:60]!r}"


def main() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
    seen = set()
    for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        for problem in problems(event, adapter):
            if (event["type"], problem) not in seen:
                seen.add((event["type"], problem))
                print(json.dumps({"type": event["type"], "problem": problem}))


main()
