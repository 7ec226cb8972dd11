"""A judge is not measured on sentences whose near copies it learned."""

from __future__ import annotations

import pytest

from ig_guardrail.learn.data.near_copies import Learned, template_of
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.judge import quality_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I like women.", "I like trans people."),
        ("Muslims bake well.", "black people bake well!"),
        ("A disabled person sang here.", "An immigrant sang here."),
        ("That gay man's hat.", "That woman's hat."),
    ],
)
def test_one_template_is_one_group(one: str, other: str) -> None:
    assert template_of(one) == template_of(other)
    assert Learned([one]).hold_copy_of(other)


def test_misspelled_sentences_are_near_copies_and_others_are_not() -> None:
    learned = Learned(["the old bridge over the river was painted blue last spring by two men"])
    assert learned.hold_copy_of("the old bridge over the rivver was painted blue last spring by two men")
    assert not learned.hold_copy_of("a new road through the hills")
    assert not Learned([]).hold_copy_of("")


def test_near_copies_of_learned_rows_do_not_count() -> None:
    def row(text: str, label: str, split: str) -> LabelledRow:
        return LabelledRow("", text, label, source="HateCheck", split=split)  # type: ignore[arg-type]

    taught = [row("We greet women daily", "safe", "reserved")]
    copies = [row("We greet muslims daily", "harmful", "test")]
    fresh = [row(f"{word} rivers shine", label, "test") for word, label in _labelled()]
    asked: list[str] = []

    def logits(topic: str, rows):  # type: ignore[no-untyped-def]
        asked.extend(one.text for one in rows)
        import numpy as np

        return np.array([1.0 if one.label == "harmful" else 0.0 for one in rows])

    found = quality_of(logits, [*taught, *copies, *fresh])["tone"]["HateCheck"]
    unseen = [one for one in [*copies, *fresh] if not one.reserved]
    assert found["left out, near copies of learned rows"] == len(unseen) - len(asked)
    assert found["harmful"] + found["safe"] == len(asked) > 2
    assert not any(template_of(text) == template_of(taught[0].text) for text in asked)


def _labelled() -> list[tuple[str, str]]:
    words = ["Amber", "Broad", "Clear", "Deep", "Early", "Far", "Green", "High", "Icy", "Jade", "Keen", "Long"]
    return [(word, "harmful" if index % 2 else "safe") for index, word in enumerate(words)]
