"""A sequence classifier as a reward: prompt and answer in, a logit out, from local files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ig_guardrail.costs.classifier import load_classifier_reward
from ig_guardrail.costs.critic import PromptedReward
from ig_guardrail.errors import ModelError
from ig_guardrail.types import Node, Prompt, Turn

ANSWERS = ("good soup", "bad", "good good bread soup", "soup")


def classifier(folder: Path, labels: int) -> Path:
    """A tiny classifier with random weights."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    words = ("[PAD]", "[UNK]", "good", "bad", "soup", "bread", "why", "how")
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    size: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(
        vocab_size=len(words),
        intermediate_size=16,
        max_position_embeddings=12,
        num_labels=labels,
        initializer_range=1.0,
        **size,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def node(text: str) -> Node:
    return Node(1, 0, None, (1,), 1, text, (len(text),), len(text))


def asked(text: str) -> Prompt:
    return Prompt((Turn("user", text),), ())


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
