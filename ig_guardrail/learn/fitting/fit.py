"""Fits a head to looks, choosing its settings on the validation rows, and gives its logit at every look.

Chooses settings on the validation rows: not the luckiest, but the plainest among those that cannot be told apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.learn.fitting.logistic import Linear, bags_of, fit_bags, fit_dense, sums_of
from ig_guardrail.learn.fitting.prefixes import PrefixSamples
from ig_guardrail.learn.fitting.quality import pair_auc

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


def fit_latent(looks: PrefixSamples, states: NDArray[np.float32], layers: tuple[int, ...]) -> Fit:
    """`states` has shape (looks, layers, hidden size). Layer and penalty are chosen on validation rows.

    Among equals the middle one of `layers` comes first: heads that share a layer cost one reading.
    """
    usual = layers[len(layers) // 2]
    fits = [_latent(looks, states, layers, layer, l2) for layer in layers for l2 in PENALTIES]
    return _choose(looks, fits, lambda fit: (abs(fit.settings["layer"] - usual), -fit.settings["l2"]))


def fit_words(looks: PrefixSamples, counts: Sequence[Mapping[int, int]], buckets: int) -> Fit:
    """`counts` has the term counts of each look's text. The penalty is chosen on the validation rows."""
    frequency = inverse_frequency(looks, counts, buckets)
    fits = [_words(looks, counts, frequency, l2) for l2 in WORD_PENALTIES]
    return _choose(looks, fits, lambda fit: (-fit.settings["l2"],))


def _choose(looks: PrefixSamples, fits: Iterable[Fit], order: Callable[[Fit], tuple[float, ...]]) -> Fit:
    fit, auc = choose_fit(looks, fits, order)
    return Fit(fit.tensors, {**fit.settings, "validation_auc": round(auc, 3)}, fit.logits)


def _latent(looks: PrefixSamples, states: NDArray[np.float32], layers: tuple[int, ...], layer: int, l2: float) -> Fit:
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


def _words(looks: PrefixSamples, counts: Sequence[Mapping[int, int]], frequency: Floats, l2: float) -> Fit:
    trained = looks.of_rows([row.split == "train" for row in looks.rows])
    learned = bags_of([counts[look] for look in trained.tolist()], frequency)
    line = fit_bags(learned, len(frequency), looks.labels(trained), l2)
    bags = bags_of(counts, frequency)
    tensors = {**_as_tensors(line, np.float16), "frequency": frequency.astype(np.float16)}
    return Fit(tensors, {"buckets": len(frequency), "l2": l2}, sums_of(bags, line.weight) + line.bias)


def _as_tensors(line: Linear, weights: type[np.floating[Any]]) -> dict[str, NDArray[Any]]:
    return {"weight": line.weight.astype(weights), "bias": np.array([line.bias], dtype=np.float32)}


def inverse_frequency(looks: PrefixSamples, counts: Sequence[Mapping[int, int]], buckets: int) -> Floats:
    """log((1 + texts) / (1 + texts with the bucket)) + 1 over whole training texts; 0 for buckets in fewer than two."""
    ends = np.flatnonzero(np.diff(looks.owner, append=len(looks.rows)))
    texts = [counts[end] for end, row in zip(ends.tolist(), looks.rows, strict=True) if row.split == "train"]
    seen: Floats = np.zeros(buckets)
    for text in texts:
        seen[list(text)] += 1
    frequency: Floats = np.log((1 + len(texts)) / (1 + seen)) + 1
    frequency[seen < MIN_DOCUMENTS] = 0.0
    return frequency


class HasLogits(Protocol):
    """A fitted head: one logit for each look."""

    @property
    def logits(self) -> Floats: ...


F = TypeVar("F", bound=HasLogits)


def choose_fit(looks: PrefixSamples, fits: Iterable[F], order: Callable[[F], tuple[float, ...]]) -> tuple[F, float]:
    """Of the fits within one standard error of the best on the validation rows, the first in `order`; and its AUC.

    The rule of one standard error: Breiman and others, Classification and Regression Trees, 1984.
    """
    rated = [(*validation_auc(looks, fit.logits), fit) for fit in fits]
    best, error, _ = max(rated, key=lambda rating: rating[0])
    near = [(value, fit) for value, _, fit in rated if value >= best - error]
    value, fit = min(near, key=lambda rating: order(rating[1]))
    return fit, value


def validation_auc(looks: PrefixSamples, logits: Floats) -> tuple[float, float]:
    """AUC at the end of validation answers, averaged over the sources of harm, and its standard error.

    A source without safe rows is held against the safe rows of all. Raises ValueError if nothing can be compared.
    """
    ends = looks.at_end(logits)
    values, errors = [], []
    for source in dict.fromkeys(row.source for row in looks.rows):
        harmful = _validation(looks, ends, "harmful", source)
        safe = _validation(looks, ends, "safe", source)
        safe = safe if len(safe) else _validation(looks, ends, "safe")
        if len(harmful) and len(safe):
            values.append(pair_auc(harmful, safe))
            errors.append(auc_error(values[-1], len(harmful), len(safe)))
    if not values:
        raise ValueError("there are no validation rows of both labels")
    return float(np.mean(values)), math.hypot(*errors) / len(errors)


def auc_error(value: float, harmful: int, safe: int) -> float:
    """The standard error of an AUC (Hanley and McNeil, Radiology 1982)."""
    two_harmful, two_safe = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (harmful - 1) * (two_harmful - value**2) + (safe - 1) * (two_safe - value**2)
    return math.sqrt(max(0.0, variance) / (harmful * safe))


def _validation(looks: PrefixSamples, ends: Floats, label: str, source: str | None = None) -> Floats:
    chosen = [
        row.split == "validation" and row.label == label and (source is None or row.source == source)
        for row in looks.rows
    ]
    picked: Floats = ends[np.array(chosen, dtype=bool)]
    return picked
