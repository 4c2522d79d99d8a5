"""Where traces of sessions go: OpenTelemetry, a file of JSON lines, or an object of your own.

    async with server.serve(options=ServerOptions(trace=TraceFile("trace.jsonl"), trace_all=True)): ...

A session is traced when its client asks for it (`tracing` of the session), or always with `trace_all`.
"""

from __future__ import annotations

from engine.server.traces.base import Span, Trace, Value
from engine.server.traces.file import TraceFile
from engine.server.traces.otel import OpenTelemetryTrace

__all__ = ["OpenTelemetryTrace", "Span", "Trace", "TraceFile", "Value"]
