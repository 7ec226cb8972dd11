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
_EFFORT = "<|open|>system\nReasoning: {{ reasoning_effort }}<|shut|>"
WORDED = (  # how much to think is said to the model, in whatever word the template is told
    "{% if reasoning_effort is not defined %}{% set reasoning_effort = 'medium' %}{% endif %}" + _EFFORT + KEPT
)
LEVELLED = (  # some words are known, one of which is the usual one and changes nothing, and all others refused
    "{% set level = thinking_effort | default('medium') %}"
    "{% if level not in ('low', 'medium', 'xhigh') %}{{ raise_exception('no such effort') }}{% endif %}"
    "{% if level != 'medium' %}<|open|>system\n{{ level }}<|shut|>{% endif %}" + KEPT
)
SILENT = (  # no thought unless an effort is asked for, of which "none" is one, and all others refused
    "{% set reasoning_effort = reasoning_effort | default('none') %}"
    "{% if reasoning_effort not in ('none', 'high') %}{{ raise_exception('no such effort') }}{% endif %}"
    + _EFFORT
    + KEPT
)
TWOFOLD = (  # an effort counts only where the template is told to think, too
    "{% if thinking and reasoning_effort in ('high', 'max') %}<|open|>system\n{{ reasoning_effort }}<|shut|>{% endif %}"
    + ASKED
)
SINGLE = (  # one word alone is another effort than the usual one, which has a word of its own
    "{% set reasoning_effort = 'high' if reasoning_effort == 'high' else 'max' %}" + _EFFORT + KEPT
)
LOWEST = (  # the usual effort has a word, and says nothing to the model
    "{% set told = {'low': '', 'high': 'Think.', 'max': 'Think on.'} %}{{ told[reasoning_effort] or '' }}" + KEPT
)
UNASKED = ASKED.replace("if thinking", "if reasoning_effort in ('low', 'high')")  # an effort is what asks for a thought
TEMPLATES: Mapping[str, str] = {
    "single": SINGLE,
    "lowest": LOWEST,
    "unasked": UNASKED,
    "worded": WORDED,
    "levelled": LEVELLED,
    "silent": SILENT,
    "twofold": TWOFOLD,
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
