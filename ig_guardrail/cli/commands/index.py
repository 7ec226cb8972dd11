"""`ig-guardrail index`: make and look at the indexes of cost models of kind `provenance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ig_guardrail.cli import options

SHOWN = 10  # documents that `show` names

app = typer.Typer(help="Index texts whose recital a policy limits, and harmless ones.", no_args_is_help=True)


@app.callback()
def _index() -> None:
    """Index texts whose recital a policy limits, and harmless ones."""


@app.command("build")
def build_command(
    files: Annotated[
        list[Path], typer.Argument(help="Text files, one document each; .jsonl files, one document a line.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The new folder that the index is written to.")],
    field: Annotated[str, typer.Option("--field", help="Where a line of a .jsonl file has its text.")] = "text",
    model: options.ModelOption = "embedded",
) -> None:
    """Index documents as a model reads them. Only its tokenizer is used."""
    from ig_guardrail.learn.index import build_index

    index = build_index(model, files, out, field)
    _say(f"wrote {out}: {index.tokens} tokens of {len(index.documents)} documents")


@app.command("show")
def show_command(folder: Annotated[Path, typer.Argument(help="The folder of an index.")]) -> None:
    """Check an index, and say what is in it."""
    from ig_guardrail.costs.provenance.index import read_index

    index = read_index(folder)
    _say(f"{index.tokens} tokens of {len(index.documents)} documents, as '{index.model}' reads them")
    _say(f"sha256 {index.sha256}\nlanguage {index.language}")
    for name in index.documents[:SHOWN]:
        _say(f"  {name}")
    if len(index.documents) > SHOWN:
        _say(f"  and {len(index.documents) - SHOWN} more")


def _say(text: str) -> None:
    Console().print(text, markup=False, highlight=False, soft_wrap=True)
