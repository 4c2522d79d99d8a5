"""What every server answers over HTTP: the REST endpoints, its health, its figures, what it can do, the playground."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.server.web import assets, client_secrets, metrics, models, sessions
from engine.server.web.bodies import MAX_JSON_BYTES
from engine.server.web.capabilities import capabilities
from engine.server.web.client_secrets import Issuer
from engine.server.web.credentials import Identity
from engine.server.web.messages import Answer, Request, json_answer
from engine.server.web.routes import OPEN, Route, Routes

if TYPE_CHECKING:
    from engine.server.web.site import Site

MODELS = "/v1/models"
SECRETS = "/v1/realtime/client_secrets"
TRANSLATION_SECRETS = "/v1/realtime/translations/client_secrets"
SESSIONS = "/v1/realtime/sessions"
TRANSCRIPTION_SESSIONS = "/v1/realtime/transcription_sessions"
_JSON = ("application/json",)

Create = Callable[[Request, Identity, Issuer, float], Answer]


def standard(site: Site) -> Routes:
    """The table of a site."""
    issuer = Issuer(site.options, site.credentials.registry, site.rules)

    def creates(path: str, create: Create) -> Route:
        def run(request: Request, who: Identity) -> Answer:
            answer = create(request, who, issuer, site.now())
            if answer.status == 200:
                site.metrics.issued()
            return answer

        return Route("POST", path, run, _JSON, limit=MAX_JSON_BYTES)

    return Routes(
        [
            Route("GET", "/healthz", lambda _request, _who: _health(site), who=OPEN),
            Route("GET", "/", _playground, who=OPEN),  # on a server with keys the page asks for one itself
            Route("GET", "/playground/*", _playground, who=OPEN),
            Route("GET", "/metrics", lambda _request, _who: _figures(site)),
            Route("GET", "/capabilities", lambda _request, _who: json_answer(200, _capabilities(site))),
            Route("GET", MODELS, lambda _request, who: models.models(who, site.options)),
            Route("GET", f"{MODELS}/*", lambda request, who: models.model(who, site.options, _last(request))),
            creates(SECRETS, client_secrets.create_client_secret),
            creates(SESSIONS, sessions.create_session),
            creates(TRANSCRIPTION_SESSIONS, sessions.create_transcription_session),
            Route("POST", TRANSLATION_SECRETS, lambda _request, who: client_secrets.no_translations(who), _JSON),
        ]
    )


def _health(site: Site) -> Answer:
    """For whoever spreads load: 200 while new sessions are taken, 503 from the beginning of the end on."""
    state = {"status": "draining" if site.draining else "ok", "sessions": site.sessions}
    return json_answer(503 if site.draining else 200, state)


def _playground(request: Request, _who: Identity) -> Answer:
    return assets.answer(request)


def _figures(site: Site) -> Answer:
    registry = site.credentials.registry
    return metrics.answer(site.metrics, draining=site.draining, secrets=lambda: registry.count(site.now()))


def _capabilities(site: Site) -> dict[str, object]:
    lines = site.routes.lines()
    return capabilities(
        site.options,
        responder=site.responder,
        voice=site.voice,
        recogniser=site.recogniser,
        rules=site.rules,
        endpoints=lines if site.takes_bodies else [line for line in lines if line.startswith("GET ")],
    )


def _last(request: Request) -> str:
    return request.path.removeprefix(f"{MODELS}/")


__all__ = ["standard"]
