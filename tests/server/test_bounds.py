"""What one client can make the server keep: items, their JSON, their number, a session's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from engine.errors import ConfigError
from engine.server import ServerOptions
from engine.server.config import MAX_CONFIG_BYTES
from engine.server.responders import Say, Text
from tests.server.harness import Client, Event, Says, run, session, silence, speech, wire
from tests.server.pictures import png, uri

SMALL = ServerOptions(item_bytes=2**16)


def words(count: int, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x" * count}], **more}


def picture(size: int) -> dict[str, Any]:
    image = {"type": "input_image", "image_url": uri(png(100, 100, rest=size * 3 // 4))}
    return {"type": "message", "role": "user", "content": [image]}


async def ask(client: Client, type: str, **fields: Any) -> Event:
    """Send one event and return the first that answers it."""
    seen = len(client.events)
    await client.send(type, **fields)
    kinds = ("error", "conversation.item.done", "conversation.item.deleted", "conversation.item.retrieved")
    return await client.next(*kinds, after=seen)


@pytest.mark.parametrize("item", [words(20_000), picture(20_000)], ids=["text", "image"])
def test_items_json_has_a_budget(item: dict[str, Any]) -> None:
    async def scene() -> None:
        async with session(options=SMALL) as client:
            for number in range(3):
                kept = await ask(client, "conversation.item.create", item={**item, "id": f"i{number}"})
                assert kept["type"] == "conversation.item.done"
            refused = await ask(client, "conversation.item.create", item={**item, "id": "i3"}, event_id="mine")
            error = refused["error"]
            assert (error["code"], error["param"], error["event_id"]) == ("conversation_too_large", "item", "mine")
            assert "65536" in error["message"]
            assert (await ask(client, "conversation.item.retrieve", item_id="i3"))["type"] == "error"
            await ask(client, "conversation.item.delete", item_id="i1")
            again = await ask(client, "conversation.item.create", item={**item, "id": "i3"})
            assert again["type"] == "conversation.item.done"

    run(scene)


def test_the_budget_must_be_of_use() -> None:
    with pytest.raises(ConfigError, match="item_bytes is 10"):
        ServerOptions(item_bytes=10)


def test_what_the_server_writes_counts_and_the_oldest_items_make_room() -> None:
    async def scene() -> None:
        async with session(Says([Text("y" * 40_000)]), SMALL) as client:
            await ask(client, "conversation.item.create", item=words(1000, id="first"))
            for _ in range(2):
                seen = len(client.events)
                await client.send("response.create", response={"output_modalities": ["text"]})
                await client.next("response.done", after=seen)
            one, two = (event["response"]["output"][0]["id"] for event in client.of("response.done"))
            for gone in ("first", one):
                error = (await ask(client, "conversation.item.retrieve", item_id=gone))["error"]
                assert error["code"] == "item_retrieve_invalid_item_id"
            kept = await ask(client, "conversation.item.retrieve", item_id=two)
            assert len(kept["item"]["content"][0]["text"]) == 40_000
            after = await ask(client, "conversation.item.create", item=words(5), previous_item_id=one)
            assert after["error"]["param"] == "previous_item_id"

    run(scene)


def test_an_item_larger_than_the_budget_stays_alone() -> None:
    async def scene() -> None:
        async with session(Says([Text("y" * 80_000)], [Say("Yes.")]), SMALL) as client:
            await client.send("response.create", response={"output_modalities": ["text"]})
            large = (await client.next("response.done"))["response"]["output"][0]["id"]
            assert (await ask(client, "conversation.item.retrieve", item_id=large))["item"]["id"] == large
            assert (await ask(client, "conversation.item.create", item=words(5)))["error"]["code"] == (
                "conversation_too_large"
            )
            seen = len(client.events)
            await client.send("response.create")
            done = await client.next("response.done", after=seen)
            added = await client.next("conversation.item.added", after=seen)
            assert done["response"]["status"] == "completed"
            assert added["previous_item_id"] is None  # the large one made room for it

    run(scene)


def test_the_oldest_items_make_room_for_turns_with_their_calls_outputs() -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(max_items=10)) as client:
            await client.update(audio={"input": {"turn_detection": None}})
            call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c", "id": "call"}
            output = {"type": "function_call_output", "call_id": "c", "output": "1", "id": "output"}
            for item in (call, words(5, id="words"), output):
                await ask(client, "conversation.item.create", item=item)
            for _ in range(8):
                seen = len(client.events)
                await client.append(bytes(9600))
                await client.send("input_audio_buffer.commit")
                await client.next("conversation.item.done", after=seen)
            for gone in ("call", "output"):
                assert (await ask(client, "conversation.item.delete", item_id=gone))["type"] == "error"
            refused = await ask(client, "conversation.item.create", item=output)
            assert refused["error"]["code"] == "invalid_tool_call_id"
            assert (await ask(client, "conversation.item.create", item=words(5)))["type"] == "conversation.item.done"
            full = await ask(client, "conversation.item.create", item=words(5))
            assert full["error"]["code"] == "conversation_too_long"

    run(scene)


def test_a_call_goes_with_its_output_even_when_the_output_stands_in_front() -> None:
    async def scene() -> None:
        async with session(options=ServerOptions(max_items=10)) as client:
            await client.update(audio={"input": {"turn_detection": None}})
            call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c", "id": "call"}
            output = {"type": "function_call_output", "call_id": "c", "output": "1", "id": "output"}
            for number in range(3):
                await ask(client, "conversation.item.create", item=words(5, id=f"w{number}"))
            await ask(client, "conversation.item.create", item=call)
            await ask(client, "conversation.item.create", item=output, previous_item_id="root")
            for _ in range(6):
                seen = len(client.events)
                await client.append(bytes(9600))
                await client.send("input_audio_buffer.commit")
                await client.next("conversation.item.done", after=seen)
            for gone in ("call", "output"):
                assert (await ask(client, "conversation.item.retrieve", item_id=gone))["type"] == "error"
            assert (await ask(client, "conversation.item.retrieve", item_id="w0"))["type"] != "error"

    run(scene)


def test_a_client_that_takes_the_announced_id_breaks_nothing() -> None:
    async def scene() -> None:
        async with session() as client:
            await client.update(audio={"input": {"turn_detection": {"create_response": False}}})
            await client.append(wire(silence(0.5), speech()))
            announced = (await client.next("input_audio_buffer.speech_started"))["item_id"]
            await ask(client, "conversation.item.create", item=words(5, id=announced))
            await client.append(wire(silence(1.0)))
            committed = await client.next("input_audio_buffer.committed")
            assert committed["item_id"] != announced
            added = await client.next("conversation.item.added", after=client.position(committed))
            assert (added["item"]["id"], added["previous_item_id"]) == (committed["item_id"], announced)

    run(scene)


def test_a_configuration_has_a_largest_size() -> None:
    async def scene() -> None:
        async with session() as client:
            refused = await client.update(instructions="x" * MAX_CONFIG_BYTES)
            assert (refused["error"]["code"], refused["error"]["param"]) == ("invalid_value", "session")
            assert (await client.update(instructions="x" * 100_000))["type"] == "session.updated"

    run(scene)
