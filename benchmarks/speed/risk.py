"""A cost model that finds risk where a script says so, to measure what a search costs that widens there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ig_guardrail.engine.base import Engine
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec, Expression, Granularity, Piece, Prompt, ScoreKind

Mode: TypeAlias = Literal["on_risk", "always"]

MODES: tuple[Mode, ...] = ("on_risk", "always")
NAME = "scripted"
HAZARD = "x.scripted"
TRIGGER = 0.5  # share of the threshold, which is 1
RISKY, CALM = 0.8, 0.1  # scores: above the trigger and within budget; below both


@dataclass(frozen=True, slots=True)
class ScriptedRisk:
    """Scores the first continuation of a block as risky if the block ends at one of `positions`; all else is calm.

    A draft is judged alone, and the candidates of a wide round together: that tells them apart. It asks for the hidden
    states of `layers` as a latent head would, and reads none. Its state is the number of tokens read.
    """

    positions: frozenset[int]
    layers: tuple[int, ...] = (1,)
    name: str = NAME
    sha256: str = "0" * 64
    hazards: tuple[str, ...] = (HAZARD,)
    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    longest_match: int = 0

    def start(self, prompt: Prompt) -> int:
        """Nothing was read."""
        return 0

    def advance(self, steps: Sequence[tuple[int, Piece]]) -> list[tuple[int, tuple[float, ...]]]:
        """One score each."""
        states = [read + len(piece.ids) for read, piece in steps]
        return [(state, (RISKY if len(steps) == 1 and state in self.positions else CALM,)) for state in states]


def scripted_rail(engine: Engine, policy: CompiledPolicy, risk: ScriptedRisk) -> Guardrail:
    """A guardrail that is held to a budget of the scripted risk, and to nothing else of `policy`."""
    spec = CostModelSpec(NAME, NAME, risk.hazards, {}, timeout_s=10.0)
    budget = Budget(NAME, risk.hazards, Expression("model", model=NAME), threshold=1.0)
    search = replace(policy.search, trigger=TRIGGER, accept=TRIGGER, steer=None, restart=None)
    held = replace(policy, cost_models=(spec,), budgets=(budget,), prompt=None, search=search)
    return Guardrail(engine, held, {NAME: risk})
