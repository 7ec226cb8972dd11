"""Calibration is what its definition says, prediction by prediction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.learn.fitting.quality import calibration_error, reliability

PREDICTIONS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60)


@given(PREDICTIONS)
def test_the_error_is_the_mean_gap_of_the_tenths(predictions: list[tuple[float, bool]]) -> None:
    tenths: dict[int, list[tuple[float, bool]]] = {}
    for chance, came_true in predictions:
        tenths.setdefault(min(9, int(chance * 10)), []).append((chance, came_true))
    gaps = [abs(sum(c for c, _ in one) - sum(t for _, t in one)) for one in tenths.values()]
    chances, came_true = (np.array(values) for values in zip(*predictions, strict=True))
    bins = reliability(chances, came_true.astype(bool))
    assert calibration_error(bins) == pytest.approx(sum(gaps) / len(predictions))
    assert sum(one.count for one in bins) == len(predictions)


def test_a_prophet_has_no_error_and_a_liar_all_of_it() -> None:
    truth = np.array([True, False, True])
    assert calibration_error(reliability(truth.astype(float), truth)) == 0
    assert calibration_error(reliability(1 - truth.astype(float), truth)) == 1
