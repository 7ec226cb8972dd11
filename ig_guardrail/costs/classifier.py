"""A reward model that is a transformers sequence classifier: prompt and answer in, one logit out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.costs.critic import RewardModel
from ig_guardrail.errors import ModelError, brief
from ig_guardrail.types import Node, Prompt

BATCH = 16
LONGEST = 512  # tokens of prompt and answer, where the model names no limit of its own


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierReward:
    """The classifier, before there is a prompt. One of two labels: the log odds of the second."""

    name: str
    tokenizer: Any
    model: Any
    layers: tuple[int, ...] = ()

    def of(self, prompt: Prompt) -> RewardModel:
        """The reward of answers to `prompt`."""
        return _Answers(self, "\n".join(turn.text for turn in prompt.turns))

    def logits(self, prompt: str, answers: Sequence[str]) -> list[float]:
        """A logit for each answer, `BATCH` at a time; both texts are cut where the model's context ends."""
        return [
            logit for start in range(0, len(answers), BATCH) for logit in self._batch(prompt, answers[start:][:BATCH])
        ]

    def _batch(self, prompt: str, answers: Sequence[str]) -> list[float]:
        import torch

        read = self.tokenizer(
            [prompt] * len(answers),
            list(answers),
            padding=True,
            truncation="longest_first",
            max_length=min(
                self.tokenizer.model_max_length, getattr(self.model.config, "max_position_embeddings", LONGEST)
            ),
            return_tensors="pt",
        )
        with torch.inference_mode():
            logits = self.model(**read).logits.float()
        alone = logits.shape[1] == 1
        return [float(value) for value in (logits[:, 0] if alone else logits[:, 1] - logits[:, 0])]


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    """A classifier and the prompt whose answers it values."""

    classifier: ClassifierReward
    prompt: str
    layers: tuple[int, ...] = ()

    def predict(self, nodes: Sequence[Node]) -> list[float]:
        return self.classifier.logits(self.prompt, [node.text[: node.visible] for node in nodes])


def load_classifier_reward(name: str) -> ClassifierReward:
    """The classifier in a folder, which is read without the network, or under a hub name, which is fetched.

    Weights must be safetensors, and no code of the model's is run. Raises ModelError if it cannot be had, or has more
    than two labels.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    place = Path(name).expanduser()
    how: dict[str, Any] = {"local_files_only": place.is_dir(), "trust_remote_code": False}
    source = str(place) if place.is_dir() else name
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **how)
        model = AutoModelForSequenceClassification.from_pretrained(source, use_safetensors=True, **how)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise ModelError(
            f"the classifier cannot be had: {brief(error)}",
            where=f"reward 'classifier:{name}'",
            why="it is neither a folder with a sequence classifier nor a hub name that can be fetched",
            fix="give the folder of a transformers model with safetensors weights",
        ) from error
    if model.config.num_labels > 2:
        raise ModelError(
            f"the classifier has {model.config.num_labels} labels",
            where=f"reward 'classifier:{name}'",
            why="a reward is one number, or the odds of one label against another",
            fix="give a reward model, or a classifier of two labels",
        )
    return ClassifierReward(name, tokenizer, model.eval())
