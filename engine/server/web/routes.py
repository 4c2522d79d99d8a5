"""The table of what is answered over HTTP: method and path, who may ask, and a function from request to answer.

    routes.add(Route("GET", "/v1/models", lambda request, who: json_answer(200, models)))

A function is called on the loop, whichever front took the request, and must not block. What it needs beside the request
it holds itself (a closure); a clock and randomness are handed to it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from engine.server.web.credentials import Identity
from engine.server.web.messages import Answer, Request, refusal

Handler = Callable[[Request, Identity], Answer]

KEYS: frozenset[str] = frozenset({"key", "nobody"})
"""API keys; on a server without keys, everybody. A client secret is not enough."""
SECRETS: frozenset[str] = KEYS | {"secret"}
"""Client secrets as well."""
OPEN: frozenset[str] | None = None
"""Everybody who may come in at all: no key is looked at."""
BODY_BYTES = 2**20
"""The longest body taken where a route says nothing else."""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the table."""

    method: str
    path: str
    """Exact, or ending in `/*` for everything below; an exact one goes before."""
    run: Handler
    types: tuple[str, ...] = ()
    """The media types that a body may have; none: there is no body."""
    who: frozenset[str] | None = KEYS
    """Kinds of `Identity` that may ask: KEYS, SECRETS or OPEN."""
    limit: int = BODY_BYTES
    """Bytes of the longest body."""


class Routes:
    """The table. Its lines are the program's own, so their number is what the program says."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._below: dict[str, dict[str, Route]] = {}
        for route in routes:
            self.add(route)

    def add(self, route: Route) -> None:
        """One more line; it replaces one of the same method and path."""
        table, path = (self._below, route.path[:-1]) if route.path.endswith("/*") else (self._exact, route.path)
        table.setdefault(path, {})[route.method] = route

    def find(self, request: Request) -> Route | Answer:
        """The line for a request, or 404, or 405 with the methods that there are. HEAD is answered as GET is."""
        found = self._at(request.path)
        if not found:
            return _nothing(request)
        route = found.get("GET" if request.method == "HEAD" else request.method)
        if route is not None:
            return route
        if request.path not in self._exact:  # below a path there is what its function says: nobody knows here
            return _nothing(request)
        allowed = ", ".join(self.methods(request.path))
        return refusal(405, f"Use {allowed} here.", code="method_not_allowed", headers=(("allow", allowed),))

    def lines(self) -> list[str]:
        """All that there is, as `METHOD /path`."""
        tables = [*self._exact.items(), *((f"{path}*", table) for path, table in self._below.items())]
        return sorted(f"{method} {path}" for path, table in tables for method in table)

    def methods(self, path: str) -> list[str]:
        """The methods that a path answers; empty where there is nothing."""
        found = self._at(path)
        return sorted({*found, "OPTIONS", *(("HEAD",) if "GET" in found else ())}) if found else []

    def _at(self, path: str) -> dict[str, Route]:
        if (exact := self._exact.get(path)) is not None:
            return exact
        below = [start for start in self._below if path.startswith(start)]
        return self._below[max(below, key=len)] if below else {}


def _nothing(request: Request) -> Answer:
    return refusal(404, f"Invalid URL ({request.method} {request.path[:200]})", code="not_found")


__all__ = ["BODY_BYTES", "KEYS", "OPEN", "SECRETS", "Handler", "Route", "Routes"]
