"""The two HTTP applications: verbs for the scheduler; health, metrics and records for people."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated

from fastapi import FastAPI, Path, Query, Response
from fastapi.responses import PlainTextResponse
from msgspec import json
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from moorage_extender.context import Context
from moorage_extender.health import Health
from moorage_extender.openapi import describe_verbs
from moorage_extender.verbs.bind import Bind, Binder
from moorage_extender.verbs.calls import Endpoint
from moorage_extender.verbs.filter import Filter
from moorage_extender.verbs.preempt import Preempt
from moorage_extender.verbs.prioritize import Prioritize


class VerbsApp(FastAPI):
    """FastAPI for documents and refusals; a verb's request goes to its endpoint straight away."""

    endpoints: Mapping[str, ASGIApp]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        endpoint = self.endpoints.get(scope["path"]) if scope.get("method") == "POST" else None
        await (endpoint or super().__call__)(scope, receive, send)


def make_verbs_app(ctx: Context, binder: Binder) -> VerbsApp:
    """Return the application that kube-scheduler calls."""
    app = VerbsApp(title="Moorage scheduler extender", version=version("moorage"), redoc_url=None)
    app.endpoints = {
        "/filter": Endpoint(Filter(ctx), ctx),
        "/prioritize": Endpoint(Prioritize(ctx), ctx),
        "/preempt": Endpoint(Preempt(ctx), ctx),
        "/bind": Endpoint(Bind(ctx, binder), ctx),
    }
    for path, endpoint in app.endpoints.items():
        app.router.routes.append(Route(path, endpoint, methods=["POST"]))  # refuses other methods
    describe_verbs(app)
    return app


def make_health_app(ctx: Context, health: Health) -> FastAPI:
    """Return the application for probes, Prometheus and people."""
    app = FastAPI(title="Moorage extender health", version=version("moorage"), redoc_url=None)

    @app.get("/livez", summary="Whether the process is worth keeping")
    async def livez() -> PlainTextResponse:
        return _probe(health.why_not_alive())

    @app.get("/readyz", summary="Whether answers rest on fresh facts")
    async def readyz() -> PlainTextResponse:
        return _probe(health.why_not_ready())

    @app.get("/metrics", summary="Metrics in Prometheus text form")
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(ctx.metrics.render(), media_type="text/plain; version=0.0.4")

    @app.get("/debug/decisions", summary="The last decisions, newest first")
    async def decisions(limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> Response:
        return Response(json.encode(ctx.decisions.latest(limit)), media_type="application/json")

    @app.get("/debug/decisions/{namespace}/{pod}", summary="Decisions about one pod, newest first")
    async def decisions_of_pod(
        namespace: Annotated[str, Path()], pod: Annotated[str, Path()]
    ) -> Response:
        return Response(
            json.encode(ctx.decisions.of_pod(namespace, pod)), media_type="application/json"
        )

    @app.get("/debug/planner/snapshot", summary="The facts that the planner solved last")
    async def planner_snapshot() -> Response:
        if not ctx.last_snapshot:
            return PlainTextResponse("nothing was solved yet", 404)
        return Response(b"".join(ctx.last_snapshot), media_type="application/json")

    return app


def _probe(problem: str) -> PlainTextResponse:
    return PlainTextResponse(problem or "ok", 503 if problem else 200)
