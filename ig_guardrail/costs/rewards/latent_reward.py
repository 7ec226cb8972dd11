"""A linear reward on the language model's own hidden states: how well an answer's tokens so far suit their prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from ig_guardrail.costs.heads.artifact import read_artifact
from ig_guardrail.costs.heads.base_model import BaseModel, read_base_model, read_layers
from ig_guardrail.costs.heads.linear import LinearMap, read_line
from ig_guardrail.costs.heads.node_states import prefix_states
from ig_guardrail.types import Node

NOTHING_SAID = -1e6  # an answer without tokens is worth less than any other


@dataclass(frozen=True, slots=True, eq=False)
class LatentReward:
    """The logit of the mean state of the answer's tokens, at one layer."""

    sha256: str
    base: BaseModel
    layers: tuple[int, ...]
    line: LinearMap

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        """A logit for each node. Raises CostFailure for nodes without states."""
        return [self._value(node) for node in nodes]

    def _value(self, node: Node) -> float:
        if not node.position:
            return NOTHING_SAID
        return self.line.at(prefix_states(node, self.layers, (node.position,))[0, :, 0].ravel())


def read_latent_reward(folder: Traversable) -> LatentReward:
    """The reward in an artifact folder. Raises ModelError if the folder does not hold one."""
    artifact = read_artifact(folder, "reward")
    return LatentReward(artifact.sha256, read_base_model(artifact), read_layers(artifact), read_line(artifact))
