"""A language model of a few thousand random weights, with a byte-level tokenizer, made in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LongcatFlashConfig,
    LongcatFlashForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    YoutuConfig,
    YoutuForCausalLM,
)

from ig_guardrail.engine.loading.weights import Weights

TEMPLATE = (
    "{% for message in messages %}<|open|>{{ message['role'] }}\n{{ message['content'] }}<|shut|>{% endfor %}"
    "{% if add_generation_prompt %}<|open|>assistant\n{% endif %}"
)
WINDOW = 8  # tokens that a sliding layer sees
_LATENT = {  # keys and values are kept small, and models compute with the weights that widen them
    "num_key_value_heads": 4,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
ARCHITECTURES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 16}),
    "gemma3": (
        Gemma3TextConfig,
        Gemma3ForCausalLM,
        {
            "head_dim": 16,
            "sliding_window": WINDOW,
            "query_pre_attn_scalar": 16,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": WINDOW}),
    "phi3": (Phi3Config, Phi3ForCausalLM, {}),
    "granite": (GraniteConfig, GraniteForCausalLM, {}),
    "longcat_flash": (
        LongcatFlashConfig,
        LongcatFlashForCausalLM,
        {
            "num_layers": 2,
            "num_hidden_layers": 4,  # counts attention, of which each layer has two
            "head_dim": 8,
            "moe_topk": 2,
            "n_routed_experts": 4,
            "zero_expert_num": 2,
            "expert_ffn_hidden_size": 16,
            **_LATENT,
        },
    ),
    "youtu": (YoutuConfig, YoutuForCausalLM, _LATENT),
}
MERGES = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("a", "n")]


def tiny_tokenizer() -> Any:
    """Every byte, five merges, and three special tokens; `<|shut|>` ends an answer."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*alphabet, *("".join(pair) for pair in MERGES)]
    return tokenizer_of(Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, MERGES)))


def taught_tokenizer(texts: Iterable[str]) -> Any:
    """The same with the merges that make texts short."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=700, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
        ),
    )
    return tokenizer_of(core)


def tokenizer_of(core: Any) -> Any:
    """A byte-level tokenizer with the three special tokens."""
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(text, special=True) for text in ("<|open|>", "<|shut|>", "<|note|>")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|shut|>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_weights(seed: int = 0, context: int = 160, architecture: str = "llama", **changes: Any) -> Weights:
    """Two layers in float32. `changes` go to the config."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config, model, its_own = ARCHITECTURES[architecture]
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
        "tie_word_embeddings": False,
    }
    made = model(config(**(settings | its_own | changes))).eval()
    return Weights(f"tiny {architecture}", "0" * 64, made, tokenizer)


def quiet_end(weights: Weights, share: float) -> Weights:
    """The same with what the last layer adds to the state scaled by `share`, so that an exit before it is often right.

    0 makes the exit always right.
    """
    last = weights.model.model.layers[-1]
    with torch.no_grad():
        if hasattr(last, "post_feedforward_layernorm"):  # Gemma: what is added is normalised, by 1 + weight
            last.post_attention_layernorm.weight.fill_(share - 1)
            last.post_feedforward_layernorm.weight.fill_(share - 1)
        else:
            last.self_attn.o_proj.weight.mul_(share)
            last.mlp.down_proj.weight.mul_(share)
    return weights
