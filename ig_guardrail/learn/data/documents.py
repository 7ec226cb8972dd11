"""Documents to index: text files, one document each, and JSON lines, one document a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ig_guardrail.learn.data.rows import DataError, text_lines

MAX_CHARACTERS = 2**30


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as it was read. name: its file, and for JSON lines the number of its line."""

    name: str
    text: str


def read_documents(files: Sequence[Path], field: str) -> list[SourceDocument]:
    """The documents of all files, in order; blank ones are left out.

    .jsonl and .jsonl.gz files hold one object a line, with the text in `field`; all others are plain UTF-8 text, .gz
    ones gzipped. Raises DataError, naming file and line, for anything else, and past `MAX_CHARACTERS` in all.
    """
    found: list[SourceDocument] = []
    size = 0
    for file in files:
        for document in _of_lines(file, field) if _holds_lines(file) else _whole(file):
            size += len(document.text)
            if size > MAX_CHARACTERS:
                raise DataError(f"these files have over {MAX_CHARACTERS} characters", where=str(file), fix="split them")
            if document.text.strip():
                found.append(document)
    return found


def _holds_lines(file: Path) -> bool:
    return file.name.removesuffix(".gz").endswith(".jsonl")


def _whole(file: Path) -> Iterator[SourceDocument]:
    yield SourceDocument(file.name, "".join(text_lines(file)))


def _of_lines(file: Path, field: str) -> Iterator[SourceDocument]:
    for number, line in enumerate(text_lines(file), start=1):
        if line.strip():
            yield SourceDocument(f"{file.name}:{number}", _text_of(line, field, f"{file}:{number}"))


def _text_of(line: str, field: str, place: str) -> str:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _malformed(place, "it is not JSON", field) from error
    text = values.get(field) if isinstance(values, dict) else None
    if not isinstance(text, str):
        raise _malformed(place, f"it is not an object with a text in '{field}'", field)
    return text


def _malformed(place: str, why: str, field: str) -> DataError:
    return DataError(
        "this line is not a document",
        where=place,
        why=why,
        fix=f'write one object a line, {{"{field}": "..."}}, or name another field with --field',
    )
