"""Where a cursor stands, in the words of the language: which key of which section, or the value of which field.

A word that is being written is found by putting a mark in its place and reading the text with patience: the mark lands
where the word will.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ig_guardrail.fields.field import (
    ChoiceKind,
    Field,
    HazardKind,
    HazardsKind,
    Kind,
    ListOf,
    MapOf,
    OneOf,
    Section,
    ShortForm,
)
from ig_guardrail.policy.diagnostics.diagnostic import Steps
from ig_guardrail.policy.language.names import NOTES
from ig_guardrail.policy.yaml.decoding import MOST_BYTES
from ig_guardrail.workbench.editor.document import Document
from ig_guardrail.workbench.editor.outline import CharacterSpan, OutlineNode, outline

_MARK = "\ue000cursor\ue000"
_BEFORE = re.compile(r"(?:\.{0,2}/)?[^\W\d_][\w./-]*$|[0-9.]+$")
_AFTER = re.compile(r"[\w./-]*")
LONGEST = 200  # characters of a word, to each side of the cursor


@dataclass(frozen=True, slots=True)
class Leaf:
    """A key or a value of a document, with what the language says of it.

    path     of the value; of a key, that of its value
    section  what the key is in that it is, or is a value or an item of; None where the language does not know it
    field    what the language says of that key
    kind     what a value is, or a key of one's own choice; None for other keys, and for what the language does not know
    """

    path: Steps
    node: OutlineNode
    is_key: bool
    kind: Kind | None
    section: Section | None
    field: Field | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a word is being written.

    word      the characters that it replaces
    is_key    whether it is, or may become, a key of `kind`, which is then a mapping; else it is a value of `kind`
    alone     whether nothing else stands in the value, and `quoted`, whether quotes do
    written   the keys that the mapping has
    dashes    how far its line goes on from its indentation to what follows its dashes
    flow      whether it stands in brackets
    begins    whether the line holds nothing before the word, dashes aside
    followed  whether a colon follows it
    """

    path: Steps
    word: CharacterSpan
    is_key: bool
    kind: Kind | None
    field: Field | None
    alone: bool
    quoted: bool
    written: frozenset[str]
    dashes: int
    flow: bool
    begins: bool
    followed: bool
    tree: OutlineNode


def leaves(language: Section, tree: OutlineNode | None, around: int | None = None) -> Iterator[Leaf]:
    """Every key and every value of a tree, mappings and lists among them, as they stand in the file.

    around: only those that a cursor at this offset stands in, or at the end of
    """
    if tree is not None:
        yield from _leaves(Leaf((), tree, False, language, None, None), around)


def _leaves(leaf: Leaf, around: int | None) -> Iterator[Leaf]:
    yield leaf
    for step, key, child in leaf.node.children():
        if around is not None and not any(one is not None and one.span.holds(around) for one in (key, child)):
            continue
        kind, section, field = _below(leaf.kind, leaf.node, step)
        if not isinstance(leaf.kind, Section | OneOf | ShortForm):
            section, field = leaf.section, leaf.field
        path = (*leaf.path, step)
        if key is not None and (around is None or key.span.holds(around)):
            chosen = leaf.kind.key if isinstance(leaf.kind, MapOf) and key.text not in leaf.kind.beside else None
            yield Leaf(path, key, True, chosen, section, field)
        if child is not None and (around is None or child.span.holds(around)):
            yield from _leaves(Leaf(path, child, False, kind, section, field), around)


def leaf_at(document: Document, offset: int) -> Leaf | None:
    """The key or simple value at an offset."""
    found = leaves(document.language, document.tree, offset)
    return next((one for one in found if one.node.kind == "scalar" and one.node.text), None)


