"""Where the parts of a policy stand in its text, and what the language wants there: by PyYAML, not the checker."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from ig_guardrail.fields.field import HazardKind, HazardsKind, Kind, ListOf, MapOf, OneOf, Section, ShortForm
from ig_guardrail.policy.language.names import NOTES

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """A value in a text. key: its key, None in a list; home: the mapping or list that it stands in, None for the root.

    section: the section of the language that the key is one of; None for names that authors choose, and in lists
    above: the line of the key that its home is the value of, or where its home begins
    """

    text: str
    path: Path
    kind: Kind
    value: yaml.Node
    key: yaml.Node | None = None
    home: Any = None
    section: Section | None = None
    above: int = 1

    @property
    def written(self) -> str:
        """The value as its characters."""
        return self.text[self.start : self.end]

    @property
    def start(self) -> int:
        return int(self.value.start_mark.index)

    @property
    def end(self) -> int:
        return int(self.value.end_mark.index)

    @property
    def line(self) -> int:
        """Where the value begins, from 1."""
        return int(self.value.start_mark.line) + 1

    @property
    def key_line(self) -> int:
        """Where its key stands, or the value in a list."""
        return int(self.key.start_mark.line) + 1 if self.key is not None else self.line

    @property
    def splices(self) -> bool:
        """Whether the value can be exchanged as it stands, on its line."""
        block = isinstance(self.value, yaml.CollectionNode) and not self.value.flow_style
        return not block and self.value.start_mark.line == self.value.end_mark.line

    def exchanged(self, new: str) -> str:
        """The text with another value here."""
        if self.splices:
            return self.text[: self.start] + new + self.text[self.end :]
        assert self.key is not None
        begin = int(self.key.end_mark.index)
        rest = self.text.rfind("\n", 0, self.end) + 1
        return f"{self.text[:begin]}: {new}\n{self.text[rest:]}"

    def renamed(self, new: str) -> str:
        """The text with another key here."""
        assert self.key is not None
        return self.text[: self.key.start_mark.index] + new + self.text[self.key.end_mark.index :]


def places(text: str, language: Kind) -> list[Place]:
    """Every value of a text that the language knows, outermost first."""
    return list(_walk(text, language, yaml.compose(text, Loader=yaml.SafeLoader), ()))


def _walk(text: str, kind: Kind, node: Any, path: Path, **at: Any) -> Iterator[Place]:
    place = Place(text, path, kind, node, **at)
    yield place
    match kind, node:
        case ShortForm(), yaml.MappingNode():
            yield from _section(place, kind.section)
        case OneOf(), yaml.MappingNode():
            tag = next((value.value for key, value in node.value if key.value == kind.tag), None)
            if tag in kind.sections:
                yield from _section(place, kind.sections[tag])
        case Section(), yaml.MappingNode():
            yield from _section(place, kind)
        case MapOf(), yaml.MappingNode():
            for key, value in node.value:
                yield from _walk(text, kind.value, value, (*path, key.value), key=key, home=node, above=place.key_line)
        case ((ListOf() | HazardsKind()), yaml.SequenceNode()):
            item = kind.item if isinstance(kind, ListOf) else HazardKind()
            for index, value in enumerate(node.value):
                yield from _walk(text, item, value, (*path, index), home=node, above=place.key_line)


def _section(place: Place, section: Section) -> Iterator[Place]:
    for key, value in place.value.value:
        one = section.fields.get(key.value) or (NOTES.get(key.value) if section.notes else None)
        if one is not None:
            at = {"key": key, "home": place.value, "section": section, "above": place.key_line}
            yield from _walk(place.text, one.kind, value, (*place.path, key.value), **at)


def sections(place: Place) -> Section | None:
    """The section of the language that the keys of a mapping are from."""
    kind: Any = place.kind
    if not isinstance(place.value, yaml.MappingNode):
        return None
    if isinstance(kind, OneOf):
        tag = next((value.value for key, value in place.value.value if key.value == kind.tag), None)
        return kind.sections.get(str(tag))
    kind = kind.section if isinstance(kind, ShortForm) else kind
    return kind if isinstance(kind, Section) else None


def with_entry(text: str, home: Any, entry: str) -> tuple[str, int]:
    """The text with one more entry, first in a mapping; and its line."""
    first = home.value[0][0]
    at = int(first.start_mark.index)
    between = ", " if home.flow_style else "\n" + " " * int(first.start_mark.column)
    return text[:at] + entry + between + text[at:], int(first.start_mark.line) + 1


def without(place: Place) -> str | None:
    """The text without an entry; None where that is no plain cut."""
    assert place.key is not None
    entries = [key.start_mark.index for key, _ in place.home.value]
    at = entries.index(place.key.start_mark.index)
    begin = int(place.key.start_mark.index)
    if place.home.flow_style:
        if at + 1 < len(entries):
            return place.text[:begin] + place.text[entries[at + 1] :]
        return place.text[: place.home.value[at - 1][1].end_mark.index] + place.text[place.end :] if at else None
    if at + 1 < len(entries):
        return place.text[:begin] + place.text[entries[at + 1] :]
    end = place.text.find("\n", place.end - 1) + 1 if place.splices else place.text.rfind("\n", 0, place.end) + 1
    return place.text[: place.text.rfind("\n", 0, begin) + 1] + place.text[end:] if at else None
