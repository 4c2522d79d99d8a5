"""A response can be cancelled at any moment: at most the delta in hand still comes, and after response.done nothing."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server import ServerOptions
from engine.server.responders import Audio, Part, Say, Text, ToolCall
from tests.audio.test_stretch import voiced
from tests.server.harness import Says, run, session

ANSWER: list[Part | float] = [
    Say("A sentence to begin with."),
    0.1,
    Audio(voiced(120, 1.0), "sound"),
    ToolCall("look"),
    0.2,
    Text("Read."),
]


@given(
    after_s=st.floats(0, 1.2),
    burst=st.sampled_from([1.0, 3.0, 8.0]),
    speed=st.sampled_from([0.25, 1.0, 1.5]),
    by_id=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_cancelled_within_one_delta_at_any_moment(after_s: float, burst: float, speed: float, by_id: bool) -> None:
    async def scene() -> None:
        brain = Says(ANSWER)
        async with session(brain, ServerOptions(burst=burst)) as client:
            await client.update(audio={"output": {"speed": speed}})
            await client.send("response.create")
            response_id = (await client.next("response.created"))["response"]["id"]
            await asyncio.sleep(after_s)
            seen = len(client.events)
            await client.send("response.cancel", **({"response_id": response_id} if by_id else {}))
            done = await client.next("response.done")
            end = client.position(done)
            late = [event for event in client.events[seen:end] if event["type"].endswith("audio.delta")]
            assert len(late) <= 1
            if end >= seen:
                assert done["response"]["status"] == "cancelled"
                assert done["response"]["status_details"]["reason"] == "client_cancelled"
            else:  # it was over before: a harmless race
                assert done["response"]["status"] == "completed"
                assert (await client.next("error"))["error"]["code"] == "response_cancel_not_active"
            await asyncio.sleep(5)
            assert not any(event.get("response_id") == response_id for event in client.events[end + 1 :])
            assert brain.closed == 1

    run(scene)
