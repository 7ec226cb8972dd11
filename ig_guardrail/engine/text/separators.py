"""What a chat template writes between messages and is no token of its own, such as "### Response:" or "<|user|>".

Such words divide roles as much as special tokens do. They are learned from the template's text, and from what it makes
of a few small conversations, since a template may put them together from parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.engine.text.rendering import Rendering, TemplateRefusal, render, template_of
from ig_guardrail.types import Role

MARKER = re.compile(r"<<?\|?/?\w+\|?>>?|\[/?[A-Z_]+\]")  # <|user|>, <tool_call>, [INST], <<SYS>>

_PROBES: tuple[tuple[Role, ...], ...] = (
    ("user", "assistant", "user"),
    ("system", "user", "assistant", "user"),
    ("user", "assistant", "tool", "assistant", "user"),
)
_SIGN = re.compile(r"[^\w\s]")


def separators_of(tokenizer: Any, tokens: Iterable[str]) -> set[str]:
    """The words with which the tokenizer's template divides messages; `tokens`: the texts of its special tokens."""
    found = set(MARKER.findall(template_of(tokenizer)))
    special = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or r"(?!)")
    for roles in _PROBES:
        try:
            rendering = render(tokenizer, [TemplateMessage(role, f"x{number}x") for number, role in enumerate(roles)])
        except TemplateRefusal:
            continue
        found.update(word for piece in _dividing(rendering) for word in _words(piece, special))
    return found


def _dividing(rendering: Rendering) -> Iterator[str]:
    """The pieces between and behind messages, and the line before the first, above which may stand anything."""
    head, *pieces = rendering.frame()
    yield head.rstrip().rpartition("\n")[2]
    yield from pieces


def _words(piece: str, special: re.Pattern[str]) -> Iterator[str]:
    """The words that divide in a piece.

    The name of a role has no force without the special token beside it; where there is no such token, and no sign
    either, the whole piece is what divides.
    """
    found = set()
    for line in (line for part in special.split(piece) for line in part.split("\n")):
        found.update(MARKER.findall(line))
        found.update(word.strip() for word in MARKER.split(line) if _SIGN.search(word))
    if not found and piece.strip() and special.search(piece) is None:
        found.add(piece)
    yield from found
