"""GET /metrics: what a server does, in Prometheus' text format.

All labels come from lists that stand here, so the number of series is fixed; nothing in them is a client's word. Fed by
sessions (`Metrics` is a `Watcher`), by the front, and by the loop itself. Everything happens on one loop.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from engine.server.figures import About, SessionFigures, TurnFigures, Watcher
from engine.server.version import VERSION
from engine.server.web.messages import Answer

TYPE = "text/plain; version=0.0.4; charset=utf-8"
LAG_EVERY_S = 0.1
"""How often the loop is asked how late it is."""
TURN_BUCKETS_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
BARGE_IN_BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0)
LATE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
TYPES = ("realtime", "transcription")
STATUSES = ("completed", "cancelled", "failed", "incomplete")
CLOSES = ("1000", "1001", "1002", "1005", "1006", "1007", "1009", "1011", "1013", "4000")
REFUSALS = (
    "invalid_host",
    "not_local",
    "forwarded",
    "invalid_origin",
    "unauthorized",
    "forbidden",
    "rate_limit_exceeded",
    "server_full",
    "server_closing",
    "client_secrets_exhausted",
    "dismissed",
)
OTHER = "other"
"""What stands for everything that is not in a list."""


class Counter:
    """A number that only grows, for each value of one label; a value that is not listed counts as `other`."""

    def __init__(self, name: str, help: str, label: str = "", values: Iterable[str] = ()) -> None:
        self.name, self.help, self._label = name, help, label
        self._counts = dict.fromkeys((*values, OTHER) if label else ("",), 0)

    def add(self, value: str = "", by: int = 1) -> None:
        """Count."""
        self._counts[value if value in self._counts else OTHER] += by

    def lines(self) -> Iterator[str]:
        """Its series."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} counter"
        for value, count in self._counts.items():
            yield f'{self.name}{{{self._label}="{value}"}} {count}' if self._label else f"{self.name} {count}"


