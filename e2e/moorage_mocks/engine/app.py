"""The HTTP side of the sample engine."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from moorage_mocks.engine import wire
from moorage_mocks.engine.config import Settings
from moorage_mocks.engine.metrics import EngineMetrics
from moorage_mocks.engine.server import ModelServer, Phase
from moorage_policies.errors import BadInputError, UnavailableError

_WORD = " berth"
BODY_LIMIT = 16 * 1024 * 1024


class Routes:
    """What the engine answers.

    Args:
        server: what generates.
        metrics: what ``/metrics`` shows.
        settings: the engine's settings.
        devices: value of the variable that names the container's accelerators.
    """

    def __init__(
        self, server: ModelServer, metrics: EngineMetrics, settings: Settings, devices: str
    ) -> None:
        self._server = server
        self._metrics = metrics
        self._settings = settings
        self._devices = [name for name in devices.split(",") if name]

    def app(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.show_metrics)
        app.router.add_get("/v1/models", self.models)
        app.router.add_get("/server_info", self.info)
        app.router.add_post("/v1/completions", self.complete)
        return app

    async def health(self, _request: web.Request) -> web.Response:
        """Answer 200 when requests are taken, else 503 with the reason."""
        phase = self._server.phase
        status = HTTPStatus.OK if phase is Phase.READY else HTTPStatus.SERVICE_UNAVAILABLE
        return web.Response(text=phase.value, status=status)

    async def show_metrics(self, _request: web.Request) -> web.Response:
        """Answer the metrics."""
        body = generate_latest(self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def models(self, _request: web.Request) -> web.Response:
        """Answer the one model."""
        model = {"id": self._settings.model, "object": "model", "owned_by": "moorage"}
        return web.json_response({"object": "list", "data": [model]})

    async def info(self, _request: web.Request) -> web.Response:
        """Answer the role and the accelerators that the container was given."""
        return web.json_response({"role": self._settings.role, "devices": self._devices})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer a completion, whole or token by token."""
        try:
            asked = wire.decode_request(await request.read(), self._settings.model)
            prompt_tokens = wire.count_prompt(asked.prompt)
            new_tokens = 1 if self._settings.role == "prefill" else asked.max_tokens
            answer = self._stream if asked.stream else self._whole
            return await answer(request, prompt_tokens, new_tokens)
        except BadInputError as error:
            return _refuse(HTTPStatus.BAD_REQUEST, str(error), "BadRequestError")
        except UnavailableError as error:
            return _refuse(HTTPStatus.SERVICE_UNAVAILABLE, str(error), "ServiceUnavailableError")

    async def _whole(
        self, _request: web.Request, prompt_tokens: int, new_tokens: int
    ) -> web.StreamResponse:
        async with aclosing(self._server.generate(prompt_tokens, new_tokens)) as tokens:
            async for _token in tokens:
                pass
        body = self._piece(_new_id(), _WORD * new_tokens, "length")
        return web.json_response({**body, "usage": wire.usage(prompt_tokens, new_tokens)})

    async def _stream(
        self, request: web.Request, prompt_tokens: int, new_tokens: int
    ) -> web.StreamResponse:
        identity, response = _new_id(), _event_stream()
        async with aclosing(self._server.generate(prompt_tokens, new_tokens)) as tokens:
            async for token in tokens:
                if not response.prepared:  # only now is it sure that the request is served
                    await response.prepare(request)
                finish = "length" if token == new_tokens - 1 else None
                await response.write(wire.event(self._piece(identity, _WORD, finish)))
        await response.write(wire.event(None))
        return response

    def _piece(self, identity: str, text: str, finish: str | None) -> wire.Json:
        return wire.completion(identity, self._settings.model, int(time.time()), text, finish)


def _event_stream() -> web.StreamResponse:
    headers: Mapping[str, str] = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    return web.StreamResponse(headers=headers)


def _refuse(status: HTTPStatus, message: str, kind: str) -> web.Response:
    return web.json_response(wire.failure(message, kind), status=status)


def _new_id() -> str:
    return f"cmpl-{uuid.uuid4().hex}"
