"""A YAML file as a tree that remembers where each part stands. Scalars are characters still; nothing is guessed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from ig_guardrail.policy.diagnostics.diagnostic import Mark


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as its characters.

    plain   written without quotes, so that YAML may read it as something else than text
    column  where its first character stands, if the text stands in the file letter by letter on one line; else 0
    """

    text: str
    plain: bool
    mark: Mark
    column: int = 0

    def part(self, offset: int, length: int) -> Mark:
        """The place of some of its characters; of the whole value where that cannot be told."""
        return Mark(self.mark.line, self.column + offset, length) if self.column else self.mark


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value."""

    key: Scalar
    value: Tree


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, its keys all different."""

    entries: tuple[Entry, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence."""

    items: tuple[Tree, ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Broken:
    """A value whose fault was already found; it is not looked at again."""

    mark: Mark


Tree: TypeAlias = Scalar | Table | Listing | Broken


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
