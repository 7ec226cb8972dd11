"""Whole answers with all that a critic learns from: states along the way, every score, and what the end was worth.

Some are unguarded. Others come from the search, since the states that a critic is asked about do. Whoever found it, an
answer is read again from its tokens, and its scores are only noted, so that any budgets can be laid on them afterwards.

Source: arXiv 2502.01208, the critic's training data. Departure: the paper learns from the unguarded model alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.budget import BudgetRule, charge_points
from ig_guardrail.costs.heads.node_states import prefix_states
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.drive.run import method_for
from ig_guardrail.drive.runners import finish
from ig_guardrail.drive.scoring.scorer import Scorer
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.learn.data.questions import SurveyPrompt
from ig_guardrail.learn.fitting.tensor_cache import TensorCache, Tensors, progress_line
from ig_guardrail.learn.heads import DEPTHS
from ig_guardrail.learn.sampling import AnswerTokens, SamplingPlan, looks_at, read, speak
from ig_guardrail.search.drawing.preference import likelihood
from ig_guardrail.search.recorder import Follower
from ig_guardrail.types import Measure, Node

OTHER = 1_000_003  # added to the seed of guided answers, which else would often be the first unguarded one


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """One finished answer.

    at        (looks,) positions at which it is looked at, its end the last
    states    (looks, layers, 2, hidden size): mean and newest state at each
    measures  every score of the enforced budgets, in the order of charging
    value     the task value of the whole
    """

    question: SurveyPrompt
    guided: bool
    at: NDArray[np.int64]
    states: NDArray[np.float32]
    measures: tuple[Measure, ...]
    value: float


class TrajectoryRecorder:
    """Records under a guardrail's policy.

    speech  how unguarded answers are drawn
    guided  whether the policy's own search answers each question once, too
    Task value is what the guardrail's reward says; without one, the mean log-probability of the answer's tokens.
    """

    def __init__(self, guardrail: Guardrail, speech: SamplingPlan, guided: bool = True) -> None:
        self.rules = tuple(rule for rule in guardrail.costs.rules if rule.enforced)
        self.layers = guardrail.costs.layers or (max(1, round(guardrail.engine.info.layers * DEPTHS[1])),)
        self.guardrail, self.speech, self._guided = guardrail, speech, guided

    @property
    def valued_by(self) -> str:
        """What the task value of a trajectory is, in words."""
        reward = self.guardrail.values.reward
        if reward is None:
            return "mean log-probability of the answer's tokens"
        return f"{type(reward).__name__} {getattr(reward, 'sha256', getattr(reward, 'name', ''))}".strip()

    def record(self, asked: Sequence[SurveyPrompt], cache: TensorCache) -> list[Trajectory]:
        """The trajectories of all questions, kept as they come. Raises whatever engine and cost models raise."""
        show = progress_line("recording")
        found: list[Trajectory] = []
        for done, question in enumerate(asked, start=1):
            found += self._question(question, cache)
            show(done, len(asked))
        return found

    def _question(self, question: SurveyPrompt, cache: TensorCache) -> list[Trajectory]:
        unguarded = speak(self.guardrail.engine, question, self.speech, cache)
        guided = self._guide(question, cache) if self._guided else []
        said = [*unguarded, *guided]
        key = ["trajectory", question.text, said, self.layers, self._facts()]
        kept = cache.get(key, lambda: self._read(question, said))
        return [self._unpacked(kept, index, question, guided=index >= len(unguarded)) for index in range(len(said))]

    def _guide(self, question: SurveyPrompt, cache: TensorCache) -> list[AnswerTokens]:
        key = ["guided", question.text, repr(self.speech), self._facts()]
        ids = cache.get(key, lambda: {"ids": np.array(self._searched(question), dtype=np.int64)})["ids"]
        return [tuple(ids.tolist())] if len(ids) else []

    def _searched(self, question: SurveyPrompt) -> AnswerTokens:
        """The answer that the search finds; () where it finds none that ends by itself."""
        guardrail, sampling = self.guardrail, self.speech.sampling
        named = guardrail.policy.search.strategy
        method = method_for(named, guardrail.policy, guardrail.costs, guardrail.values, guardrail.engine.info)
        follower = Follower(method.search)
        ask = GenerationRequest(question.turns, replace(sampling, seed=sampling.seed + OTHER), follower)
        for _ in guardrail.stream(ask):
            pass
        return follower.ids if follower.finished else ()

    def _read(self, question: SurveyPrompt, said: Sequence[AnswerTokens]) -> Tensors:
        """All of a question's trajectories as tensors, by their index."""
        engine, values = self.guardrail.engine, self.guardrail.values
        layers = tuple(sorted({*self.layers, *values.layers}))
        nodes = read(engine, question.turns, said, layers) if said else []
        prompt = engine.encode(question.turns)
        worth = _worth(nodes, values.of(prompt).reward)
        kept: dict[str, NDArray[Any]] = {}
        for index, node in enumerate(nodes):
            at = looks_at(node, self.guardrail.policy.search.block)
            due = [(r.budget.id, point) for r in self.rules for point in charge_points(r, 0, node.position, True)]
            measures = finish(Scorer(self.guardrail.costs, prompt).measure(node, due))
            kept[f"{index}.at"] = np.array(at, dtype=np.int64)
            kept[f"{index}.states"] = prefix_states(node, self.layers, at).astype(np.float32)
            kept[f"{index}.charged"] = np.array([[m.position, m.ended] for m in measures], dtype=np.int64)
            kept[f"{index}.budgets"] = np.array([self._place(m.budget) for m in measures], dtype=np.int64)
            kept[f"{index}.scores"] = np.array([m.score for m in measures])
            kept[f"{index}.value"] = np.array([worth[index]])
        return kept or {"none": np.zeros(1)}

    def _unpacked(self, kept: Tensors, index: int, question: SurveyPrompt, guided: bool) -> Trajectory:
        part = {name: kept[f"{index}.{name}"] for name in ("at", "states", "charged", "budgets", "scores", "value")}
        measures = [
            Measure(self.rules[budget].budget.id, position, bool(ended), score)
            for budget, (position, ended), score in zip(
                part["budgets"].tolist(), part["charged"].tolist(), part["scores"].tolist(), strict=True
            )
        ]
        measures.sort(key=lambda measure: (measure.position, measure.ended))
        return Trajectory(question, guided, part["at"], part["states"], tuple(measures), float(part["value"][0]))

    def _place(self, budget: str) -> int:
        return [rule.budget.id for rule in self.rules].index(budget)

    def _facts(self) -> str:
        """What scores, guidance and values depend on, hashed."""
        models, policy = dict(self.guardrail.costs.hashes), self.guardrail.policy
        facts = [policy.sha256, [_charging(rule) for rule in self.rules], policy.search, models, self.valued_by]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def _charging(rule: BudgetRule) -> str:
    return repr((rule.budget.id, rule.budget.cost, rule.budget.every, rule.granularity))


def _worth(nodes: Sequence[Node], reward: Any) -> list[float]:
    return reward.predict(nodes) if reward is not None else [likelihood(node) for node in nodes]
