"""Puts a number into a policy's YAML where it stands, and what it rests on beside it; every other character stays."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ig_guardrail.errors import GuardrailError, PolicyError
from ig_guardrail.policy.calibration import NOTE
from ig_guardrail.policy.compiler import compile_text
from ig_guardrail.policy.diagnostics.diagnostic import Position
from ig_guardrail.policy.yaml.decoding import LINE_BREAK
from ig_guardrail.policy.yaml.reader import read
from ig_guardrail.policy.yaml.tree import Listing, Scalar, Table, YamlEntry
from ig_guardrail.types import CompiledPolicy

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def with_threshold(text: str, budget: str, threshold: float, note: Mapping[str, Any], file: str = "policy") -> str:
    """The policy's text with a budget's threshold, and a note under `x-calibrated` in place of an earlier one.

    file: whose text it is, for faults and folders
    Raises GuardrailError where the budget does not stand in the text so that its number can be put in place, and
    PolicyError where the new text would not mean the old one with that number.
    """
    table = _budget_in(text, budget)
    number = _entry(table, "threshold")
    if number is None or not isinstance(number.value, Scalar):
        raise _cannot(budget, "it has no threshold of its own in this file")
    begin = index_of(text, number.value.mark)
    end = begin + number.value.mark.length
    flow = text[index_of(text, table.mark)] == "{"
    written = _written(note)
    edits = [(begin, end, f"{threshold:g}")]
    earlier = _entry(table, NOTE)
    if earlier is not None:
        at = index_of(text, earlier.value.mark)
        value = text[at : at + earlier.value.mark.length]
        if not (value.startswith("{") and value.endswith("}")):
            raise _cannot(budget, f"its `{NOTE}` was written in another way")
        edits.append((at, at + len(value), written))
    elif flow:
        edits.append((end, end, f", {NOTE}: {written}"))
    else:
        line_end = LINE_BREAK.search(text, end)
        at = line_end.start() if line_end else len(text)
        line_break = line_end[0] if line_end else "\n"
        edits.append((at, at, f"{line_break}{' ' * (number.key.mark.column - 1)}{NOTE}: {written}"))
    new = text
    for start, stop, words in sorted(edits, reverse=True):
        new = new[:start] + words + new[stop:]
    _check_same(_compiled(text, file), _compiled(new, file), budget, threshold)
    return new


def _budget_in(text: str, budget: str) -> Table:
    tree = read(text).tree
    budgets = _entry(tree, "budgets") if isinstance(tree, Table) else None
    items = budgets.value.items if budgets is not None and isinstance(budgets.value, Listing) else ()
    for item in items:
        named = _entry(item, "id") if isinstance(item, Table) else None
        if isinstance(item, Table) and named and isinstance(named.value, Scalar) and named.value.text == budget:
            return item
    raise _cannot(budget, "it does not stand in this file")


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
    policy, faults = compile_text(text, file)
    if policy is None:
        raise PolicyError("; ".join(fault.message for fault in faults) or "the policy was refused")
    return policy


def _cannot(budget: str, why: str) -> GuardrailError:
    return GuardrailError(
        f"the threshold of budget '{budget}' cannot be written",
        where="policy calibrate --write",
        why=why,
        fix="write the number and the note into the policy by hand",
    )
