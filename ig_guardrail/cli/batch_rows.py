"""The prompts of a file, for a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.errors import RequestError
from ig_guardrail.types import Message

MOST_BYTES = 256_000_000
FORM = '{"prompt": "..."} or {"messages": [{"role": "user", "content": "..."}]}, and "id" and "conversation" if wanted'
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One line of a prompt file.

    id            its own, else the number of its line
    conversation  names the conversation whose budgets it spends; rows of one are answered in their order
    other         what else stands in the line; it comes back with the answer
    """

    id: str
    turns: tuple[Message, ...]
    conversation: str | None
    other: Mapping[str, Any]


def read_rows(path: Path) -> list[BatchRow]:
    """The prompts of a file: JSON lines, or any other file with a prompt a line; blank lines are none.

    Raises RequestError naming the line for what is no prompt and for an id that is used twice.
    """
    rows: dict[str, BatchRow] = {}
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        row = _row(line, number, where) if path.suffix == ".jsonl" else BatchRow(str(number), _user(line), None, {})
        if row.id in rows:
            raise RequestError(
                f"the id '{row.id}' is used twice", where=where, why="answers are kept by id", fix="give it another"
            )
        rows[row.id] = row
    if not rows:
        raise RequestError("the file holds no prompt", where=str(path), fix=f"write one a line: {FORM}")
    return list(rows.values())


def _row(line: str, number: int, where: str) -> BatchRow:
    try:
        fields = json.loads(line)
        asked = _user(fields.pop("prompt")) if "prompt" in fields else _turns(fields.pop("messages"))
        name, conversation = fields.pop("id", str(number)), fields.pop("conversation", None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RequestError(f"not a prompt: {error!r}", where=where, fix=f"write {FORM}") from error
    if not isinstance(name, str | int) or not isinstance(conversation, str | None):
        raise RequestError("an id or a conversation is not text", where=where, fix="write a text")
    return BatchRow(str(name), asked, conversation, fields)


def _turns(messages: Sequence[Mapping[str, str]]) -> tuple[Message, ...]:
    turns = tuple(Message(one["role"], one["content"]) for one in messages)  # type: ignore[arg-type]
    if not turns or not all(turn.role in ROLES and isinstance(turn.text, str) for turn in turns):
        raise ValueError(f"each message has a role of {', '.join(ROLES)} and a text")
    return turns


def _user(text: object) -> tuple[Message, ...]:
    if not isinstance(text, str) or not text.strip():
        raise ValueError("the prompt is no text, or an empty one")
    return (Message("user", text.removesuffix("\r")),)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise RequestError("the file is too large", where=str(path), fix=f"keep it under {MOST_BYTES} bytes")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise RequestError(f"it cannot be read: {error.strerror}", where=str(path), fix="check the path") from error
    except UnicodeDecodeError as error:
        raise RequestError(f"it is not UTF-8 (byte {error.start})", where=str(path), fix="convert it") from error
