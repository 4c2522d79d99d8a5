"""`bargein serve`: the embedded Realtime server by itself, until it is stopped."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from contextlib import suppress

from engine import server
from engine.errors import ConfigError


async def run(options: Namespace) -> int:
    """Listen and say where; 0 when a signal ends it, whatever was going on."""
    if not 0 <= options.port <= 65535:
        raise ConfigError(f"--port is {options.port}: use 1 to 65535, or 0 for any free one")
    chosen = {
        name: getattr(options, name)
        for name in ("model", "instructions", "voice", "burst", "session_s", "max_sessions", "beta")
        if getattr(options, name) is not None
    }
    settings = server.ServerOptions(**chosen)
    brain = server.responder(options.responder)
    with suppress(asyncio.CancelledError):  # a signal is how this command ends
        async with server.serve(options.host, options.port, responder=brain, options=settings) as running:
            print(f"listening on {running.url}", flush=True)
            await asyncio.get_running_loop().create_future()
    return 0
