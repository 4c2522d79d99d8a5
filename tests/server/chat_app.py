"""A small service of the OpenAI kind, as a process of its own: chat completions, transcriptions, speech.

    python chat_app.py            # prints its base URL; ends when its standard input does

What the language model does is chosen by its name (`MODELS`). GET /log gives the requests so far and how many streams
their client left.
"""

from __future__ import annotations

import io
import json
import math
import struct
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MARKS = (
    "<think>The user wants *marks*. </think># Opening hours\n\n"
    "We are **open** from [nine](http://x.test/) to `six`.\n\n"
    "- Monday\n- Tuesday\n\n```python\nprint('never said')\n```\nSee you, *then*."
)
CALLS = [
    {"index": 0, "id": "call_a", "type": "function", "function": {"name": "get_weather", "arguments": ""}},
    {"index": 0, "function": {"arguments": '{"ci'}},
    {"index": 0, "function": {"arguments": 'ty": "Rome"}'}},
    {"index": 1, "id": "call_b", "type": "function", "function": {"name": "get_time", "arguments": "{}"}},
]


class App(ThreadingHTTPServer):
    """What was asked, and what became of it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.left = 0


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: App

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """GET /log and /v1/models."""
        if self.path == "/log":
            self._json(200, {"requests": self.server.requests, "left": self.server.left})
        elif self.headers.get("Authorization") == "Bearer sk-refused-0123456789":
            self._json(401, {"error": {"message": f"no: {self.headers['Authorization']}"}})
        else:
            self._json(200, {"data": [{"id": model} for model in (*MODELS, *ERRORS, "whole", "silent")]})

    def do_POST(self) -> None:
        """Every endpoint."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        known: dict[str, Callable[[bytes], None]] = {
            "/v1/chat/completions": self._chat,
            "/v1/audio/transcriptions": self._transcription,
            "/v1/audio/speech": self._speech,
        }
        known[self.path](body)

    # ---- chat

    def _chat(self, body: bytes) -> None:
        asked = json.loads(body)
        self.server.requests.append({"authorization": self.headers.get("Authorization"), **asked})
        model = asked["model"]
        if model in ERRORS:
            status, error, headers = ERRORS[model]
            key = self.headers.get("Authorization", "")
            self._json(status, {"error": {**error, "message": error["message"].replace("{key}", key)}}, headers)
            return
        if model == "whole":
            told = {"choices": [{"message": {"role": "assistant", "content": "All at once."}, "finish_reason": "stop"}]}
            self._json(200, told)
            return
        if model == "silent":
            self._wait_until_left()
            return
        self._begin("text/event-stream")
        for chunk in MODELS[model](asked):
            self._chunk(chunk if isinstance(chunk, bytes) else b"data: " + json.dumps(chunk).encode() + b"\n\n")
        if model == "hang":
            self._wait_until_left(b": still here\n\n")
            return
        if model == "broken":
            self.close_connection = True
            return
        self._chunk(b"")

    def _wait_until_left(self, alive: bytes = b"") -> None:
        try:
            while True:
                time.sleep(0.02)
                if alive:
                    self._chunk(alive)
                elif not self.connection.recv(1):
                    break
        except OSError:
            pass
        self.server.left += 1
        self.close_connection = True

    # ---- sound

    def _transcription(self, body: bytes) -> None:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        found = message_from_bytes(head + body).get_payload()
        assert isinstance(found, list)
        parts = {_name(part): part.get_payload(decode=True) for part in found if isinstance(part, Message)}
        form = {name: value.decode() for name, value in parts.items() if name != "file" and isinstance(value, bytes)}
        sound = parts["file"]
        assert isinstance(sound, bytes)
        with wave.open(io.BytesIO(sound)) as file:
            form |= {"rate": str(file.getframerate()), "ms": str(file.getnframes() * 1000 // file.getframerate())}
        self.server.requests.append(form)
        if form["model"] == "fails":
            self._json(500, {"error": {"message": "no more memory"}})
        elif form["model"] == "odd":
            self._json(200, {"words": 3})
        else:
            self._json(200, {"text": " what is the weather "})

    def _speech(self, body: bytes) -> None:
        asked = json.loads(body)
        self.server.requests.append(asked)
        count = 120 * len(asked["input"])
        pcm = struct.pack(f"<{count}h", *(round(9000 * math.sin(n / 8)) for n in range(count)))
        if asked["response_format"] == "pcm":
            self._answer(200, "audio/pcm", pcm)
            return
        file = io.BytesIO()
        with wave.open(file, "wb") as wav:
            wav.setnchannels(1)
            wav.setsampwidth(2)
            wav.setframerate(16000)
            wav.writeframes(pcm)
        self._answer(200, "audio/wav", file.getvalue())

    # ---- answers

    def _json(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(status, "application/json", json.dumps(data).encode(), headers)

    def _answer(self, status: int, kind: str, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _begin(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


def _name(part: Message) -> str:
    return str(part.get_param("name", header="content-disposition"))


def _said(asked: dict[str, Any]) -> str:
    content = asked["messages"][-1]["content"]
    return content if isinstance(content, str) else json.dumps(content)


def _words(text: str, size: int = 3, reason: str = "stop") -> Iterator[dict[str, Any]]:
    for start in range(0, len(text), size):
        yield {"choices": [{"index": 0, "delta": {"content": text[start : start + size]}, "finish_reason": None}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def _plain(asked: dict[str, Any]) -> Iterator[Any]:
    yield {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "reasoning_content": "Hm."}}]}
    yield from _words(f"You said, and I heard it well, {_said(asked)}. Anything else?")
    yield {"choices": [], "usage": {"total_tokens": 7}}
    yield b"data: [DONE]\n\n"


def _tools(asked: dict[str, Any]) -> Iterator[Any]:
    outputs = [message["content"] for message in asked["messages"] if message["role"] == "tool"]
    if outputs:
        yield from _words("It is " + " and ".join(outputs) + ".")
        return
    yield {"choices": [{"index": 0, "delta": {"content": "Let me see."}}]}
    for call in CALLS:
        yield {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
    yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    yield b"data: [DONE]\r\n\r\n"


def _first(_asked: dict[str, Any]) -> Iterator[Any]:
    yield {"choices": [{"index": 0, "delta": {"content": "This is the first sentence. And this"}}]}


MODELS: dict[str, Callable[[dict[str, Any]], Iterator[Any]]] = {
    "plain": _plain,
    "marks": lambda _: _words(MARKS, 2),
    "tools": _tools,
    "hang": _first,
    "broken": _first,
    "garbage": lambda _: iter([b'data: {"choi\n\n']),
    "inside": lambda _: iter([*_first({}), {"error": {"message": "gone", "code": "overloaded"}}]),
    "short": lambda _: _words("It goes on and on", 5, "length"),
    "huge": lambda _: iter([b"data: " + b"x" * 2_000_000]),
}
ERRORS: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {
    "limit": (429, {"message": "slow down"}, {"Retry-After": "7"}),
    "refuse": (401, {"message": "Incorrect API key provided: {key}"}, {}),
    "missing": (404, {"message": "no model 'missing'"}, {}),
    "bad": (400, {"message": "messages[0] is odd, {key}", "code": "odd_message"}, {}),
    "down": (500, {"message": "out of memory"}, {}),
    "moved": (302, {"message": "elsewhere"}, {"Location": "http://127.0.0.1:9/v1"}),
}


def main() -> None:
    """Serve until standard input ends."""
    app = App()
    threading.Thread(target=app.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{app.server_port}/v1", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
