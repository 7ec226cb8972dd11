"""Hidden states of a node's whole answer: their running mean, and the newest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Node

Floats = NDArray[np.float64]


def prefix_states(node: Node, layers: Sequence[int], at: Sequence[int]) -> Floats:
    """(positions, layers, 2, hidden size): for each position in `at`, the mean of the states up to it, and its own.

    Positions lie in 1..node.position. Raises CostFailure if the node does not hold one finite state a token and layer.
    """
    ends = np.array(at)
    states = [_states(node, layer) for layer in layers]
    means = [rows.cumsum(axis=0)[ends - 1] / ends[:, None] for rows in states]
    newest = [rows[ends - 1] for rows in states]
    return np.stack([np.stack(means, axis=1), np.stack(newest, axis=1)], axis=2)


def _states(node: Node, layer: int) -> Floats:
    """(position, hidden size) in float64, in which the sum of half-precision states is exact, however it was cut."""
    parts = [_rows(step.hidden[layer]) for step in node.path() if step.ids and layer in step.hidden]
    rows: Floats = np.concatenate(parts) if parts else np.empty((0, 0))
    if len(rows) != node.position or not np.isfinite(rows).all():
        raise CostFailure(
            f"the answer has {len(rows)} states of layer {layer} for {node.position} tokens, or one is not finite",
            where="values",
            why="an answer that was not read cannot be valued",
            fix=f"open the engine's prompt with layers=({layer},)",
        )
    return rows


def _rows(states: Any) -> Floats:
    import torch

    found: Floats = torch.as_tensor(states).cpu().to(torch.float64).numpy()
    return found
