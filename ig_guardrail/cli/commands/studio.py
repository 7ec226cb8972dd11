"""`ig-guardrail studio`: a page on which a policy is edited and seen at work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ig_guardrail.cli import options
from ig_guardrail.cli.groups import ModelOptions, grouped
from ig_guardrail.extras import require


@grouped
def studio_command(
    *,
    policy: options.Policy = "default",
    model: ModelOptions,
    recordings: Annotated[
        Path | None,
        typer.Option("--recordings", help="Recordings, an audit log or receipts, to try budgets on; or a folder."),
    ] = None,
    show_drafts: Annotated[
        bool, typer.Option("--show-drafts", help="Show the text of replaced drafts, which was never released.")
    ] = False,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; this machine alone unless told otherwise.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes a free one.")] = 8765,
) -> None:
    """Open a page on which a policy is edited, tried on prompts, tested and compared. It prints its address.

    The policy is saved to the file of `--policy` alone, and only where `policy check` finds no error in it.
    """
    require("server", by="`studio`")
    from ig_guardrail.integrations.openai_server.studio.config import StudioConfig
    from ig_guardrail.integrations.openai_server.studio.opening import open_studio

    open_studio(StudioConfig(policy, recordings, show_drafts), model.spec(), host, port)
