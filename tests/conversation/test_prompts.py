"""Typed and spoken turns mixed, pictures, and answers in writing."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.conversation import Conversation
from engine.conversation.pictures import part
from engine.errors import ConfigError, MediaError
from engine.server.responders.script import Script
from tests.server.pictures import jpeg, png

from .harness import RATE, held, question, tones

PNG, JPEG = png(64, 64), jpeg(64, 64)
BRAIN = Script({"transcripts": ["the spoken one"], "rules": [{"do": [{"say": "You said {text}."}]}]})


def test_a_written_answer_between_spoken_ones() -> None:
    async def during(conversation: Conversation) -> None:
        conversation.say("the typed one", modality="text")
        await asyncio.sleep(60)

    over = held(question(), tones(BRAIN), during=during)
    replies = [turn for turn in over.turns if turn.role == "assistant"]
    assert [turn.text for turn in replies] == ["You said the typed one.", "You said the spoken one."]
    assert (replies[0].received_ms, replies[0].played_ms) == (0, 0) and replies[1].played_ms > 0
    assert [turn.role for turn in over.turns].count("user") == 2
    assert not over.log.of("received", "error") and not over.conversation.anomalies


def test_pictures_go_with_the_words(tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)

    async def during(conversation: Conversation) -> None:
        conversation.say("What is this?", images=[PNG, path, str(path)], modality="text")
        await asyncio.sleep(60)

    over = held(np.zeros(RATE * 2, np.int16), tones(BRAIN), during=during)
    content = over.log.of("sent", "conversation.item.create")[0]["item"]["content"]
    assert [each["type"] for each in content] == ["input_text", *["input_image"] * 3]
    head, _, data = content[1]["image_url"].partition(",")
    assert head == "data:image/png;base64" and b64decode(data) == PNG
    assert content[2]["image_url"].startswith("data:image/jpeg;base64,")
    assert not over.log.of("received", "error")


@pytest.mark.parametrize(
    ("picture", "error"), [(b"GIF89a", MediaError), ("/no/such.png", MediaError), (PNG + bytes(16 * 2**20), MediaError)]
)
def test_what_is_no_picture_is_refused(picture: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        part(picture)


@pytest.mark.parametrize("how", [{"role": "system", "images": [PNG]}, {"modality": "video"}])
def test_what_cannot_be_said_is_refused(how: dict[str, Any]) -> None:
    async def during(conversation: Conversation) -> None:
        with pytest.raises(ConfigError):
            conversation.say("x", **how)

    held(np.zeros(RATE, np.int16), tones(BRAIN), during=during, read=False)
