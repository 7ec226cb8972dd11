"""The patient reader: on sound files it sees what the parser sees; on broken ones, what their author sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.policy.yaml.decoding import LINE_BREAK
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.policy.yaml.tree import Scalar, Table, YamlNode
from ig_guardrail.workbench.editor.outline import OutlineNode, outline
from tests.unit.workbench.editor.texts import CASES, POLICY

ROOT = Path(__file__).resolve().parents[4]
FILES = sorted([*ROOT.glob("policies/*.yaml"), *ROOT.glob("ig_guardrail/costs/guards/formats/*.yaml")])
ODD = """\
a:
- b: 1   # a comment: with a colon
  "c d": 'it''s'
-
  - - x
    - {y: [1, 2], "z": http://example.org/#top}
e: >-
  folded: text
  {of lines
f: [one,
  two words, {g: h},
]
i: "a
  b: c"
j: plain words
  on two lines
k:
"""


def expected(tree: YamlNode, lines: list[int]) -> Any:
    """A tree as nested values, each scalar as the offset at which it stands."""
    if isinstance(tree, Scalar):
        return lines[tree.mark.line - 1] + tree.mark.column - 1 if tree.text or not tree.plain else None
    if isinstance(tree, Table):
        return {one.key.text: expected(one.value, lines) for one in tree.entries}
    return [expected(one, lines) for one in getattr(tree, "items", ())]


def seen(node: OutlineNode | None) -> Any:
    if node is None:
        return None
    if node.kind == "scalar":
        return node.start
    if node.kind == "map":
        return {key.text: seen(value) for key, value in node.entries}
    return [seen(item) for item in node.items]


SOUND = {
    **{file.name: file.read_text() for file in FILES},
    "odd": ODD,
    "policy": POLICY,
    "cases": CASES,
    "carriage returns": POLICY.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_file_reads_as_the_parser_reads_it(name: str) -> None:
    text = SOUND[name]
    parsed = read(text)
    assert parsed.tree is not None
    assert not parsed.faults
    lines = [0, *(found.end() for found in LINE_BREAK.finditer(text))]
    assert seen(outline(text)) == expected(parsed.tree, lines)


def shape(node: OutlineNode | None) -> Any:
    if node is None or node.kind == "scalar":
        return node.text if node is not None else None
    if node.kind == "map":
        return {key.text: shape(value) for key, value in node.entries}
    return [shape(item) for item in node.items]


@pytest.mark.parametrize(
    ("text", "is_seen"),
    [
        ("a: {b: 1, c\nd: 2", {"a": {"b": "1", "c": None}, "d": "2"}),
        ("l:\n  - {a: [1, 2\n  - {a: 3}\nd: 2", {"l": [{"a": ["1", "2"]}, {"a": "3"}], "d": "2"}),
        ('a: "open\nb: 2', {"a": "open", "b": "2"}),
        ("a:\n  ke\n  b: 1", {"a": {"ke": None, "b": "1"}}),
        ("a:\n    b: 1\n  c: 2\nd: 3", {"a": {"b": "1", "c": "2"}, "d": "3"}),
        ("l:\n  - a: 1\n    b\n  -\nd: 3", {"l": [{"a": "1", "b": None}, None], "d": "3"}),
        ("l:\n    - 1\n  - 2", {"l": ["1", "2"]}),
        ("a: {c: max(x, y), t: 1}", {"a": {"c": "max(x, y)", "t": "1"}}),
        ("a: {c: max(x, y, t: 1}", {"a": {"c": "max(x, y", "t": "1"}}),
        ("a: b]}\nc: d", {"a": "b]}", "c": "d"}),
        ("a: [b}]\nc: d", {"a": ["b"], "c": "d"}),
        ("\ufeffa: 1\nb: 2", {"a": "1", "b": "2"}),
        ("", {}),
    ],
)
def test_a_broken_file_reads_as_it_was_meant(text: str, is_seen: object) -> None:
    assert shape(outline(text)) == is_seen


HEAVY = {
    "open lists": "[" * 5000,
    "open mappings": "{a: " * 5000,
    "dashes": "- " * 5000,
    "open quotes": 'a: "\n' * 2000,
    "open lines": "a:\n b: {\n" * 1000,
    "blanks": "a" + " " * 200_000,
    "items": "[" + "a," * 60_000,
    "letters": "{a: m(" + "a" * 200_000,
    "parentheses": "{a: " + "(" * 90_000 + ")" * 90_000,
}


@pytest.mark.parametrize("name", HEAVY)
def test_no_text_is_too_deep_or_takes_forever(name: str) -> None:
    assert 0 < outline(HEAVY[name]).end <= len(HEAVY[name])
