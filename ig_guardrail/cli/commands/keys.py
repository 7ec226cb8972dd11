"""`ig-guardrail keys`: keys of the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ig_guardrail.errors import RequestError
from ig_guardrail.extras import require

app = typer.Typer(help="Keys of `ig-guardrail serve`.", no_args_is_help=True)


@app.command("new")
def new_command(
    tenant: Annotated[str, typer.Option("--tenant", help="Whose budgets the key's requests spend.")],
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", "-p", help="By the server's name for it; may be given again. All if left out."),
    ] = None,
    at_once: Annotated[int | None, typer.Option("--at-once", help="Requests served at a time.")] = None,
    per_minute: Annotated[int | None, typer.Option("--per-minute", help="Requests in a minute.")] = None,
    tokens: Annotated[int | None, typer.Option("--request-tokens", help="Tokens that one request may ask for.")] = None,
    seconds: Annotated[float | None, typer.Option("--request-seconds", help="Seconds that one may take.")] = None,
    refusal_style: Annotated[
        str | None, typer.Option("--refusal-style", help="filter, openai, text or http400; as the server does.")
    ] = None,
    receipt: Annotated[
        str | None, typer.Option("--receipt", help="What is sent of a receipt: full, verdict or none.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="For those who read the file.")] = None,
    to: Annotated[Path | None, typer.Option("--append", help="The file of keys that the entry is written to.")] = None,
) -> None:
    """Print a new key, this once, and the entry for the file of keys, which holds its SHA-256 only."""
    require("server", by="`keys new`")
    from pydantic import ValidationError

    from ig_guardrail.integrations.openai_server.access.keys import KeyEntry, append, new_key, written

    said: dict[str, Any] = {
        "tenant": tenant,
        "policies": policy or None,
        "at_once": at_once,
        "per_minute": per_minute,
        "tokens": tokens,
        "seconds": seconds,
        "refusal_style": refusal_style,
        "receipt": receipt,
        "note": note,
    }
    try:
        entry = KeyEntry(**said)
    except ValidationError as error:
        fault = error.errors()[0]
        raise RequestError(fault["msg"], where=f"keys new, {fault['loc'][0]}", fix="see `keys new --help`") from None
    key = new_key()
    text = written(key, entry)
    if to is None:
        print(f"{key}\n\n{text}", end="")
        return
    append(to, text)
    print(key)
