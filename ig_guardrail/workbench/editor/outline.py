"""YAML read with patience: the tree of a text that is being written, where a parser gives up at the first open bracket.

Of a sound file it is the tree that the parser sees. Else: a bracket or a quote that nobody closed ends where the lines
begin again to the left of it, a line alone is a key without a value, and lines at a column of nobody belong to what
stands above them. One pass; nothing here tells faults.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ig_guardrail.policy.expression import LONGEST
from ig_guardrail.policy.yaml.decoding import LINE_BREAK

DEEPEST = 40  # levels; what lies deeper is a text
LONGEST_QUOTE = 20_000  # characters in which the end of a quoted text is looked for


class CharacterSpan(NamedTuple):
    """Characters of a text, from one offset to another."""

    start: int
    end: int

    def holds(self, offset: int) -> bool:
        """Whether a cursor there stands in it, or at one of its ends."""
        return self.start <= offset <= self.end


_NOWHERE = CharacterSpan(0, 0)


@dataclass(slots=True)
class OutlineNode:
    """A value.

    text     of a scalar: as it is written, without its quotes
    inner    where that text stands
    flow     whether it is written in brackets
    entries  of a mapping: its keys, and their values where they have one
    items    of a list; None for one that is not yet written
    """

    kind: Literal["scalar", "map", "list"]
    start: int
    end: int
    text: str = ""
    inner: CharacterSpan = _NOWHERE
    flow: bool = False
    entries: list[tuple[OutlineNode, OutlineNode | None]] = field(default_factory=list)
    items: list[OutlineNode | None] = field(default_factory=list)

    @property
    def span(self) -> CharacterSpan:
        return CharacterSpan(self.start, self.end)

    def children(self) -> Iterator[tuple[str | int, OutlineNode | None, OutlineNode | None]]:
        """Each step below it, with the key and the value."""
        if self.kind == "map":
            yield from ((key.text, key, value) for key, value in self.entries)
        else:
            yield from ((place, None, item) for place, item in enumerate(self.items))


def outline(text: str) -> OutlineNode:
    """The tree of a text; an empty mapping where it holds nothing. Never raises."""
    reader = OutlineReader(text)
    root = reader.block(-1, 0, inline=False)
    while (found := reader.next_token()) is not None:  # lines at a column of nobody
        if root is not None and root.kind == "map" and reader.starts_entry():
            reader.mapping(found, 0, root)
        else:
            reader.take_line()
    return root or OutlineNode("map", 0, len(text))


_BLANK = re.compile(
    r"(?:[ \t\r\n\x85\u2028\u2029\ufeff]+|(?<![^\s\ufeff])#[^\r\n\x85\u2028\u2029]*|(?<![^\r\n])(?:---|%)[^\r\n]*)+"
)
_INLINE = re.compile(r"[ \t]*")
_PROPERTY = re.compile(r"(?:[&!][^\s,\[\]{}]*(?:[ \t]+|(?=\s|$)))+")
_DASH = re.compile(r"-(?=[ \t\r\n\x85\u2028\u2029]|$)")
_END = re.compile(r"[\r\n\x85\u2028\u2029]|$")
_KEY = re.compile(
    r"(?:[^\s\"'\[\]{}#,&*!|>%@`](?:(?!\s#)[^\r\n])*?|\"(?:[^\"\\\r\n]|\\.)*\"|'(?:[^'\r\n]|'')*')"
    r"(?<![ \t])[ \t]*:(?=\s|$)"
)
_PLAIN_LINE = re.compile(r"(?:[^#\r\n\x85\u2028\u2029]|(?<=[^\s])#)*")
_PLAIN_FLOW = re.compile(r"(?:[^#:,\[\]{}\r\n\x85\u2028\u2029]|(?<=\S)#|:(?![\s,\[\]{}]|$))*")
_IN_BRACKETS = re.compile(r"(?:(?!(?<![\w-])[\w-]+:(?:\s|$))[^)#\[\]{}\r\n\x85\u2028\u2029])*\)?")
_QUOTED = {
    '"': re.compile(r"\"((?:[^\"\\]|\\.)*)\"", re.DOTALL),
    "'": re.compile(r"'((?:[^']|'')*)'"),
}
_LINE = re.compile(r"(?:\r\n|[\r\n\x85\u2028\u2029])([ \t]*)")
_RIGHT_OF = re.compile(r"[-\w\ue000]+[ \t]*(?::(?=\s|$)|(?=[\r\n]|$))|-(?=\s|$)")  # a key, a word alone, a dash


class OutlineReader:
    """A place in a text, and what begins there. Columns are those of the line, from 0."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.left = -1  # the column to the left of which open brackets end
        self.lines = [int(text.startswith("\ufeff")), *(found.end() for found in LINE_BREAK.finditer(text))]

    # Places

    def column(self, at: int) -> int:
        """How far from the beginning of its line an offset is."""
        return at - self.lines[max(0, bisect_right(self.lines, at) - 1)]

    def next_token(self) -> int | None:
        """Step over blanks, comments and lines; the column of what comes next, or None at the end."""
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at
        return self.column(self.at) if self.at < len(self.text) else None

    def inline(self) -> bool:
        """Step over blanks and properties; whether something follows on the line."""
        self.at = _INLINE.match(self.text, self.at).end()  # type: ignore[union-attr]  # it matches anywhere
        found = _PROPERTY.match(self.text, self.at)
        self.at = found.end() if found else self.at
        rest = self.text[self.at : self.at + 1]
        comment = rest == "#" and (self.at == 0 or self.text[self.at - 1].isspace())
        return bool(rest) and rest not in "\r\n\x85\u2028\u2029" and not comment

    def starts_item(self) -> bool:
        return _DASH.match(self.text, self.at) is not None

    def starts_entry(self) -> bool:
        return not self.starts_item() and _KEY.match(self.text, self.at) is not None

    def take_line(self) -> OutlineNode:
        """The rest of a line as a text."""
        end = _END.search(self.text, self.at).start()  # type: ignore[union-attr]  # it finds the end at the latest
        return self.scalar(self.at, end, CharacterSpan(self.at, end))

    def scalar(self, start: int, end: int, inner: CharacterSpan) -> OutlineNode:
        self.at = end
        return OutlineNode("scalar", start, end, self.text[inner.start : inner.end], inner)

    # Lines

    def block(self, parent: int, depth: int, *, inline: bool, compact: bool = False) -> OutlineNode | None:
        """The value behind a key, a dash, or at the beginning; None where there is none.

        parent   the column of what it belongs to, and lies to the right of
        inline   whether it may begin on the line
        compact  whether keys and dashes may follow on the line, as they may behind a dash
        """
        if inline and self.inline():
            if not compact:
                return self.value(parent, depth)
        else:
            begin = self.at
            column = self.next_token()
            below = column is not None and column == parent and self.starts_item() and not compact
            if column is None or not (column > parent or below):
                self.at = begin
                return None
        column = self.column(self.at)
        if depth >= DEEPEST:
            return self.take_line()
        if self.starts_item():
            return self.listing(column, depth)
        if self.starts_entry() or self.heads_mapping(column):
            return self.mapping(column, depth)
        return self.value(parent, depth)

    def heads_mapping(self, column: int) -> bool:
        """Whether a line is a key without its colon: a key stands below it, at the same column."""
        if self.text[self.at] in "\"'[{|>*&!#":
            return False
        begin = self.at
        self.take_line()
        found = self.next_token() == column and self.starts_entry()
        self.at = begin
        return found

    def mapping(self, column: int, depth: int, into: OutlineNode | None = None) -> OutlineNode:
        """Keys at a column, and what belongs to them. into: a mapping that they go on."""
        node = into or OutlineNode("map", self.at, self.at)
        while (found := self.next_token()) is not None and found >= column:
            if found > column and node.entries:
                self.stray(node, column, depth)
            elif self.starts_item() and found == column:
                break
            else:
                self.entry(node, column, depth)
            node.end = self.at
        return node

    def entry(self, node: OutlineNode, column: int, depth: int) -> None:
        key = self.key()
        if self.text.startswith(":", self.at):
            self.at += 1
            key_end = self.at
            value = self.block(column, depth + 1, inline=True)
            node.entries.append((key, value))
            if value is None:
                self.at = max(self.at, key_end)
        else:
            node.entries.append((key, None))

    def key(self) -> OutlineNode:
        found = _KEY.match(self.text, self.at)
        if found is None:
            line = self.take_line()
            line.text = line.text.partition(" #")[0].rstrip()
            line.end = line.start + len(line.text)
            line.inner = CharacterSpan(line.start, line.end)
            return line
        start, end = self.at, found.end() - 1
        written = self.text[start:end].rstrip()
        quoted = written[:1] in ("'", '"') and len(written) > 1
        stop = start + len(written)
        node = self.scalar(start, stop, CharacterSpan(start + 1, stop - 1) if quoted else CharacterSpan(start, stop))
        self.at = end
        return node

    def stray(self, node: OutlineNode, column: int, depth: int) -> None:
        """Lines to the right of the keys of a mapping, and to the left of what its last key has: they go on those."""
        begin = self.at
        last, value = node.entries[-1]
        if value is not None and value.kind == "map" and not value.flow and self.starts_entry():
            self.mapping(self.column(begin), depth + 1, value)
        elif value is not None and value.kind == "list" and not value.flow and self.starts_item():
            self.listing(self.column(begin), depth + 1, value)
        else:
            more = self.block(column, depth + 1, inline=False)
            node.entries[-1] = (last, more if value is None else value)
        if self.at == begin:
            self.take_line()

    def listing(self, column: int, depth: int, into: OutlineNode | None = None) -> OutlineNode:
        """Dashes at a column, and what belongs to them."""
        node = into or OutlineNode("list", self.at, self.at)
        while self.next_token() == column and self.starts_item():
            self.at += 1
            after = self.at
            node.items.append(self.block(column, depth + 1, inline=True, compact=True))
            self.at = max(self.at, after)
            node.end = self.at
        return node

    # Values

    def value(self, parent: int, depth: int) -> OutlineNode:
        """A value that begins here, and is no mapping or list of lines, to the right of a column."""
        match self.text[self.at]:
            case "{" | "[":
                self.left = parent
                return self.brackets(depth)
            case "'" | '"':
                return self.quoted(parent)
            case "|" | ">":
                return self.literal(parent)
        return self.plain(parent)

    def plain(self, parent: int) -> OutlineNode:
        """Words, on this line and on those to the right of the parent that hold no key."""
        start, end = self.at, self.words(_PLAIN_LINE)
        while not self.text.startswith("#", self.at):
            column = self.next_token()
            if column is None or column <= parent or self.starts_entry():
                break
            if "#" in self.text[end : self.at]:  # a comment ends a text
                break
            end = self.words(_PLAIN_LINE)
        return self.scalar(start, end, CharacterSpan(start, end))

    def words(self, form: re.Pattern[str]) -> int:
        """Step over words of a form; their end, blanks aside."""
        found = form.match(self.text, self.at)
        begin, self.at = self.at, found.end() if found else self.at
        return begin + len(self.text[begin : self.at].rstrip())

    def literal(self, parent: int) -> OutlineNode:
        """A text of lines, behind `|` or `>`."""
        start = self.at
        self.take_line()
        end = first = self.at
        while self.at < len(self.text):
            match = _LINE.match(self.text, self.at)
            if match is None:
                break
            self.at = match.end()
            blank = self.at == len(self.text) or self.text[self.at] in "\r\n\x85\u2028\u2029"
            if not blank and len(match[1]) <= parent:
                break
            self.take_line()
            end = self.at
        node = self.scalar(start, end, CharacterSpan(first, end))
        node.text = node.text.strip()
        return node

    def quoted(self, parent: int) -> OutlineNode:
        """A text in quotes; where they are not closed, the rest of the line."""
        start = self.at
        found = _QUOTED[self.text[start]].match(self.text, start, start + LONGEST_QUOTE)
        if found is not None and self.stays_right(found, parent):
            return self.scalar(start, found.end(), CharacterSpan(*found.span(1)))
        line = self.take_line()
        return self.scalar(start, line.end, CharacterSpan(start + 1, line.end))

    def stays_right(self, found: re.Match[str], parent: int) -> bool:
        """Whether no line of a quoted text looks like one that goes on to the left of it."""
        lines = LINE_BREAK.split(found[0])[1:]
        return not any(
            line.strip() and len(line) - len(line.lstrip(" ")) <= parent and _RIGHT_OF.match(line.lstrip(" "))
            for line in lines
        )

    # Brackets

    def brackets(self, depth: int) -> OutlineNode:
        """A mapping or list in brackets, closed or not."""
        opened = self.text[self.at]
        node = OutlineNode("map" if opened == "{" else "list", self.at, self.at, flow=True)
        self.at += 1
        if depth >= DEEPEST:
            return self.take_line()
        waiting = True  # for an item: at the beginning and behind each comma
        while not self.ended():
            sign = self.text[self.at]
            if sign in "]}":
                self.at += (sign == "}") == (node.kind == "map")
                break
            if sign == ",":
                self.at += 1
                if waiting and node.kind == "list":
                    node.items.append(None)
                waiting = True
                continue
            begin = self.at
            self.member(node, depth)
            waiting = False
            if self.at == begin:
                self.at += 1
        node.end = self.at
        return node

    def ended(self) -> bool:
        """Whether open brackets end here: at the end, or where lines begin again to the left of them."""
        begin, line = self.at, bisect_right(self.lines, self.at)
        column = self.next_token()
        if column is None:
            self.at = begin
            return True
        if bisect_right(self.lines, self.at) > line and column <= self.left and _RIGHT_OF.match(self.text, self.at):
            self.at = begin
            return True
        return False

    def member(self, node: OutlineNode, depth: int) -> None:
        """One key and value, or one item."""
        value = self.flow_value(depth)
        colon = _INLINE.match(self.text, self.at).end()  # type: ignore[union-attr]
        if not self.text.startswith(":", colon):
            if node.kind == "map":
                node.entries.append((value, None))
            else:
                node.items.append(value)
            return
        self.at = colon + 1
        other = None if self.ended() or self.text[self.at] in ",]}" else self.flow_value(depth, of_key=True)
        if node.kind == "map":
            node.entries.append((value, other))
        else:
            node.items.append(OutlineNode("map", value.start, self.at, flow=True, entries=[(value, other)]))

    def flow_value(self, depth: int, of_key: bool = False) -> OutlineNode:
        found = _PROPERTY.match(self.text, self.at)
        self.at = found.end() if found else self.at
        sign = self.text[self.at : self.at + 1]
        if sign and sign in "{[":
            return self.brackets(depth + 1)
        if sign and sign in "'\"":
            return self.quoted(self.left)
        start, end = self.at, self.words(_PLAIN_FLOW)
        if of_key and "(" in self.text[start:end]:
            end = self.expression(start, end)
        while not of_key or "(" not in self.text[start:end]:  # words on further lines
            before = self.at
            if (
                self.ended()
                or self.text[self.at] in ",:[]{}'\""
                or "#" in self.text[end : self.at]
                or self.at == before
            ):
                break
            end = self.words(_PLAIN_FLOW)
        return self.scalar(start, max(start, end), CharacterSpan(start, max(start, end)))

    def expression(self, start: int, end: int) -> int:
        """Step over the rest of an expression without quotes: YAML ends it at its comma, its author does not."""
        while end - start <= LONGEST and self.text.count("(", start, end) > self.text.count(")", start, end):
            found = _IN_BRACKETS.match(self.text, self.at)
            piece = found[0] if found else ""
            goes_on = self.text[self.at + len(piece) : self.at + len(piece) + 1]
            if not piece.endswith(")") and goes_on and goes_on not in "}]#\r\n" and "," in piece:
                piece = piece[: piece.rindex(",")]  # a key comes next
            self.at += len(piece)
            end = self.at if piece.strip() else end
            if not piece.endswith(")"):
                break
        return end
