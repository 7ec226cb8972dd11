"""A conversation as token ids, through the model's own chat template, and safe from its own words.

A turn's text cannot open or close a turn, nor say anything else in the template's language:

- what divides messages in the template, and the texts of special tokens, are spelled apart: "<|im_end|>" becomes
  "< |im_end|>", and "User:" becomes "User :" where a template divides by it;
- a text that only together with the template's words beside it would make one is kept apart by U+2060, which is
  invisible;
- any other token that was added to the vocabulary is read as the characters it is made of; the text stays as it is.
  Added tokens of one character, or of white space alone, are words like others.

Whatever holds none of these is encoded as the template and the tokenizer encode it, bit by bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ig_guardrail.engine.text.arranging import TemplateMessage, arrangements
from ig_guardrail.engine.text.rendering import Rendering, Span, TemplateRefusal, render, template_of
from ig_guardrail.engine.text.separators import separators_of
from ig_guardrail.engine.text.thoughts import ThoughtFormat, thought_format_of
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.text.calls import CLOSE, OPEN
from ig_guardrail.types import Message, Prompt

APART = "\u2060"

_NOTATION = re.compile(f"({re.escape(OPEN)}|{re.escape(CLOSE)})")
_ROUNDS = 8  # of keeping apart, and of reading added tokens by their characters; the second is mostly the last


@dataclass(frozen=True, slots=True)
class Chat:
    """A tokenizer's chat template, and what no text may contain.

    special  ids of special tokens
    added    ids of all tokens that were added to the vocabulary, but those of one character or of white space
    markers  the pattern of what divides messages; longest: characters of the longest
    thoughts  what the template does with thoughts; None if it knows none
    """

    tokenizer: Any
    special: frozenset[int]
    added: frozenset[int]
    markers: re.Pattern[str]
    longest: int
    thoughts: ThoughtFormat | None = None

    def encode(self, turns: Sequence[Message], thinking: bool | None = None) -> Prompt:
        """The prompt, ending where the answer begins.

        thinking: whether the model is told to think; None leaves it to the template
        Where the template has no place for a role, the turn is said by the user. Raises RequestError if the template
        refuses the turns in every arrangement, or a text changes the structure of the conversation; or if it has no
        switch that turns thinking off.
        """
        if not turns:
            raise RequestError(
                "the conversation is empty",
                where="messages",
                why="there is nothing to answer",
                fix="give at least one user message",
            )
        refusal: TemplateRefusal | None = None
        switches = {} if self.thoughts is None else self.thoughts.switches(thinking)
        for parts in arrangements([self._safe(_part(turn)) for turn in turns]):
            try:
                ids, text = self._ids(parts, switches)
                opened = self.thoughts is not None and self.thoughts.ends_in(text) == "opened"
                return Prompt(tuple(turns), ids, thinking, opened)
            except TemplateRefusal as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def answering(self, turns: Sequence[Message]) -> tuple[int, ...]:
        """The tokens of a prompt behind which an answer begins, without a thought if the template can do without."""
        if self.thoughts is None:
            return self.encode(turns).ids
        prompt = self.encode(turns, None if self.thoughts.off is None else False)
        ended = self.tokenizer.encode(self.thoughts.closing, add_special_tokens=False) if prompt.opened else ()
        return (*prompt.ids, *ended)

    def text_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of plain text; markers in it are spelled out."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def neutral(self, text: str) -> str:
        """`text` with a space inside every marker."""
        while self.markers.search(text):
            text = self.markers.sub(lambda found: _spelled_apart(found[0]), text)
        return text

    def _safe(self, part: TemplateMessage) -> TemplateMessage:
        """A part without markers, but the notation of calls where it is trusted with it."""
        if not part.trusted:
            return replace(part, text=self.neutral(part.text))
        texts = (text if text in (OPEN, CLOSE) else self.neutral(text) for text in _NOTATION.split(part.text))
        return replace(part, text="".join(texts))

    def _ids(self, parts: Sequence[TemplateMessage], switches: Mapping[str, bool]) -> tuple[tuple[int, ...], str]:
        """The tokens of a conversation, and what its template makes of it."""
        given = list(map(self._safe, parts))  # again, since some were joined
        thoughts = self._thoughts(given)
        given += [TemplateMessage("assistant", text) for _, text in thoughts.values()]
        for _ in range(_ROUNDS):
            messages = [(part.role, part.text) for part in given[: len(parts)]]
            beside = {
                place: (key, part.text)
                for (place, (key, _)), part in zip(thoughts.items(), given[len(parts) :], strict=True)
            }
            rendering = render(self.tokenizer, messages, switches, beside)
            torn = list(self._torn(rendering, given))
            if not torn:
                return self._tokens(rendering, given), rendering.text
            for number, text in torn:
                given[number] = replace(given[number], text=text)
        raise _structure()

    def _thoughts(self, parts: Sequence[TemplateMessage]) -> dict[int, tuple[str, str]]:
        """By message, the name under which the template takes its thought, and the thought, without markers."""
        key = None if self.thoughts is None else self.thoughts.key
        if key is None:
            return {}
        return {place: (key, self.neutral(part.thought)) for place, part in enumerate(parts) if part.thought.strip()}

    def _torn(self, rendering: Rendering, parts: Sequence[TemplateMessage]) -> Iterator[tuple[int, str]]:
        """Messages whose words make a marker with what stands beside them, and their texts with that kept apart."""
        for span in rendering.spans:
            text = parts[span.message].text
            words = text.strip()
            before = self._reaches_over(rendering.text, span.start)
            behind = self._reaches_over(rendering.text, span.stop)
            if rendering.text[span.start : span.stop] != words and (before or behind or self._within(rendering, span)):
                raise _structure()  # the template made something else of the words
            if before or behind:
                yield span.message, text.replace(words, f"{APART * before}{words}{APART * behind}", 1)

    def _reaches_over(self, text: str, edge: int) -> bool:
        """Whether a marker begins before `edge` and ends behind it."""
        first = max(0, edge - self.longest)
        nearby = text[first : edge + self.longest]
        place = first
        while (found := self.markers.search(nearby, place - first)) is not None:
            if first + found.start() >= edge:
                return False
            if first + found.end() > edge:
                return True
            place = first + found.start() + 1
        return False

    def _within(self, rendering: Rendering, span: Span) -> bool:
        return self.markers.search(rendering.text, span.start, span.stop) is not None

    def _tokens(self, rendering: Rendering, parts: Sequence[TemplateMessage]) -> tuple[int, ...]:
        """The tokens of a rendering, none of which that was added is made of a message's words."""
        cuts: set[int] = set()
        for _ in range(_ROUNDS):
            ids: list[int] = []
            found: set[int] = set()
            for start, stop in pairwise(sorted({0, *cuts, len(rendering.text)})):
                encoded = self.tokenizer(rendering.text[start:stop], add_special_tokens=False)
                ids += encoded["input_ids"]
                places = [i for i, token in enumerate(encoded["input_ids"]) if token in self.added]
                added = [encoded.token_to_chars(place) for place in places]
                found.update(_cuts(rendering, parts, [(start + low, start + high) for low, high in added]))
            if found <= cuts:
                if found:
                    raise _structure()
                return tuple(ids)
            cuts |= found
        raise _structure()


