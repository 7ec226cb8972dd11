"""Judges of unfinished answers that look ahead: whether they will end well, and how useful they will be.

Both only order what a strategy proposes. The gate never asks them, so a wrong one costs quality, not safety.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from ig_guardrail.types import Node, Prompt


class Critic(Protocol):
    """Foresees the budget (arXiv 2502.01208, the critic of the augmented state)."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers it reads."""
        ...

    def predict(self, nodes: Sequence[Node], left: Sequence[Mapping[str, float]]) -> list[float]:
        """For each node, the probability in [0, 1] that the finished answer stays within every enforced budget.

        left: what remains of each enforced budget at the node, by budget id
        """
        ...


@runtime_checkable
class RewardModel(Protocol):
    """Values the task: how good the answer is, its safety apart."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers it reads."""
        ...

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        """For each node a finite value, higher is better; only the order within one call has a meaning."""
        ...


@runtime_checkable
class PromptedReward(Protocol):
    """A reward that must know what was asked: one for each prompt."""

    @property
    def layers(self) -> tuple[int, ...]:
        """Hidden layers it reads."""
        ...

    def of(self, prompt: Prompt) -> RewardModel:
        """The reward of answers to `prompt`; called once a request, so it costs next to nothing."""
        ...
