"""Reads calls: where one ends in its source, which may come in pieces, and what it says.

A call ends with the text that closes it, such as `</tool_call>`, outside of its values; where a format has no such
text, with the bracket that closes its arguments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from ig_guardrail.text.call_notation import BLANKS, overlap, tokens_of
from ig_guardrail.text.call_values import quoting, read_arguments
from ig_guardrail.types import Tool, ToolCall, ToolFormat

_SPACE = r"[ \t\r\n]*"
_NAME = r'[^\s()\[\]{}<>"]'  # a character of a tool's name, where that stands by itself
_KEYS = ("arguments", "parameters")
_FENCED = rf"{_SPACE}(?:```)?{_SPACE}[,;]?{_SPACE}(?:```(?:json)?)?{_SPACE}"


@dataclass(frozen=True, slots=True)
class CallPlace:
    """Where the reading of a call stands. quoted: what closes the value that is open. depth: of open brackets."""

    quoted: str = ""
    depth: int = 0


BEGINNING = CallPlace()


@dataclass(frozen=True, slots=True)
class CallEnd:
    """How far a text was read: the end of the call in it, if that is there; what of it must be read again with more."""

    end: int | None
    kept: int
    place: CallPlace


def read_to_end(text: str, start: int, place: CallPlace, format: ToolFormat) -> CallEnd:
    """Read on from `start`, up to the end of the call that is being read there."""
    signs, quoted, depth = _signs(format), place.quoted, place.depth
    while (found := signs.pattern(quoted).search(text, start)) is not None:
        sign = found[0]
        if sign == "\\" and found.end() == len(text):
            return CallEnd(None, found.start(), CallPlace(quoted, depth))
        start = found.end() + (sign == "\\")
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign == signs.closer:
            return CallEnd(start, start, BEGINNING)
        elif sign in signs.quotes:
            quoted = signs.quotes[sign]
        elif sign == signs.brackets[0]:
            depth += 1
        elif sign == signs.brackets[1:]:
            depth -= 1
            if depth <= 0:
                return CallEnd(start, start, BEGINNING)
    partial = max((overlap(text[start:], sign) for sign in signs.longer(quoted)), default=0)
    return CallEnd(None, max(start, len(text) - partial), CallPlace(quoted, depth))


def read_call(source: str, format: ToolFormat, tools: Sequence[Tool] = ()) -> ToolCall | None:
    """The call that a source is, from what stands before its format's first or next call on; None if it is none."""
    found = _head(format).match(source)
    if found is None:
        return None
    if format.keys:
        return _object(source, found.end(), format)
    tool = next((tool for tool in tools if tool.name == found["name"]), None)
    read = read_arguments(source, found.end(), tool, format)
    if read is None or not isinstance(read[0], dict) or _tail(format).fullmatch(source, read[1]) is None:
        return None
    return ToolCall(found["name"], read[0])


def behind_all(text: str, place: int, format: ToolFormat) -> int:
    """The place behind what ends all calls, where that stands at `place`; else `place`."""
    end = format.end.strip() or ("```" if format.fenced else "")
    found = re.compile(_SPACE + _flexible(end)).match(text, place) if end else None
    return place if found is None else found.end()


def begun_name(source: str, format: ToolFormat) -> str | None:
    """The name of a call that is being written, once that is there."""
    found = _name(format).match(source)
    return None if found is None else found["name"]


def nameable(name: str, format: ToolFormat) -> bool:
    """Whether a call of a tool of that name can be read; in JSON every name can be."""
    if format.keys:
        return True
    found = _head(format).match(f"{format.open}{name}{format.middle}")
    return found is not None and found["name"] == name and not any(sign in name for sign, _ in quoting(format))


def _object(source: str, place: int, format: ToolFormat) -> ToolCall | None:
    try:
        content, end = json.JSONDecoder().raw_decode(source, place)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or _tail(format).fullmatch(source, end) is None:
        return None
    name, id = content.get(format.keys[0]), content.get("id")
    arguments = next((content[key] for key in (format.keys[1], *_KEYS) if key in content), None)
    if not (isinstance(name, str) and isinstance(arguments, dict)):
        return None
    return ToolCall(name, arguments, id if isinstance(id, str) else None)


@dataclass(frozen=True, slots=True)
class _Signs:
    """What counts in the source of a call: what closes it, or its brackets; what opens and closes values."""

    closer: str
    brackets: str
    quotes: dict[str, str]
    escapes: bool
    patterns: dict[str, re.Pattern[str]]

    def pattern(self, quoted: str) -> re.Pattern[str]:
        return self.patterns[quoted]

    def longer(self, quoted: str) -> list[str]:
        """Signs of more than one character that may be cut off."""
        signs = [quoted] if quoted else [self.closer, *self.quotes]
        return [sign for sign in signs if len(sign) > 1]


@lru_cache(maxsize=64)
def _signs(format: ToolFormat) -> _Signs:
    closer = next(iter(format.close.strip("{}[]() \t\r\n").split()[-1:]), "")
    brackets = "" if closer else "()" if format.values == "python" else "{}"
    quotes = dict(quoting(format))
    escapes = format.values != "tags"
    outside = "|".join(map(re.escape, [sign for sign in (closer, *quotes, *brackets) if sign]))
    inside = {end: re.compile(re.escape(end) + (r"|\\" if escapes else "")) for end in quotes.values()}
    return _Signs(closer, brackets, quotes, escapes, {"": re.compile(outside), **inside})


@lru_cache(maxsize=64)
def _head(format: ToolFormat) -> re.Pattern[str]:
    """What stands before the JSON of a call, or before its arguments."""
    before = _before(format)
    if format.keys:
        return re.compile(f"{before}{_flexible(format.open.partition('{')[0])}{_SPACE}(?=\\{{)")
    return re.compile(
        rf"{before}{_flexible(format.open)}{_SPACE}(?P<name>{_NAME}{{1,256}}?){_SPACE}{_flexible(format.middle)}"
    )


@lru_cache(maxsize=64)
def _name(format: ToolFormat) -> re.Pattern[str]:
    before = _before(format)
    if format.keys:
        opened, key = _flexible(format.open.partition("{")[0]), re.escape(json.dumps(format.keys[0]))
        others = rf'(?:{_SPACE}"[^"\\]{{0,64}}"{_SPACE}:{_SPACE}"[^"\\]{{0,64}}"{_SPACE},)*'
        named = rf'{key}{_SPACE}:{_SPACE}"(?P<name>[^"\\]{{0,256}})"'
        return re.compile(rf"{before}{opened}{_SPACE}\{{{others}{_SPACE}{named}")
    first = re.escape(format.middle.strip(BLANKS)[:1])
    return re.compile(rf"{before}{_flexible(format.open)}{_SPACE}(?P<name>{_NAME}{{1,256}}?){_SPACE}{first}")


@lru_cache(maxsize=64)
def _tail(format: ToolFormat) -> re.Pattern[str]:
    """What stands behind the JSON of a call, or behind its arguments."""
    close = format.close.rpartition("}")[2] if format.keys else format.close
    return re.compile(_SPACE + _flexible(close))


def _before(format: ToolFormat) -> str:
    if format.fenced:
        return _FENCED
    parts = [_flexible(part) for part in (format.begin, format.separator or "") if part.strip(BLANKS)]
    return _SPACE + (f"(?:{'|'.join(parts)})?{_SPACE}" if parts else "")


def _flexible(literal: str) -> str:
    """A text as an expression that takes other white space for its own."""
    return _SPACE.join(map(re.escape, tokens_of(literal)))
