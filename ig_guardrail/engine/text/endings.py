"""Which token closes an answer in a chat template: where a model's files name another end, it is said all the same."""

from __future__ import annotations

from typing import Any

from ig_guardrail.engine.text.rendering import TemplateRefusal, render, template_of


def end_of_turn(tokenizer: Any) -> int | None:
    """The added token that a tokenizer's chat template writes behind an answer; None where that is words.

    None also where the template writes special tokens between the place where answers begin and an answer's words, as
    templates with channels do: there the token behind the words ends a channel, and the answer goes on.
    """
    if not template_of(tokenizer):
        return None
    try:
        asked = render(tokenizer, [("user", "x0x")])
        told = render(tokenizer, [("user", "x0x"), ("assistant", "x1x"), ("user", "x2x")])
    except TemplateRefusal:
        return None
    beginning, (_, before, behind, *_) = asked.frame()[-1], told.frame()
    added = tokenizer.added_tokens_decoder
    if any(
        added[token].special for token in _tokens(tokenizer, before[_shared(before, beginning) :]) if token in added
    ):
        return None
    closing = next(iter(_tokens(tokenizer, behind.lstrip())), None)
    return closing if closing in added and len(added[closing].content.strip()) > 1 else None


def _tokens(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _shared(one: str, other: str) -> int:
    """Characters that two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
