"""Expressions of keys: those of free choice, of bounded length and none of the named ones; and user's own, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterable

LONGEST = 20_000  # characters of an expression

_PLAIN_TAIL = re.compile(r"\^(?:[A-Za-z0-9_ -]|\\[-._/])+")


def all_but(names: Iterable[str], length: int) -> str | None:
    """An expression of all texts of at most `length` characters but `names`; None where it would be too long."""
    taken = set(names)
    begun: dict[str, set[str]] = {"": set()}
    for name in taken:
        for at, letter in enumerate(name):
            begun.setdefault(name[:at], set()).add(letter)
        begun.setdefault(name, set())
    ways = []
    for prefix, letters in begun.items():
        left = length - len(prefix)
        if prefix not in taken and left >= 0:
            ways.append(re.escape(prefix))
        if left > 0:
            other = f"[^{''.join(map(_in_class, sorted(letters)))}]" if letters else "(?s:.)"
            ways.append(f"{re.escape(prefix)}{other}(?s:.{{0,{left - 1}}})")
    made = f"^(?:{'|'.join(ways)})$"
    return made if len(made) <= LONGEST else None


def _in_class(letter: str) -> str:
    return f"\\{letter}" if letter in r"\]^-[&~" else letter


def bounded(pattern: str, length: int) -> str:
    """A user's expression of keys, with at most `length` characters after a plain beginning such as `^x-`."""
    return f"{pattern}(?s:.{{0,{length}}})$" if _PLAIN_TAIL.fullmatch(pattern) else pattern
