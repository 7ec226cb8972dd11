"""A critic with two linear heads on the language model's own hidden states and what is left of the budgets.

Source: arXiv 2502.01208, the critic on the augmented state (h, z): P(the finished answer is safe), and its task value.

Departures:
- linear heads on mean and newest state, where the paper trains a network of width 4096.
- z enters as z / (z + unit), which is bounded, 0 where nothing is left and 1/2 where all of the policy's budget is; the
  paper's z / d would be the same for every untouched budget, however small.
- what is known is not foreseen: below 0 an answer is over budget for good, and a finished one has no future.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.costs.heads.artifact import Artifact, read_artifact
from ig_guardrail.costs.heads.base_model import BaseModel, read_base_model, read_layers
from ig_guardrail.costs.heads.linear import LinearMap, read_line
from ig_guardrail.costs.heads.node_states import prefix_states
from ig_guardrail.costs.rewards.latent_reward import NOTHING_SAID
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Node

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a critic foresees: answers of at most `tokens` tokens, under budgets whose scales are `units`, by id."""

    tokens: int
    units: Mapping[str, float]

    def situation(self, position: int, left: Mapping[str, float]) -> Floats:
        """(1 + budgets,): how far the answer is, and the room in each budget. Nothing may be left that is below 0."""
        room = [left[budget] / (left[budget] + unit) for budget, unit in self.units.items()]
        return np.array([min(1.0, position / self.tokens), *room])


@dataclass(frozen=True, slots=True, eq=False)
class ForeseenReward:
    """The critic's second head as a reward model: the task value that the finished answer will have."""

    layers: tuple[int, ...]
    tokens: int
    line: LinearMap

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        """What each answer will be worth, in the units of its training. Raises CostFailure for nodes without states."""
        return [self.line.at(self._features(node)) if node.position else NOTHING_SAID for node in nodes]

    def _features(self, node: Node) -> Floats:
        return np.append(answer_features(node, self.layers), min(1.0, node.position / self.tokens))


@dataclass(frozen=True, slots=True, eq=False)
class LatentCritic:
    """P(the finished answer stays within every enforced budget), for the policy's budgets it was trained on."""

    sha256: str
    base: BaseModel
    layers: tuple[int, ...]
    horizon: Horizon
    chance: LinearMap
    value: ForeseenReward

    def predict(self, nodes: Sequence[Node], left: Sequence[Mapping[str, float]]) -> list[float]:
        """Exact where nothing is to be foreseen. Raises CostFailure for other budgets, and nodes without states."""
        return [self._chance(node, remaining) for node, remaining in zip(nodes, left, strict=True)]

    def _chance(self, node: Node, left: Mapping[str, float]) -> float:
        if set(left) != set(self.horizon.units):
            raise CostFailure(
                f"the critic foresees the budgets {sorted(self.horizon.units)}, and the policy's are {sorted(left)}",
                where="critic",
                why="what other budgets leave room for, it never learned",
                fix="train one with `ig-guardrail train critic --policy POLICY`",
            )
        if min(left.values()) < 0:
            return 0.0
        if node.finish is not None or not node.position:
            return 1.0
        features = [answer_features(node, self.layers), self.horizon.situation(node.position, left)]
        return sigmoid(self.chance.at(np.concatenate(features)))


def answer_features(node: Node, layers: Sequence[int]) -> Floats:
    """(layers * 2 * hidden size,): mean and newest state at each layer, laid end to end."""
    return prefix_states(node, layers, (node.position,)).ravel()


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


def read_latent_critic(folder: Traversable) -> LatentCritic:
    """The critic in an artifact folder. Raises ModelError if the folder does not hold one."""
    artifact = read_artifact(folder, "critic")
    layers, horizon = read_layers(artifact), _horizon(artifact)
    return LatentCritic(
        sha256=artifact.sha256,
        base=read_base_model(artifact),
        layers=layers,
        horizon=horizon,
        chance=read_line(artifact, "chance."),
        value=ForeseenReward(layers, horizon.tokens, read_line(artifact, "value.")),
    )


def _horizon(artifact: Artifact) -> Horizon:
    foreseen = artifact.section("horizon")
    tokens, units = foreseen.get("tokens"), foreseen.get("units")
    if not (type(tokens) is int and tokens > 0 and isinstance(units, dict) and units):
        raise artifact.unfit("its card does not say which budgets it foresees, for answers of how many tokens")
    if not all(isinstance(unit, float) and unit > 0 for unit in units.values()):
        raise artifact.unfit("the unit of a budget in its card is not a positive number")
    return Horizon(tokens, units)
