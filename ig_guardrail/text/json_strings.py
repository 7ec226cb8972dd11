"""The texts in JSON, as whoever parses it gets them: keys and values, with their escapes resolved.

Read as it is written, in pieces cut anywhere. What stands between texts only tells names from values, so JSON that is
not whole, or stands in a fence, is read as well. Half a surrogate pair becomes U+FFFD; a backslash before any other
character is left out, as lenient parsers do it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TypeAlias

LONGEST_NAME = 64

_LIKE_JSON = re.compile(r"\s*(?:```(?:json)?\s*)?[\[{]", re.IGNORECASE)
_PERHAPS = re.compile(r"\s*(?:`{1,2}|```(?:j|js|jso|json)?\s*)?\Z", re.IGNORECASE)
_MARKS = re.compile(r"[{}\[\],:]")
_WORD = re.compile(r"[\w.-]*\Z")
_PLAIN = re.compile(r'[^"\\]*')
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_BEGUN = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_HIGH, _LOW = range(0xD800, 0xDC00), range(0xDC00, 0xE000)
_HALF = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, eq=False)
class Bracket:
    """A bracket that is open, the one around it, and how many are open with it."""

    mark: str
    depth: int
    outer: Bracket | None


Open: TypeAlias = Bracket | None


@dataclass(frozen=True, slots=True)
class TextPart:
    """What a piece of source adds to one text.

    whole  whether the text ends with it
    name   whether the text so far is a single word where names stand: a key, say
    """

    text: str
    whole: bool
    name: bool = False


@dataclass(frozen=True, slots=True)
class JsonTexts:
    """Where the reading of JSON stands.

    envelope  how many of the outermost levels hold names alone: their values are names as well as their keys
    inside    whether a text is open
    begun     the source of an escape that is not whole yet
    open      the brackets that are open, innermost first
    key       whether the next text is a key
    name      how long the open text is, where it is a name so far; -1 where it is none
    """

    envelope: int = 0
    inside: bool = False
    begun: str = ""
    open: Open = None
    key: bool = False
    name: int = -1

    def read(self, source: str) -> tuple[JsonTexts, list[TextPart], str]:
        """The reading after more source; what it adds: to the text that was open, if any, then to new ones; all of it.

        The last is the source with its escapes resolved, but for one that is not whole yet.
        """
        known, place, inside, clear = self.begun + source, 0, self.inside, list[str]()
        brackets, key, name, parts = self.open, self.key, self.name, list[TextPart]()
        while True:
            if not inside:
                quote = known.find('"', place)
                clear.append(known[place : quote + 1 if quote >= 0 else None])
                brackets, key = _structure(clear[-1], brackets, key)
                if quote < 0:
                    return replace(self, inside=False, begun="", open=brackets, key=key), parts, "".join(clear)
                place = quote + 1
                name = 0 if key or (brackets is not None and brackets.depth <= self.envelope) else -1
            text, place, inside = _text(known, place)
            name = name + len(text) if name >= 0 and _WORD.match(text) and name + len(text) <= LONGEST_NAME else -1
            parts.append(TextPart(text, not inside, name >= 0))
            clear.append(text if inside else f'{text}"')
            if inside:
                return JsonTexts(self.envelope, True, known[place:], brackets, key, name), parts, "".join(clear)
            key = False

    def end(self) -> list[TextPart]:
        """What is added where the source ends: the rest of a text that was never closed."""
        return [TextPart(_HALF if self.begun else "", True, self.name >= 0 and not self.begun)] if self.inside else []


def like_json(beginning: str) -> bool | None:
    """Whether a text that begins so is read as JSON: by a bracket, in a fence or not. None: more must be known."""
    if _LIKE_JSON.match(beginning):
        return True
    return None if _PERHAPS.match(beginning) else False


def _structure(source: str, brackets: Open, key: bool) -> tuple[Open, bool]:
    """The brackets that are open after what stands between two texts, and whether the second is a key."""
    for mark in _MARKS.findall(source):
        if mark in "{[":
            brackets, key = Bracket(mark, 1 + (brackets.depth if brackets else 0), brackets), mark == "{"
        elif mark in "}]":
            brackets, key = brackets.outer if brackets else None, False
        else:
            key = mark == "," and brackets is not None and brackets.mark == "{"
    return brackets, key


def _text(source: str, place: int) -> tuple[str, int, bool]:
    """The text from `place` on, where its source ends, behind a closing quote, and whether that is still to come."""
    read: list[str] = []
    while True:
        plain = _PLAIN.match(source, place)
        assert plain is not None  # it matches the empty text
        read.append(plain[0])
        place = plain.end()
        if place == len(source):
            return "".join(read), place, True
        if source[place] == '"':
            return "".join(read), place + 1, False
        character, after = _escape(source, place)
        if after == place:
            return "".join(read), place, True
        read.append(character)
        place = after


def _escape(source: str, place: int) -> tuple[str, int]:
    """The character of the escape at `place`, and where it ends: at `place`, if more source may belong to it."""
    if _BEGUN.match(source, place):
        return "", place
    found = _UNICODE.match(source, place)
    if found is None:
        named = source[place + 1]
        return _NAMED.get(named, named), place + 2
    unit, after = int(found[1], 16), found.end()
    if unit in _HIGH:
        if after == len(source) or _BEGUN.match(source, after):
            return "", place
        second = _UNICODE.match(source, after)
        if second is not None and int(second[1], 16) in _LOW:
            return chr(0x10000 + ((unit - 0xD800) << 10) + (int(second[1], 16) - 0xDC00)), second.end()
    return (_HALF if unit in _HIGH or unit in _LOW else chr(unit)), after
