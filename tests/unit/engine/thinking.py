"""Chat templates with thoughts, written in the shapes that models ship, each with what it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken

from tests.conformance.engine.tiny import TEMPLATE, tiny_tokenizer

_TURN = "<|open|>{{ m.role }}\n"
_LAST = (
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
)
_SPLIT = "{% set text = m.content.split('</think>')[-1].lstrip('\n') %}"

SWITCHED = (  # the model writes both markers; thoughts of earlier turns are dropped; a switch ends the thought at once
    _LAST + "{% for m in messages %}{% set text = m.content %}{% set mind = m.reasoning_content or '' %}"
    "{% if m.role == 'assistant' and '</think>' in text %}"
    "{% set mind = text.split('</think>')[0].split('<think>')[-1].strip('\n') %}" + _SPLIT + "{% endif %}" + _TURN + ""
    "{% if m.role == 'assistant' and loop.index0 > ns.last %}<think>\n{{ mind.strip('\n') }}\n</think>\n\n{% endif %}"
    "{{ text }}<|shut|>{% endfor %}{% if add_generation_prompt %}<|open|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
OPENED = (  # the prompt opens the thought; earlier ones are cut out of the content; there is no switch
    "{% for m in messages %}{% set text = m.content %}"
    "{% if m.role == 'assistant' and '</think>' in text %}" + _SPLIT + "{% endif %}" + _TURN + "{{ text }}<|shut|>"
    "{% endfor %}{% if add_generation_prompt %}<|open|>assistant\n<think>\n{% endif %}"
)
KEPT = (  # thoughts are given beside the content, and kept in all turns
    "{% for m in messages %}"
    + _TURN
    + "{% if m.reasoning_content %}[THINK]{{ m.reasoning_content }}[/THINK]{% endif %}"
    "{{ m.content }}<|shut|>{% endfor %}{% if add_generation_prompt %}<|open|>assistant\n{% endif %}"
)
CHANNELS = (  # thought and answer in channels of special tokens, dropped from earlier turns
    _LAST + "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% if m.thinking and loop.index0 > ns.last %}<|open|>assistant<|note|>analysis<|body|>{{ m.thinking }}<|over|>"
    "{% endif %}<|open|>assistant<|note|>final<|body|>{{ m.content }}<|shut|>"
    "{% else %}<|open|>{{ m.role }}<|body|>{{ m.content }}<|over|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|open|>assistant{% endif %}"
)
ASKED = (  # no thought unless it is asked for: the prompt then opens it, and else ends one that was not begun
    "{% for m in messages %}{% set text = m.content %}"
    "{% if m.role == 'assistant' and '</think>' in text %}" + _SPLIT + "{% endif %}" + _TURN + "{{ text }}<|shut|>"
    "{% endfor %}{% if add_generation_prompt %}<|open|>assistant\n{% if thinking %}<think>{% else %}</think>{% endif %}"
    "{% endif %}"
)
SPOKEN = (  # the tags are spoken of in the system text, and that is all
    "<|open|>system\nFirst write [THINK]your thoughts[/THINK], then answer.<|shut|>"
    "{% for m in messages %}" + _TURN + "{{ m.content }}<|shut|>{% endfor %}"
    "{% if add_generation_prompt %}<|open|>assistant\n{% endif %}"
)
TEMPLATES: Mapping[str, str] = {
    "switched": SWITCHED,
    "opened": OPENED,
    "kept": KEPT,
    "channels": CHANNELS,
    "asked": ASKED,
    "spoken": SPOKEN,
    "none": TEMPLATE,
}


def thinking_tokenizer(shape: str) -> Any:
    """A byte-level tokenizer with one of the templates; the marks of channels are special tokens of their own."""
    made = tiny_tokenizer()
    made.add_tokens([AddedToken(text, special=True, normalized=False) for text in ("<|body|>", "<|over|>")], True)
    made.chat_template = TEMPLATES[shape]
    return made