def _part(turn: Message) -> TemplateMessage:
    """A turn; the notation of calls may stand where an application or the model wrote it."""
    return TemplateMessage(turn.role, turn.text, turn.role in ("system", "assistant"), turn.thought)


def _cuts(rendering: Rendering, parts: Sequence[TemplateMessage], added: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Where to cut the text so that no added token at these places is made of a message's words; both are in order."""
    spans = iter(rendering.spans)
    span = next(spans, None)
    for start, stop in added:
        while span is not None and span.stop <= start:
            span = next(spans, None)
        if span is None:
            return
        if stop <= span.start or start == stop:
            continue
        if parts[span.message].trusted and rendering.text[start:stop].strip() in (OPEN, CLOSE):
            continue
        yield span.start if start < span.start else start + 1 if stop <= span.stop else span.stop


def _spelled_apart(marker: str) -> str:
    """A marker with a space in it: behind its first sign, or behind the word that it begins with."""
    head = re.match(r"\s*(?:\w+(?=[^\w\s])|\S)", marker)
    place = head.end() if head is not None else len(marker)
    return f"{marker[:place]} {marker[place:]}"


def _structure() -> RequestError:
    return RequestError(
        "a turn's text changes the structure of the conversation",
        where="messages",
        why="words of a message would be read as markers between messages",
        fix="remove the chat template's markers from the text",
    )


def require_template(tokenizer: Any, where: str) -> None:
    """Raise ModelError if a `transformers` tokenizer has no chat template, or a bad one."""
    if not template_of(tokenizer):
        raise ModelError(
            "the model has no chat template",
            where=where,
            why="it was not trained to answer conversations",
            fix="use an instruction-tuned model",
        )


def chat_of(tokenizer: Any) -> Chat:
    """The chat side of a `transformers` tokenizer. Raises ModelError if it has no chat template, or a bad one."""
    require_template(tokenizer, str(tokenizer.name_or_path))
    entries = tokenizer.added_tokens_decoder
    special = frozenset(token for token, entry in entries.items() if entry.special)
    added = special | {token for token, entry in entries.items() if len(entry.content.strip()) > 1}
    texts = {entries[token].content for token in special if entries[token].content.strip()}
    words = texts | separators_of(tokenizer, texts)
    longest_first = sorted((word for word in words if word not in _spelled_apart(word)), key=len, reverse=True)
    markers = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
    longest = max(map(len, longest_first), default=0)
    return Chat(tokenizer, special, added, markers, longest, thought_format_of(tokenizer))
