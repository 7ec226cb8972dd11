"""Tiny sequence classifiers with random weights, saved as users have them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORDS = ("[PAD]", "[UNK]", "good", "bad", "soup", "bread", "why", "how")
CONTEXT = 12


def classifier(folder: Path, labels: int | Sequence[str], seed: int = 0, **config: Any) -> Path:
    """A tiny classifier that reads `CONTEXT` tokens. labels: how many, or their names."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    names = [f"LABEL_{place}" for place in range(labels)] if isinstance(labels, int) else list(labels)
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    size: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    described = BertConfig(
        vocab_size=len(WORDS),
        intermediate_size=16,
        max_position_embeddings=CONTEXT,
        id2label=dict(enumerate(names)),
        label2id={name: place for place, name in enumerate(names)},
        initializer_range=1.0,
        **size,
        **config,
    )
    BertForSequenceClassification(described).save_pretrained(folder)
    return folder
