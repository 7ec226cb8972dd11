"""Which file says what of a policy that extends others, and the whole of it as one text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ig_guardrail.policy.diagnostics.diagnostic import clipped
from ig_guardrail.policy.inheritance.parents import KEY
from ig_guardrail.policy.language.policy import POLICY
from ig_guardrail.policy.sources import called
from ig_guardrail.policy.yaml.tree import Listing, Scalar, Table, YamlNode

_FIRST = ("apiVersion", "kind", "metadata", KEY, "loosenable")  # always the policy's own
_BLOCKS = ("cost_models", "budgets", "tools", "search", "messages")  # sections of which each part has a line
_WIDTH = 120
_MAP, _LIST, _TEXT = (f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str"))
_RESOLVER: Any = yaml.resolver.Resolver()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a part of a policy stands. place: dotted, budgets by their ids. value: "" for what has several."""

    place: str
    value: str
    file: str
    line: int

    def as_text(self) -> str:
        """`budgets.tone.threshold: 0.3, from policy.yaml:6`."""
        return f"{self.place}{f': {self.value}' if self.value else ''}, from {self.file}:{self.line}"


def origins(tree: YamlNode, file: str) -> tuple[Origin, ...]:
    """Of each part of a policy, as large as its file says all of it. file: what the policy itself is called."""
    entries = [one for one in tree.entries if one.key.text not in _FIRST] if isinstance(tree, Table) else []
    return tuple(
        found for one in entries for found in _origins(one.value, one.key.text, called(file), one.key.mark.line)
    )


def _origins(tree: YamlNode, place: str, file: str, line: int) -> Iterator[Origin]:
    own = called(tree.mark.file) if tree.mark.file else file
    if len(set(_files(tree))) == 1 and place not in _BLOCKS:
        yield Origin(place, clipped(tree.text) if isinstance(tree, Scalar) else "", own, tree.mark.line)
    elif isinstance(tree, Table):
        for entry in tree.entries:
            if (entry.key.text, place[:8]) != ("id", "budgets."):
                yield from _origins(entry.value, f"{place}.{entry.key.text}", file, entry.key.mark.line)
    elif isinstance(tree, Listing):
        for index, item in enumerate(tree.items):
            name = (
                next((e.value for e in item.entries if e.key.text == "id"), None) if isinstance(item, Table) else None
            )
            step = f".{name.text}" if isinstance(name, Scalar) else f"[{index}]"
            yield from _origins(item, f"{place}{step}", file, item.mark.line)


def _files(tree: YamlNode) -> Iterator[str]:
    match tree:
        case Table(entries=entries) if entries:
            for entry in entries:
                yield from _files(entry.value)
        case Listing(items=items) if items:
            for item in items:
                yield from _files(item)
        case _:
            yield tree.mark.file


def flat(tree: YamlNode) -> str:
    """A policy and what it inherits as one YAML text that extends nothing; it has the same hash."""
    entries = (
        {one.key.text: one.value for one in tree.entries if one.key.text != KEY} if isinstance(tree, Table) else {}
    )
    order = [*(key for key in POLICY.fields if key in entries), *(key for key in entries if key not in POLICY.fields)]
    parts = []
    for key in order:
        node = yaml.MappingNode(_MAP, [(_scalar(key, True), _node(entries[key], (key,)))], flow_style=False)
        parts.append(yaml.serialize(node, Dumper=yaml.SafeDumper, allow_unicode=True, width=_WIDTH))
    return "".join(parts)


def _node(tree: YamlNode, path: tuple[str, ...]) -> yaml.Node:
    flow = path[0] not in _BLOCKS or len(path) > (2 if path[0] in ("messages", "tools") else 1)
    match tree:
        case Table():
            pairs = [(_scalar(one.key.text, one.key.plain), _node(one.value, (*path, "."))) for one in tree.entries]
            return yaml.MappingNode(_MAP, pairs, flow_style=flow)
        case Listing():
            items = [_node(one, (*path, ".")) for one in tree.items]
            return yaml.SequenceNode(_LIST, items, flow_style=flow)
        case Scalar():
            return _scalar(tree.text, tree.plain)
    raise TypeError("a policy with faults has no text of its own")


def _scalar(text: str, plain: bool) -> yaml.ScalarNode:
    """In quotes where it was; a plain one as it is, whatever readers take it for."""
    if not plain:
        single = text.isprintable() and "\\" in text
        return yaml.ScalarNode(_TEXT, text, style="'" if single else '"')
    return yaml.ScalarNode(_RESOLVER.resolve(yaml.ScalarNode, text, (True, False)), text)
