"""A response can be cancelled at any moment: at most the delta in hand still comes, and after response.done nothing."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server import ServerOptions, serve_connection
from engine.server.responders import Audio, Part, Say, Text, ToolCall
from engine.server.voices import ToneVoice
from engine.transport import pair
from tests.audio.test_stretch import voiced
from tests.server.harness import Event, Says, run, session

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


def test_one_who_reads_nothing_for_a_while_gets_little_of_a_cancelled_response() -> None:
    """A minute of sound, a thousand times faster than it plays, to a client that does not read before its cancel."""

    async def scene() -> None:
        ours, theirs = pair(1)
        serving = asyncio.create_task(
            serve_connection(
                theirs,
                responder=Says([Audio(voiced(120, 60.0), "long")]),
                options=ServerOptions(burst=1000),
                voice=ToneVoice(),
            )
        )
        await ours.send(json.dumps({"type": "response.create"}))
        await asyncio.sleep(10)
        await ours.send(json.dumps({"type": "response.cancel"}))
        await asyncio.sleep(1)
        events: list[Event] = []
        while not events or events[-1]["type"] != "response.done":
            events.append(json.loads(await ours.receive()))
        deltas = [event for event in events if event["type"] == "response.output_audio.delta"]
        assert events[-1]["response"]["status"] == "cancelled"
        assert 0 < len(deltas) <= 8  # of 600
        await ours.close()
        await serving

    run(scene)
