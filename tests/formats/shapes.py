"""Chat templates with tools, in the shapes that families of models have, written for these tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tokenizers import AddedToken

from ig_guardrail.engine.text.chat import Chat, chat_of
from tests.conformance.engine.tiny import tiny_tokenizer

BAR, LOW = "\N{FULLWIDTH VERTICAL LINE}", "\N{LOWER ONE EIGHTH BLOCK}"


def full_width(name: str) -> str:
    """A token as DeepSeek spells them: `<|tool call end|>` with wide bars and low lines."""
    return f"<{BAR}{name.replace(' ', LOW)}{BAR}>"


@dataclass(frozen=True)
class Shape:
    """A template and the tokens it speaks of.

    parallel  whether one answer may hold several calls
    """

    template: str
    special: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    parallel: bool = True

    def tokenizer(self, made: Any = None) -> Any:
        """A tiny tokenizer, or `made`, with the tokens and the template."""
        made = made or tiny_tokenizer()
        made.add_tokens([AddedToken(text, special=True, normalized=False) for text in self.special], True)
        made.add_tokens([AddedToken(text, special=False, normalized=False) for text in self.added])
        made.chat_template = self.template
        return made


LISTED = "{% if tools %}<|open|>tools\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|shut|>{% endif %}"
ANSWER = "{% if add_generation_prompt %}<|open|>assistant\n{% endif %}"
TURN = "<|open|>{{ m.role }}\n{{ m.content }}<|shut|>"


def chat_like(calls: str, result: str = "<|open|>tool\n{{ m.content }}<|shut|>") -> str:
    """A template with turns between marks, in which an assistant's calls are written as `calls`."""
    return (
        LISTED + "{% for m in messages %}"
        "{% if m.role == 'assistant' %}<|open|>assistant\n{{ m.content }}"
        "{% if m.tool_calls %}" + calls + "{% endif %}<|shut|>"
        "{% elif m.role == 'tool' %}" + result + "{% else %}" + TURN + "{% endif %}{% endfor %}" + ANSWER
    )


