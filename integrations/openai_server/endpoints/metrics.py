"""`GET /metrics`: what Prometheus scrapes."""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ig_guardrail.integrations.openai_server.faults import Fault, Refused
from ig_guardrail.integrations.openai_server.server import Server, told

PATH = "/metrics"


def routes(server: Server) -> list[Route]:
    """Of the metrics, where they are told on the server's own port."""

    async def tell_metrics(request: Request) -> Response:
        demand_key(request, server.config.observe.metrics_key)
        return exposed(request, server.metrics.registry)

    here = server.config.observe.metrics and server.config.observe.metrics_port is None
    return [Route(PATH, told(tell_metrics), methods=["GET"])] if here else []


def exposed(request: Request, registry: CollectorRegistry) -> Response:
    """Metrics as who asks for them reads them."""
    encode, kind = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(registry), media_type=kind)


def demand_key(request: Request, digest: str | None) -> None:
    """Raises Refused unless the request has the key of this SHA-256 digest; None lets everyone in."""
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    if digest is not None and not compare_digest(sha256(given.encode()).hexdigest(), digest):
        raise Refused(
            Fault(401, "invalid_request_error", "invalid_api_key", "metrics are told to holders of their key")
        )
