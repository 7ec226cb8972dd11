"""Edits of hidden states: steps up the gradient of a value.

Source: RE-Control (arXiv 2406.05954): the state from which the next token follows is moved by plain gradient steps on a
value head, then the token is drawn. As in the authors' code the gradient is not normalised, so a head's scale counts.
V(h_t) values the prefix that includes token t: it is asked of the state after token t, before t + 1 is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STEPS = 30  # with STEP_SIZE, how arXiv 2502.01208 runs it as a baseline
STEP_SIZE = 0.5


@dataclass(frozen=True, slots=True)
class ValueAscent:
    """Moves each state at `layer` by `steps` gradient steps of `step_size` up `value`.

    value  states (n, hidden size) in float32 -> values (n,), differentiable by torch; any head, linear or deep. A sum
           of a reward's value and minus a price times a cost's is the Lagrangian variant.
    """

    layer: int
    value: Callable[[Tensor], Tensor]
    steps: int = STEPS
    step_size: float = STEP_SIZE

    def edited(self, states: Tensor) -> Tensor:
        """`states` (rows, tokens, hidden size) after the steps, in float32."""
        with torch.inference_mode(False), torch.enable_grad():
            moved = states.detach().float().flatten(0, 1).clone()
            for _ in range(self.steps):
                moved.requires_grad_(True)
                (gradient,) = torch.autograd.grad(self.value(moved).sum(), moved)
                moved = (moved + self.step_size * gradient).detach()
        return moved.view(states.shape)


@dataclass(frozen=True, slots=True, eq=False)
class LinearValue:
    """V(h) = weight . h, with weight (hidden size,). Its gradient is the weight, wherever h is."""

    weight: NDArray[np.float64]

    def __call__(self, states: Tensor) -> Tensor:
        return states @ torch.tensor(self.weight, dtype=states.dtype, device=states.device)


def away_from(layer: int, weight: NDArray[np.float64]) -> ValueAscent:
    """The edit that lowers the logit weight . h of a linear cost head, such as a policy's latent head at its layer."""
    return ValueAscent(layer, LinearValue(-weight))
