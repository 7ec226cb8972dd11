"""A reward model that is a transformers sequence classifier: prompt and answer in, one logit out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ig_guardrail.costs.rewards.base import RewardModel
from ig_guardrail.costs.sequence_classifier import SequenceClassifier, load_sequence_classifier
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Node, Prompt


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierReward:
    """The classifier, before there is a prompt. One of two labels: the log odds of the second."""

    classifier: SequenceClassifier
    layers: tuple[int, ...] = ()

    def of(self, prompt: Prompt) -> RewardModel:
        """The reward of answers to `prompt`."""
        return _Answers(self, "\n".join(turn.text for turn in prompt.turns))

    def values(self, prompt: str, answers: Sequence[str]) -> list[float]:
        """A logit for each answer."""
        logits = self.classifier.of_pairs(prompt, answers)
        return [float(value) for value in (logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0])]


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """A reward and the prompt whose answers it values."""

    reward: ClassifierReward
    prompt: str
    layers: tuple[int, ...] = ()

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        return self.reward.values(self.prompt, [node.text[: node.visible] for node in nodes])


def load_classifier_reward(name: str, device: str = "cpu") -> ClassifierReward:
    """The classifier in a folder, or under a hub name; see `load_sequence_classifier`.

    Raises ModelError if it cannot be had, or has more than two labels.
    """
    where = f"reward 'classifier:{name}'"
    classifier = load_sequence_classifier(name, device, where)
    if len(classifier.labels) > 2:
        raise ModelError(
            f"the classifier has {len(classifier.labels)} labels",
            where=where,
            why="a reward is one number, or the odds of one label against another",
            fix="give a reward model, or a classifier of two labels",
        )
    return ClassifierReward(classifier)
