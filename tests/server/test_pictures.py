"""Pictures of a client: only the header is read, the limits hold before anything is decoded, nothing is fetched."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.server.pictures import MAX_URI, Picture, inspect
from engine.server.responders import Text
from tests.server.harness import Says, run, session
from tests.server.pictures import jpeg, png, segment, uri

EXIF = segment(0xE0, b"JFIF\0" + bytes(9)) + segment(0xE1, b"Exif" + b"\xff\xc0" * 20_000) + segment(0xC4, bytes(50))


@pytest.mark.parametrize(
    ("picture", "width", "height"),
    [
        (uri(png(1, 1)), 1, 1),
        (uri(png(640, 480)), 640, 480),
        (uri(png(32768, 1500)), 32768, 1500),
        (uri(jpeg(800, 600), "jpeg"), 800, 600),
        (uri(jpeg(801, 601, before=EXIF), "jpg"), 801, 601),
        (uri(jpeg(802, 602, before=EXIF + b"\xff\xff\xff", frame=0xC2), "jpeg"), 802, 602),
    ],
)
def test_the_size_is_in_the_header(picture: str, width: int, height: int) -> None:
    assert inspect("here", picture) == Picture(width, height)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("https://example.com/a.png", "This server fetches no https URL"),
        ("http://169.254.169.254/latest", "This server fetches no http URL"),
        ("file:///etc/passwd", "This server fetches no file URL"),
        ("data:image/svg+xml;base64,AAAA", "expected a data URI of a PNG or JPEG"),
        ("data:image/png,plain", "expected a data URI of a PNG or JPEG"),
        ("", "expected a data URI of a PNG or JPEG"),
        ("data:image/png;base64,", "it ends within its header"),
        ("data:image/png;base64,iVBO", "it ends within its header"),
        ("data:image/png;base64,####", "expected base64-encoded image bytes"),
        (uri(png(10, 10)) + " ", "expected base64-encoded image bytes"),
        (uri(png(10, 10, 101)) + "AAAA", "expected base64-encoded image bytes"),  # after the padding
        (uri(png(10, 10))[:-1] + "\u20ac", "expected base64-encoded image bytes"),
        (uri(jpeg(10, 10)), "it does not begin as a PNG does"),
        (uri(png(10, 10), "jpeg"), "it does not begin as a JPEG does"),
        (uri(png(0, 10)), "its header says 0 by 10"),
        (uri(png(40_000, 10)), "its header says 40000 by 10"),
        (uri(png(30_000, 30_000)), "its header says 30000 by 30000"),  # a bomb: 900 megapixels, some kilobytes
        (uri(png(2**31 - 1, 2**31 - 1)), "its header says 2147483647 by 2147483647"),
        (uri(jpeg(65535, 65535), "jpeg"), "its header says 65535 by 65535"),
        (uri(b"\xff\xd8\xff\xda" + bytes(50), "jpeg"), "its size is not found"),
        (uri(b"\xff\xd8" + segment(0xE0, b"") * 2000, "jpeg"), "its size is not found"),
        (uri(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 9, "jpeg"), "it ends within its header"),
        (uri(b"\xff\xd8\xff\xe1\xff\xff" + bytes(99), "jpeg"), "it ends within its header"),
    ],
)
def test_what_is_refused(value: str, problem: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        inspect("item.content[0].image_url", value)
    assert problem in str(refused.value)
    assert (refused.value.code, refused.value.param) == ("invalid_value", "item.content[0].image_url")
    assert len(str(refused.value)) < 300


@given(st.binary(max_size=300), st.sampled_from(["png", "jpeg"]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_picture_or_a_refusal(data: bytes, kind: str, begun: bool) -> None:
    start = {"png": png(5, 5, 0)[:16], "jpeg": b"\xff\xd8\xff"}[kind] if begun else b""
    try:
        found = inspect("here", uri(start + data, kind))
    except ProtocolError:
        return
    assert 0 < found.width * found.height <= 50_000_000


def test_the_picture_itself_is_not_decoded() -> None:
    """Twenty megabytes of base64 are looked over, and copied nowhere."""
    text = uri(png(100, 100, rest=MAX_URI * 3 // 4 - 200))
    assert MAX_URI - 300 < len(text) <= MAX_URI
    tracemalloc.start()
    assert inspect("here", text) == Picture(100, 100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20
    with pytest.raises(ProtocolError, match="characters, but got"):
        inspect("here", text + "A" * 400)


@pytest.mark.parametrize(
    ("width", "height", "detail", "tokens"),
    [
        (1024, 1024, "high", 765),  # 768 x 768: four tiles
        (2048, 4096, "high", 1105),  # 1024 x 2048, then 768 x 1536: six
        (1024, 1024, "auto", 765),
        (1024, 1024, None, 765),
        (4096, 8192, "low", 85),
        (10, 10, "high", 255),  # small ones are not made larger
        (3000, 200, "high", 85 + 4 * 170),
    ],
)
def test_tokens_by_size_and_detail(width: int, height: int, detail: str | None, tokens: int) -> None:
    assert Picture(width, height).tokens(detail) == tokens


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": list(parts)}


def image(picture: str, **more: str) -> dict[str, Any]:
    return {"type": "input_image", "image_url": picture, **more}


def test_pictures_count_and_are_the_brains_to_see() -> None:
    async def scene() -> None:
        brain = Says([Text("A picture.")])
        async with session(brain) as client:
            await client.update(instructions="")
            item = message(image(uri(png(1024, 1024))), image(uri(jpeg(9, 9), "jpeg"), detail="low"))
            await client.send("conversation.item.create", item={**item, "id": "seen"})
            await client.send("response.create")
            usage = (await client.next("response.done"))["response"]["usage"]
            assert usage["input_token_details"]["image_tokens"] == 765 + 85
            assert usage["input_tokens"] == 765 + 85
            assert brain.turns[0].items[0]["content"] == item["content"]
            await client.send("conversation.item.retrieve", item_id="seen")
            kept = await client.next("conversation.item.retrieved")
            assert kept["item"]["content"] == item["content"]
            await client.send("response.create", response={"conversation": "none", "input": [item]})
            aside = await client.next("response.done", after=client.position(kept))
            assert aside["response"]["usage"]["input_token_details"]["image_tokens"] == 765 + 85

    run(scene)


def test_a_url_is_refused_wherever_an_item_may_stand() -> None:
    async def scene() -> None:
        async with session() as client:
            item = message({"type": "input_text", "text": "Look:"}, image("https://example.com/a.png"))
            await client.send("conversation.item.create", item=item, event_id="one")
            error = (await client.next("error"))["error"]
            assert (error["code"], error["param"]) == ("invalid_value", "item.content[1].image_url")
            assert error["event_id"] == "one"
            await client.send("response.create", response={"input": [item]}, event_id="two")
            error = (await client.next("error", after=len(client.events)))["error"]
            assert (error["param"], error["event_id"]) == ("response.input[0].content[1].image_url", "two")
            wrong = message(image(uri(png(9, 9)), detail="medium"))
            await client.send("conversation.item.create", item=wrong)
            error = (await client.next("error", after=len(client.events)))["error"]
            assert error["param"] == "item.content[0].detail"

    run(scene)