class Histogram:
    """Seconds, by how many are at most so long."""

    def __init__(self, name: str, help: str, bounds: tuple[float, ...]) -> None:
        self.name, self.help, self._bounds = name, help, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def lines(self) -> Iterator[str]:
        """Its series."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} histogram"
        total = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            yield f'{self.name}_bucket{{le="{bound}"}} {total}'
        yield f"{self.name}_sum {self._sum:.6f}"
        yield f"{self.name}_count {total}"


class Metrics(Watcher):
    """All figures of one server."""

    def __init__(self) -> None:
        self.open = 0
        """Sessions open now."""
        self._sessions = Counter("bargein_sessions_total", "Sessions opened.", "type", TYPES)
        self._closed = Counter("bargein_sessions_closed_total", "Sessions over, by close code.", "code", CLOSES)
        self._refused = Counter("bargein_refused_total", "Requests that were not let in.", "reason", REFUSALS)
        self._responses = Counter("bargein_responses_total", "Responses done.", "status", STATUSES)
        self._tokens = Counter("bargein_tokens_total", "Estimated tokens.", "direction", ("input", "output"))
        self._secrets = Counter("bargein_client_secrets_issued_total", "Client secrets made.")
        self._errors = Counter("bargein_errors_total", "Error events sent.")
        self._turns = Histogram(
            "bargein_turn_latency_seconds",
            "From response.created, at the end of the user's turn, to the first delta.",
            TURN_BUCKETS_S,
        )
        self._interruptions = Histogram(
            "bargein_barge_in_latency_seconds",
            "Speech heard before it cancelled a response.",
            BARGE_IN_BUCKETS_S,
        )
        self._lag = Histogram(
            "bargein_loop_lag_seconds", "How late the event loop runs, asked ten times a second.", LATE_BUCKETS_S
        )
        self._late = Histogram(
            "bargein_frame_lateness_seconds", "How much later than due a delta of sound leaves.", LATE_BUCKETS_S
        )
        self._began = time.time()
        self._timer: asyncio.TimerHandle | None = None

    # ---- what happens

    def opened(self, about: About, /) -> None:
        """See `Watcher`."""
        self.open += 1
        self._sessions.add(about.type)

    def turn(self, _about: About, figures: TurnFigures, /) -> None:
        """See `Watcher`. Out-of-band responses wait for nobody who speaks: their latency is not counted."""
        self._responses.add(figures.status)
        self._tokens.add("input", figures.input_tokens)
        self._tokens.add("output", figures.output_tokens)
        if figures.latency_s is not None and not figures.out_of_band:
            self._turns.observe(figures.latency_s)

    def interrupted(self, _about: About, latency_s: float, /) -> None:
        """See `Watcher`."""
        self._interruptions.observe(latency_s)

    def late(self, seconds: float, /) -> None:
        """See `Watcher`."""
        self._late.observe(seconds)

    def closed(self, _about: About, figures: SessionFigures, /) -> None:
        """See `Watcher`."""
        self.open -= 1
        self._closed.add(str(figures.code))
        self._errors.add(by=figures.errors)

    def refused(self, answer: Answer) -> None:
        """A front does not let somebody in, with this answer; one without an error in it refuses nobody."""
        if (reason := _reason(answer)) is not None:
            self._refused.add(reason)

    def dismissed(self) -> None:
        """A WebSocket was opened to be told that what it asks for is not spoken here."""
        self._refused.add("dismissed")

    def issued(self) -> None:
        """A client secret was made."""
        self._secrets.add()

    # ---- the loop

    def watch_loop(self) -> None:
        """Ask the running loop ten times a second how late it is, until `stop`."""
        if self._timer is None:
            self._ask(asyncio.get_running_loop())

    def stop(self) -> None:
        """Ask no more. Twice is allowed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + LAG_EVERY_S

        def asked() -> None:
            self._lag.observe(max(loop.time() - due, 0.0))
            self._ask(loop)

        self._timer = loop.call_at(due, asked)

    # ---- the text

    def text(self, *, draining: bool = False, secrets: int = 0) -> str:
        """Everything, as Prometheus reads it. `secrets`: client secrets that have not expired."""
        gauges: list[tuple[str, str, float]] = [
            ("bargein_sessions", "Sessions open now.", self.open),
            ("bargein_client_secrets", "Client secrets that have not expired.", secrets),
            ("bargein_draining", "1 from the beginning of the end on, when nobody new is let in.", int(draining)),
            ("bargein_start_time_seconds", "When this server began, in Unix seconds.", round(self._began, 3)),
        ]
        if (resident := _resident_bytes()) is not None:
            gauges.append(("process_resident_memory_bytes", "Memory of the process.", resident))
        lines = [
            "# HELP bargein_info The version that runs.",
            "# TYPE bargein_info gauge",
            f'bargein_info{{version="{VERSION}"}} 1',
        ]
        for name, help, value in gauges:
            lines += [f"# HELP {name} {help}", f"# TYPE {name} gauge", f"{name} {value}"]
        used = resource.getrusage(resource.RUSAGE_SELF)
        lines += [
            "# HELP process_cpu_seconds_total Processor time of the process.",
            "# TYPE process_cpu_seconds_total counter",
            f"process_cpu_seconds_total {used.ru_utime + used.ru_stime:.3f}",
        ]
        for each in self._all():
            lines += each.lines()
        return "\n".join(lines) + "\n"

    def _all(self) -> tuple[Counter | Histogram, ...]:
        counters = (self._sessions, self._closed, self._refused, self._responses, self._tokens, self._errors)
        return (*counters, self._secrets, self._turns, self._interruptions, self._lag, self._late)


_BY_STATUS = {401: "unauthorized", 403: "forbidden"}


def _reason(answer: Answer) -> str | None:
    try:
        code = msgspec.json.decode(answer.body)["error"]["code"]
    except (msgspec.DecodeError, LookupError, TypeError):
        return None
    return code if code in REFUSALS else _BY_STATUS.get(answer.status, OTHER)


def _resident_bytes(statm: Path = Path("/proc/self/statm")) -> int | None:
    """None where the kernel does not tell."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def answer(metrics: Metrics, *, draining: bool, secrets: Callable[[], int]) -> Answer:
    """Answers GET /metrics."""
    return Answer(200, metrics.text(draining=draining, secrets=secrets()).encode(), TYPE)


__all__ = ["Counter", "Histogram", "Metrics", "answer"]
