"""Answers that already exist, as rows: what was asked, what was said, which tools were called."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.errors import RequestError, brief
from ig_guardrail.types import ToolCall
from ig_guardrail.workbench.traffic.lines import read_lines, unfit

TEXT_KEYS = ("text", "response", "answer")
FORM = 'write {"text": "...", "prompt": "..."}, and calls as {"call": {"refund": {"amount": 500}}}'


@dataclass(frozen=True, slots=True)
class TextRow:
    """One answer. place: how reports call it; prompt: "" where it is not known."""

    text: str
    place: str
    prompt: str = ""
    calls: tuple[ToolCall, ...] = ()
    language: str = "en"

    def __post_init__(self) -> None:
        """Raises RequestError for texts that no encoding has characters for: halves of surrogate pairs."""
        if any("\ud800" <= mark <= "\udfff" for mark in self.text + self.prompt):
            raise unfit(self.place, "it is not Unicode: it holds a half of a surrogate pair", "write it as UTF-8")


def read_texts(path: Path) -> Iterator[TextRow]:
    """The rows of a file: keys `text` (or `response`, `answer`), and, if wished, `prompt`, `call`, `language`.

    Other keys are passed over. Raises RequestError, with the place, for a row that has no answer, and for a file
    without rows.
    """
    line = None
    for line in read_lines(path):
        found = [line.values[key] for key in TEXT_KEYS if line.values.get(key) is not None]
        others = [line.values.get(key) or "" for key in ("prompt", "language")]
        if len(found) > 1 or not all(isinstance(one, str) for one in (*found, *others)):
            raise unfit(line.place, "an answer is one text, and so are its prompt and its language", FORM)
        calls = calls_in(line.values.get("call", {}), line.place)
        text = found[0] if found else ""
        if not text.strip() and not calls:
            raise unfit(line.place, "it holds no answer", FORM)
        yield TextRow(text, line.place, others[0], calls, others[1] or "en")
    if line is None:
        raise unfit(str(path), "it has no line", FORM)


def read_call(given: str) -> tuple[ToolCall, ...]:
    """Calls from a command-line word such as `{"refund": {"amount": 500}}`. Raises RequestError for others."""
    try:
        return calls_in(json.loads(given), "--call")
    except (ValueError, RecursionError) as error:
        raise _no_calls("--call", brief(error)) from error


def calls_in(given: Any, place: str) -> tuple[ToolCall, ...]:
    """Calls by the names of their tools."""
    if not isinstance(given, Mapping) or not all(isinstance(arguments, Mapping) for arguments in given.values()):
        raise _no_calls(place, "a call is the name of a tool, and an object with its arguments")
    return tuple(ToolCall(str(name), arguments) for name, arguments in given.items())


def _no_calls(place: str, why: str) -> RequestError:
    return RequestError("the call cannot be read", where=place, why=why, fix='write it as {"refund": {"amount": 500}}')
