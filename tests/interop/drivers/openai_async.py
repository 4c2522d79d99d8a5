"""The official Python package, asynchronous."""

from __future__ import annotations

import asyncio
import base64
from operator import attrgetter
from typing import Any

import openai
from application import Application
from common import KEY, MODEL, URL, tell


async def speak(connection: Any, application: Application) -> None:
    async for frame in application.microphone.frames():
        await connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())


async def main() -> None:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=URL, max_retries=0)
    application = Application(asyncio.get_running_loop().call_later)
    async with client.realtime.connect(model=MODEL) as connection:
        speaking = asyncio.create_task(speak(connection, application))
        async for event in connection:
            for method, arguments in application.obey(event):
                await attrgetter(method)(connection)(**arguments)
            if application.over:
                break
        speaking.cancel()
    tell("end")


asyncio.run(main())
