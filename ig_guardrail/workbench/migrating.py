"""Spellings that policies had before 0.1.0, brought to those of today; every other character stays where it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ig_guardrail.errors import PolicyError
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Steps, dotted
from ig_guardrail.policy.diagnostics.report import FileReport
from ig_guardrail.policy.sources import PolicySource
from ig_guardrail.policy.yaml.decoding import decode, readable
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.policy.yaml.tree import Scalar, Table, YamlNode
from ig_guardrail.workbench.traffic.rewrite import index_of

ANY = "*"
RENAMED: Mapping[Steps, Mapping[str, str]] = {("cost_models", ANY, "kind"): {"given": "provided"}}


@dataclass(frozen=True, slots=True)
class Renamed:
    """A value that has another spelling now."""

    path: Steps
    value: Scalar
    new: str

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"path": dotted(self.path), "line": self.value.mark.line, "old": self.value.text, "new": self.new}

    def as_text(self, file: str) -> str:
        return f"{file}:{self.value.mark.line}: {dotted(self.path)}: `{self.value.text}` is `{self.new}` now"


def migrated(source: PolicySource) -> tuple[str, tuple[Renamed, ...]]:
    """The policy's text in the spellings of today, and what was renamed. Raises PolicyError for what is no YAML."""
    text = decode(source.content)
    if isinstance(text, Diagnostic):
        raise _unread(source, (text,))
    document = read(text)
    tree = document.tree
    if tree is None:
        raise _unread(source, document.faults)
    found = tuple(_renamed(tree, ()))
    for one in reversed(found):
        start = text.index(one.value.text, index_of(text, one.value.mark))
        text = text[:start] + one.new + text[start + len(one.value.text) :]
    mark = "\ufeff" if source.content.startswith("\ufeff".encode()) else ""
    return mark + text, found


def _unread(source: PolicySource, faults: tuple[Diagnostic, ...]) -> PolicyError:
    told = tuple(replace(one, file=source.file) for one in faults)
    report = FileReport(source.file, told, source=readable(source.content))
    return PolicyError(f"what cannot be read is left as it is\n\n{report.as_text()}")


def _renamed(tree: YamlNode, path: Steps) -> Iterator[Renamed]:
    if isinstance(tree, Table):
        for entry in tree.entries:
            yield from _renamed(entry.value, (*path, entry.key.text))
    elif isinstance(tree, Scalar):
        for place, words in RENAMED.items():
            if tree.text in words and len(place) == len(path) and all(map(_fits, place, path)):
                yield Renamed(path, tree, words[tree.text])


def _fits(place: str | int, step: str | int) -> bool:
    return place in (ANY, step)
