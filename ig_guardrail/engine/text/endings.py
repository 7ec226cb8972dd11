"""Which tokens end an answer: a model's files may name one, and its chat template close answers with another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.engine.text.rendering import TemplateRefusal, render, template_of
from ig_guardrail.types import OUR_FORMAT, ToolFormat


def end_tokens(tokenizer: Any, named: int | Sequence[int] | None, format: ToolFormat = OUR_FORMAT) -> frozenset[int]:
    """The tokens that end an answer: the tokenizer's own, and those that generation settings have `named`.

    Settings that name several are taken at their word; to one alone comes the end of a turn in the chat template. What
    ends an answer with a call, in the `format` of the model's calls, does so whatever settings say.
    """
    several = list(named) if isinstance(named, list | tuple) else [named]
    closing = None if len(several) > 1 else end_of_turn(tokenizer)
    ends = (*several, tokenizer.eos_token_id, closing)
    return frozenset(end for end in ends if type(end) is int and end >= 0) | end_of_calls(tokenizer, format)


def end_of_calls(tokenizer: Any, format: ToolFormat) -> frozenset[int]:
    """The token that ends an answer with a call, where that is not the one behind words."""
    return frozenset(_tokens(tokenizer, format.stop)) if format.stop else frozenset()


def end_of_turn(tokenizer: Any) -> int | None:
    """The added token that a tokenizer's chat template writes behind an answer; None where that is words.

    None also where the template writes special tokens between the place where answers begin and an answer's words, as
    templates with channels do: there the token behind the words ends a channel, and the answer goes on.
    """
    if not template_of(tokenizer):
        return None
    try:
        said = [TemplateMessage("user", "x0x"), TemplateMessage("assistant", "x1x"), TemplateMessage("user", "x2x")]
        asked, told = render(tokenizer, said[:1]), render(tokenizer, said)
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
