"""YAML text to a tree, in one pass over the parser's events.

Nothing recurses and every alias counts at its full size, so that no text costs more than its limits allow. Of YAML,
anchors and aliases stay; tags, merge keys and duplicate keys do not.

Every part of the tree knows where it stands in the file, to the character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import yaml

from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, Steps, quoted
from ig_guardrail.policy.yaml.syntax import syntax_fault
from ig_guardrail.policy.yaml.tree import Broken, Listing, Scalar, Table, YamlEntry, YamlNode

MOST_NODES = 10_000
DEEPEST = 32


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """What a text holds: the tree of its one document, if it has one, the faults, and how many nodes were counted."""

    tree: YamlNode | None
    faults: tuple[Diagnostic, ...]
    nodes: int


@dataclass(frozen=True, slots=True)
class Sized:
    """A tree with its size in nodes and its height, aliases written out."""

    tree: YamlNode
    size: int = 1
    height: int = 1


@dataclass(slots=True)
class OpenCollection:
    """A mapping or sequence that is being read."""

    mark: Position
    table: bool
    anchor: str | None
    broken: bool
    items: list[YamlNode] = field(default_factory=list)
    entries: dict[str, YamlEntry] = field(default_factory=dict)
    key: Scalar | Broken | None = None
    size: int = 1
    height: int = 1

    def tree(self) -> YamlNode:
        if self.broken:
            return Broken(self.mark)
        return Table(tuple(self.entries.values()), self.mark) if self.table else Listing(tuple(self.items), self.mark)


class TooLarge(Exception):
    """Reading stopped at a limit; carries the fault."""

    def __init__(self, fault: Diagnostic) -> None:
        super().__init__(fault.message)
        self.fault = fault


def read(text: str) -> YamlDocument:
    """The tree of a YAML text and all faults of its form. Never raises."""
    builder = Builder(text)
    last = Position(1, 1)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            last = end_of(event)
            if not builder.take(event):
                return YamlDocument(None, tuple(builder.faults), builder.nodes)
    except TooLarge as stop:
        return YamlDocument(None, (*builder.faults, stop.fault), builder.nodes)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        return YamlDocument(None, (*builder.faults, syntax_fault(error, text, last)), builder.nodes)
    if builder.root is None or (isinstance(builder.root, Scalar) and builder.root.plain and not builder.root.text):
        empty = Spot((), Position(1, 1)).fault(
            "P005", "the file is empty", help="start from a copy of the policy `default`"
        )
        return YamlDocument(None, (*builder.faults, empty), builder.nodes)
    return YamlDocument(builder.root, tuple(builder.faults), builder.nodes)


class Builder:
    """Builds the tree from events; collects faults on the way."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: YamlNode | None = None
        self.faults: list[Diagnostic] = []
        self.nodes = 0
        self.stack: list[OpenCollection] = []
        self.anchors: dict[str, Sized] = {}

    def take(self, event: yaml.Event) -> bool:
        """Take one event; False when reading should end."""
        match event:
            case yaml.DocumentStartEvent() if self.root is not None:
                self._second_document(event)
                return False
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close(event)
            case yaml.ScalarEvent():
                faulty = self._tagged(event) or self._swallowed(event)
                leaf: YamlNode = Broken(place_of(self.text, event)) if faulty else scalar_of(self.text, event)
                self._place(Sized(leaf), event.anchor)
            case yaml.AliasEvent():
                self._place(self._aliased(event), None, place_of(self.text, event))
        return True

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        frame = OpenCollection(
            mark=place_of(self.text, event),
            table=isinstance(event, yaml.MappingStartEvent),
            anchor=event.anchor,
            broken=self._tagged(event),
        )
        self.anchors.pop(event.anchor or "", None)
        self.stack.append(frame)
        self._count(1, 0, frame.mark)

    def _close(self, event: yaml.Event) -> None:
        frame = self.stack.pop()
        end = end_of(event)
        if end.line == frame.mark.line:
            frame.mark = Position(end.line, frame.mark.column, end.column - frame.mark.column)
        done = Sized(frame.tree(), frame.size, frame.height)
        self.nodes -= frame.size
        self._place(done, frame.anchor)

    def _place(self, done: Sized, anchor: str | None, mark: Position | None = None) -> None:
        """Put a finished value where it belongs. mark: where it is told, if not where it was written."""
        self._count(done.size, done.height, mark or done.tree.mark)
        if anchor is not None:
            self.anchors[anchor] = done
        if not self.stack:
            self.root = done.tree
            return
        frame = self.stack[-1]
        frame.size += done.size
        frame.height = max(frame.height, done.height + 1)
        if not frame.table:
            frame.items.append(done.tree)
        elif frame.key is None:
            frame.key = self._key(frame, done.tree)
        else:
            if isinstance(frame.key, Scalar):
                frame.entries[frame.key.text] = YamlEntry(frame.key, done.tree)
            frame.key = None

    def _key(self, frame: OpenCollection, tree: YamlNode) -> Scalar | Broken:
        """The key itself, or Broken where the entry is to be skipped."""
        if isinstance(tree, Scalar) and tree.plain and tree.text == "<<":
            self._fault(
                tree.mark, "P009", "a merge key is used", "keys must stand where they count", "write the keys out"
            )
        elif isinstance(tree, Scalar) and tree.text in frame.entries:
            self._twice(tree, frame.entries[tree.text].key.mark.line)
        elif isinstance(tree, Scalar):
            return tree
        elif not isinstance(tree, Broken):
            advice = "write `key: value`; a policy is read as it stands, and nothing between braces is filled in"
            self._fault(tree.mark, "P016", "a key is a list or a mapping", "needs a single word", advice)
        return Broken(tree.mark)

    def _twice(self, key: Scalar, line: int) -> None:
        spot = Spot((*self._steps(), key.text), key.mark)
        label = f"first written on line {line}"
        message = f"key {quoted(key.text)} is written twice"
        self.faults.append(spot.fault("P007", message, label=label, help="delete one of the two"))

    def _aliased(self, event: yaml.AliasEvent) -> Sized:
        mark, name = place_of(self.text, event), event.anchor or ""
        target = self.anchors.get(name)
        if target is not None:
            tree = target.tree
            return Sized(Scalar(tree.text, tree.plain, mark, style=tree.style)) if isinstance(tree, Scalar) else target
        inside = any(frame.anchor == name for frame in self.stack)
        label = "it stands inside the value that it names" if inside else f"there is no {quoted('&' + name)} above it"
        advice = "write the value itself; a text that begins with `*` stands in quotes"
        self._fault(mark, "P011", f"alias {quoted('*' + name)} has nothing to stand for", label, advice)
        return Sized(Broken(mark))

    def _tagged(self, event: yaml.NodeEvent) -> bool:
        tag = getattr(event, "tag", None)
        if tag is not None:
            message = f"a value carries the tag {quoted(tag.replace('tag:yaml.org,2002:', '!!'))}"
            label = "tags are not part of the language"
            self._fault(place_of(self.text, event), "P008", message, label, "delete the tag")
        return tag is not None

    def _swallowed(self, event: yaml.ScalarEvent) -> bool:
        """Whether a plain text goes on over a line that was meant as an item of a list."""
        start, end = _index(event.start_mark), _index(event.end_mark)
        item = _ITEM.search(self.text, start, end) if event.style is None else None
        if item is not None:
            line = self.text.count("\n", 0, item.start(1)) + 1
            mark = Position(line, item.start(1) - self.text.rfind("\n", 0, item.start(1)))
            label = f"this line belongs to the text that begins on line {place_of(self.text, event).line}"
            advice = "line it up with the other items; if it is text, put the whole in quotes"
            message = "a text goes on over what looks like an item of a list"
            why = "a text without quotes goes on over all lines that are indented deeper"
            spot = Spot(self._steps(), mark)
            self.faults.append(spot.fault("P017", message, label=label, why=why, help=advice))
        return item is not None

    def _second_document(self, event: yaml.Event) -> None:
        mark, label = place_of(self.text, event), "a second document begins here"
        self._fault(mark, "P006", "the file holds several documents", label, "keep each policy in a file of its own")

    def _count(self, size: int, height: int, mark: Position) -> None:
        self.nodes += size
        if self.nodes > MOST_NODES:
            label = f"more than {MOST_NODES} values, counting each alias in full"
            raise TooLarge(
                Spot(self._steps(), mark).fault(
                    "P010", "the file is too large", label=label, help="write the values out"
                )
            )
        if len(self.stack) + height > DEEPEST:
            label = f"more than {DEEPEST} levels"
            raise TooLarge(
                Spot(self._steps(), mark).fault(
                    "P010", "the file is too deep", label=label, help="no policy needs this"
                )
            )

    def _fault(self, mark: Position, code: str, message: str, label: str, advice: str) -> None:
        self.faults.append(Spot(self._steps(), mark).fault(code, message, label=label, help=advice))

    def _steps(self) -> Steps:
        return tuple(_walk(self.stack))


