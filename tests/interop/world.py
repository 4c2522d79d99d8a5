"""A conversation of a client with the server: `bargein serve` in its own process, a tap, and a driver in its own."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import numpy as np

from engine.server.voices import best_voice
from tests.cli.harness import environment, finish, start
from tests.interop.environments import BUILD, Environment
from tests.interop.tap import Recording, tap

HERE = Path(__file__).parent
DRIVERS = HERE / "drivers"
SCRIPT = HERE / "script.yaml"
KEY = "sk-interop-0123456789"
CERTIFICATE = BUILD / "tls" / "self-signed.pem"
EXPECTED = r"time=\S+ event=|bargein: its certificate"
"""What a server says on stderr when all is well."""
LIMIT_S = 120  # a hang ends as a failure
# Without pauses: the script knows all words of a turn, so that semantic_vad would take a pause for its end.
SENTENCES = {
    "greeting": "Now who are you?",
    "weather": "How will the weather be in Rome?",
    "trains": "Tell me all about your railway.",
    "stop": "Please say no more of that.",
}


@dataclass
class Talk:
    """A conversation that is over: what the client told its user, and what went over the line."""

    client: Environment
    told: list[dict[str, Any]] = field(default_factory=list)
    lines: list[Recording] = field(default_factory=list)
    complaints: str = ""
    """What the driver and its client said on stderr."""

    def of(self, saw: str) -> list[dict[str, Any]]:
        """What the client told of one kind."""
        return [line for line in self.told if line["saw"] == saw]


@cache
def sounds() -> Path:
    """A folder with every sentence as samples, spoken by espeak-ng."""
    folder = BUILD / "sounds"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    voice = best_voice()
    for name, sentence in SENTENCES.items():
        samples = asyncio.run(voice.synthesize(sentence, "echo"))
        (folder / f"{name}.pcm").write_bytes(np.round(samples * 32767).astype("<i2").tobytes())
    return folder


@contextmanager
def served(*options: object, key: str = "") -> Iterator[str]:
    """`bargein serve` as a user starts it, with one key or none; gives the URL of its WebSocket."""
    if "--tls" in options:
        options = (*options, "--tls-folder", CERTIFICATE.parent)
    process = start(
        "serve", "--port", 0, "--responder", f"script:{SCRIPT}", *options, env=environment(BARGEIN_API_KEYS=key)
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"(wss?://\S+/v1/realtime)\b", line):
                yield found[1]
                break
        else:
            raise AssertionError(f"the server does not listen: {process.stderr and process.stderr.read()}")
        process.send_signal(signal.SIGTERM)
        ran = finish(process)
        complaints = [line for line in ran.err.splitlines() if not re.match(EXPECTED, line)]
        assert (ran.code, complaints) == (0, [])
    finally:
        if process.poll() is None:
            process.kill()


def hold(url: str, client: Environment, driver: str) -> Talk:
    """Let a driver talk to the server at `url`, which has KEY."""
    sounds()  # it runs a loop of its own
    key = client_secret(url) if client.secret else KEY
    return asyncio.run(_hold(url, client, driver, key))


def client_secret(url: str) -> str:
    """A new one, as an application gets it for a browser."""
    address = url.replace("ws", "http", 1).removesuffix("/realtime") + "/realtime/client_secrets"
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    made = httpx2.post(address, headers=headers, json={"session": {"type": "realtime"}}, trust_env=False)
    return str(made.raise_for_status().json()["value"])


async def _hold(url: str, client: Environment, driver: str, key: str) -> Talk:
    more: dict[str, str] = {}
    ours = theirs = None
    if url.startswith("wss:"):
        ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=CERTIFICATE)
        ours.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
        more = {"NODE_EXTRA_CA_CERTS": str(CERTIFICATE)}
    async with tap(url, ours, theirs) as line:
        command = _command(client, driver, client.url.format(port=line.port), key)
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=client.folder,
            env=_environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            limit=2**24,
        )
        try:
            async with asyncio.timeout(LIMIT_S):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            out, err = await process.communicate()
            err += f"\nkilled after {LIMIT_S} s".encode()
        told = [json.loads(text) for text in out.decode().splitlines() if text.startswith('{"saw"')]
        complaints = err.decode()
        if process.returncode:
            complaints += f"\nended with {process.returncode}"
        return Talk(client, told, line.recordings, complaints + "\n".join(line.failures))


def _command(client: Environment, driver: str, url: str, key: str) -> Sequence[str]:
    program = str(client.python) if client.pip else "node"
    return [program, str(DRIVERS / driver), url, key, str(sounds())]


def _environment(**more: str) -> dict[str, str]:
    """Without keys, proxies and this test run's own Python."""
    kept = {name: value for name, value in environment().items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    quiet = {"OPENAI_AGENTS_DISABLE_TRACING": "1", "DO_NOT_TRACK": "1"}
    return {**kept, **quiet, **more}
