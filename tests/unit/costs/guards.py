"""Tiny safety models with random weights, and chat templates in the shapes of their families, written for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONTEXT = 2048
WORDS = (
    r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # as Llama 3 and Qwen cut
)
LIKELY = 9.0  # logit that verdicts have beyond others, as those of a trained model

_ALTERNATE = (
    "{%- for m in messages -%}{%- if (m['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('roles must alternate') }}{%- endif -%}{%- endfor -%}"
)
_LLAMA = (
    _ALTERNATE
    + "{{ '<|begin|><|head|>user<|/head|>\n\nTask: check.\n<BEGIN CONVERSATION>\n\n' }}"
    + "{%- for m in messages -%}{{ 'User' if m['role'] == 'user' else 'Agent' }}: CONTENT{{ '\n\n' }}{%- endfor -%}"
    + "{{ '<END CONVERSATION>\n\nAssess the last turn.<|eot|><|head|>assistant<|/head|>' }}"
)
LLAMA = _LLAMA.replace("CONTENT", "{{ m['content'] | trim }}")
LLAMA_PARTS = _LLAMA.replace(
    "CONTENT",
    "{%- for c in m['content'] | selectattr('type', 'equalto', 'text') -%}{{ c['text'] | trim }}{%- endfor -%}",
)
QWEN = (
    "{{ '<|im_start|>user\n<BEGIN CONVERSATION>\n' }}{%- for m in messages -%}"
    "{{ m['role'] | upper }}: {{ m['content'] }}{{ '\n' }}{%- endfor -%}"
    "{{ '<END CONVERSATION>\nAssess the last turn.<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n' }}"
)
SHIELD = (
    "{%- if guideline is not defined -%}{{ raise_exception('no guideline') }}{%- endif -%}{{ '<bos>' }}"
    "{%- if messages[-1]['role'] == 'assistant' -%}{{ '<start_of_turn>\nHuman Question: ' + messages[-2]['content'] + "
    "'\n<end_of_turn>\n<start_of_turn>\nChatbot Response: ' + messages[-1]['content'] }}"
    "{%- else -%}{{ '<start_of_turn>\nHuman Question: ' + messages[-1]['content'] }}{%- endif -%}"
    "{{ '\n<end_of_turn>\n\n* ' + guideline + '\n\nDoes it violate this? Answer Yes or No.\n\n' }}"
)
_RISKS = "{'harm': 'Harm.', 'violence': 'Violence.', 'social_bias': 'Bias.', 'unethical_behavior': 'Bad acts.'}"
_GRANITE = (
    "{%- set risks = RISKS -%}{{ '<|start_of_role|>user<|end_of_role|>' + risks[guardian_config['KEY']] + '\n' }}"
    "{%- for m in messages -%}{{ m['role'] }}: {{ m['content'] }}{{ '\n' }}{%- endfor -%}"
    "{{ '<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>' }}"
).replace("RISKS", _RISKS)
ROLES = (
    "{%- for m in messages -%}{{ '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] }}"
    "{{ '<|end_of_text|>\n' }}{%- endfor -%}{{ '<|start_of_role|>assistant<|end_of_role|>' }}"
)
HARMONY = (
    "{{ '<|start|>system<|message|>Reasoning: ' + reasoning_effort + '<|end|>' }}{%- for m in messages -%}"
    "{%- set who = 'developer' if m['role'] == 'system' else m['role'] -%}"
    "{{ '<|start|>' + who + '<|message|>' + m['content'] + '<|end|>' }}"
    "{%- endfor -%}{{ '<|start|>assistant' }}"
)


@dataclass(frozen=True)
class Family:
    """A chat template, the special tokens in it, and the words that verdicts begin with, the unsafe one first."""

    template: str
    special: tuple[str, ...]
    words: tuple[str, ...]


_LLAMA_TOKENS = ("<|begin|>", "<|head|>", "<|/head|>", "<|eot|>")
_GRANITE_TOKENS = ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>")
_HARMONY_TOKENS = ("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>")
FAMILIES = {
    "llama-guard": Family(LLAMA, _LLAMA_TOKENS, ("unsafe", "safe")),
    "qwen3guard": Family(QWEN, ("<|im_start|>", "<|im_end|>"), (" Unsafe", " Safe", " Controversial")),
    "shieldgemma": Family(SHIELD, ("<bos>", "<start_of_turn>", "<end_of_turn>"), ("Yes", "No")),
    "granite-guardian-3": Family(_GRANITE.replace("KEY", "risk_name"), _GRANITE_TOKENS, ("Yes", "No")),
    "granite-guardian-3.3": Family(_GRANITE.replace("KEY", "criteria_id"), _GRANITE_TOKENS, (" yes", " no")),
    "granite-guardian-4": Family(ROLES, _GRANITE_TOKENS, (" yes", " no")),
    "gpt-oss-safeguard": Family(HARMONY, _HARMONY_TOKENS, ("1", "0")),
    "gpt-oss-safeguard-thinking": Family(HARMONY, _HARMONY_TOKENS, ("1", "0")),
}


def tokenizer(family: Family) -> Any:
    """A byte-level tokenizer that has the family's verdicts and special tokens as tokens of their own."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        min_frequency=2,
        initial_alphabet=alphabet,
        special_tokens=list(family.special),
        show_progress=False,
    )
    made.train_from_iterator([" the soup is good", "\n\n", *(word for word in family.words)] * 50, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, additional_special_tokens=list(family.special))
    fast.chat_template = family.template
    return fast


def guard(folder: Path, family: Family, seed: int = 0, context: int = CONTEXT) -> Path:
    """A tiny safety model in a folder: likely to write a verdict, and at random which."""
    import torch
    from transformers import PhiConfig, PhiForCausalLM

    fast = tokenizer(family)
    fast.save_pretrained(folder)
    torch.manual_seed(seed)
    config = PhiConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        initializer_range=0.6,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = PhiForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight *= 0.2
        model.lm_head.bias.zero_()
        for word in family.words:
            model.lm_head.bias[fast.encode(word, add_special_tokens=False)[0]] = LIKELY
    model.save_pretrained(folder)
    return folder