def _walk(stack: list[OpenCollection]) -> Iterator[str | int]:
    for frame in stack:
        if not frame.table:
            yield len(frame.items)
        elif isinstance(frame.key, Scalar):
            yield frame.key.text


_ITEM = re.compile(r"\n[ \t]*(- )")
_ANCHOR = re.compile(r"&[^\s,\[\]{}]+[ \t]+")
_COMMENT = re.compile(r"[ \t]+(#[^\n\r]*)")
_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")


def place_of(text: str, event: yaml.Event) -> Position:
    """Where an event begins, and how far it goes on its first line."""
    return _mark(text, event, _index(event.start_mark))


def end_of(event: yaml.Event) -> Position:
    """The place behind an event."""
    mark = cast(yaml.Mark, event.end_mark)
    return Position(mark.line + 1, mark.column + 1)


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
    rest = _COMMENT.match(text, _index(event.end_mark)) if plain else None
    column = mark.column + first - start if literal and event.value else 0
    return Scalar(event.value, plain, mark, column, rest[1].rstrip() if rest else "", event.style or "")


def _mark(text: str, event: yaml.Event, start: int) -> Position:
    begin = cast(yaml.Mark, event.start_mark)
    written = text[start : _index(event.end_mark)]
    first_line = _LINE_BREAK.split(written, maxsplit=1)[0].rstrip()
    return Position(begin.line + 1, begin.column + 1 + start - begin.index, max(1, len(first_line)))


def _index(mark: object) -> int:
    return cast(yaml.Mark, mark).index
