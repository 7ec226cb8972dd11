"""Objectives over a text: keywords by stem."""

from __future__ import annotations

import pytest

from ig_guardrail.search.deal import covers, stem


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("The dog catches a frisbee", 1.0),
        ("DOGS, catching FRISBEES!", 1.0),
        ("a dog", 1 / 3),
        ("dogma", 0.0),
        ("", 0.0),
    ],
)
def test_keywords_count_once_each_in_whatever_form(text: str, share: float) -> None:
    assert covers(("dog", "catch", "frisbee"))(text) == pytest.approx(share)


def test_no_keywords_are_no_objective() -> None:
    assert covers(())("anything") == 0.0


@pytest.mark.parametrize(
    ("word", "root"),
    [("catches", "catch"), ("Dogs", "dog"), ("making", "mak"), ("make", "mak"), ("is", "is"), ("red", "red")],
)
def test_a_stem_keeps_at_least_three_letters(word: str, root: str) -> None:
    assert stem(word) == root
