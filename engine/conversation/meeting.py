"""From an endpoint and a way to a server to a running conversation, and back to nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from engine.conversation.conversation import Conversation
from engine.conversation.line import Line, OpenConnection
from engine.conversation.observer import Observer
from engine.conversation.settings import Settings
from engine.endpoints import Endpoint, SoundSettings


@asynccontextmanager
async def converse(
    endpoint: Endpoint, open_connection: OpenConnection, settings: Settings, observer: Observer | None = None
) -> AsyncIterator[Conversation]:
    """Connect, agree on the session, start the sound, and yield the running conversation; leaving the block ends
    all of it.

    An exception raised inside the block leaves it as it is. A lost connection that no feed has reported is raised
    at its end.
    """
    raised: Exception | None = None
    conversation: Conversation | None = None
    async with AsyncExitStack() as stack:
        line = await Line.open(open_connection, settings, observer)

        async def hang_up() -> None:
            await (conversation.line if conversation is not None else line).close()

        stack.push_async_callback(hang_up)
        sound_settings = SoundSettings(
            settings.audio_format,
            settings.audio_format,
            settings.barge_in,
            settings.gate,
            settings.queue_s,
            settings.capture_stages,
            settings.playback_stages,
            muted=settings.activation is not None,
            hearing=settings.hearing,
        )
        sound = await stack.enter_async_context(endpoint.open(sound_settings))
        conversation = Conversation(sound, line, settings, observer, open_connection)
        for event in line.early:
            conversation.take(event)
        async with asyncio.TaskGroup() as tasks:
            running = conversation.start(tasks)
            try:
                yield conversation
            except Exception as error:  # kept out of the group, which would wrap it
                raised = error
            finally:
                unseen = conversation.stop()
                for task in running:
                    task.cancel()
    if raised is not None:
        raise raised
    if unseen is not None:
        raise unseen
