"""JSON lines from outside: one object a line, read one at a time, with limits and places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.errors import RequestError, brief

LONGEST_LINE = 4 << 20  # characters
MOST_LINES = 1_000_000


@dataclass(frozen=True, slots=True)
class JsonLine:
    """An object, and where it stands: `file:line`."""

    values: dict[str, Any]
    place: str


def read_lines(path: Path) -> Iterator[JsonLine]:
    """The objects of a file, blank lines aside. Raises RequestError for what cannot be read, with its place."""
    try:
        with path.open(encoding="utf-8") as file:
            for number in range(1, MOST_LINES + 2):
                line = file.readline(LONGEST_LINE + 1)
                if not line:
                    return
                if number > MOST_LINES or len(line) > LONGEST_LINE:
                    raise unfit(f"{path}:{number}", f"at most {MOST_LINES:,} lines of {LONGEST_LINE:,} characters")
                if line.strip():
                    yield JsonLine(_object(line, f"{path}:{number}"), f"{path}:{number}")
    except OSError as error:
        raise unfit(
            str(path), (error.strerror or brief(error)).lower(), "check the path and its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise unfit(str(path), brief(error), "save it as UTF-8") from error


def unfit(place: str, why: str, fix: str = "write one JSON object a line") -> RequestError:
    """The error for a file, or a line of it, that cannot be used."""
    return RequestError("it cannot be read", where=place, why=why, fix=fix)


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise unfit(place, brief(error)) from error
    if not isinstance(values, dict):
        raise unfit(place, f"it holds {type(values).__name__}, not an object")
    return values
