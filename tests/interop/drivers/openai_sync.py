"""The official Python package, synchronous: one thread listens, another speaks."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from typing import Any

import openai
from application import Application
from common import KEY, MODEL, URL, tell


def later(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


def speak(connection: Any, application: Application) -> None:
    with suppress(Exception):  # the line is closed under it
        for frame in application.microphone.paced():
            connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())


def main() -> None:
    client = openai.OpenAI(api_key=KEY, base_url=URL, max_retries=0)
    application = Application(later)
    with client.realtime.connect(model=MODEL) as connection:
        threading.Thread(target=speak, args=(connection, application), daemon=True).start()
        for event in connection:
            for method, arguments in application.obey(event):
                attrgetter(method)(connection)(**arguments)
            if application.over:
                break
    tell("end")


main()
