"""A YAML file as a tree that remembers where each part stands. Scalars are characters still; nothing is guessed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from ig_guardrail.policy.diagnostics.diagnostic import Position


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as its characters.

    plain   written without quotes, so that YAML may read it as something else than text
    column  where its first character stands, if the text stands in the file letter by letter on one line; else 0
    rest    the comment behind a plain value, on its last line
    style   how it is written: `'` or `"` around it, `|` or `>` before it; "" where it is plain
    """

    text: str
    plain: bool
    mark: Position
    column: int = 0
    rest: str = ""
    style: str = ""

    def part(self, offset: int, length: int) -> Position:
        """The place of some of its characters; of the whole value where that cannot be told."""
        return replace(self.mark, column=self.column + offset, length=length) if self.column else self.mark


@dataclass(frozen=True, slots=True)
class YamlEntry:
    """A key and its value."""

    key: Scalar
    value: YamlNode


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, its keys all different."""

    entries: tuple[YamlEntry, ...]
    mark: Position


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    items: tuple[YamlNode, ...]
    mark: Position


@dataclass(frozen=True, slots=True)
class Broken:
    """A value whose fault was already found; it is not looked at again."""

    mark: Position


YamlNode: TypeAlias = Scalar | Table | Listing | Broken


def torn_off(table: Table) -> frozenset[str]:
    """Keys that are the rest of an expression without quotes: inside braces, `cost: max(a, b)` ends at its comma."""
    torn: list[str] = []
    open_bracket = False
    for entry in table.entries:
        key, value = entry.key.text, entry.value
        if open_bracket and isinstance(value, Scalar) and value.plain and not value.text:
            torn.append(key)
            open_bracket = ")" not in key
        else:
            open_bracket = isinstance(value, Scalar) and value.plain and value.text.count("(") > value.text.count(")")
    return frozenset(torn)
