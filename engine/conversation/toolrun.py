"""One tool call carried out: on the loop or in a thread, with a time limit, every failure in words for the model."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.conversation.tool import Tool, ToolCall
from engine.errors import ToolError
from engine.realtime.redaction import scrub

MAX_OUTPUT = 256 * 1024
"""Characters of one output; a longer one is an error, since the model could not read it."""
GRACE_S = 1.0
"""How long the end of a conversation waits for a thread whose call was cancelled."""

_log = logging.getLogger("bargein")


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a call. `output` is for the model, `error`, "" when there was none, for the application."""

    outcome: str
    output: str
    error: str = ""


def failed(outcome: str, words: str, error: str = "") -> Result:
    """A result that tells the model what went wrong."""
    return Result(outcome, msgspec.json.encode({"error": words}).decode(), scrub(error or words))


async def carry_out(tool: Tool[..., Any], call: ToolCall) -> Result:
    """Run the tool. Raises only `CancelledError`."""
    try:
        work = tool.bind(call)
    except ValueError as problem:
        return failed("bad_arguments", str(problem))
    limit = asyncio.timeout(tool.timeout_s)
    try:
        async with limit:
            value = await (work() if tool.is_async else _in_thread(tool, call, work))
            if inspect.isawaitable(value):
                value = await value
        return _result(value)
    except ToolError as told:
        return failed("failed", str(told))
    except Exception as problem:
        if limit.expired() and isinstance(problem, TimeoutError):
            return failed("timed_out", f"{tool.name} did not finish within {tool.timeout_s:g} s")
        _log.info("tool %s failed", tool.name, exc_info=problem)
        return failed("failed", f"{tool.name} failed", f"{type(problem).__name__}: {problem}")
    finally:
        call.cancel()  # nobody waits any more, also not for what it left running


def _result(value: Any) -> Result:
    output = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if len(output) > MAX_OUTPUT:
        problem = f"the result has {len(output)} characters, at most {MAX_OUTPUT} can be sent"
        return failed("failed", problem)
    return Result("completed", output)


async def _in_thread(tool: Tool[..., Any], call: ToolCall, work: Callable[[], Any]) -> Any:
    context = contextvars.copy_context()
    running = asyncio.get_running_loop().run_in_executor(_THREADS, context.run, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        call.cancel()
        done, _ = await asyncio.wait({running}, timeout=GRACE_S)
        if done:
            running.exception()  # it was asked to stop: how it did does not matter
        else:
            running.add_done_callback(lambda late: late.cancelled() or late.exception())
            _log.warning("tool %s still runs in its thread; let it look at ToolCall.cancelled", tool.name)
        raise


class _Threads(Executor):
    """A thread for each call: one that hangs holds up neither other calls nor the end of the program. How many there
    are is bounded by how many calls a conversation takes at a time.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as problem:
                future.set_exception(problem)

        threading.Thread(target=run, name="bargein tool", daemon=True).start()
        return future


_THREADS = _Threads()

__all__ = ["MAX_OUTPUT", "Result", "carry_out", "failed"]
