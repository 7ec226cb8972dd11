"""`ig-guardrail serve`: the model behind the OpenAI API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.extras import require


def serve_command(
    model: options.ModelOption = "embedded",
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", "-p", help="A policy file or a packaged name; may be given again. The first is usual."
        ),
    ] = None,
    name: Annotated[str, typer.Option("--served-model-name", help="What requests call the model.")] = "",
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen.")] = 8000,
    device: options.DeviceOption = "auto",
    dtype: options.Dtype = "auto",
    weights: options.WeightsOption = "auto",
    revision: options.Revision = None,
    context: options.ContextOption = None,
    ledger: options.LedgerOption = None,
) -> None:
    """Serve the model to every client that speaks the OpenAI API, under one policy or several."""
    require("server", by="`serve`")
    from ig_guardrail.integrations.openai_server.config import ServeConfig
    from ig_guardrail.integrations.openai_server.serving import serve
    from ig_guardrail.spec import GuardrailSpec

    named = {Path(one).stem: one for one in policy or ["default"]}
    spec = GuardrailSpec(
        model, device=device, dtype=dtype, weights=weights, ledger=ledger, revision=revision, context=context
    )
    serve(ServeConfig(spec, named, name, host=host, port=port))
