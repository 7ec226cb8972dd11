"""A sequence classifier as a reward: prompt and answer in, a logit out, from local files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ig_guardrail.costs.rewards.base import PromptedReward
from ig_guardrail.costs.rewards.classifier_reward import load_classifier_reward
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Message, Node, Prompt
from tests.unit.costs.classifiers import classifier

ANSWERS = ("good soup", "bad", "good good bread soup", "soup")


def node(text: str) -> Node:
    return Node(1, 0, None, (1,), 1, text, (len(text),), len(text))


def asked(text: str) -> Prompt:
    return Prompt((Message("user", text),), ())


@pytest.mark.parametrize("labels", [1, 2])
def test_an_answer_is_worth_the_same_alone_and_in_a_batch(tmp_path: Path, labels: int) -> None:
    reward = load_classifier_reward(str(classifier(tmp_path, labels)))
    assert isinstance(reward, PromptedReward)
    judge = reward.of(asked("why"))
    together = judge.predict([node(text) for text in ANSWERS])
    alone = [judge.predict([node(text)])[0] for text in ANSWERS]
    assert together == pytest.approx(alone, abs=1e-4)
    assert len(set(together)) == len(ANSWERS)


def test_the_prompt_counts(tmp_path: Path) -> None:
    reward = load_classifier_reward(str(classifier(tmp_path, 1)))
    assert reward.of(asked("why")).predict([node("soup")]) != reward.of(asked("how")).predict([node("soup")])


def test_a_text_beyond_the_context_is_cut(tmp_path: Path) -> None:
    reward = load_classifier_reward(str(classifier(tmp_path, 1)))
    assert len(reward.of(asked("why")).predict([node("good " * 100)])) == 1


def test_three_labels_are_no_reward(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 3 labels"):
        load_classifier_reward(str(classifier(tmp_path, 3)))


def test_a_folder_without_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be had"):
        load_classifier_reward(str(tmp_path))
