"""Plain text tables."""

from __future__ import annotations

import pytest

from engine.cli.table import render


def test_numbers_stand_right_and_words_left() -> None:
    table = render(
        ["turn", "first sound", "note"],
        [[1, "620 ms", "cut"], [10, "1\u202f063 ms", "played to its end"], [11, None, ""]],
    )
    assert table.split("\n") == [
        "turn  first sound  note",
        "----  -----------  -----------------",
        "   1       620 ms  cut",
        "  10     1\u202f063 ms  played to its end",
        "  11            -",
    ]


def test_floats_have_one_decimal_and_cells_one_line() -> None:
    assert render(["a", "b"], [[1.25, "two\nlines"]]).split("\n")[2] == "1.2  two lines"


def test_wide_letters_keep_the_columns() -> None:
    assert render(["words", "n"], [["日本", 1], ["abc", 22]]).split("\n")[2:] == ["日本    1", "abc    22"]


def test_no_rows() -> None:
    assert render(["a", "bc"], []) == "a  bc\n-  --"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 headers"):
        render(["a", "b"], [[1]])
