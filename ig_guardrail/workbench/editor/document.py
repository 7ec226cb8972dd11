"""A text as an editor holds it, saved or not: what it is written in, and places as editors and checks count them.

Offsets count characters from 0. Editors break lines at LF, CR and CRLF, and count columns in units of an encoding; YAML
breaks lines at NEL, LS and PS too.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from ig_guardrail.fields.field import Section
from ig_guardrail.policy import waivers
from ig_guardrail.policy.language.policy import API_VERSION, KIND, POLICY
from ig_guardrail.policy.sources import WAIVERS, is_cases
from ig_guardrail.policy.yaml.decoding import LINE_BREAK, MOST_BYTES
from ig_guardrail.workbench.cases.reading import FILE
from ig_guardrail.workbench.editor.outline import CharacterSpan, OutlineNode, outline

Encoding: TypeAlias = Literal["utf-8", "utf-16", "utf-32"]
FileRole: TypeAlias = Literal["policy", "cases", "waivers", "blank", "other"]
Texts: TypeAlias = Callable[[Path], str | None]  # what is open in the editor, else what is on disk; None: neither

_LANGUAGES = {"policy": POLICY, "cases": FILE, "waivers": waivers.LANGUAGE}
_BEGINNING = 2**14  # characters
_OURS = API_VERSION.split("/")[0]
_EDITORS_BREAK = re.compile("\r\n|[\n\r]")
_OWN_KEYS = ("cost_models", "budgets")  # no other kind of file has them


@dataclass(frozen=True)
class Document:
    """A file that is open. path: where it is, or will be, saved."""

    path: str
    text: str = field(repr=False)
    encoding: Encoding = "utf-16"

    @cached_property
    def tree(self) -> OutlineNode:
        """What it holds, read with patience; of what is too long for a policy, the beginning."""
        return outline(self.text if len(self.text) <= MOST_BYTES else self.text[:_BEGINNING])

    @cached_property
    def role(self) -> FileRole:
        """What it is by its name, and whether it is a policy by what it holds.

        blank: it may become a policy; other: it is something else, which is left alone
        """
        name = Path(self.path).name
        if name in WAIVERS:
            return "waivers"
        if is_cases(name):
            return "cases"
        if self.tree.kind == "list":
            return "other"
        written = {key.text: value.text for key, value in self.tree.entries if value is not None}
        version, kind = written.get("apiVersion", ""), written.get("kind", "")
        if version.startswith(_OURS) or kind == KIND or any(key in written for key in _OWN_KEYS):
            return "policy"
        foreign = not (API_VERSION.startswith(version) and KIND.startswith(kind))
        return "other" if foreign or not written.keys() <= POLICY.fields.keys() else "blank"

    @property
    def language(self) -> Section:
        """What it is written in; of a file that is nothing yet, what it can become."""
        return _LANGUAGES.get(self.role, POLICY)

    def line_column(self, offset: int) -> tuple[int, int]:
        """An offset as an editor writes it: line and column from 0."""
        line = bisect_right(self._lines, offset) - 1
        return line, self._units(self.text[self._lines[line] : offset])

    def offset(self, line: int, column: int) -> int:
        """The offset that an editor writes so; beyond the end of a line its end, beyond the last line that one's."""
        if line >= len(self._lines):
            return len(self.text)
        start = self._lines[max(0, line)]
        following = self._lines[line + 1] if line + 1 < len(self._lines) else len(self.text)
        row = self.text[start:following].rstrip("\r\n") if line + 1 < len(self._lines) else self.text[start:]
        if self.encoding == "utf-32" or row.isascii():
            return start + min(max(0, column), len(row))
        taken = 0
        for index, char in enumerate(row):
            taken += self._units(char)
            if taken > column:
                return start + index
        return start + len(row)

    def span(self, line: int, column: int, length: int) -> CharacterSpan:
        """What a check marks: line and column from 1, in characters, by YAML's lines; line 0 is the top of the file."""
        first = 1 if self.text.startswith("\ufeff") else 0
        if not 0 < line <= len(self._yaml_lines):
            return CharacterSpan(first, first)
        begin = self._yaml_lines[line - 1] + column - 1 + (first if line == 1 else 0)
        end = self._yaml_lines[line] if line < len(self._yaml_lines) else len(self.text)
        return CharacterSpan(min(begin, len(self.text)), min(begin + length, max(begin, end), len(self.text)))

    @cached_property
    def _lines(self) -> list[int]:
        return [0, *(found.end() for found in _EDITORS_BREAK.finditer(self.text))]

    @cached_property
    def _yaml_lines(self) -> list[int]:
        return [0, *(found.end() for found in LINE_BREAK.finditer(self.text))]

    def _units(self, text: str) -> int:
        match self.encoding:
            case "utf-8":
                return len(text.encode("utf-8", "surrogatepass"))
            case "utf-16":
                return len(text) + sum(char > "\uffff" for char in text)
        return len(text)


def read_text(path: Path) -> str | None:
    """What a file holds, as far as a policy may be long; None where it cannot be read."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1).decode("utf-8", "replace")
    except (OSError, ValueError):
        return None
