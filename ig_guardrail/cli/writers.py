"""How an answer is written: live text and a table for people, one JSON object a line for programs."""

from __future__ import annotations

import json
import sys
from typing import IO

from rich.console import Console
from rich.text import Text

from ig_guardrail.cli.receipt_view import table
from ig_guardrail.stream.receipt import as_dict
from ig_guardrail.types import Receipt


class Terminal:
    """Text on standard output as it is released; thoughts and the receipt on standard error.

    So a pipe gets the answer alone.
    """

    def __init__(self) -> None:
        self._out = sys.stdout
        self._notes = Console(stderr=True, highlight=False)
        self._thoughts = Thoughts(self._notes)

    def think(self, text: str) -> None:
        self._thoughts.show(text)

    def show(self, text: str) -> None:
        self._thoughts.end()
        self._out.write(printable(text, self._out))
        self._out.flush()

    def close(self, receipt: Receipt) -> None:
        self._thoughts.end()
        self._out.write("\n")
        self._out.flush()
        self._notes.print(table(receipt))


class Thoughts:
    """Writes a thought beside an answer, dim, and a line between them."""

    def __init__(self, notes: Console) -> None:
        self._notes = notes
        self._open = False

    def show(self, text: str) -> None:
        self._notes.print(Text(printable(text, self._notes.file), "dim"), end="", soft_wrap=True)
        self._open = True

    def end(self) -> None:
        if self._open:
            self._notes.print()
        self._open = False


class JsonLinesWriter:
    """One object a line, flushed: {"type": "delta", "text"} as text is released, then one {"type": "receipt", ...}.

    Before them {"type": "reasoning", "text"} as a thought is.
    """

    def __init__(self) -> None:
        self._out = sys.stdout

    def think(self, text: str) -> None:
        self._line({"type": "reasoning", "text": text})

    def show(self, text: str) -> None:
        self._line({"type": "delta", "text": text})

    def close(self, receipt: Receipt) -> None:
        self._line(receipt_line(receipt))

    def _line(self, fields: dict[str, object]) -> None:
        self._out.write(json.dumps(fields, allow_nan=False) + "\n")
        self._out.flush()


def receipt_line(receipt: Receipt) -> dict[str, object]:
    """A receipt with its verdict's fields (outcome, finish, reason, guarded) beside the others."""
    fields = as_dict(receipt)
    verdict: dict[str, object] = fields.pop("verdict")
    return {"type": "receipt", **verdict, **fields}


def printable(text: str, out: IO[str]) -> str:
    """On a terminal, control characters as visible marks: an answer must not steer the screen it is read on."""
    if not out.isatty():
        return text
    return "".join(mark if mark.isprintable() or mark in "\n\t" else "\N{REPLACEMENT CHARACTER}" for mark in text)