HERMES = (
    "{% for c in m.tool_calls %}"
    "{{ '\\n<tool_call>\\n' }}{{ '{\"name\": \"' + c.function.name + '\", \"arguments\": ' }}"
    "{{ c.function.arguments | tojson }}{{ '}\\n</tool_call>' }}{% endfor %}"
)
LLAMA = (
    "{% if m.tool_calls | length > 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
    "{% set c = m.tool_calls[0].function %}"
    "{{ '{\"name\": \"' + c.name + '\", \"parameters\": ' }}{{ c.arguments | tojson }}{{ '}' }}"
)
MISTRAL = (
    "[TOOL_CALLS] [{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('ids have 9 signs') }}"
    '{% endif %}{% set told = c.function | tojson %}{{ told[:-1] }}, "id": "{{ c.id }}"}'
    "{% if not loop.last %}, {% endif %}{% endfor %}]"
)
TAGS = (
    "{% for c in m.tool_calls %}{{ '\\n<tool_call>\\n<function=' + c.function.name + '>\\n' }}"
    "{% for key, value in c.function.arguments | items %}<parameter={{ key }}>\n"
    "{{ value if value is string else value | tojson }}\n</parameter>\n{% endfor %}"
    "</function>\n</tool_call>{% endfor %}"
)
DEEPSEEK = (
    full_width("tool calls begin")
    + "{% for c in m.tool_calls %}"
    + full_width("tool call begin")
    + "function"
    + full_width("tool sep")
    + "{{ c.function.name }}\n```json\n{{ c.function.arguments + '' }}\n```"
    + full_width("tool call end")
    + "{{ '' if loop.last else '\\n' }}{% endfor %}"
    + full_width("tool calls end")
)
GRANITE = (
    "<|tool_call|>[{% for c in m.tool_calls %}{{ c.function | tojson }}{% if not loop.last %}, {% endif %}{% endfor %}]"
)
PHI = (
    '<|tool_call|>[{% for c in m.tool_calls %}{"type": "function", "name": "{{ c.function.name }}", '
    '"arguments": {{ c.function.arguments | tojson }}}{% if not loop.last %}, {% endif %}{% endfor %}]<|/tool_call|>'
)
PYTHON = (
    "[{% for c in m.tool_calls %}{{ c.function.name }}({% for key, value in c.function.arguments | items %}"
    "{{ key }}={{ 'True' if value is true else 'False' if value is false else 'None' if value is none "
    "else value | tojson }}{% if not loop.last %}, {% endif %}{% endfor %})"
    "{% if not loop.last %}, {% endif %}{% endfor %}]"
)
NAMED = (
    "{% for c in m.tool_calls %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}"
)
HARMONY = (
    "<|open|>system<|message|>Channels: analysis, commentary, final.<|over|>"
    "{% set first = 1 if messages[0].role == 'system' else 0 %}{% if first or tools %}<|open|>developer<|message|>"
    "{% if first %}{{ messages[0].content }}\n{% endif %}{% for t in tools or [] %}// {{ t.function.description }}\n"
    "type {{ t.function.name }} = (_: {{ t.function.parameters | tojson }}) => any;\n{% endfor %}<|over|>{% endif %}"
    "{% set ns = namespace(called='', answered=false) %}{% for m in messages[first:] %}{% if m.role == 'assistant' %}"
    "{% if m.tool_calls %}{% set call = m.tool_calls[0].function %}"
    "{% if m.content and m.thinking %}{{ raise_exception('words or a thought') }}{% endif %}"
    "{% set ns.answered = false %}{% for n in messages[first + loop.index:] %}"
    "{% if n.role == 'assistant' and not n.tool_calls %}{% set ns.answered = true %}{% endif %}{% endfor %}"
    "{% if (m.content or m.thinking) and not ns.answered %}"
    "<|open|>assistant<|channel|>analysis<|message|>{{ m.content or m.thinking }}<|over|>{% endif %}"
    "<|open|>assistant to=functions.{{ call.name }}<|channel|>commentary json<|message|>{{ call.arguments | tojson }}"
    "<|call|>{% set ns.called = call.name %}{% else %}{% set last = loop.last and not add_generation_prompt %}"
    "{% if last and m.thinking %}<|open|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|over|>{% endif %}"
    "<|open|>assistant<|channel|>final<|message|>{{ m.content }}{{ '<|shut|>' if last else '<|over|>' }}"
    "{% set ns.called = '' %}{% endif %}{% elif m.role == 'tool' %}"
    "{% if not ns.called %}{{ raise_exception('a result of no call') }}{% endif %}<|open|>functions.{{ ns.called }}"
    " to=assistant<|channel|>commentary<|message|>{{ m.content | tojson }}<|over|>"
    "{% else %}<|open|>{{ m.role }}<|message|>{{ m.content }}<|over|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|open|>assistant{% endif %}"
)
THINKER = (  # a thought of nothing stands before what was said last, be it words or a call
    LISTED + "{% for m in messages %}{% if m.role == 'assistant' %}<|open|>assistant\n{% set text = m.content %}"
    "{% set thought = m.reasoning_content or '' %}{% if '</think>' in text %}"
    "{% set thought = text.split('</think>')[0].split('<think>')[-1] %}{% set text = text.split('</think>')[-1] %}"
    "{% endif %}{% if loop.last or thought %}{{ '<think>\n' + thought.strip() + '\n</think>\n\n' }}{% endif %}"
    "{{ text.strip() }}{% if m.tool_calls %}" + HERMES + "{% endif %}<|shut|>"
    "{% elif m.role == 'tool' %}<|open|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|shut|>"
    "{% else %}"
    + TURN
    + "{% endif %}{% endfor %}"
    + ANSWER.removesuffix("{% endif %}")
    + "{% if enable_thinking is defined "
    "and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
GEMMA = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "<|open|>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<|shut|>{% endfor %}{% if add_generation_prompt %}<|open|>model\n{% endif %}"
)

SHAPES: Mapping[str, Shape] = {
    "hermes": Shape(
        chat_like(HERMES, "<|open|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|shut|>"),
        added=("<tool_call>", "</tool_call>"),
    ),
    "llama": Shape(
        chat_like(LLAMA, "<|open|>ipython\n{{ m.content | tojson }}<|shut|>"), ("<|python_tag|>",), parallel=False
    ),
    "mistral": Shape(
        chat_like(
            MISTRAL,
            '[TOOL_RESULTS] {"content": {{ m.content | tojson }}, "call_id": "{{ m.tool_call_id }}"}[/TOOL_RESULTS]',
        ),
        ("[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"),
    ),
    "tags": Shape(chat_like(TAGS), added=("<tool_call>", "</tool_call>")),
    "deepseek": Shape(
        chat_like(DEEPSEEK),
        tuple(map(full_width, ("tool calls begin", "tool call begin", "tool sep", "tool call end", "tool calls end"))),
    ),
    "granite": Shape(chat_like(GRANITE), ("<|tool_call|>",)),
    "phi": Shape(chat_like(PHI), added=("<|tool_call|>", "<|/tool_call|>")),
    "thinker": Shape(THINKER, added=("<tool_call>", "</tool_call>", "<think>", "</think>")),
    "python": Shape(chat_like(PYTHON)),
    "named": Shape(chat_like(NAMED), ("[TOOL_CALLS]", "[ARGS]")),
    "harmony": Shape(HARMONY, ("<|channel|>", "<|message|>", "<|constrain|>", "<|call|>", "<|over|>"), parallel=False),
}
WITHOUT: Mapping[str, Shape] = {
    "gemma": Shape(GEMMA),
    "silent": Shape(chat_like(HERMES).removeprefix(LISTED)),
}


@cache
def chat(name: str) -> Chat:
    """The chat side of a shape."""
    return chat_of((SHAPES.get(name) or WITHOUT[name]).tokenizer())