def cursor_at(document: Document, offset: int) -> Cursor | None:
    """What is being written at an offset; None in comments, and in what is too long."""
    text = document.text
    if len(text) > MOST_BYTES:
        return None
    row = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    found = _BEFORE.search(text, max(row, offset - LONGEST), offset)
    begin = found.start() if found else offset
    rest = _AFTER.match(text, offset, offset + LONGEST)
    end = rest.end() if rest else offset
    tree = outline(f"{text[:begin]}{_MARK}{text[end:]}")
    marked = next((one for one in leaves(document.language, tree, begin) if _is_marked(one)), None)
    if marked is None:
        return None
    line = text[row:begin]
    holder = node_at(tree, marked.path[:-1]) if marked.is_key else None
    kind = kind_of(document.language, tree, marked.path[:-1]) if marked.is_key else marked.kind
    alone = marked.node.text == _MARK
    return Cursor(
        path=tuple(step for step in marked.path if step != _MARK),
        word=CharacterSpan(begin, end),
        is_key=marked.is_key or (alone and isinstance(kind, Section | OneOf | MapOf)),
        kind=kind,
        field=marked.field,
        alone=alone,
        quoted=marked.node.inner.start > marked.node.start,
        written=frozenset(key.text for key, _ in holder.entries) - {_MARK} if holder else frozenset(),
        dashes=len(line.lstrip(" ")) - len(line.lstrip(" -")),
        flow=_in_brackets(tree, marked.path),
        begins=not line.strip(" \t-"),
        followed=marked.is_key and text[end : end + LONGEST].lstrip(" ").startswith(":"),
        tree=tree,
    )


def _is_marked(leaf: Leaf) -> bool:
    return leaf.node.kind == "scalar" and _MARK in leaf.node.text


def kind_of(language: Kind, tree: OutlineNode | None, path: Steps) -> Kind | None:
    """What stands at a path, by the language; the tree tells kinds of cost models apart."""
    kind: Kind | None = language
    for step in path:
        kind = _below(kind, tree, step)[0]
        tree = _child(tree, step)
    return kind


def node_at(tree: OutlineNode | None, path: Steps) -> OutlineNode | None:
    """What a tree holds at a path."""
    for step in path:
        tree = _child(tree, step)
    return tree


def section_of(kind: Kind | None, tree: OutlineNode | None) -> Section | None:
    """The section whose keys a mapping may hold."""
    match kind:
        case Section():
            return kind
        case ShortForm():
            return kind.section
        case OneOf():
            tag = _child(tree, kind.tag)
            return (kind.sections.get(tag.text) if tag is not None else None) or _shared(kind)
    return None


def _shared(kind: OneOf) -> Section:
    """The keys that all its sections have, and the tag that will tell which one it is."""
    first, *others = kind.sections.values()
    shared = {name: one for name, one in first.fields.items() if all(name in other.fields for other in others)}
    tag = replace(shared[kind.tag], kind=ChoiceKind(tuple(kind.sections)))
    return Section(kind.title, {**shared, kind.tag: tag}, notes=first.notes)


def _below(
    kind: Kind | None, tree: OutlineNode | None, step: str | int
) -> tuple[Kind | None, Section | None, Field | None]:
    """The kind one step down; of a section's key, the section and the field too."""
    match kind, step:
        case ((Section() | OneOf() | ShortForm()), str()):
            section = section_of(kind, tree)
            notes = NOTES if section is not None and section.notes else {}
            one = {**notes, **section.fields}.get(step) if section is not None else None
            return (one.kind if one else None), section, one
        case MapOf(), str():
            one = kind.beside.get(step)
            return (one.kind if one else kind.value), None, one
        case ListOf(), int():
            return kind.item, None, None
        case HazardsKind(), int():
            return HazardKind(), None, None
    return None, None, None


def _child(tree: OutlineNode | None, step: str | int) -> OutlineNode | None:
    if tree is None:
        return None
    if isinstance(step, int):
        return tree.items[step] if step < len(tree.items) else None
    return next((value for key, value in tree.entries if key.text == step), None)


def _in_brackets(tree: OutlineNode | None, path: Steps) -> bool:
    """Whether what stands at a path is written in brackets, which may hold no lines of keys."""
    for step in path:
        if tree is not None and tree.flow:
            return True
        tree = _child(tree, step)
    return False
