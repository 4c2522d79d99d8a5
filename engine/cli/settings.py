"""`bargein config`: every setting, its value, where that comes from, and its default."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import msgspec

from engine.cli import config


async def run(options: Namespace) -> int:
    """List the settings, all or those whose name contains `options.filter`. Raises `ConfigError` for a wrong file."""
    path = config.file_in_use()
    wanted = [setting for setting in config.settings() if (options.filter or "") in setting.key.name]
    if options.json:
        for setting in wanted:
            line = {
                "key": setting.key.name,
                "value": _bare(setting.value),
                "source": setting.source,
                "default": _bare(setting.key.default),
                "environment": setting.key.environment,
                "about": setting.key.about,
            }
            print(msgspec.json.encode(line).decode())
        return 0
    print(f"# {path}" if path else f"# no file; the first place it is looked for is {config.places()[0]}")
    rows = [("key", "value", "source", "default", "")]
    for each in wanted:
        shown = config.shown(each.value), each.source, config.shown(each.key.default)
        rows.append((each.key.name, *shown, each.key.about))
    widths = [min(max(len(row[column]) for row in rows), 44) for column in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        print("  ".join((*cells, row[4])).rstrip())
    return 0


def _bare(value: Any) -> Any:
    """For JSON: a string without its secrets, anything else as it is."""
    return msgspec.json.decode(config.shown(value)) if isinstance(value, str) else value
