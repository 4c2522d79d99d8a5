"""The sound that a session keeps: its budget holds whatever happens, the oldest goes first, the gone says so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio import AudioFormat
from engine.server import ServerOptions
from engine.server.history import AudioBudget
from engine.server.items import Clip
from engine.server.responders import Audio
from tests.audio.test_stretch import voiced
from tests.server.harness import Client, Says, run, session

LIMIT = 2**16


@given(st.lists(st.tuples(st.sampled_from(["keep", "cut", "release"]), st.integers(0, 5), st.integers(1, 400))))
@settings(max_examples=200, deadline=None)
def test_the_books_are_right(steps: list[tuple[str, int, int]]) -> None:
    budget = AudioBudget(1000)
    clips = [Clip(AudioFormat.PCMU) for _ in range(6)]
    for what, number, size in steps:
        clip = clips[number]
        if what == "keep" and not clip.dropped:
            clip.data += bytes(size)
            budget.keep(clip, size)
        elif what == "cut":
            budget.cut(clip, size)
        elif what == "release":
            budget.release(clip)
        assert budget.used == sum(len(each.data) for each in clips) <= 1000
        assert not any(each.dropped and each.data for each in clips)


async def retrieved(client: Client, item_id: str) -> str:
    """ "kept", or the code of the error."""
    seen = len(client.events)
    await client.send("conversation.item.retrieve", item_id=item_id)
    answer = await client.next("conversation.item.retrieved", "error", after=seen)
    if answer["type"] == "error":
        assert answer["error"]["param"] == "item_id"
        return str(answer["error"]["code"])
    return "kept" if answer["item"]["content"][0]["audio"] else "empty"


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_replies_of_any_length_stay_within_it(seconds: float) -> None:
    """Five replies: of half a second each the last two are kept; of three seconds not even the one that was spoken."""

    async def scene() -> None:
        sound = voiced(120, seconds)
        async with session(Says([Audio(sound, "la")]), ServerOptions(retained_bytes=LIMIT)) as client:
            ids = []
            for _ in range(5):
                await client.send("response.create")
                done = (await client.next("response.done", after=len(client.events)))["response"]
                ids.append(done["output"][0]["id"])
                assert len(client.audio_of(done["id"])) == 2 * sound.size  # all of it is sent
            found = [await retrieved(client, item_id) for item_id in ids]
            gone = "item_audio_not_retained"
            assert found == ([gone] * 3 + ["kept"] * 2 if seconds < 1 else [gone] * 5)
            # What is gone can still be truncated, and the words go as ever.
            await client.send("conversation.item.truncate", item_id=ids[0], content_index=0, audio_end_ms=200)
            await client.next("conversation.item.truncated")
            await client.send("response.create")
            await client.next("response.done", after=len(client.events))

    run(scene)


def test_a_brain_is_given_nothing_for_what_is_gone() -> None:
    async def scene() -> None:
        brain = Says([Audio(np.zeros(10, np.float32))])
        async with session(brain, ServerOptions(retained_bytes=LIMIT)) as client:
            await client.update(audio={"input": {"turn_detection": None}})
            for _ in range(2):
                await client.append(bytes(40_000))
                await client.send("input_audio_buffer.commit")
            first = (await client.next("input_audio_buffer.committed"))["item_id"]
            for chosen in ([{"type": "item_reference", "id": first}], None):
                response = {} if chosen is None else {"input": chosen}
                await client.send("response.create", response=response)
                await client.next("response.done", after=len(client.events))
            assert [turn.audio().size for turn in brain.turns] == [0, 20_000]

    run(scene)
