"""Opens the studio: loads the model, tells the address, and serves the page until it is told to stop."""

from __future__ import annotations

import uvicorn

from ig_guardrail.assembly import open_engine
from ig_guardrail.integrations.openai_server.studio.app import make_studio
from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
from ig_guardrail.integrations.openai_server.studio.workshop import Workshop
from ig_guardrail.spec import GuardrailSpec

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def open_studio(config: StudioConfig, spec: GuardrailSpec, host: str, port: int) -> None:
    """Serve the page. Raises PolicyError and ModelError before anything is served."""
    studio = make_studio(Workshop(config, open_engine(spec)))
    place = f"[{host}]" if ":" in host else host
    print(f"studio: http://{place}:{port}/{config.token}/", flush=True)
    print("Whoever has this address sees the policy and what the model answers; the last part of it is the secret.")
    if host not in LOOPBACK:
        print("It is served to other machines too, and not encrypted.")
    if config.show_drafts:
        print("The text of replaced drafts is shown, which the gate did not release.")
    print("Ctrl-C ends it.", flush=True)
    uvicorn.run(  # no access log: its lines would hold the secret
        studio, host=host, port=port, access_log=False, log_level="warning", server_header=False
    )
