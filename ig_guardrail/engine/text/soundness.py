"""Whether conversations can be had with a tokenizer at all: told by its files, before any weights are read."""

from __future__ import annotations

from typing import Any

from ig_guardrail.engine.text.arranging import TemplateMessage
from ig_guardrail.engine.text.chat import require_template
from ig_guardrail.engine.text.detokenize import detokenizer_of
from ig_guardrail.engine.text.rendering import TemplateRefusal, render
from ig_guardrail.errors import ModelError, brief


def require_sound(tokenizer: Any, where: str, size: int | None = None) -> None:
    """Raises ModelError unless a `transformers` tokenizer has a chat template that takes a question, and tokens whose
    text is known. size: how many tokens the model knows."""
    require_template(tokenizer, where)
    try:
        asked = render(tokenizer, [TemplateMessage("user", "Hello!")])
    except TemplateRefusal as refusal:
        raise ModelError(
            f"the model's chat template takes no conversation at all: {brief(refusal.__cause__ or refusal.what)}",
            where=where,
            why="it is a program that came with the model's files, and every request would fail in it",
            fix="correct the template in the model's files, or use a model with a sound one",
        ) from refusal
    detokenizer_of(tokenizer)
    last = max(tokenizer.encode(asked.text, add_special_tokens=False), default=0)
    if size is not None and last >= size:
        raise ModelError(
            f"its chat template writes '{tokenizer.convert_ids_to_tokens(last)}', which is token {last}, and the model "
            f"knows {size} tokens",
            where=where,
            why="the tokenizer is another model's, or got tokens that the model did not",
            fix="use the tokenizer that the model was trained with",
        )
