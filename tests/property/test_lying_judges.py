"""Judges only rank: whatever a critic or a reward says, no budget is overspent, and every answer ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.rewards.values import Values
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.registry import METHODS
from ig_guardrail.types import Node, Prompt, Sampling, SearchSettings
from tests.examples import examples
from tests.toys import LetterCost, ask, letters, reference_spend, toy_budget, toy_policy


class LyingCritic:
    """Says of answers with much b in them what a liar would, or the same of all."""

    layers = ()

    def __init__(self, say: float) -> None:
        self.say = say

    def predict(self, nodes: Sequence[Node], left: Sequence[Mapping[str, float]]) -> list[float]:
        return [self.say * node.text.count("b") / max(1, len(node.text)) for node in nodes]


class LyingReward:
    """Likes b best; told the prompt first."""

    layers = ()

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def of(self, prompt: Prompt) -> LyingReward:
        assert prompt.turns[-1].text == "hello"
        return self

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        return [self.scale * node.text.count("b") for node in nodes]


class World:
    granularity = "block"


@settings(max_examples=examples(150), deadline=None)
@given(
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([-1.0, 1.0, 1e9]),
    st.sampled_from(["inference_guard", "best_of_n_plain", "beam_plain", "speculative_rejection"]),
    st.sampled_from(["on_risk", "always"]),
    st.integers(0, 2**31),
    st.sampled_from([0.0, 0.2]),
)
def test_a_lie_costs_quality_and_never_a_budget(
    say: float, scale: float, method: str, mode: str, seed: int, size: float
) -> None:
    budget = toy_budget("b", budget=size)
    search = SearchSettings(block=4, hold=4, candidates=3, shortest=0, steer=None, restart=None, mode=mode)
    engine = ScriptedEngine(letters((3, 2, 1, 0.5)), hidden=lambda prefix: (0.0,))
    values = Values(reward=LyingReward(scale), critic=LyingCritic(say))
    rail = Guardrail(engine, toy_policy([budget], search), {"level": LetterCost("level")}, values)
    rail._approved.set()
    sampling = Sampling(temperature=1.0, top_p=1.0, seed=seed, max_tokens=16)
    *_, last = rail.stream(ask(sampling, METHODS[method].search))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome in ("completed", "refused", "ended")
    shown = last.receipt.text.split("[")[0].removesuffix("\n\n")
    ended = last.receipt.verdict.outcome == "completed"
    assert reference_spend(World, budget, shown, ended) <= budget.budget + 1e-9
    assert engine.live_nodes() == 0
