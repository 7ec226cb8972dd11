"""Looks: a row counts once however often it is looked at, and a guard sees only charge points."""

from __future__ import annotations

import numpy as np
import pytest

from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.fitting.fit import auc_error, choose_fit, validation_auc
from ig_guardrail.learn.fitting.prefixes import PrefixSamples, look_at
from ig_guardrail.learn.fitting.states import points_of


def rows() -> list[LabelledRow]:
    return [
        LabelledRow("a", "x", "harmful", source="big"),
        LabelledRow("b", "x", "harmful", source="small"),
        LabelledRow("c", "x", "safe", source="big"),
        LabelledRow("d", "x", "safe", source="big"),
    ]


def looks() -> PrefixSamples:
    return look_at(rows(), [(8, 16, 20), (5,), (8, 9), (8, 16, 32, 48, 64)])


@pytest.mark.parametrize(
    ("length", "points"),
    [(0, (0,)), (1, (1,)), (8, (8,)), (9, (8, 9)), (64, (8, 16, 32, 48, 64)), (500, (8, 16, 32, 48, 64))],
)
def test_answers_are_looked_at_at_each_point_and_at_their_end(length: int, points: tuple[int, ...]) -> None:
    assert points_of(length) == points


def test_classes_weigh_alike_then_sources_then_rows_then_looks() -> None:
    every = looks()
    labels = every.labels(np.arange(11))
    by_row = np.bincount(every.owner, weights=labels.share)
    assert by_row == pytest.approx([0.25, 0.25, 0.25, 0.25])
    assert labels.share[:3] == pytest.approx([0.25 / 3] * 3)


def test_the_end_is_the_last_look() -> None:
    assert looks().at_end(np.arange(11.0)).tolist() == [2, 3, 5, 10]


def test_a_peak_between_charge_points_is_not_seen() -> None:
    values = np.zeros(11)
    values[[0, 4]] = 9.0
    values[[1, 5]] = 1.0
    assert looks().peaks(values).tolist() == [1.0, 0.0, 1.0, 0.0]


def test_values_at_charge_points_are_those_of_the_chosen_rows() -> None:
    chosen = [True, False, True, False]
    assert looks().at_charge_points(np.arange(11.0), chosen).tolist() == [1, 2, 5]


class Given:
    """A fit of which only the logits are known."""

    def __init__(self, name: str, logits: list[float]) -> None:
        self.name = name
        self.logits = np.array(logits)


def validation(count: int) -> PrefixSamples:
    made = [LabelledRow(str(n), "x", "harmful" if n % 2 else "safe", split="validation") for n in range(count)]
    return look_at(made, [(0,)] * count)


def test_of_fits_that_cannot_be_told_apart_the_plainest_is_taken() -> None:
    best = Given("b", [float(n % 2) for n in range(40)])
    best.logits[0] = 0.5
    near = Given("a", list(best.logits))
    near.logits[2] = 2.0
    far = Given("0", [0.0] * 40)
    chosen, value = choose_fit(validation(40), [far, best, near], lambda fit: (float(ord(fit.name)),))
    assert chosen.name == "b"
    assert value == 1.0
    wobbly = [Given(name, list(np.sin(np.arange(40.0) + shift))) for name, shift in (("b", 0.0), ("a", 0.05))]
    assert choose_fit(validation(40), wobbly, lambda fit: (float(ord(fit.name)),))[0].name == "a"


def test_a_source_without_safe_rows_is_held_against_all_safe_rows() -> None:
    made = [
        LabelledRow("1", "x", "harmful", source="one", split="validation"),
        LabelledRow("2", "x", "safe", source="two", split="validation"),
    ]
    value, _ = validation_auc(look_at(made, [(0,), (0,)]), np.array([1.0, 0.0]))
    assert value == 1.0


def test_without_validation_rows_nothing_is_chosen() -> None:
    with pytest.raises(ValueError, match="no validation rows of both labels"):
        validation_auc(looks(), np.zeros(11))


def test_the_error_of_an_auc_is_hanley_and_mcneils() -> None:
    assert auc_error(0.5, 50, 50) == pytest.approx(0.0578, abs=5e-4)
    assert auc_error(1.0, 50, 50) == 0.0
