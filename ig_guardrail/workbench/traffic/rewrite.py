"""Puts a number into a policy's YAML where it stands, and what it rests on beside it; every other character stays."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import yaml

from ig_guardrail.errors import GuardrailError, PolicyError
from ig_guardrail.policy.calibration import NOTE
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Position
from ig_guardrail.policy.diagnostics.report import FileReport
from ig_guardrail.policy.yaml.decoding import LINE_BREAK
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.policy.yaml.tree import Listing, Scalar, Table, YamlEntry
from ig_guardrail.types import CompiledPolicy

TextChange: TypeAlias = tuple[int, int, str]  # from where to where in the text, and what stands there then
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def with_threshold(text: str, budget: str, threshold: float, note: Mapping[str, Any], file: str = "policy") -> str:
    """The policy's text with a budget's threshold, and a note under `x-calibrated` in place of an earlier one.

    A policy that extends another is given a threshold of its own, where it has none.

    file: whose text it is, for faults and folders
    Raises GuardrailError where the text is not laid out so that the number can be put in place, and PolicyError where
    the new text is refused, as one is that is looser than its parent, or would not mean the old one with that number.
    """
    before = _compiled(text, file)
    if all(one.id != budget for one in before.budgets):
        raise _cannot(budget, "there is no such budget")
    tree = read(text).tree
    if not isinstance(tree, Table):
        raise _cannot(budget, "it is no mapping of keys")
    table = _budget_in(tree, budget)
    if table is None:
        edits = [
            _own_budget(text, tree, budget, f"{{id: {budget}, threshold: {threshold:g}, {NOTE}: {_written(note)}}}")
        ]
    elif (number := _entry(table, "threshold")) is None:
        own = _entry(table, "id")
        assert own is not None
        edits = [_beside(text, table, own, f"threshold: {threshold:g}", f"{NOTE}: {_written(note)}")]
    else:
        edits = _in_place(text, table, number, threshold, note, budget)
    new = text
    for start, stop, words in sorted(edits, reverse=True):
        new = new[:start] + words + new[stop:]
    _check_same(before, _compiled(new, file), budget, threshold)
    return new


def claim_in(text: str, budget: str) -> dict[str, Any]:
    """What stands beside a budget's threshold under `x-calibrated`; {} where nothing does, or it is of another form."""
    tree = read(text).tree
    table = _budget_in(tree, budget) if isinstance(tree, Table) else None
    earlier = None if table is None else _entry(table, NOTE)
    if earlier is None:
        return {}
    at = index_of(text, earlier.value.mark)
    claim = yaml.safe_load(text[at : at + earlier.value.mark.length])
    return claim if isinstance(claim, dict) else {}


def _in_place(
    text: str, table: Table, number: YamlEntry, threshold: float, note: Mapping[str, Any], budget: str
) -> list[TextChange]:
    """The number and the note instead of those that are there."""
    if not isinstance(number.value, Scalar):
        raise _cannot(budget, "its threshold is no number")
    begin = index_of(text, number.value.mark)
    edits = [(begin, begin + number.value.mark.length, f"{threshold:g}")]
    earlier = _entry(table, NOTE)
    if earlier is None:
        return [*edits, _beside(text, table, number, f"{NOTE}: {_written(note)}")]
    at = index_of(text, earlier.value.mark)
    value = text[at : at + earlier.value.mark.length]
    if not (value.startswith("{") and value.endswith("}")):
        raise _cannot(budget, f"its `{NOTE}` was written in another way")
    return [*edits, (at, at + len(value), _written(note))]


def _beside(text: str, table: Table, entry: YamlEntry, *keys: str) -> TextChange:
    """Keys behind an entry of a mapping, in its way."""
    if text[index_of(text, table.mark)] == "{":
        end = index_of(text, entry.value.mark) + entry.value.mark.length
        return end, end, "".join(f", {key}" for key in keys)
    begin, line_break = _end_of(text, entry.value.mark.line)
    return begin, begin, "".join(f"{line_break}{' ' * (entry.key.mark.column - 1)}{key}" for key in keys)


