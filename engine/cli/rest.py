"""`bargein secret` and `bargein call`: the REST endpoints from a terminal."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any
from urllib.parse import urlsplit

from engine.cli.inputs import read_key, read_session
from engine.cli.main import say
from engine.errors import ConfigError
from engine.rest import Client, Done
from engine.service import api_base, is_loopback, key_for, request_url


async def secret(options: Namespace) -> int:
    """`secret create`: the secret, and nothing else, on stdout."""
    session = _session(options)
    async with _client(options) as client:
        made = await client.create_client_secret(session or None, expires_after_s=options.expires_after)
    if options.json:
        print(made.to_json().decode(), flush=True)
        return 0
    print(made.value, flush=True)
    left = made.expires_at - time.time()
    say(f"it opens sessions for {left:.0f} s, for anyone who has it" if left > 0 else "it has expired: check the clock")
    return 0


async def call(options: Namespace) -> int:
    """`call accept`, `reject`, `refer` and `hangup`: what was done, on stderr."""
    session = _session(options) if options.action == "accept" else {}
    async with _client(options) as client:
        match options.action:
            case "accept":
                _tell(await client.accept_call(options.call_id, session), f"accepted {options.call_id}")
            case "reject":
                _tell(await client.reject_call(options.call_id, options.status), f"rejected {options.call_id}")
            case "refer":
                done = await client.refer_call(options.call_id, options.target)
                _tell(done, f"referred {options.call_id} to {options.target}")
            case _:
                _tell(await client.hang_up_call(options.call_id), f"hung up {options.call_id}")
    return 0


def _tell(done: Done, what: str) -> None:
    say(what + (f" (request {done.request_id})" if done.request_id else ""))


def _client(options: Namespace) -> Client:
    base = api_base(options.server)
    url = request_url(base, "/")
    key = key_for(url, read_key(options.key_file))
    if key is None and not is_loopback(urlsplit(url).hostname):
        raise ConfigError("there is no key: set OPENAI_API_KEY, or name a file with --key-file")
    return Client(key, base_url=base, ca=options.ca, timeout_s=options.timeout)


def _session(options: Namespace) -> dict[str, Any]:
    """The session of --session, with what the other options set in it."""
    session = read_session(options.session)
    for name in ("model", "instructions"):
        if getattr(options, name) is not None:
            session[name] = getattr(options, name)
    if options.voice is not None:
        audio = session.setdefault("audio", {})
        if not isinstance(audio, dict) or not isinstance(audio.setdefault("output", {}), dict):
            raise ConfigError("--voice has no place in this session: audio.output is no object there")
        audio["output"]["voice"] = options.voice
    return session
