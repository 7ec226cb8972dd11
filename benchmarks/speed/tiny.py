"""A language model of random weights, small enough to be started and stopped a thousand times; made in memory."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ig_guardrail.engine.loading.weights import Weights

CONTEXT = 512
LAYERS = 2
_TEMPLATE = (
    "{% for message in messages %}<|open|>{{ message['role'] }}\n{{ message['content'] }}<|shut|>{% endfor %}"
    "{% if add_generation_prompt %}<|open|>assistant\n{% endif %}"
)


def tiny_weights() -> Weights:
    """Two layers in float32 over single bytes; `<|shut|>` ends an answer."""
    torch.manual_seed(0)
    tokenizer = _bytes()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    model: Any = LlamaForCausalLM(config)
    return Weights("tiny", "0" * 64, model.eval(), tokenizer)


def _bytes() -> Any:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({byte: i for i, byte in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in ("<|open|>", "<|shut|>")])
    fast: Any = PreTrainedTokenizerFast
    tokenizer = fast(tokenizer_object=core, eos_token="<|shut|>")
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
