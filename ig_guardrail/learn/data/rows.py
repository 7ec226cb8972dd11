"""Labelled rows: reading them from JSON lines, and setting aside those that only a judge may see."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ig_guardrail.errors import GuardrailError

Label: TypeAlias = Literal["harmful", "safe"]

FIELDS = ("prompt", "response", "label", "hazard", "source", "licence", "split")
MAX_FILE_CHARACTERS = 256 * 2**20
MAX_LINE_CHARACTERS = 2**20


class DataError(GuardrailError):
    """A data file cannot be read as labelled rows."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """One labelled exchange.

    prompt    what was asked; "" for texts that answer nothing
    response  what was answered; None for rows that label the prompt itself
    label     whether the response, or the prompt of a row without one, is harmful
    split     "train", "validation" or "test"; a prompt is in one split only
    """

    prompt: str
    response: str | None
    label: Label
    hazard: str | None = None
    source: str = "unnamed"
    licence: str = "not stated"
    split: str = "train"

    @property
    def text(self) -> str:
        """The labelled text: the response, else the prompt."""
        return self.prompt if self.response is None else self.response

    @property
    def reserved(self) -> bool:
        return is_reserved(self.prompt, self.response or "")


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """The rows that were read, and how many were skipped for which reason."""

    rows: tuple[LabelledRow, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)


def read_rows(paths: Iterable[Path]) -> LabelledRows:
    """Rows of .jsonl or .jsonl.gz files with the fields prompt, response, label and optionally hazard, source,
    licence, split.

    Rows whose label is neither "harmful" nor "safe", or that hold no text, are skipped and counted.
    Raises DataError, naming file and line, for a line that is not such an object.
    """
    rows: list[LabelledRow] = []
    skipped: Counter[str] = Counter()
    for path in paths:
        for place, values in _objects(path):
            row = _row(values, place)
            if isinstance(row, str):
                skipped[row] += 1
            else:
                rows.append(row)
    return LabelledRows(tuple(rows), dict(skipped))


def digest_of(prompt: str, response: str) -> str:
    """SHA-256 (hex) of the prompt, or of the response where there is none: lower case, single spaces, stripped."""
    normal = " ".join((prompt if prompt.strip() else response).lower().split())
    return hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()


def learning_split(prompt: str) -> str:
    """The split of a prompt that heads learn from: an eighth is for choosing settings."""
    return "validation" if int(digest_of(prompt, "")[8:16], 16) % 8 == 0 else "train"


def is_reserved(prompt: str, response: str) -> bool:
    """Whether the row is kept from every guiding head, for independent judges: a quarter of all prompts."""
    return digest_of(prompt, response)[-1] in "0123"


def _objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(text_lines(path), start=1):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise _malformed(place, f"not JSON ({error.msg} at character {error.pos + 1})") from error
        if not isinstance(values, dict):
            raise _malformed(place, f"a JSON {type(values).__name__}, not an object")
        yield place, values


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a file, plain or gzipped. Raises DataError past `MAX_FILE_CHARACTERS` or `MAX_LINE_CHARACTERS`."""
    size = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8")
            while line := text.readline(MAX_LINE_CHARACTERS + 1):
                size += len(line)
                if len(line) > MAX_LINE_CHARACTERS:
                    raise DataError(f"a line is longer than {MAX_LINE_CHARACTERS} characters", where=str(path))
                if size > MAX_FILE_CHARACTERS:
                    raise DataError(
                        f"the file has over {MAX_FILE_CHARACTERS} characters", where=str(path), fix="split it"
                    )
                yield line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        why = str(error) or type(error).__name__
        raise DataError(
            "the file cannot be read", where=str(path), why=why, fix="give UTF-8 .jsonl or .jsonl.gz"
        ) from error


def _row(values: dict[str, Any], place: str) -> LabelledRow | str:
    for name in FIELDS:
        value = values.get(name)
        if value is not None and not isinstance(value, str):
            raise _malformed(place, f"field '{name}' is {type(value).__name__}, not text")
    if "prompt" not in values or "label" not in values:
        raise _malformed(place, "the fields 'prompt' and 'label' are required")
    label = values["label"]
    if label not in ("harmful", "safe"):
        return f"label {label!r}"
    given = {name: values[name] for name in FIELDS if values.get(name) is not None}
    row = LabelledRow(**{"prompt": "", "response": None, **given})
    return row if row.text.strip() else "no text"


def _malformed(place: str, why: str) -> DataError:
    return DataError(
        "this line is not a labelled row",
        where=place,
        why=why,
        fix='write one object a line: {"prompt": "...", "response": "...", "label": "harmful" or "safe"}',
    )
