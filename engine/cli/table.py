"""Plain text tables: columns under headers, numbers to the right. No colour, so a log or a pipe reads the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_NUMBER = re.compile(
    r"[+-]?\d+([ ,\u202f]\d{3})*(\.\d+)?([eE][+-]?\d+)?( ?(%|s|ms|us|µs|MB|MiB|kB|KiB|Hz|dB|x|samples))?"
)
_BLANK = ("", "-")


def render(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """The table as lines, without a newline at the end.

    A cell is str() of what it is given, floats with one decimal, None as "-". A column whose cells are all numbers (a
    unit may follow) is right-aligned. Every row must be as long as `headers`, else ValueError.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    for row in cells:
        if len(row) != len(headers):
            raise ValueError(f"a row has {len(row)} cells for {len(headers)} headers: {row}")
    columns = [[row[place] for row in cells] for place in range(len(headers))]
    right = [_numeric(column) for column in columns]
    widths = [max(map(_width, (head, *column))) for head, column in zip(headers, columns, strict=True)]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(line, widths, right) for line in (headers, rule, *cells))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else " ".join(str(value).split("\n"))


def _numeric(column: Sequence[str]) -> bool:
    filled = [cell for cell in column if cell not in _BLANK]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)


def _width(text: str) -> int:
    """Places on a terminal: two for East Asian wide letters, none for combining marks."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, to_right in zip(cells, widths, right, strict=True):
        space = " " * (width - _width(cell))
        padded.append(space + cell if to_right else cell + space)
    return "  ".join(padded).rstrip()
