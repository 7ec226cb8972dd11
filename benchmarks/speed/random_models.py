"""Shapes of Llama models whose weights are random, and the folder of one without weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, LlamaConfig

from ig_guardrail.engine.loading.embedded import embedded_model

SIZES = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
SHAPES: Mapping[str, Sequence[int]] = {
    "tiny": (128, 256, 4, 4, 2),  # to try the program; heads of 32 are the smallest that vLLM takes on a CPU
    "135M": (576, 1536, 30, 9, 3),
    "1B": (2048, 8192, 16, 32, 8),
    "8B": (4096, 14336, 32, 32, 8),
}


def random_tokenizer() -> Any:
    """The embedded model's."""
    return AutoTokenizer.from_pretrained(embedded_model("bfloat16")[0], local_files_only=True)


def config_of(shape: str, vocabulary: int) -> LlamaConfig:
    """The model of a shape."""
    return LlamaConfig(
        vocab_size=vocabulary,
        max_position_embeddings=2_048,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
        **dict(zip(SIZES, SHAPES[shape], strict=True)),
    )


def write_folder(shape: str, folder: Path) -> None:
    """All of a model but its weights, in whose place stands one number, so that it has a hash."""
    tokenizer = random_tokenizer()
    tokenizer.save_pretrained(folder)
    config_of(shape, len(tokenizer)).save_pretrained(folder)
    save_file({"nothing": torch.zeros(1)}, folder / "model.safetensors")
