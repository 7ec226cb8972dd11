"""The blocks of code and commands that documents show."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
]
_BLOCK = re.compile(r"^([ \t]*)```(\w+)([^\n]*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its page and line, its language, what stands behind the language, and its text."""

    page: str
    line: int
    language: str
    rest: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A command line, and the output that is shown below it ("" if none is shown)."""

    place: str
    line: str
    output: str


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in any of these languages, in order."""
    text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    found = (
        Block(name, text[: match.start()].count("\n") + 1, match[2], match[3].strip(), textwrap.dedent(match[4]))
        for match in _BLOCK.finditer(text)
    )
    return [block for block in found if block.language in languages]


def commands(page: Path) -> Iterator[Command]:
    """The command lines of a page: of shell blocks, and of indented blocks that begin with a known command."""
    for block in blocks(page, "console", "sh"):
        yield from _lines_of(block)
    text, name = page.read_text(encoding="utf-8"), str(page.relative_to(ROOT))
    for match in re.finditer(r"^ {4}((?:ig-guardrail|make|python benchmarks/) ?[^\n]+)", text, re.MULTILINE):
        yield Command(f"{name}:{text[: match.start()].count(chr(10)) + 1}", _without_comment(match[1]), "")


def _lines_of(block: Block) -> Iterator[Command]:
    if not block.text.startswith("$ "):
        for count, line in enumerate(block.text.splitlines()):
            if line and not line.startswith("#"):
                yield Command(f"{block.page}:{block.line + 1 + count}", _without_comment(line), "")
        return
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, output = part.partition("\n")
        yield Command(block.place, line, output)


def _without_comment(line: str) -> str:
    return re.split(r"\s{2,}#", line)[0].strip()


def same(shown: str, real: str) -> bool:
    """Whether two outputs are equal but for line breaks, spaces and durations."""
    return _normal(shown) == _normal(real)


def _normal(text: str) -> str:
    timeless = re.sub(r"\b\d+(\.\d+)? (ms|s|seconds|minutes)\b", "TIME", text)
    return " ".join(timeless.split())
