"""Responses beside the conversation."""

from __future__ import annotations

from engine.server import ServerOptions
from engine.server.responders import Say
from tests.server.harness import Says, run, session

PRIVATE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "classify this"}]}


def test_out_of_band_runs_in_parallel_and_adds_nothing() -> None:
    async def scene() -> None:
        brain = Says([Say("A long answer. " * 20)], [0.5, Say("label")])
        async with session(brain, ServerOptions(burst=2)) as client:
            await client.send("response.create", response={"instructions": "Be slow."})
            main = (await client.next("response.created"))["response"]
            await client.next("response.output_audio.delta")
            seen = len(client.events)
            await client.send(
                "response.create",
                response={
                    "conversation": "none",
                    "metadata": {"task": "topic"},
                    "output_modalities": ["text"],
                    "input": [PRIVATE],
                },
            )
            aside = (await client.next("response.created", after=seen))["response"]
            assert aside["conversation_id"] is None
            assert aside["metadata"] == {"task": "topic"}
            assert main["conversation_id"]
            first_done = (await client.next("response.done"))["response"]
            assert first_done["id"] == aside["id"]
            assert first_done["metadata"] == {"task": "topic"}
            assert first_done["output"][0]["content"] == [{"type": "output_text", "text": "label"}]
            item_id = first_done["output"][0]["id"]
            assert all(
                e.get("item", {}).get("id") != item_id for e in client.events if "conversation.item" in e["type"]
            )
            assert brain.turns[0].instructions == "Be slow."
            assert (brain.turns[1].text, len(brain.turns[1].items)) == ("classify this", 1)
            await client.send("response.cancel")
            second = await client.next("response.done", after=len(client.events))
            assert (second["response"]["id"], second["response"]["status"]) == (main["id"], "cancelled")

    run(scene)


def test_cancel_by_id_and_the_limit() -> None:
    async def scene() -> None:
        async with session(Says([5.0, Say("late")]), ServerOptions(max_responses=3)) as client:
            for _ in range(4):
                await client.send("response.create", response={"conversation": "none"})
            assert (await client.next("error"))["error"]["code"] == "too_many_responses"
            created = [event["response"]["id"] for event in client.of("response.created")]
            assert len(created) == 3
            await client.send("response.cancel", response_id=created[1])
            done = await client.next("response.done")
            assert (done["response"]["id"], done["response"]["status"]) == (created[1], "cancelled")
            await client.send("response.create", response={"conversation": "none"})
            assert (await client.next("response.created", after=len(client.events)))["response"]["id"] not in created

    run(scene)


def test_empty_input_with_the_conversation_is_stored_without_context() -> None:
    async def scene() -> None:
        brain = Says([Say("Fresh.")])
        async with session(brain) as client:
            await client.send("conversation.item.create", item=PRIVATE)
            await client.send("response.create", response={"input": []})
            await client.next("response.done")
            assert brain.turns[0].items == []
            assert len(client.of("conversation.item.added")) == 2

    run(scene)


def test_item_reference_and_place_of_items() -> None:
    async def scene() -> None:
        brain = Says([Say("Yes.")])
        async with session(brain) as client:
            for name, place in (("b", None), ("a", "root"), ("c", "b"), ("x", "a")):
                extra = {} if place is None else {"previous_item_id": place}
                await client.send("conversation.item.create", item={**PRIVATE, "id": name}, **extra)
            await client.send("conversation.item.delete", item_id="b")
            await client.next("conversation.item.deleted")
            added = [(event["item"]["id"], event["previous_item_id"]) for event in client.of("conversation.item.added")]
            assert added == [("b", None), ("a", None), ("c", "b"), ("x", "a")]
            await client.send("response.create", response={"input": [{"type": "item_reference", "id": "x"}]})
            done = await client.next("response.done")
            assert [each["id"] for each in brain.turns[0].items] == ["x"]
            await client.send("response.create")
            await client.next("response.done", after=client.position(done) + 1)
            assert [each["id"] for each in brain.turns[1].items][:3] == ["a", "x", "c"]

    run(scene)
