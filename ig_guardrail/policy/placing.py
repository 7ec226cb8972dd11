"""Where the parser's events stand in the file, to the character."""

from __future__ import annotations

import re
from typing import cast

import yaml

from ig_guardrail.policy.faults import Mark
from ig_guardrail.policy.tree import Scalar

_ANCHOR = re.compile(r"&[^\s,\[\]{}]+[ \t]+")
_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")


def place_of(text: str, event: yaml.Event) -> Mark:
    """Where an event begins, and how far it goes on its first line."""
    return _mark(text, event, _index(event.start_mark))


def end_of(event: yaml.Event) -> Mark:
    """The place behind an event."""
    mark = cast(yaml.Mark, event.end_mark)
    return Mark(mark.line + 1, mark.column + 1)


def scalar_of(text: str, event: yaml.ScalarEvent) -> Scalar:
    """A scalar with its place, anchor aside, and the column of its text if that stands there letter by letter."""
    start = _index(event.start_mark)
    anchor = _ANCHOR.match(text, start)
    if event.anchor is not None and anchor:
        start = anchor.end()
    mark = _mark(text, event, start)
    plain = event.style is None
    first = start if plain else start + 1
    literal = text.startswith(event.value, first) and len(event.value) == mark.length - (0 if plain else 2)
    return Scalar(event.value, plain, mark, mark.column + first - start if literal and event.value else 0)


def _mark(text: str, event: yaml.Event, start: int) -> Mark:
    begin = cast(yaml.Mark, event.start_mark)
    written = text[start : _index(event.end_mark)]
    first_line = _LINE_BREAK.split(written, maxsplit=1)[0].rstrip()
    return Mark(begin.line + 1, begin.column + 1 + start - begin.index, max(1, len(first_line)))


def _index(mark: object) -> int:
    return cast(yaml.Mark, mark).index
