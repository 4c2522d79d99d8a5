"""Traces as OpenTelemetry spans (extra `tracing`), which is imported only here and only when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import MissingExtraError
from engine.server.traces.base import Value

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

NANOSECONDS = 1_000_000_000


class OpenTelemetryTrace:
    """Spans of `provider`, or of the one that the process has set (`opentelemetry-instrument` sets one by the
    environment). Raises MissingExtraError without the extra.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError:
            raise MissingExtraError("tracing with OpenTelemetry", "tracing") from None
        self._api: Any = trace
        self._tracer = trace.get_tracer("bargein", tracer_provider=provider)

    def begin(self, name: str, at: float, parent: _Span | None, attributes: Mapping[str, Value]) -> _Span:
        """See `Trace.begin`."""
        context = None if parent is None else self._api.set_span_in_context(parent.span)
        start = int(at * NANOSECONDS)
        span = self._tracer.start_span(name, context=context, attributes=dict(attributes), start_time=start)
        return _Span(self._api, span)


class _Span:
    def __init__(self, api: Any, span: Any) -> None:
        self._api = api
        self.span = span

    def set(self, name: str, value: Value) -> None:
        self.span.set_attribute(name, value)

    def note(self, name: str, at: float, attributes: Mapping[str, Value]) -> None:
        self.span.add_event(name, dict(attributes), timestamp=int(at * NANOSECONDS))

    def end(self, at: float, failure: str = "") -> None:
        if failure:
            self.span.set_status(self._api.Status(self._api.StatusCode.ERROR, failure))
        self.span.end(end_time=int(at * NANOSECONDS))
