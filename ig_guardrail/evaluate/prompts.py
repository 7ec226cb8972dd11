"""The prompts a comparison is made on, fixed before anything is run: JSON lines, plain lines, or a CSV column."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath

from ig_guardrail.errors import RequestError
from ig_guardrail.types import Message

MOST_BYTES = 16_000_000
COLUMNS = ("prompt", "goal", "instruction")  # of which a CSV file has one


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt. `group` is its kind or topic, as the file names it; the file's own name where it does not."""

    id: str
    group: str
    prompt: str

    @property
    def turns(self) -> tuple[Message, ...]:
        return (Message("user", self.prompt),)


def read_prompts(source: Path | Traversable) -> tuple[PromptRow, ...]:
    """The rows of a file, in UTF-8.

    .jsonl  each line holds `id`, `prompt`, and `kind` or `topic`
    .txt    each line is a prompt; its number is its id
    .csv    a header, and a prompt in the column `prompt`, `goal` or `instruction`; the row's number is its id
    Raises RequestError, naming file and line, for anything that is no prompt, and for an id that is used twice.
    """
    readers = {".jsonl": _json_lines, ".txt": _plain_lines, ".csv": _column}
    reader = readers.get(PurePath(source.name).suffix)
    if reader is None:
        raise RequestError(
            f"'{source.name}' is no kind of prompt file",
            where="prompts",
            why="how prompts are read from it goes by its suffix",
            fix="use .jsonl, .txt (a prompt a line) or .csv (a column `prompt`, `goal` or `instruction`)",
        )
    seen: set[str] = set()
    rows: list[PromptRow] = []
    for number, row in reader(_text(source), source.name):
        if not row.prompt.strip():
            raise _no_prompt("it is blank", source.name, number, "write the prompt, or delete the line")
        if row.id in seen:
            raise RequestError(
                f"the id '{row.id}' is used twice",
                where=f"{source.name}:{number}",
                why="results are kept by id",
                fix="give every prompt an id of its own",
            )
        seen.add(row.id)
        rows.append(row)
    if not rows:
        raise RequestError("the file holds no prompt", where=source.name, fix="write at least one")
    return tuple(rows)


def _json_lines(text: str, name: str) -> Iterator[tuple[int, PromptRow]]:
    for number, line in _lines(text):
        try:
            fields = json.loads(line)
            row = PromptRow(fields["id"], fields.get("kind") or fields["topic"], fields["prompt"])
            if not all(isinstance(value, str) for value in (row.id, row.group, row.prompt)):
                raise TypeError("a value is not text")
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError, RecursionError) as error:
            fix = 'write {"id": "...", "topic": "...", "prompt": "..."}'
            raise _no_prompt(repr(error), name, number, fix) from error
        yield number, row


def _plain_lines(text: str, name: str) -> Iterator[tuple[int, PromptRow]]:
    for number, line in _lines(text):
        yield number, PromptRow(str(number), PurePath(name).stem, line)


def _column(text: str, name: str) -> Iterator[tuple[int, PromptRow]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        place = _place_of_prompts(header, name)
        for count, row in enumerate(reader, 1):
            if len(row) != len(header):
                reason = f"it has {len(row)} columns, and the header {len(header)}"
                raise _no_prompt(reason, name, reader.line_num, "put texts with commas or line ends in double quotes")
            yield reader.line_num, PromptRow(str(count), PurePath(name).stem, row[place])
    except csv.Error as error:
        raise _no_prompt(
            str(error), name, reader.line_num, "put texts in double quotes, and double those inside"
        ) from error


def _place_of_prompts(header: list[str], name: str) -> int:
    found = [place for place, column in enumerate(header) if column in COLUMNS]
    if len(found) == 1:
        return found[0]
    columns = ", ".join(f"'{column}'" for column in header) or "none"
    raise RequestError(
        "several columns could hold the prompts" if found else "no column holds the prompts",
        where=f"{name}:1",
        why=f"the header names {columns}; one of {', '.join(COLUMNS)} is needed, and only one",
        fix="write a header with the column `prompt`",
    )


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines by number from 1. Only line feeds end them, since other separators may stand inside a prompt."""
    lines = text.split("\n")
    ended = lines[:-1] if lines[-1] == "" else lines
    return ((number, line.removesuffix("\r")) for number, line in enumerate(ended, 1))


def _text(source: Path | Traversable) -> str:
    with source.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise RequestError("the file is too large", where=source.name, fix=f"keep it under {MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            f"the file is not UTF-8 (byte {error.start})", where=source.name, fix="convert it to UTF-8"
        ) from error


def _no_prompt(reason: str, name: str, number: int, fix: str) -> RequestError:
    return RequestError(
        f"not a prompt: {reason}",
        where=f"{name}:{number}",
        why="every line is one prompt of a comparison, and none may be dropped in silence",
        fix=fix,
    )
