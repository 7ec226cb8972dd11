"""Opens the studio: loads the model, tells the address, and serves the page until it is told to stop."""

from __future__ import annotations

import uvicorn

from ig_guardrail.assembly import open_engine
from ig_guardrail.integrations.openai_server.listening import address_of, is_loopback, listen
from ig_guardrail.integrations.openai_server.studio.app import make_studio
from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
from ig_guardrail.integrations.openai_server.studio.workshop import Workshop, fetched
from ig_guardrail.spec import GuardrailSpec

SECONDS = 3  # that an answer has to end after Ctrl-C


def open_studio(config: StudioConfig, spec: GuardrailSpec, host: str, port: int) -> None:
    """Serve the page; port 0 takes a free one. Raises PolicyError, ModelError and RequestError before it is served."""
    fetched(config.policy)  # before a model is loaded for nothing
    with listen(host, port) as door:
        studio = make_studio(Workshop(config, open_engine(spec)))
        print(f"studio: {address_of(door)}/{config.token}/")
        print("Whoever has this address sees the policy and what the model answers; its last part is a secret.")
        if not is_loopback(host):
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
