"""What the official Python package can say, and our server can not: every property of its client events, one by one."""

from __future__ import annotations

import json
import subprocess
from functools import partial
from typing import Any

from engine.server.responders import Text
from tests.interop.conftest import need
from tests.interop.environments import environments
from tests.interop.world import DRIVERS
from tests.server.harness import Client, Says, run, session

LATER: set[str] = set()
"""Properties that the server does not know."""


async def answer(client: Client, event: dict[str, Any]) -> str | None:
    """The code of the error that an event is answered with. A response that it leads to is over afterwards."""
    first = seen = len(client.events)
    code = None
    await client.connection.send(json.dumps({**event, "event_id": "mine"}))
    await client.connection.send('{"type": "conversation.item.retrieve", "item_id": "none", "event_id": "marker"}')
    while (error := await client.next("error", after=seen))["error"]["event_id"] != "marker":
        code, seen = error["error"]["code"], client.position(error) + 1
    if event["type"] == "response.create" and code is None:
        await client.next("response.done", after=first)
    return code


def test_every_property_of_the_official_package_is_known() -> None:
    official = environments()["openai"]
    need(official)
    command = [str(official.python), str(DRIVERS / "list_properties.py")]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    events = [json.loads(line) for line in listed.splitlines()]
    assert len(events) > 200

    known: set[str] = set()
    refused: set[str] = set()

    async def scene(kind: str) -> None:
        async with session(Says([Text("Yes.")]), transcription=kind == "transcription") as client:
            for event in events:
                if event["event"].get("session", {}).get("type", "realtime") == kind:
                    code = await answer(client, event["event"])
                    (refused if code == "unknown_parameter" else known).add(event["path"])

    for kind in ("realtime", "transcription"):
        run(partial(scene, kind))
    print("\n".join(f"unknown to the server: {path}" for path in sorted(refused - known)))
    assert refused - known == LATER
