"""`GET /v1/models`: what a caller may put into `model`."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.server import Server, told


def routes(server: Server) -> list[Route]:
    """Of the models."""

    async def list_models(request: Request) -> Response:
        names = server.served.names_for(server.caller(request))
        return JSONResponse({"object": "list", "data": [_model(server, name) for name in names]})

    async def show_model(request: Request) -> Response:
        name = request.path_params["model"]
        server.served.demand(server.caller(request), name)
        return JSONResponse(_model(server, name))

    return [
        Route("/v1/models", told(list_models), methods=["GET"]),
        Route("/v1/models/{model:path}", told(show_model), methods=["GET"]),
    ]


def _model(server: Server, name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": server.started, "owned_by": "ig-guardrail"}
