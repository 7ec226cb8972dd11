"""Opens the studio: loads the model, tells the address, and serves the page until it is told to stop."""

from __future__ import annotations

import socket

import uvicorn

from ig_guardrail.assembly import open_engine
from ig_guardrail.errors import RequestError, brief
from ig_guardrail.integrations.openai_server.studio.app import make_studio
from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
from ig_guardrail.integrations.openai_server.studio.workshop import Workshop, fetched
from ig_guardrail.spec import GuardrailSpec

LOOPBACK = ("127.0.0.1", "::1", "localhost")
SECONDS = 3  # that an answer has to end after Ctrl-C


def open_studio(config: StudioConfig, spec: GuardrailSpec, host: str, port: int) -> None:
    """Serve the page; port 0 takes a free one. Raises PolicyError, ModelError and RequestError before it is served."""
    fetched(config.policy)  # before a model is loaded for nothing
    with _listening(host, port) as door:
        studio = make_studio(Workshop(config, open_engine(spec)))
        place = f"[{host}]" if ":" in host else host
        print(f"studio: http://{place}:{door.getsockname()[1]}/{config.token}/")
        print("Whoever has this address sees the policy and what the model answers; its last part is a secret.")
        if host not in LOOPBACK:
            print("It is served to other machines too, and is not encrypted.")
        if config.show_drafts:
            print("The text of replaced drafts is shown, which the gate did not release.")
        print("Ctrl-C ends it.", flush=True)
        server = uvicorn.Server(  # no access log: its lines would hold the secret
            uvicorn.Config(
                studio,
                access_log=False,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=SECONDS,
            )
        )
        server.run(sockets=[door])


def _listening(host: str, port: int) -> socket.socket:
    """Whoever connects before the server runs waits for it."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise RequestError(
            f"the studio cannot listen at {host}, port {port}",
            where="--host, --port",
            why=brief(error),
            fix="give another `--port`, or 0 for a free one",
        ) from error
