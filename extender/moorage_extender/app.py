"""The two HTTP applications: verbs for the scheduler; health, metrics and records for people."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

from fastapi import FastAPI, Path, Query, Response
from fastapi.responses import PlainTextResponse
from msgspec import json

from moorage_extender.context import Context
from moorage_extender.health import Health
from moorage_extender.openapi import describe_verbs
from moorage_extender.verbs.bind import Bind, Binder
from moorage_extender.verbs.calls import JSON, endpoint
from moorage_extender.verbs.filter import Filter
from moorage_extender.verbs.preempt import Preempt
from moorage_extender.verbs.prioritize import Prioritize


def make_verbs_app(ctx: Context, binder: Binder) -> FastAPI:
    """Return the application that kube-scheduler calls."""
    app = FastAPI(title="Moorage scheduler extender", version=version("moorage"), redoc_url=None)
    routes = {
        "filter": endpoint(Filter(ctx), ctx),
        "prioritize": endpoint(Prioritize(ctx), ctx),
        "preempt": endpoint(Preempt(ctx), ctx),
        "bind": endpoint(Bind(ctx, binder), ctx),
    }
    for verb, answer in routes.items():
        # plain routes: requests pass neither through dependencies nor through models
        app.add_route(f"/{verb}", answer, methods=["POST"])
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
        return Response(json.encode(ctx.decisions.latest(limit)), media_type=JSON)

    @app.get("/debug/decisions/{namespace}/{pod}", summary="Decisions about one pod, newest first")
    async def decisions_of_pod(
        namespace: Annotated[str, Path()], pod: Annotated[str, Path()]
    ) -> Response:
        return Response(json.encode(ctx.decisions.of_pod(namespace, pod)), media_type=JSON)

    return app


def _probe(problem: str) -> PlainTextResponse:
    return PlainTextResponse(problem or "ok", 503 if problem else 200)
