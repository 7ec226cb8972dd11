"""Runs the server until it is told to stop; what runs then is served to its end."""

from __future__ import annotations

import uvicorn

from ig_guardrail.integrations.openai_server.app import make_app
from ig_guardrail.integrations.openai_server.config import ServeConfig
from ig_guardrail.integrations.openai_server.server import Server

DRAIN = 30  # seconds that running requests have to end after SIGTERM


def serve(config: ServeConfig) -> None:
    """Serve until SIGTERM or Ctrl-C; then no request is accepted, and running ones end."""
    uvicorn.run(
        make_app(Server(config)),
        host=config.host,
        port=config.port,
        uds=config.uds,
        timeout_graceful_shutdown=DRAIN,
        log_level="info",
        server_header=False,
    )
