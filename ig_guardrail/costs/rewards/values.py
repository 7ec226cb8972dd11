"""The judges that rank candidates: a reward and a critic, either or none, and the thread they run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from ig_guardrail.costs.rewards.base import Critic, PromptedReward, RewardModel
from ig_guardrail.costs.workers import Worker
from ig_guardrail.errors import StrategyError
from ig_guardrail.types import Node, Prompt


@dataclass(frozen=True, slots=True)
class Values:
    """Optional judges of usefulness and prospects, for ranking only.

    A reward that must know the prompt takes part once `of` has told it.
    """

    reward: RewardModel | PromptedReward | None = None
    critic: Critic | None = None
    worker: Worker = field(default_factory=lambda: Worker("values", _values_failure))

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers that either reads."""
        return tuple(sorted({layer for judge in (self.reward, self.critic) if judge for layer in judge.layers}))

    def of(self, prompt: Prompt) -> Values:
        """The judges of answers to `prompt`, on the same thread."""
        return replace(self, reward=self.reward.of(prompt)) if isinstance(self.reward, PromptedReward) else self

    def predict(self, kind: str, nodes: Sequence[Node], left: Sequence[Mapping[str, float]]) -> Future[Any]:
        """A float for each node, from the reward or the critic. left: see `Critic.predict`; the reward reads none.

        Raises StrategyError where there is no such judge.
        """
        if kind == "reward" and isinstance(self.reward, RewardModel):
            return self.worker.call(self.reward.predict, nodes)
        if kind == "critic" and self.critic is not None:
            return self.worker.call(self.critic.predict, nodes, left)
        raise StrategyError(f"a strategy asked for a {kind}, and this guardrail has none")


def _values_failure(reason: str) -> StrategyError:
    return StrategyError(
        f"a reward or a critic failed: {reason}",
        where="values",
        why="without it, what the strategy ranks by is missing",
        fix="fix it, or use a strategy that asks for none",
    )
