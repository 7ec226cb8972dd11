"""Logistic regression with an L2 penalty, fitted by L-BFGS in double precision: the same numbers on every run.

One objective serves dense features and bags of words; they differ in how logits are computed from the weights.

Lines through standardised features, with what undoes the standardising: logistic or least squares, L2 penalty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]

_ITERATIONS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """logit = features . weight + bias."""

    weight: Floats
    bias: float


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Which examples are harmful (n,), and how much each one counts (n,), summing to 1."""

    harmful: NDArray[np.bool_]
    share: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Bags:
    """Texts as weighted buckets, laid end to end: example i has the entries from `starts[i]` to the next start."""

    indices: NDArray[np.int64]
    values: Floats
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)


def fit_dense(features: NDArray[np.floating], labels: Labels, l2: float) -> Linear:
    """Features of shape (n, d), standardised by the caller; `l2` is the penalty's weight on |weight|^2 / 2."""
    import torch

    inputs = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64))
    return _fit(lambda weight: inputs @ weight, inputs.shape[1], labels, l2)


def fit_bags(bags: Bags, buckets: int, labels: Labels, l2: float) -> Linear:
    """Weights for each of `buckets` buckets; no text may be empty of entries without meaning logit = bias."""
    return _fit(_logits_of(bags), buckets, labels, l2)


def fit_joined(
    features: NDArray[np.floating], scale: float, bags: Bags, buckets: int, labels: Labels, l2: float
) -> tuple[Linear, Floats]:
    """One logit of features (n, d) and bags together: the line through the features, and weights for the buckets.

    scale  what features are multiplied by while they are learned: the larger, the less their weights are penalised
    """
    import torch

    inputs = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float64) * scale)
    size, of_bags = inputs.shape[1], _logits_of(bags)
    line = _fit(lambda weight: inputs @ weight[:size] + of_bags(weight[size:]), size + buckets, labels, l2)
    return Linear(line.weight[:size] * scale, line.bias), line.weight[size:]


def sums_of(bags: Bags, weight: Floats) -> Floats:
    """(n,): the sum of the weighed buckets of each text."""
    sums = np.concatenate([[0.0], np.cumsum(weight[bags.indices] * bags.values)])
    found: Floats = sums[[*bags.starts[1:], len(bags.values)]] - sums[bags.starts]
    return found


def _logits_of(bags: Bags) -> Callable[[Tensor], Tensor]:
    import torch

    indices, starts, values = (torch.from_numpy(part) for part in (bags.indices, bags.starts, bags.values))

    def logits(weight: Tensor) -> Tensor:
        picked = weight[indices] * values
        sums = torch.cat([picked.new_zeros(1), picked.cumsum(0)])
        return sums[torch.cat([starts[1:], starts.new_tensor([len(values)])])] - sums[starts]

    return logits


def bags_of(counts: Sequence[Mapping[int, int]], frequency: Floats) -> Bags:
    """Term counts times inverse document frequencies, each text scaled to length 1."""
    sizes = [len(count) for count in counts]
    indices = np.fromiter((index for count in counts for index in count), dtype=np.int64, count=sum(sizes))
    values = np.fromiter((n for count in counts for n in count.values()), dtype=np.float64, count=sum(sizes))
    values *= frequency[indices]
    starts = np.cumsum([0, *sizes[:-1]]).astype(np.int64)
    owners = np.repeat(np.arange(len(counts)), sizes)
    lengths = np.sqrt(np.bincount(owners, weights=values**2, minlength=len(counts)))
    return Bags(indices, values / np.maximum(lengths[owners], 1e-12), starts)


def _fit(logits_of: Callable[[Tensor], Tensor], size: int, labels: Labels, l2: float) -> Linear:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    target, share = torch.from_numpy(labels.harmful.astype(np.float64)), torch.from_numpy(labels.share)
    weight = torch.zeros(size, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [weight, bias], max_iter=_ITERATIONS, tolerance_grad=1e-7, history_size=20, line_search_fn="strong_wolfe"
    )

    def loss() -> float:
        search.zero_grad()
        value = cross_entropy(logits_of(weight) + bias, target, share, reduction="sum") + l2 / 2 * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    search.step(loss)  # type: ignore[no-untyped-call]
    return Linear(weight.detach().numpy().copy(), float(bias.detach()))


@dataclass(frozen=True, slots=True, eq=False)
class Standard:
    """Mean and spread of every feature (d,), over the examples that are learned from."""

    mean: Floats
    deviation: Floats

    def __call__(self, features: NDArray[np.floating]) -> Floats:
        scaled: Floats = (features - self.mean) / self.deviation
        return scaled


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A line, the standard of its features, and its penalty."""

    line: Linear
    standard: Standard
    l2: float

    def values(self, features: NDArray[np.floating]) -> Floats:
        """(n,): the line at features of shape (n, d)."""
        found: Floats = self.standard(features) @ self.line.weight + self.line.bias
        return found

    def tensors(self, name: str = "") -> Mapping[str, NDArray[Any]]:
        """As an artifact keeps it, under `name`."""
        parts = {
            "weight": self.line.weight,
            "bias": np.array([self.line.bias]),
            "mean": self.standard.mean,
            "deviation": self.standard.deviation,
        }
        return {f"{name}{part}": value.astype(np.float32) for part, value in parts.items()}


def fit_logistic(features: NDArray[np.floating], labels: Labels, l2: float) -> Fitted:
    """The log odds of `labels.harmful`, whatever it marks; features (n, d)."""
    standard = _standard(features)
    return Fitted(fit_dense(standard(features), labels, l2), standard, l2)


def fit_least_squares(features: NDArray[np.floating], targets: Floats, share: Floats, l2: float) -> Fitted:
    """Targets (n,), each of which counts `share` (n,), summing to 1."""
    standard = _standard(features)
    scaled = standard(features)
    centre, bias = share @ scaled, float(share @ targets)
    moved = scaled - centre
    weighed = moved * share[:, None]
    curvature = weighed.T @ moved + l2 * np.eye(len(centre))
    weight = np.linalg.solve(curvature, weighed.T @ (targets - bias)).astype(np.float64)
    return Fitted(Linear(weight, bias - float(centre @ weight)), standard, l2)


def _standard(features: NDArray[np.floating]) -> Standard:
    read = features.astype(np.float64)
    return Standard(read.mean(axis=0), np.maximum(read.std(axis=0), 1e-6))
