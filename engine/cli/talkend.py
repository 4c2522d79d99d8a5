"""What is left to say when a talk is over."""

from __future__ import annotations

from argparse import Namespace
from statistics import fmean
from typing import Any

import msgspec

from engine.cli.talkmodel import Model, View


def summary(options: Namespace, model: Model) -> None:
    """One line, or with --json an object, on stdout; nothing when no conversation began."""
    last = model.last
    if last is None:
        return
    figures = _figures(model, last)
    print(msgspec.json.encode(figures).decode() if options.json else _line(figures), flush=True)


def _figures(model: Model, last: View) -> dict[str, Any]:
    replies = [turn for turn in model.turns if turn.role == "assistant"]
    latencies = [turn.latency_ms for turn in replies if turn.latency_ms is not None]
    return {
        "type": "summary",
        "seconds": round(last.seconds, 1),
        "replies": len(replies),
        "interrupted": sum(turn.interrupted for turn in replies),
        "mean_latency_ms": round(fmean(latencies), 1) if latencies else None,
        "xruns": last.xruns,
        "missing_ms": round(last.missing_ms, 1),
        "unsent_ms": last.lost_ms,
        "echo": last.echo or None,
        "input_tokens": last.usage.input,
        "output_tokens": last.usage.output,
        "cost": last.usage.cost,
    }


def _line(figures: dict[str, Any]) -> str:
    replies = figures["replies"]
    parts = [f"{figures['seconds']:.0f} s", f"{replies} {'reply' if replies == 1 else 'replies'}"]
    parts += [f"{figures['interrupted']} interrupted"] if figures["interrupted"] else []
    if figures["mean_latency_ms"] is not None:
        parts.append(f"{figures['mean_latency_ms']:.0f} ms from speech to answer on average")
    parts += [f"{figures['xruns']} xruns"] if figures["xruns"] else []
    parts += [f"{figures['missing_ms']:.0f} ms of callbacks missing"] if figures["missing_ms"] else []
    parts += [figures["echo"]] if figures["echo"] else []
    if figures["input_tokens"] or figures["output_tokens"]:
        parts.append(f"{figures['input_tokens']} tokens in, {figures['output_tokens']} out")
    parts += [f"cost {figures['cost']:.4f}"] if figures["cost"] is not None else []
    return ", ".join(parts)
