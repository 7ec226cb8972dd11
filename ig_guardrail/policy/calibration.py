"""What a calibrated threshold rests on, written beside the number, and whether that still stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.costs.kinds.identity import identity_of
from ig_guardrail.policy.diagnostics.diagnostic import Diagnostic, Spot, listed, quoted
from ig_guardrail.policy.draft import PolicyDraft
from ig_guardrail.policy.expression import written
from ig_guardrail.policy.yaml.tree import Scalar, Table, YamlNode
from ig_guardrail.types import Budget, CompiledPolicy

NOTE = "x-calibrated"
_DIGITS = 16  # of a hash that a person may have to read
_AGAIN = "calibrate again: `ig-guardrail policy calibrate --write`, or put back what it rests on"


def basis_of(policy: CompiledPolicy, budget: Budget, folder: Path | None) -> dict[str, Any]:
    """What scores of a budget rest on, by hashes: where and how it is charged, and the entries that may serve."""
    charged = options_sha256("budget", cost=written(budget.cost), every=budget.every, hazards=sorted(budget.hazards))
    specs = {spec.name: spec for spec in policy.cost_models}
    entries, waiting = {}, list(budget.cost.models())
    while waiting:
        spec = specs[waiting.pop(0)]
        if spec.name not in entries:
            entries[spec.name] = identity_of(spec, folder)[:_DIGITS]
            waiting += [spec.otherwise] if spec.otherwise else []
    return {"budget": charged[:_DIGITS], "entries": entries}


def stale_calibrations(draft: PolicyDraft, policy: CompiledPolicy, folder: Path) -> Iterator[Diagnostic]:
    """Budgets whose statement was made on another number, another account or other cost models."""
    by_id = {budget.id: budget for budget in policy.budgets}
    for index, one in enumerate(draft.value("budgets")):
        note = _note(draft.nodes["budgets", index])
        if not isinstance(note, dict) or not {"threshold", "budget", "entries"} <= note.keys():
            continue
        budget = by_id[one["id"]]
        now = basis_of(policy, budget, folder)
        if not _is(note["threshold"], budget.threshold):
            label = f"`{NOTE}` is on {note['threshold']!s:.20}"
            yield _fault(
                draft.spot("budgets", index, "threshold"), "this threshold is not the one that was calibrated", label
            )
        elif note["budget"] != now["budget"]:
            label = f"cost, hazards or `every` were others when `{NOTE}` was written"
            yield _fault(
                draft.spot("budgets", index), f"budget {quoted(budget.id)} was changed since it was calibrated", label
            )
        elif note["entries"] != now["entries"]:
            changed = [name for name, sha256 in now["entries"].items() if _entry(note, name) != sha256]
            label = (
                f"cost model {listed(changed, 'and')} is another one now" if changed else "cost models are others now"
            )
            yield _fault(
                draft.spot("budgets", index, "threshold"), "this threshold was calibrated on other scores", label
            )


def _fault(spot: Spot, message: str, label: str) -> Diagnostic:
    return spot.fault("P152", message, label=label, help=_AGAIN)


def _entry(note: dict[str, Any], name: str) -> Any:
    entries = note["entries"]
    return entries.get(name) if isinstance(entries, dict) else None


def _is(text: Any, number: float) -> bool:
    try:
        return float(text) == number
    except (TypeError, ValueError):
        return False


def _note(node: YamlNode) -> Any:
    """The statement in a budget, as characters."""
    entries = node.entries if isinstance(node, Table) else ()
    return next((_plain(entry.value) for entry in entries if entry.key.text == NOTE), None)


def _plain(node: YamlNode) -> Any:
    if isinstance(node, Table):
        return {entry.key.text: _plain(entry.value) for entry in node.entries}
    return node.text if isinstance(node, Scalar) else None
