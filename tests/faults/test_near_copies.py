"""A judge is not measured on sentences whose near copies it learned."""

from __future__ import annotations

import pytest

from ig_guardrail.costs.heads.linear import Scale
from ig_guardrail.judge import Judge, Topic
from ig_guardrail.learn.data.near_copies import Learned, template_of
from ig_guardrail.learn.data.rows import LabelledRow
from ig_guardrail.learn.judge import WHOLE, _is_learned, quality_of


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


class Asked:
    """A view that knows the answer, and what it was asked."""

    def __init__(self, harmful: set[str]) -> None:
        self.harmful = harmful
        self.texts: list[str] = []

    def logit(self, text: str) -> float:
        self.texts.append(text)
        return float(text in self.harmful)


def test_a_template_of_the_test_split_is_not_learned_and_near_copies_do_not_count() -> None:
    def row(text: str, label: str, split: str) -> LabelledRow:
        return LabelledRow("", text, label, source="HateCheck", split=split)  # type: ignore[arg-type]

    taught = [row(text, "safe", "train") for text in ("We greet women daily", "We greet gay people daily")]
    copies = [row("We greet muslims daily", "harmful", "test")]
    fresh = [row(f"{word} rivers shine", label, "test") for word, label in _labelled()]
    passed = [row("Old hills sleep", "harmful", "train")]
    rows = [*taught, *copies, *fresh, *passed]
    assert {one.reserved for one in fresh} == {True, False}
    assert not any(_is_learned(one) for one in fresh)
    assert any(_is_learned(one) for one in taught)
    view = Asked({one.text for one in rows if one.label == "harmful"})
    found = quality_of({WHOLE: Judge(dict.fromkeys(("help", "tone"), Topic(view, Scale(0.5, 1))), "")}, rows)
    assert found["tone"]["HateCheck"]["left out, near copies of learned rows"] == 1
    assert found["tone"]["HateCheck"]["harmful"] + found["tone"]["HateCheck"]["safe"] == len(fresh)
    assert set(view.texts) == {one.text for one in fresh}
    assert found["tone"]["HateCheck"][WHOLE]["auc"]["value"] == 1


def _labelled() -> list[tuple[str, str]]:
    words = ["Amber", "Broad", "Clear", "Deep", "Early", "Far", "Green", "High", "Icy", "Jade", "Keen", "Long"]
    return [(word, "harmful" if index % 2 else "safe") for index, word in enumerate(words)]
