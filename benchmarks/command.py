"""How every measurement ends: its figures are kept and shown; an error is one message and no traceback."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables


def run(main: Callable[[Sequence[str]], int]) -> None:
    """Call `main` with the command line and exit with its code; with 1 after a GuardrailError."""
    try:
        sys.exit(main(sys.argv[1:]))
    except GuardrailError as error:
        print(error, file=sys.stderr)
        sys.exit(1)


def earlier(path: Path, origin: Mapping[str, Any], parts: Iterable[str]) -> dict[str, list[tables.Row]]:
    """The rows of the last run by part, if they are of the same origin."""
    last = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(last.get(key) != value for key, value in origin.items()):
        return {}
    return {name: [row for row in last["figures"] if row["of"] == name] for name in parts}


def publish(path: Path, title: str, rows: Sequence[tables.Row], **facts: Any) -> None:
    """Write the rows with today's date and with what they depend on; print them, and which bounds were missed."""
    tables.write_json(path, {"measured": datetime.now(UTC).strftime("%Y-%m-%d"), **facts, "figures": rows})
    console = Console()
    console.print(tables.terminal(title, rows))
    console.print(tables.verdicts(rows), f"written to {path}", sep="\n", markup=False, highlight=False)
