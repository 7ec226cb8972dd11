"""Logistic regression: the penalised optimum, the same for dense features and for bags."""

from __future__ import annotations

import numpy as np
import pytest

from ig_guardrail.learn.fitting.logistic import Labels, bags_of, fit_bags, fit_dense


def data(seed: int = 0, count: int = 120, size: int = 5) -> tuple[np.ndarray, Labels]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, size))
    harmful = features[:, 0] - features[:, 1] + random.normal(size=count) > 0.3
    return features, Labels(harmful, np.full(count, 1 / count))


def test_the_gradient_vanishes_at_the_fit() -> None:
    features, labels = data()
    line = fit_dense(features, labels, 0.05)
    error = (1 / (1 + np.exp(-(features @ line.weight + line.bias))) - labels.harmful) * labels.share
    assert features.T @ error + 0.05 * line.weight == pytest.approx(np.zeros(5), abs=1e-5)
    assert error.sum() == pytest.approx(0, abs=1e-5)


def test_a_stronger_penalty_gives_smaller_weights() -> None:
    features, labels = data()
    sizes = [np.linalg.norm(fit_dense(features, labels, l2).weight) for l2 in (0.001, 0.1, 10.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_the_same_data_give_the_same_fit() -> None:
    features, labels = data()
    one, other = fit_dense(features, labels, 0.01), fit_dense(features, labels, 0.01)
    assert (one.weight == other.weight).all()
    assert one.bias == other.bias


def test_bags_are_fitted_like_the_dense_matrix_they_stand_for() -> None:
    random = np.random.default_rng(2)
    counts = [{int(index): int(random.integers(1, 4)) for index in random.integers(0, 8, size=4)} for _ in range(80)]
    counts[7] = {}
    frequency = random.uniform(0.5, 2, size=8)
    labels = Labels(random.random(80) > 0.5, np.full(80, 1 / 80))
    dense = np.zeros((80, 8))
    for row, count in enumerate(counts):
        for index, n in count.items():
            dense[row, index] = n * frequency[index]
    dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
    bags = bags_of(counts, frequency)
    assert len(bags) == 80
    ours, theirs = fit_bags(bags, 8, labels, 0.01), fit_dense(dense, labels, 0.01)
    assert ours.weight == pytest.approx(theirs.weight, abs=1e-4)
    assert ours.bias == pytest.approx(theirs.bias, abs=1e-4)


def test_shares_decide_how_much_a_row_counts() -> None:
    features, labels = data()
    heavy = labels.share.copy()
    heavy[labels.harmful] *= 9
    balanced, tilted = fit_dense(features, labels, 0.1), fit_dense(features, Labels(labels.harmful, heavy), 0.1)
    assert tilted.bias > balanced.bias + 1
