"""What texts score under a policy: charge point by charge point, and what each score rests on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ig_guardrail.costs.base import Weighing, heaviest_words
from ig_guardrail.types import Charge, CostModelSpec
from ig_guardrail.workbench.traffic.bench import Bench, ChargedText
from ig_guardrail.workbench.traffic.texts import TextRow


@dataclass(frozen=True, slots=True)
class ScoredText:
    """An answer's account under a policy.

    denied   the first charge that overdraws an enforced budget, or None
    weights  by cost model, the words that raise its score most, as far as the answer goes where the score is highest
    rules    of each call, the rules for tools that it breaks
    """

    charged: ChargedText
    denied: Charge | None
    weights: Mapping[str, Mapping[str, float]]
    rules: tuple[tuple[str, ...], ...]


def score_texts(bench: Bench, rows: Iterable[TextRow]) -> list[ScoredText]:
    """Every row's account, in order. Raises CostFailure, RequestError."""
    return [_scored(bench, bench.charge(row)) for row in rows]


def fired_patterns(charge: Charge, specs: Mapping[str, CostModelSpec]) -> dict[str, list[str]]:
    """By cost model, the patterns that a charge rests on: their places, from 0, or names, and how they are written."""
    return {name: [_pattern(one, specs.get(name)) for one in fired] for name, fired in charge.fired.items()}


def as_object(scored: ScoredText, bench: Bench) -> dict[str, Any]:
    """The account as plain values."""
    row, charges = scored.charged.row, scored.charged.charges
    by_id = {budget.id: budget for budget in bench.policy.budgets}
    return {
        "place": row.place,
        "denied": None if scored.denied is None else {"budget": scored.denied.budget, "at": scored.denied.position},
        "tokens": scored.charged.node.position,
        "prompt": _prompt(scored),
        "points": [
            {
                "budget": line.budget,
                "at": line.position,
                "end": line.ended,
                "score": line.score,
                "scores": dict(line.raw),
                "threshold": by_id[line.budget].threshold,
                "cost": line.cost,
                "left": line.z_after,
                "fired": {name: list(fired) for name, fired in line.fired.items()},
            }
            for line in charges
        ],
        "weights": {name: dict(words) for name, words in scored.weights.items()},
        "calls": [
            {"tool": call.name, "breaks": list(broken)} for call, broken in zip(row.calls, scored.rules, strict=True)
        ],
    }


def _scored(bench: Bench, charged: ChargedText) -> ScoredText:
    enforced = {rule.budget.id for rule in bench.costs.enforced}
    denied = next((line for line in charged.charges if line.budget in enforced and line.z_after < 0), None)
    rules = bench.costs.tool_rules
    broken = tuple(rules.rules_against(call) if rules else () for call in charged.row.calls)
    return ScoredText(charged, denied, _weights(bench, charged), broken)


def _weights(bench: Bench, charged: ChargedText) -> dict[str, dict[str, float]]:
    node, found = charged.node, {}
    for name, cost in bench.costs.by_name.items():
        lines = [line for line in charged.charges if line.raw.get(name)]
        if not isinstance(cost.model, Weighing) or not lines:
            continue
        highest = max(lines, key=lambda line: line.raw[name])
        text = node.text[: node.visible if highest.ended else node.characters_at(highest.position)]
        found[name] = heaviest_words(cost.model, text)
    return found


def _prompt(scored: ScoredText) -> dict[str, Any] | None:
    check = scored.charged.prompt
    if not check.raw:
        return None
    return {"score": check.score, "scores": check.raw, "action": check.action}


def _pattern(fired: str | int, spec: CostModelSpec | None) -> str:
    patterns = spec.options.get("patterns", ()) if spec is not None else ()
    if isinstance(fired, int) and fired < len(patterns):
        return f"patterns[{fired}] {patterns[fired]}"
    return str(fired)
