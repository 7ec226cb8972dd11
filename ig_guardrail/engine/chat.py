"""A conversation as token ids, through the model's own chat template, and safe from its own words.

A turn's text cannot open or close a turn: markers of the template that it contains are spelled apart ("<|im_end|>"
becomes "< |im_end|>"), and the finished prompt is compared with that of a harmless conversation of the same shape.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.calls import CLOSE, OPEN
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.types import Prompt, Turn

_NOTATION = re.compile(f"({re.escape(OPEN)}|{re.escape(CLOSE)})")
_MARKER_WORD = re.compile(r"<<?\|?/?\w+\|?>>?|\[/?[A-Z_]+\]")  # <|user|>, <tool_call>, [INST], <<SYS>>


@dataclass(frozen=True, slots=True)
class Chat:
    """A tokenizer's chat template, and the pattern of the markers that no text may contain."""

    tokenizer: Any
    special: frozenset[int]
    markers: re.Pattern[str]

    def encode(self, turns: Sequence[Turn]) -> Prompt:
        """The prompt, ending where the answer begins. Raises RequestError if the template refuses the turns."""
        if not turns:
            raise RequestError(
                "the conversation is empty",
                where="messages",
                why="there is nothing to answer",
                fix="give at least one user message",
            )
        ids = self._render([(turn.role, self._safe(turn)) for turn in turns])
        shape = self._render([(turn.role, _shape(turn)) for turn in turns])
        if self._specials(ids) != self._specials(shape):
            raise RequestError(
                "a turn's text changes the structure of the conversation",
                where="messages",
                why="words of a message would be read as markers between messages",
                fix="remove the chat template's markers from the text",
            )
        return Prompt(tuple(turns), ids)

    def text_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of plain text; markers in it are spelled out."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def _safe(self, turn: Turn) -> str:
        """A turn's text without markers. The notation of calls may stand where an application or the model wrote it."""
        if turn.role in ("user", "tool"):
            return self.neutral(turn.text)
        return "".join(part if part in (OPEN, CLOSE) else self.neutral(part) for part in _NOTATION.split(turn.text))

    def neutral(self, text: str) -> str:
        """`text` with a space inside every marker."""
        while self.markers.search(text):
            text = self.markers.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text

    def _specials(self, ids: Sequence[int]) -> list[int]:
        return [token for token in ids if token in self.special]

    def _render(self, messages: Sequence[tuple[str, str]]) -> tuple[int, ...]:
        conversation = [{"role": role, "content": text} for role, text in messages]
        try:
            rendered = self.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # templates are programs of their own and raise what they like
            raise RequestError(
                f"the model's chat template refuses this conversation: {error}",
                where="messages",
                why="the template decides which roles there are and how they may follow each other",
                fix="reorder or rename the turns as the model's card asks",
            ) from error
        return tuple(self.tokenizer.encode(rendered, add_special_tokens=False))


def _shape(turn: Turn) -> str:
    """A harmless text in place of a turn's, with the notation of calls where that may stand."""
    if not turn.text.strip() or turn.role in ("user", "tool"):
        return "x" if turn.text.strip() else turn.text
    return "x" + "".join(_NOTATION.findall(turn.text))


def chat_of(tokenizer: Any) -> Chat:
    """The chat side of a `transformers` tokenizer. Raises ModelError if it has no chat template."""
    template = tokenizer.chat_template
    if not template:
        raise ModelError(
            "the model has no chat template",
            where=str(tokenizer.name_or_path),
            why="it was not trained to answer conversations",
            fix="use an instruction-tuned model",
        )
    sources = template.values() if isinstance(template, dict) else [template]
    added = tokenizer.added_tokens_decoder
    special = frozenset(token for token, entry in added.items() if entry.special)
    words = {added[token].content for token in special}
    words |= {word for source in sources for word in _MARKER_WORD.findall(source)}
    longest_first = sorted((word for word in words if len(word) > 1), key=len, reverse=True)
    return Chat(tokenizer, special, re.compile("|".join(map(re.escape, longest_first)) or r"(?!)"))
