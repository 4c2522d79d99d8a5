"""From a model's text to what is said: thoughts and marks are left out, however the stream is cut."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.server.responders.clauses import LONGEST, ClauseCutter
from engine.server.responders.markdown import MAX_HELD, plain
from engine.server.responders.thinking import ThinkingFilter
from engine.server.responders.words_out import Spoken, Written

PIECES = st.sampled_from(
    ["<think>", "</think>", "<thinking>", "**", "*", "_", "__", "`", "```", "~~~", "~~", "\n", "\n\n", "# ", "- ",
     "1. ",     "> ", "|", "|---|", "---", "[", "]", "](", "(", ")", "![", "<b>", "</b>", "<br>", "<", ">", "\\", "http://x.y/z",
     " ", ", ", ". ", "! ", "?", "Mr. ", "word", "Rome", "3.14", "é", "日本。", "🙂", "a", "7"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=80)


def cut(text: str, places: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def said(*pieces: str, thinking_open: bool = False) -> list[str]:
    words = Spoken(thinking_open=thinking_open)
    return [part.text for piece in pieces for part in words.process(piece)] + [part.text for part in words.flush()]


def written(*pieces: str) -> list[str]:
    words = Written()
    return [part.text for piece in pieces for part in words.process(piece)] + [part.text for part in words.flush()]


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=12))
def test_any_cutting_of_the_stream_gives_the_same_parts(text: str, places: list[int]) -> None:
    assert said(*cut(text, places)) == said(text) == said(*text)
    assert written(*cut(text, places)) == written(text) == written(*text)


@given(TEXTS)
def test_thoughts_are_never_said_or_written(text: str) -> None:
    text = re.sub("secret", "", text)
    hidden = f"{text}<think>secret {text.replace('</think>', '').replace('<', '')} secret</think> end"
    assert "secret" not in " ".join(said(hidden)) and "secret" not in " ".join(written(hidden))


@given(TEXTS)
def test_pieces_are_bounded_clean_and_lose_no_words(text: str) -> None:
    cutter = ClauseCutter()
    pieces = cutter.process(text) + cutter.flush()
    assert all(0 < len(piece) <= LONGEST and piece == piece.strip() for piece in pieces)
    assert [s for s in "".join(pieces) if s.isalnum()] == [s for s in text if s.isalnum()]


@given(st.lists(st.sampled_from(["alpha", "beta,", "gamma.", "delta"]), min_size=1, max_size=30))
def test_markdown_of_plain_words_is_the_words(words: list[str]) -> None:
    assert plain(" ".join(words)) == " ".join(words)


@given(st.lists(st.sampled_from(["alpha", "beta", "gamma"]), min_size=1, max_size=6), st.data())
def test_emphasised_headed_listed_and_linked_words_are_only_the_words(words: list[str], data: st.DataObject) -> None:
    wraps = [
        "**{}**",
        "*{}*",
        "_{}_",
        "__{}__",
        "`{}`",
        "~~{}~~",
        "[{}](http://x.test/a_b?(c))",
        "***{}***",
        "<b>{}</b>",
    ]
    dressed = " ".join(data.draw(st.sampled_from(wraps)).format(word) for word in words)
    lead = data.draw(st.sampled_from(["", "# ", "## ", "- ", "* ", "> ", "- [x] ", "   - "]))
    assert plain(lead + dressed) == " ".join(words)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# Title\nHello **world**.", "Title\nHello world."),
        ("1. first\n2) second", "1, first\n2, second"),
        ("2 * 3 = 6 and 2*3", "2 * 3 = 6 and 2*3"),
        ("snake_case and _emph_", "snake case and emph"),
        ("See [the docs](http://x.y/(z)) now", "See the docs now"),
        ("![a picture](a.png) after!", " after!"),
        ("```python\nx = 1\n```\nafter", "after"),
        ("~~~\nx\n~~~\nafter ```x``` end", "after x end"),
        ("```\nnever closed", ""),
        ("|a|b|\n|---|---|\n|1|2|", "a,b,\n1,2,"),
        ("---\nText\n***\nmore\n===", "Text\nmore\n"),
        ("a [1] and [laughs], b", "a [1] and [laughs], b"),
        ("a < b <https://x.org> 3 > 2", "a < b https://x.org 3 > 2"),
        (r"\*literal\* \n \\", r"*literal* \n " + "\\"),
        ("~~gone~~ ~5 minutes", "gone ~5 minutes"),
        ("-5 degrees\n+1 for that\n#tag", "-5 degrees\n+1 for that\n#tag"),
        ("[unfinished", "[unfinished"),
        ("it's <unclosed", "it's <unclosed"),
        ("one<br>two", "one two"),
        ("", ""),
    ],
)
def test_markdown(text: str, expected: str) -> None:
    assert plain(text) == expected


def test_what_is_held_back_is_bounded() -> None:
    for opening in ("[", "<b", "*", "# ", "|", "- ["):
        words = plain(opening + "x" * 10 * MAX_HELD)
        assert words.count("x") >= 10 * MAX_HELD - 1 or opening == "<b"
    for end in ("", "\n", "]", "](x)"):
        assert plain("[" * 1000 + end).count("[") >= 1000 - 200  # bracket in bracket, each a call deeper
    marks = ThinkingFilter()
    assert len(marks.process("<" * 100_000) + marks.flush()) == 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>a</think>b", "b"),
        ("a<THINKING>b</thinking>c", "ac"),
        ("<reasoning>a<b></reasoning>c", "c"),
        ("a</think>b", "ab"),
        ("a <thin air", "a <thin air"),
        ("<<think>x</think>y", "<y"),
        ("<think>never closed", ""),
    ],
)
def test_thinking(text: str, expected: str) -> None:
    thoughts = ThinkingFilter()
    assert thoughts.process(text) + thoughts.flush() == expected


def test_a_model_that_begins_within_a_thought() -> None:
    assert said("Hm, let me see.</think>Good day.", thinking_open=True) == ["Good day."]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes. Of course.", ["Yes.", "Of course."]),
        (
            "Well, that is a question, and it is a good one, too.",
            ["Well, that is a question,", "and it is a good one, too."],
        ),
        ("Mr. Smith and J. Doe paid 3.50 e.g. yesterday.", ["Mr. Smith and J. Doe paid 3.50 e.g. yesterday."]),
        ("One\nTwo\n", ["One", "Two"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("日本。東京。", ["日本。", "東京。"]),
        ("... - !", []),
    ],
)
def test_clauses(text: str, expected: list[str]) -> None:
    cutter = ClauseCutter()
    assert cutter.process(text) + cutter.flush() == expected


def test_the_first_clause_comes_before_the_sentence_ends() -> None:
    assert [part.text for part in Spoken().process("It is raining in Paris today, so take an")] == [
        "It is raining in Paris today,"
    ]


def test_writing_keeps_marks_and_joins_again_to_the_text() -> None:
    text = "# Title\n\n- *one*  two\n- `x  =  1`"
    assert " ".join(written("<think>x</think>\n" + text + " \n")) == text
