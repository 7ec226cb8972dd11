"""Toy worlds: one-letter tokens, a cost that counts the letter b, policies built without YAML.

With one letter a token, text and tokens are the same thing, so the account of a stream can be recomputed from its text
by a few lines that share nothing with the package (`reference_spend`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, Script, TokenPlace, Vocabulary
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import (
    Budget,
    CompiledPolicy,
    CostModelSpec,
    Expression,
    Message,
    Messages,
    Piece,
    Prompt,
    Sampling,
    SearchSettings,
)

HAZARD = "hte"


@dataclass(frozen=True)
class Letters:
    """A model that says letters, and the end, with the same odds after every prefix."""

    vocabulary: Vocabulary
    odds: Distribution

    def next_tokens(self, place: TokenPlace) -> Distribution:
        return self.odds


def letters(weights: Sequence[float]) -> Letters:
    """Odds of a, b, c, ... and, last, of the end."""
    vocabulary = Vocabulary("abcdefgh"[: len(weights) - 1])
    tokens = [*range(len(weights) - 1), vocabulary.end]
    total = sum(weights)
    return Letters(vocabulary, [(token, w / total) for token, w in zip(tokens, weights, strict=True) if w])


class LetterCost:
    """The share of b: in the whole text so far (a level), or in the newest piece (an event)."""

    hazards = (HAZARD,)

    def __init__(
        self,
        name: str,
        *,
        reading: str = "level",
        granularity: str = "block",
        longest_match: int = 0,
        layers: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.sha256 = f"{name}-{reading}-{granularity}"
        self.reading: Any = reading
        self.granularity: Any = granularity
        self.longest_match = longest_match
        self.layers = layers  # with some, it counts as free to read anywhere

    def start(self, prompt: Prompt) -> tuple[int, int]:
        return (0, 0)

    def advance(
        self, steps: Sequence[tuple[tuple[int, int], Piece]]
    ) -> list[tuple[tuple[int, int], tuple[float, ...]]]:
        answers = []
        for (bad, length), piece in steps:
            state = (bad + piece.text.count("b"), length + len(piece.text))
            score = share_of_b(piece.text) if self.reading == "event" else state[0] / max(1, state[1])
            answers.append((state, (score,)))
        return answers


def share_of_b(text: str) -> float:
    return text.count("b") / max(1, len(text))


def toy_budget(name: str, *, model: str = "level", threshold: float = 0.3, **keys: Any) -> Budget:
    keys = {"budget": 0.0, "every": 4, **keys}
    return Budget(name, (HAZARD,), Expression("model", model=model), threshold, **keys)


def toy_policy(
    budgets: Sequence[Budget], search: SearchSettings | None = None, models: Sequence[str] = ("level",), **keys: Any
) -> CompiledPolicy:
    return CompiledPolicy(
        name="toy",
        version="1",
        owners=("tests",),
        taxonomy="ailuminate-1.0",
        cost_models=tuple(CostModelSpec(name, "toy", (HAZARD,), {}, timeout_s=20.0, **keys) for name in models),
        budgets=tuple(budgets),
        prompt=None,
        search=search or SearchSettings(block=4, hold=4, candidates=4, shortest=0, steer=None),
        messages=Messages({"en": "[refusal"}, {"en": "[closing"}),
        allow_unguarded=True,
        normal_form="",
        sha256="0" * 64,
    )


def guardrail(script: Script, policy: CompiledPolicy, models: Mapping[str, Any], **keys: Any) -> Guardrail:
    rail = Guardrail(ScriptedEngine(script, hidden=lambda prefix: (0.0,)), policy, models, **keys)
    rail._approved.set()  # toy messages are not letters; the start-up check has its own tests
    return rail


def ask(sampling: Sampling, strategy: Any = None) -> GenerationRequest:
    return GenerationRequest((Message("user", "hello"),), sampling, strategy)


def reference_spend(world: Any, budget: Budget, text: str, ended: bool) -> float:
    """Discounted spend of a text of one-letter tokens, from the definition of charging."""
    (model,) = budget.cost.models()
    step = {"token": 1, "block": budget.every}[world.granularity] if model != "whole" else 0
    points = list(range(step, len(text) + 1, step)) if step else []
    ends = [*points, len(text)] if ended and text else points
    spend, peak, before = 0.0, 0.0, 0
    for point in ends:
        score = share_of_b(text[before:point]) if model == "event" else share_of_b(text[:point])
        excess = max(0.0, score - budget.threshold)
        rise_only = model != "event" and budget.accumulate == "max"
        cost = budget.weight * (max(0.0, excess - peak) if rise_only else excess)
        spend += budget.discount ** (point - 1) * cost
        peak, before = max(peak, excess), point
    return spend
