"""A tree against the language: which keys there are, which are missing, what each holds. Finds every fault at once.

A value with a fault becomes None, which no policy can write, so later checks see that there is nothing sound to check.
A fault of an unknown key says which key was probably meant.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ig_guardrail.fields.field import (
    ArgumentsKind,
    ChoiceKind,
    ExpressionKind,
    FormatKind,
    HazardKind,
    HazardsKind,
    ListOf,
    MapOf,
    OneOf,
    Section,
    ShortForm,
)
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Position, Spot, Steps, listed, quoted
from ig_guardrail.policy.diagnostics.suggest import suggest
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.language.names import NOTES, OWN
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.validation.unknown_keys import KINDS_ELSEWHERE, about_unknown, misspelt
from ig_guardrail.policy.yaml.scalars import OFF, WITHOUT_SEARCH, called, needs, read_form, read_json, read_scalar
from ig_guardrail.policy.yaml.tree import Broken, Listing, Scalar, Table, YamlEntry, YamlNode, torn_off
from ig_guardrail.types.hazards import EVERY

_OF_TOOLS: dict[Steps, tuple[str, ...]] = {("tools", "allow"): ("all", "any", "*"), ("tools", "deny"): OFF}
_WITHOUT: dict[Steps, str] = {
    ("tools", "allow"): "every tool that is not denied may be called",
    ("tools", "deny"): "no tool is denied",
}
_ONE_AFTER_ANOTHER: dict[Steps, str] = {  # keys that name one, which may name the next
    ("otherwise",): "write one, and the next as `otherwise` of that",
    ("extends",): "write one policy, which may extend the next itself",
    ("scope",): "write one, and a budget of its own for each other",
}
_CURLY = ("\u201d", "\u201c", "\u2019", "\u00bb", "\u00ab")


def check_shape(tree: YamlNode, language: Section = POLICY) -> tuple[PolicyDraft, tuple[Diagnostic, ...]]:
    """The draft in a tree, and every fault of its shape. language: what the file is written in."""
    checker = Checker()
    values = checker.read(language, tree, ())
    return PolicyDraft(values or {}, checker.nodes, checker.keys, checker.tags), tuple(checker.faults)


class Checker:
    """Walks language and tree together; collects faults and places."""

    def __init__(self) -> None:
        self.faults: list[Diagnostic] = []
        self.nodes: dict[Steps, YamlNode] = {}
        self.keys: dict[Steps, Position] = {}
        self.tags: dict[Steps, Scalar] = {}

    def read(self, kind: Any, tree: YamlNode, path: Steps) -> Any:
        """The value of a tree, faults noted; None where it is not sound."""
        self.nodes[path] = tree
        match kind, tree:
            case _, Broken():
                return None
            case Section(), Table():
                return self._section(kind, tree, path)
            case OneOf(), Table():
                return self._one_of(kind, tree, path)
            case ShortForm(), Table():
                return self._long_form(kind, tree, path)
            case ShortForm(), Scalar():
                return self._sound(read_scalar(kind.section.fields[kind.key].kind, tree, Spot(path, tree.mark)))
            case MapOf(), Table():
                return self._map(kind, tree, path)
            case ListOf(), Listing():
                return self._list(kind, tree, path)
            case ArgumentsKind(), Table():
                return self._arguments(tree, path)
            case HazardsKind(), Listing():
                return self._list(ListOf(HazardKind(), 1, 64, unique=True), tree, path)
            case HazardsKind(), Scalar() if tree.text == EVERY:
                return [EVERY]
            case ((Section() | ShortForm() | OneOf() | MapOf() | ListOf() | HazardsKind() | ArgumentsKind()), _):
                return self._wrong_type(kind, tree, path)
            case _, Scalar():
                return self._sound(read_scalar(kind, tree, Spot(path, tree.mark)))
        return self._wrong_type(kind, tree, path)

    def _sound(self, value: Any) -> Any:
        if isinstance(value, Diagnostic):
            self.faults.append(value)
            return None
        return value

    def _section(self, section: Section, table: Table, path: Steps) -> dict[str, Any]:
        values: dict[str, Any] = {}
        meant: set[str] = set()
        written = {entry.key.text for entry in table.entries}
        torn = torn_off(table)
        for entry in table.entries:
            name = entry.key.text
            if name in torn:
                continue
            if name in section.fields:
                self.keys[(*path, name)] = entry.key.mark
                values[name] = self.read(section.fields[name].kind, entry.value, (*path, name))
            elif section.notes and name in NOTES:
                self.read(NOTES[name].kind, entry.value, (*path, name))
            elif not (section.notes and name.startswith(OWN)):
                beside = {one.key.text for one in table.entries if one.key.mark.file == entry.key.mark.file}
                meant |= self._unknown(section, entry, path, beside)
        for name, one in section.fields.items():
            if one.required and name not in written and name not in meant:
                self._missing(name, one.example, table, path)
        return values

    def _long_form(self, kind: ShortForm, table: Table, path: Steps) -> dict[str, Any] | None:
        """The mapping that a value may be; or a text without quotes that a `: ` makes look like one."""
        (first, *others) = (entry.key for entry in table.entries) if table.entries else (None,)
        known = kind.section.fields
        if first is None or others or first.text in known or not isinstance(table.entries[0].value, Scalar):
            return self._section(kind.section, table, path)
        if about_unknown(kind.section, table.entries[0], set())[0] is not None or not first.plain:
            return self._section(kind.section, table, path)
        advice = "put a text that holds `: ` in quotes"
        label = f"needs {needs(known[kind.key].kind)}"
        self.faults.append(
            Spot(path, table.mark).fault("P016", f"{called(path)} is a mapping", label=label, help=advice)
        )
        return None

    def _unknown(self, section: Section, entry: YamlEntry, path: Steps, written: set[str]) -> set[str]:
        """Note an unknown key; the known key that it was probably meant to be, if that is not written in its file."""
        meant, label, advice = about_unknown(section, entry, written)
        spot = Spot((*path, entry.key.text), entry.key.mark)
        self.faults.append(spot.fault("P013", f"unknown key {quoted(entry.key.text)}", label=label, help=advice))
        return {meant} if meant is not None else set()

    def _missing(self, name: str, example: str, table: Table, path: Steps) -> None:
        spot = Spot((*path, name), self.keys.get(path, table.mark))
        self.faults.append(spot.fault("P015", f"key `{name}` is missing", help=f"add `{name}: {example}`"))

    def _one_of(self, kind: OneOf, table: Table, path: Steps) -> dict[str, Any] | None:
        tag = next((entry for entry in table.entries if entry.key.text == kind.tag), None)
        if tag is None:
            self._without_tag(kind, table, path)
            return None
        if isinstance(tag.value, Scalar) and tag.value.text in kind.sections:
            return self._section(kind.sections[tag.value.text], table, path)
        self.keys[(*path, kind.tag)] = tag.key.mark
        self._unknown_tag(kind, tag.value, (*path, kind.tag))
        return None

    def _without_tag(self, kind: OneOf, table: Table, path: Steps) -> None:
        close = misspelt(kind.tag, table)
        if close is None:
            self._missing(kind.tag, next(iter(kind.sections)), table, path)
            return
        spot = Spot((*path, close.text), close.mark)
        label = f"did you mean `{kind.tag}`?"
        self.faults.append(
            spot.fault("P013", f"unknown key {quoted(close.text)}", label=label, help=f"write `{kind.tag}`")
        )

    def _unknown_tag(self, kind: OneOf, tree: YamlNode, path: Steps) -> None:
        self.nodes[path] = tree
        if isinstance(tree, Broken):
            return
        words = tuple(kind.sections)
        text = tree.text if isinstance(tree, Scalar) else "a list or a mapping"
        close = next((kind for kind in words if text.lower() in KINDS_ELSEWHERE.get(kind, "").split()), None)
        close = close or suggest(text, words)
        advice = f"did you mean `{close}`?" if close else f"write {listed(words)}"
        message = f"there is no kind {quoted(text)} of cost model"
        fault = Spot(path, tree.mark).fault("P021", message, label=f"needs {listed(words)}", help=advice)
        self.faults.append(fault)

    def _map(self, kind: MapOf, table: Table, path: Steps) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for entry in table.entries:
            name, spot = entry.key.text, Spot((*path, entry.key.text), entry.key.mark)
            if name in kind.beside:
                self.keys[(*path, name)] = entry.key.mark
                values[name] = self.read(kind.beside[name].kind, entry.value, (*path, name))
                continue
            read = _key_of(kind, entry.key, spot)
            usual = self._sound(read) or name
            if isinstance(read, Diagnostic) and read.code == "P013":
                continue
            if usual in values:
                message = f"{quoted(name)} is named twice"
                self.faults.append(spot.fault("P026", message, label=f"read as `{usual}`", help="delete one"))
                continue
            here = (*path, usual)
            self.keys[here] = entry.key.mark
            self.tags |= {here: entry.key} if usual != name and isinstance(kind.key, FormatKind) else {}
            values[usual] = self.read(kind.value, entry.value, here)
        self._counted(kind, len(table.entries), table, path)
        return values

    def _list(self, kind: ListOf, listing: Listing, path: Steps) -> list[Any]:
        values = [self.read(kind.item, item, (*path, index)) for index, item in enumerate(listing.items)]
        self._counted(kind, len(values), listing, path)
        if kind.unique:
            self._unique(values, listing, path)
        return values

    def _arguments(self, table: Table, path: Steps) -> dict[str, Any]:
        return {entry.key.text: self._json(entry.value, (*path, entry.key.text)) for entry in table.entries}

    def _json(self, tree: YamlNode, path: Steps) -> Any:
        """A value of JSON, whatever it is; None where it is not sound, or is nothing."""
        self.nodes[path] = tree
        match tree:
            case Table():
                return self._arguments(tree, path)
            case Listing():
                return [self._json(item, (*path, index)) for index, item in enumerate(tree.items)]
            case Scalar():
                return self._sound(read_json(tree, Spot(path, tree.mark)))
        return None

    def _counted(self, kind: ListOf | MapOf, count: int, tree: Table | Listing, path: Steps) -> None:
        if not kind.least <= count <= kind.most:
            message = f"{called(path)} has {count} items" if count else f"{called(path)} is empty"
            many = f"{kind.least} to {kind.most} items" if kind.least != kind.most else "one item"
            advice, label = f"write {many}", f"needs {many.removesuffix(' items')}"
            if isinstance(kind, MapOf) and kind.most == 1:
                advice = "write one key alone, the name, and below it what belongs to that: `{NAME: ...}`"
            self.faults.append(Spot(path, tree.mark).fault("P027", message, label=label, help=advice))

    def _unique(self, values: list[Any], listing: Listing, path: Steps) -> None:
        for index, value in enumerate(values):
            if value is not None and value in values[:index]:
                item = listing.items[index]
                written = item.text if isinstance(item, Scalar) else str(value)
                label = f"already item {values.index(value) + 1}" + (f", as `{value}`" if written != value else "")
                spot = Spot((*path, index), item.mark)
                self.faults.append(
                    spot.fault("P026", f"{quoted(written)} is named twice", label=label, help="delete one")
                )
                values[index] = None

    def _wrong_type(self, kind: Any, tree: YamlNode, path: Steps) -> None:
        shapes = {Scalar: "a single value", Table: "a mapping", Listing: "a list"}
        wanted, advice = _shape_of(kind)
        found = shapes[type(tree)]
        if isinstance(tree, Scalar) and tree.plain and tree.text in ("", "~", "null"):
            found = "without a value"
        elif isinstance(tree, Scalar) and path in _OF_TOOLS and tree.text.lower() in _OF_TOOLS[path]:
            advice = "delete the key: without it, " + _WITHOUT[path]
        elif isinstance(tree, Scalar) and isinstance(kind, ListOf | HazardsKind):
            advice = _as_items(kind, tree, path) or advice
        elif isinstance(tree, Scalar) and path == ("search",) and tree.text.lower() in OFF:
            advice = WITHOUT_SEARCH
        elif isinstance(tree, Scalar) and isinstance(kind, Section) and tree.text.lower() in OFF:
            advice = "delete the key, if none is meant; else " + advice
        elif isinstance(tree, Scalar) and isinstance(kind, Section) and _takes(kind, tree.text):
            advice = f"write `{{{_takes(kind, tree.text)}}}`, with what else is said of {kind.title} beside it"
        elif isinstance(tree, Scalar) and isinstance(kind, MapOf) and isinstance(kind.value, ArgumentsKind):
            tool = re.match(r"[\w.-]+", tree.text)
            advice = f"write `{{{tool[0]}: {{amount: 5}}}}`, with its arguments" if tool else advice
        elif isinstance(tree, Listing) and isinstance(kind, FormatKind) and len(path) > 1 and isinstance(path[-2], int):
            advice = "write one here, and an entry of its own for each other"
        elif isinstance(tree, Table) and isinstance(kind, ListOf) and _is_of_names(kind, tree):
            name = tree.entries[0].key.text
            advice = f"write each as an item of a list, with its name as `id`: `- {{id: {name}, ...}}`"
        elif isinstance(tree, Listing) and path[-1:] in _ONE_AFTER_ANOTHER:
            advice = _ONE_AFTER_ANOTHER[path[-1:]]
        elif isinstance(tree, Listing) and isinstance(kind, ExpressionKind):
            names = [item.text for item in tree.items if isinstance(item, Scalar)]
            advice = f'write `"max({", ".join(names)})"`' if names and len(names) == len(tree.items) else advice
        fault = Spot(path, tree.mark).fault("P016", f"{called(path)} is {found}", label=f"needs {wanted}", help=advice)
        self.faults.append(fault)


def _takes(kind: Section, text: str) -> str:
    """The entry of a section that a word which stands in its place is meant as; nothing if no key takes such a word."""
    words = {key: one.kind.words for key, one in kind.fields.items() if isinstance(one.kind, ChoiceKind)}
    meant = {key: text if text in known else suggest(text, known) for key, known in words.items()}
    exact = [key for key, word in meant.items() if word == text] or [key for key, word in meant.items() if word]
    return f"{exact[0]}: {meant[exact[0]]}" if exact else ""


def _is_of_names(kind: ListOf, table: Table) -> bool:
    """Whether a mapping has the items of a list under the names that they should have as `id`."""
    named = isinstance(kind.item, Section) and "id" in kind.item.fields
    return named and bool(table.entries) and all(isinstance(one.value, Table) for one in table.entries)


def _key_of(kind: MapOf, key: Scalar, spot: Spot) -> str | Diagnostic:
    """A key of a mapping in its usual spelling, or the fault that it has; perhaps it was meant to stand beside them."""
    read = read_form(kind.key, key, spot) if isinstance(kind.key, FormatKind) else read_scalar(kind.key, key, spot)
    if isinstance(read, Diagnostic) and key.text[-1:] in _CURLY:
        return replace(read, help="write straight quotes: a text in other ones ends at a comma inside braces")
    close = suggest(key.text, kind.beside) if isinstance(read, Diagnostic) else None
    if close is not None:
        label, advice = f"did you mean `{close}`?", f"write `{close}`"
        return spot.fault("P013", f"unknown key {quoted(key.text)}", label=label, help=advice)
    found: str | Diagnostic = read
    return found


def _as_items(kind: ListOf | HazardsKind, scalar: Scalar, path: Steps) -> str:
    """How to write as a list what stands alone, if that is a list then; else what is wrong with the item."""
    if isinstance(kind, HazardsKind) and scalar.text.strip("*").lower() in ("", EVERY):
        return f"write `{EVERY}`"
    item = HazardKind() if isinstance(kind, HazardsKind) else kind.item
    texts = [scalar.text]
    if isinstance(item, HazardKind | FormatKind | ChoiceKind):
        texts = [text for text in map(str.strip, scalar.text.split(",")) if text]
    checker = Checker()
    for index, text in enumerate(texts):
        checker.read(item, Scalar(text, scalar.plain, scalar.mark), (*path, index))
    if checker.faults:
        return f"write a list: `[...]`; for what stands here, {checker.faults[0].help}"
    if len(scalar.text) > 40 or not scalar.text.isprintable():
        return ""
    apart = not re.fullmatch(r"[\w@.+ -]*", scalar.text) and len(texts) == 1
    return "write [" + ", ".join("'" + text.replace("'", "''") + "'" if apart else text for text in texts) + "]"


def _shape_of(kind: Any) -> tuple[str, str]:
    """What a kind needs, and how to write it."""
    match kind:
        case Section():
            first = next(iter(kind.fields))
            return "a mapping of keys to values", f"write `{first}: ...` and the other keys of {kind.title}"
        case OneOf():
            return "a mapping of keys to values", f"write `{{{kind.tag}: {next(iter(kind.sections))}, ...}}`"
        case MapOf():
            key = kind.key.example if isinstance(kind.key, FormatKind) else "ssh"
            first = kind.needs[0] if kind.needs else key
            return "a mapping of keys to values", f"put it into a mapping: `{{{first}: ...}}`"
        case ArgumentsKind():
            return "a mapping of names to values", "write `{amount: 5}`, or `{}` for none"
        case ShortForm():
            one = kind.section.fields[kind.key]
            return needs(
                one.kind
            ), f"write a single value, or `{{{', '.join(f'{key}: ...' for key in kind.section.fields)}}}`"
        case ListOf():
            return "a list", "write the items in `[...]`, or each on a line of its own after `- `"
        case HazardsKind():
            return "a list of hazards, or `all`", "write `[ncr]`"
        case ChoiceKind():
            return needs(kind), f"write {needs(kind)}"
    return needs(kind), "write a single value"
