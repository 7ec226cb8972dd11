"""Chat templates as models ship them, each with a byte-level tokenizer that has the tokens it speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken

from tests.conformance.engine.tiny import TEMPLATE, tiny_tokenizer

ALTERNATE = (
    "{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}"
)
NO_SYSTEM = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"


@dataclass(frozen=True)
class Model:
    """A template, its special tokens, and other tokens that were added."""

    template: str
    special: tuple[str, ...] = ()
    added: tuple[str, ...] = ()

    def tokenizer(self) -> Any:
        made = tiny_tokenizer()
        made.add_tokens([AddedToken(text, special=True, normalized=False) for text in self.special], True)
        made.add_tokens([AddedToken(text, special=False, normalized=False) for text in self.added])
        made.chat_template = self.template
        return made


MODELS: Mapping[str, Model] = {
    "tiny": Model(TEMPLATE),
    "chatml": Model(
        "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
        "{{ '<|im_start|>system\nBe helpful.<|im_end|>\n' }}{% endif %}"
        "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        ("<|im_start|>", "<|im_end|>"),
        ("<tool_call>", "</tool_call>", "<think>", "</think>", "    "),
    ),
    "llama-2": Model(
        "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set told = messages[0]['content'] %}"
        "{% else %}{% set rest = messages %}{% set told = false %}{% endif %}{% for m in rest %}"
        "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}"
        "{% if loop.index0 == 0 and told %}{% set said = '<<SYS>>\n' + told + '\n<</SYS>>\n\n' + m['content'] %}"
        "{% else %}{% set said = m['content'] %}{% endif %}"
        "{% if m['role'] == 'user' %}{{ '<s>' + '[INST] ' + said.strip() + ' [/INST]' }}"
        "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'].strip() + ' ' + '</s>' }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
    ),
    "llama-3": Model(
        "{{ '<|begin_of_text|>' }}{% for m in messages %}"
        "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim + '<|eot_id|>' }}"
        "{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"),
    ),
    "gemma": Model(
        "{{ '<bos>' }}" + NO_SYSTEM + ALTERNATE + "{% for m in messages %}"
        "{% if m['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = m['role'] %}{% endif %}"
        "{{ '<start_of_turn>' + role + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        ("<bos>", "<eos>"),
        ("<start_of_turn>", "<end_of_turn>", "<b>", "</b>", "\n\n", "<unused1>"),
    ),
    "mistral-v1": Model(
        "{{ '<s>' }}" + NO_SYSTEM + ALTERNATE + "{% for m in messages %}"
        "{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
        "{% elif m['role'] == 'assistant' %}{{ m['content'] + '</s> ' }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
    ),
    "mistral-v3": Model(
        "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + '[/INST]' }}"
        "{% elif m['role'] == 'system' %}{{ '[INST] ' + m['content'] + '\n\n' }}"
        "{% elif m['role'] == 'tool' %}{{ '[TOOL_RESULTS] ' + m['content'] + '[/TOOL_RESULTS]' }}"
        "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] | trim + '</s>' }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
        ("[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    ),
    "phi-3": Model(
        "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
        ("<|end|>", "<|user|>", "<|assistant|>", "<|system|>"),
    ),
    "zephyr": Model(
        "{% for m in messages %}{{ '<' ~ '|' ~ m['role'] ~ '|' ~ '>\n' + m['content'] + '</s>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<' ~ '|assistant|' ~ '>' }}{% endif %}",
        ("</s>",),
    ),
    "vicuna": Model(
        "{{ 'A chat between a user and an assistant. ' }}{% for m in messages %}"
        "{% if m['role'] == 'system' %}{{ m['content'] + ' ' }}{% elif m['role'] == 'assistant' %}"
        "{{ 'ASSISTANT: ' + m['content'] + '</s>' }}{% else %}{{ 'USER: ' + m['content'].strip() + ' ' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}",
        ("</s>",),
    ),
    "alpaca": Model(
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ '### Instruction:\n' }}"
        "{% elif m['role'] == 'assistant' %}{{ '### Response:\n' }}"
        "{% elif m['role'] == 'system' %}{{ '### System:\n' }}{% endif %}"
        "{{ m['content'] | trim + '\n\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '### Response:\n' }}{% endif %}",
    ),
    "bare": Model(
        "{% for m in messages %}{{ m['role'] + '\n' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}",
    ),
}
DIVIDERS: Mapping[str, tuple[str, ...]] = {
    "llama-2": ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    "mistral-v1": ("[INST]", "[/INST]"),
    "zephyr": ("<|user|>", "<|assistant|>", "<|system|>"),
    "vicuna": ("USER:", "ASSISTANT:"),
    "alpaca": ("### Instruction:", "### Response:", "### System:"),
    "bare": ("\nassistant\n", "\nuser\n"),
}
"""What divides roles in a template and is no token."""
