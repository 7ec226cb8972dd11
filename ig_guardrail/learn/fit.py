"""Fits a head to looks, choosing its settings on the validation rows, and gives its logit at every look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.learn.logistic import Linear, bags_of, fit_bags, fit_dense
from ig_guardrail.learn.looks import Looks
from ig_guardrail.learn.selection import choose_fit

Floats = NDArray[np.float64]

PENALTIES = (0.003, 0.01, 0.03, 0.1)
WORD_PENALTIES = (1e-5, 3e-5, 1e-4, 3e-4)
MIN_DOCUMENTS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted head: its tensors, the settings that were chosen, and its logits at all looks, in natural log odds."""

    tensors: Mapping[str, NDArray[Any]]
    settings: Mapping[str, Any]
    logits: Floats


def fit_latent(looks: Looks, states: NDArray[np.float32], layers: tuple[int, ...]) -> Fit:
    """`states` has shape (looks, layers, hidden size). Layer and penalty are chosen on validation rows.

    Among equals the middle one of `layers` comes first: heads that share a layer cost one reading.
    """
    usual = layers[len(layers) // 2]
    fits = [_latent(looks, states, layers, layer, l2) for layer in layers for l2 in PENALTIES]
    return _choose(looks, fits, lambda fit: (abs(fit.settings["layer"] - usual), -fit.settings["l2"]))


def fit_words(looks: Looks, counts: Sequence[Mapping[int, int]], buckets: int) -> Fit:
    """`counts` has the term counts of each look's text. The penalty is chosen on the validation rows."""
    frequency = _inverse_frequency(looks, counts, buckets)
    fits = [_words(looks, counts, frequency, l2) for l2 in WORD_PENALTIES]
    return _choose(looks, fits, lambda fit: (-fit.settings["l2"],))


def _choose(looks: Looks, fits: Iterable[Fit], order: Callable[[Fit], tuple[float, ...]]) -> Fit:
    fit, auc = choose_fit(looks, fits, order)
    return Fit(fit.tensors, {**fit.settings, "validation_auc": round(auc, 3)}, fit.logits)


def _latent(looks: Looks, states: NDArray[np.float32], layers: tuple[int, ...], layer: int, l2: float) -> Fit:
    read = states[:, layers.index(layer)].astype(np.float64)
    trained = looks.of_rows([row.split == "train" for row in looks.rows])
    mean, deviation = read[trained].mean(axis=0), np.maximum(read[trained].std(axis=0), 1e-6)
    line = fit_dense((read[trained] - mean) / deviation, looks.labels(trained), l2)
    tensors = {
        **_as_tensors(line, np.float32),
        "mean": mean.astype(np.float32),
        "deviation": deviation.astype(np.float32),
    }
    return Fit(tensors, {"layer": layer, "l2": l2}, (read - mean) / deviation @ line.weight + line.bias)


def _words(looks: Looks, counts: Sequence[Mapping[int, int]], frequency: Floats, l2: float) -> Fit:
    trained = looks.of_rows([row.split == "train" for row in looks.rows])
    learned = bags_of([counts[look] for look in trained.tolist()], frequency)
    line = fit_bags(learned, len(frequency), looks.labels(trained), l2)
    bags = bags_of(counts, frequency)
    sums = np.concatenate([[0.0], np.cumsum(line.weight[bags.indices] * bags.values)])
    logits = sums[[*bags.starts[1:], len(bags.values)]] - sums[bags.starts] + line.bias
    tensors = {**_as_tensors(line, np.float16), "frequency": frequency.astype(np.float16)}
    return Fit(tensors, {"buckets": len(frequency), "l2": l2}, logits)


def _as_tensors(line: Linear, weights: type[np.floating[Any]]) -> dict[str, NDArray[Any]]:
    return {"weight": line.weight.astype(weights), "bias": np.array([line.bias], dtype=np.float32)}


def _inverse_frequency(looks: Looks, counts: Sequence[Mapping[int, int]], buckets: int) -> Floats:
    """log((1 + texts) / (1 + texts with the bucket)) + 1 over whole training texts; 0 for buckets in fewer than two."""
    ends = np.flatnonzero(np.diff(looks.owner, append=len(looks.rows)))
    texts = [counts[end] for end, row in zip(ends.tolist(), looks.rows, strict=True) if row.split == "train"]
    seen: Floats = np.zeros(buckets)
    for text in texts:
        seen[list(text)] += 1
    frequency: Floats = np.log((1 + len(texts)) / (1 + seen)) + 1
    frequency[seen < MIN_DOCUMENTS] = 0.0
    return frequency
