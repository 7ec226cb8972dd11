"""The prompts a comparison is made on: JSON lines, fixed before anything is run on them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path

from ig_guardrail.errors import RequestError
from ig_guardrail.types import Turn


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt. `group` is its kind or topic, as the file names it."""

    id: str
    group: str
    prompt: str

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("user", self.prompt),)


def read_prompts(source: Path | Traversable) -> tuple[PromptRow, ...]:
    """The rows of a file whose lines hold `id`, `prompt`, and `kind` or `topic`.

    Raises RequestError, naming file and line, for a line without them and for an id that is used twice.
    """
    rows: list[PromptRow] = []
    for number, line in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        try:
            fields = json.loads(line)
            row = PromptRow(fields["id"], fields.get("kind") or fields["topic"], fields["prompt"])
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise RequestError(
                f"not a prompt: {error!r}",
                where=f"{source.name}:{number}",
                why="every line is one prompt of a comparison, and none may be dropped in silence",
                fix='write {"id": "...", "topic": "...", "prompt": "..."}',
            ) from error
        if any(row.id == other.id for other in rows):
            raise RequestError(
                f"the id '{row.id}' is used twice",
                where=f"{source.name}:{number}",
                why="results are kept by id",
                fix="give every prompt an id of its own",
            )
        rows.append(row)
    return tuple(rows)