def _own_budget(text: str, tree: Table, budget: str, item: str) -> TextChange:
    """A budget of its own for a policy that says nothing of it yet."""
    if text[index_of(text, tree.mark)] == "{":
        raise _cannot(budget, "the whole policy stands in braces")
    budgets = _entry(tree, "budgets")
    if budgets is None:
        end, line_break = len(text), _line_break(text)
        begins = "" if text.endswith(("\n", "\r")) else line_break
        return end, end, f"{begins}budgets:{line_break}  - {item}{line_break}"
    if not isinstance(budgets.value, Listing) or not budgets.value.items:
        raise _cannot(budget, "its `budgets` are no list")
    at = index_of(text, budgets.value.mark)
    if text[at] == "[":
        return at + 1, at + 1, f"{item}, "
    later = [one.key.mark.line for one in tree.entries if one.key.mark.line > budgets.key.mark.line]
    last = min(later) - 1 if later else text.count("\n") + 1
    while last > budgets.value.mark.line and not _line(text, last).startswith((" ", "-")):
        last -= 1
    end, line_break = _end_of(text, last)
    dash = _line(text, budgets.value.mark.line).partition("-")[0]
    behind = "" if end < len(text) else line_break
    return end, end, f"{line_break}{dash}- {item}{behind}"


def _line(text: str, number: int) -> str:
    begin = index_of(text, Position(number, 1))
    return text[begin : _end_of(text, number)[0]]


def _end_of(text: str, line: int) -> tuple[int, str]:
    """Where a line ends, and how."""
    found = LINE_BREAK.search(text, index_of(text, Position(line, 1)))
    return (found.start(), found[0]) if found else (len(text), _line_break(text))


def _line_break(text: str) -> str:
    found = LINE_BREAK.search(text)
    return found[0] if found else "\n"


def _budget_in(tree: Table, budget: str) -> Table | None:
    """What the file itself says of a budget."""
    budgets = _entry(tree, "budgets")
    for item in budgets.value.items if budgets is not None and isinstance(budgets.value, Listing) else ():
        named = _entry(item, "id") if isinstance(item, Table) else None
        if isinstance(item, Table) and named and isinstance(named.value, Scalar) and named.value.text == budget:
            return item
    return None


def _entry(table: Table, key: str) -> YamlEntry | None:
    return next((entry for entry in table.entries if entry.key.text == key), None)


def index_of(text: str, mark: Position) -> int:
    """Where a place of the file, counted from 1, lies in its characters."""
    start = 0
    for _ in range(mark.line - 1):
        broken = LINE_BREAK.search(text, start)
        start = broken.end() if broken else len(text)
    return start + mark.column - 1


def _written(value: Any) -> str:
    """A value on one line, in braces, as YAML reads it in any place."""
    if isinstance(value, Mapping):
        named = ((key if _KEY.fullmatch(key) else json.dumps(key), one) for key, one in value.items())
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in named) + "}"
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _check_same(before: CompiledPolicy, after: CompiledPolicy, budget: str, threshold: float) -> None:
    wanted = tuple(replace(one, threshold=threshold) if one.id == budget else one for one in before.budgets)
    same = replace(before, budgets=wanted, normal_form=after.normal_form, sha256=after.sha256)
    if after != same:
        raise _cannot(budget, "the new text would mean something else besides")


def _compiled(text: str, file: str) -> CompiledPolicy:
    policy, faults = compile_text(text, file, warn=False)
    if policy is None:
        raise PolicyError(f"the policy would be refused\n\n{FileReport(file, faults, source=text).as_text()}")
    return policy


def _cannot(budget: str, why: str) -> GuardrailError:
    return GuardrailError(
        f"the threshold of budget '{budget}' cannot be written",
        where="policy calibrate --write",
        why=why,
        fix="write the number and the note into the policy by hand",
    )
