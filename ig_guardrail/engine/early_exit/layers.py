"""A part of a model's layers at a time: the lower ones with an early exit behind them, or the upper ones alone.

Source: M2R2 (arXiv 2502.02040), the part of it that a frozen model allows: an adapter a(h) = h + W2 gelu(W1 norm(h))
brings the state after layer e to where the last layer would, and the model's own final norm and vocabulary matrix read
it. Departure: M2R2's adapters lie within the lower layers and make a second stream; here there is one, at the exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Exit:
    """The adapter after layer `layer`: `down` (rank, hidden size) and `up` (hidden size, rank), in float32.

    With rank 0 it is the raw exit: the state as it is.
    """

    layer: int
    down: Tensor
    up: Tensor

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def __call__(self, states: Tensor) -> Tensor:
        """`states` (..., hidden size) after layer e, as the last layer might have given them; in their dtype."""
        wide = states.float()
        normal = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + _EPSILON)
        return (wide + functional.gelu(normal @ self.down.T) @ self.up.T).to(states.dtype)


def raw_exit(layer: int, size: int) -> Exit:
    """No adapter after `layer`, for states of `size` numbers."""
    return Exit(layer, torch.zeros(0, size), torch.zeros(size, 0))


@contextmanager
def lower_layers(layers: Sequence[Any], way_out: Exit) -> Iterator[None]:
    """Passes that go through layers 1..e, then through the exit; keys and values of the others stay as they are."""
    with _instead(layers[way_out.layer], way_out), ExitStack() as stack:
        for layer in layers[way_out.layer + 1 :]:
            stack.enter_context(_instead(layer, _same))
        yield


@contextmanager
def upper_layers(layers: Sequence[Any], depth: int, states: Tensor) -> Iterator[None]:
    """Passes that begin after layer `depth` with its output `states`, and go through the others."""
    with _instead(layers[depth - 1], lambda _: states), ExitStack() as stack:
        for layer in layers[: depth - 1]:
            stack.enter_context(_instead(layer, _same))
        yield


@contextmanager
def silent(read_out: Any) -> Iterator[None]:
    """Passes whose logits nobody asks for: `read_out`, the vocabulary matrix, is left out."""
    with _instead(read_out, _same):
        yield


@contextmanager
def _instead(layer: Any, function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """A layer that gives `function` of the states it gets."""
    layer.forward = lambda states, *_, **__: function(states)
    try:
        yield
    finally:
        del layer.forward


def _same(states: Tensor) -> Tensor:
    return states
