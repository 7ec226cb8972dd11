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
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain, count, pairwise
from typing import Any

from ig_guardrail.engine.text.arranging import TemplateMessage, arrangements, map_texts
from ig_guardrail.engine.text.call_turns import call_turns, one_call_a_turn
from ig_guardrail.engine.text.rendering import Rendering, TemplateRefusal, TextSpan, render, template_of
from ig_guardrail.engine.text.separators import separators_of
from ig_guardrail.engine.text.thoughts import TemplateVariables, ThoughtFormat, thought_format_of, told_for
from ig_guardrail.engine.text.tool_probe import markers_of, tool_format_of
from ig_guardrail.errors import ModelError, RequestError
from ig_guardrail.text.calls import CLOSE, OPEN
from ig_guardrail.types import CallNotation, Message, Prompt, Thinking, Tool, ToolFormat

APART = "\u2060"

_NOTATION = re.compile(f"({re.escape(OPEN)}|{re.escape(CLOSE)})")
_UNSAID = re.compile(r"[^\w\s.,]")  # signs of which markers are made
_ROUNDS = 8  # of keeping apart, and of reading added tokens by their characters; the second is mostly the last


@dataclass(frozen=True, slots=True)
class Chat:
    """A tokenizer's chat template, and what no text may contain.

    special  ids of special tokens
    added    ids of all tokens that were added to the vocabulary, but those of one character or of white space
    markers  the pattern of what divides messages; longest: characters of the longest
    spelled  the pattern of texts of added tokens
    format   how the model writes calls of tools
    thoughts  what the template does with thoughts; None if it knows none
    plain    reads markers as words; one of its own, where a tokenizer keeps how it read the last text, or threads that
             read at once would read each other's words as markers
    """

    tokenizer: Any
    special: frozenset[int]
    added: frozenset[int]
    markers: re.Pattern[str]
    longest: int
    spelled: re.Pattern[str]
    format: ToolFormat
    thoughts: ThoughtFormat | None = None
    plain: Any = None

    def encode(
        self, turns: Sequence[Message], thinking: Thinking = None, notation: CallNotation | None = None
    ) -> Prompt:
        """The prompt, ending where the answer begins.

        thinking: whether the model is told to think, or how much; None leaves it to the template
        notation: of calls, and the tools that the template tells of; None is the model's own, without tools
        Where the template has no place for a role, the turn is said by the user. Raises RequestError if the template
        refuses the turns in every arrangement, or a text changes the structure of the conversation; or if it has no
        switch that turns thinking off, or takes no such effort.
        """
        if not turns:
            raise RequestError(
                "the conversation is empty",
                where="messages",
                why="there is nothing to answer",
                fix="give at least one user message",
            )
        notation = notation or CallNotation(self.format)
        plain = [self._safe(_part(turn)) for turn in turns]
        shapes = arrangements(plain)
        if notation.format.native:
            native = _native(list(map(self._safe, call_turns(turns, notation.format))), notation.format)
            shapes = chain(native, shapes) if any(turn.said for turn in turns) else native
        refusal: TemplateRefusal | None = None
        switches = told_for(thinking, self.thoughts)
        for parts in shapes:
            try:
                ids, text = self._ids(parts, notation, switches)
                opened = self.thoughts is not None and self.thoughts.ends_in(text) == "opened"
                return Prompt(tuple(turns), ids, thinking, opened, notation)
            except TemplateRefusal as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def answering(self, turns: Sequence[Message]) -> tuple[int, ...]:
        """The tokens of a prompt behind which an answer begins, without a thought if the template can do without."""
        if self.thoughts is None:
            return self.encode(turns).ids
        prompt = self.encode(turns, None if self.thoughts.off is None else False)
        header = self.thoughts.plain if self.thoughts.off is None else ""
        ended = self.thoughts.closing if prompt.opened else header
        return (*prompt.ids, *self.tokenizer.encode(ended, add_special_tokens=False))

    def text_ids(self, text: str) -> tuple[int, ...]:
        """The tokens of plain text; markers in it are spelled out."""
        return tuple(self.plain.encode(text, add_special_tokens=False, split_special_tokens=True))

    def neutral(self, text: str) -> str:
        """`text` with a space inside every marker."""
        while self.markers.search(text):
            text = self.markers.sub(_apart, text)
        return text

    def _safe(self, part: TemplateMessage) -> TemplateMessage:
        """A part without markers, but the notation of calls where it is trusted with it."""
        if not part.trusted:
            return part.mapped(self.neutral)
        texts = (text if text in (OPEN, CLOSE) else self.neutral(text) for text in _NOTATION.split(part.text))
        return replace(part, text="".join(texts))

    def _ids(
        self, parts: Sequence[TemplateMessage], notation: CallNotation, switches: TemplateVariables
    ) -> tuple[tuple[int, ...], str]:
        """The tokens of a conversation, and what its template makes of it."""
        given = [self._with_thought(self._safe(part)) for part in parts]  # again, since some were joined
        tools = [self._told(tool) for tool in notation.tools] if notation.format.native else []
        for _ in range(_ROUNDS):
            rendering = self._rendered(given, tools, notation, switches)
            texts = _numbered(given)
            torn = dict(self._torn(rendering, texts))
            if not torn:
                if tools:
                    bland = [map_texts(tool, lambda text: _UNSAID.sub("_", text)) for tool in tools]
                    if self._marked(rendering) != self._marked(self._rendered(given, bland, notation, switches)):
                        raise _structure("a tool's text")
                return self._tokens(rendering, texts), rendering.text
            numbers = count()
            given = [part.mapped(lambda text: torn.get(next(numbers), text)) for part in given]  # noqa: B023
        raise _structure()

    def _rendered(
        self,
        parts: Sequence[TemplateMessage],
        tools: Sequence[Mapping[str, Any]],
        notation: CallNotation,
        switches: TemplateVariables,
    ) -> Rendering:
        key = None if self.thoughts is None else self.thoughts.key
        return render(self.tokenizer, parts, tools, notation.format, switches, key)

    def _with_thought(self, part: TemplateMessage) -> TemplateMessage:
        """A part whose thought is without markers, or left out where the template takes none."""
        takes = self.thoughts is not None and self.thoughts.key is not None and bool(part.thought.strip())
        return replace(part, thought=self.neutral(part.thought) if takes else "")

    def _told(self, tool: Tool) -> dict[str, Any]:
        """A tool as templates are told of it, with no added token in any of its texts."""
        facts = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        told: dict[str, Any] = map_texts(facts, lambda text: self.spelled.sub(_apart, self.neutral(text)))
        return {"type": "function", "function": told}

    def _marked(self, rendering: Rendering) -> int:
        """How many markers the template itself wrote."""
        return sum(len(self.markers.findall(piece)) for piece in rendering.frame())

    def _torn(self, rendering: Rendering, texts: Sequence[tuple[str, bool]]) -> Iterator[tuple[int, str]]:
        """Texts that make a marker with what stands beside them, by number, and with that kept apart."""
        for span in rendering.spans:
            text = texts[span.number][0]
            words = text.strip()
            before = self._reaches_over(rendering.text, span.start)
            behind = self._reaches_over(rendering.text, span.stop)
            if rendering.text[span.start : span.stop] != words and (before or behind or self._within(rendering, span)):
                raise _structure()  # the template made something else of the words
            if before or behind:
                yield span.number, text.replace(words, f"{APART * before}{words}{APART * behind}", 1)

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

    def _within(self, rendering: Rendering, span: TextSpan) -> bool:
        return self.markers.search(rendering.text, span.start, span.stop) is not None

    def _tokens(self, rendering: Rendering, texts: Sequence[tuple[str, bool]]) -> tuple[int, ...]:
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
                found.update(_cuts(rendering, texts, [(start + low, start + high) for low, high in added]))
            if found <= cuts:
                if found:
                    raise _structure()
                return tuple(ids)
            cuts |= found
        raise _structure()


def _part(turn: Message) -> TemplateMessage:
    """A turn; the notation of calls may stand where an application or the model wrote it."""
    return TemplateMessage(turn.role, turn.text, turn.role in ("system", "assistant"), turn.thought)


def _native(parts: Sequence[TemplateMessage], format: ToolFormat) -> Iterator[tuple[TemplateMessage, ...]]:
    """Shapes of a conversation whose calls the template writes; several of one turn apart where it takes one alone."""
    several = format.separator is None and any(len(part.calls) > 1 for part in parts)
    return chain([tuple(parts)], arrangements(list(one_call_a_turn(parts)))) if several else arrangements(parts)


def _numbered(parts: Sequence[TemplateMessage]) -> list[tuple[str, bool]]:
    """All texts of a conversation, and whether each may hold the notation of calls."""
    return [(text, part.trusted and not at) for part in parts for at, text in enumerate(part.texts())]


def _cuts(rendering: Rendering, texts: Sequence[tuple[str, bool]], added: Sequence[tuple[int, int]]) -> Iterator[int]:
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
        if texts[span.number][1] and rendering.text[start:stop].strip() in (OPEN, CLOSE):
            continue
        yield span.start if start < span.start else start + 1 if stop <= span.stop else span.stop


def _apart(found: re.Match[str]) -> str:
    return _spelled_apart(found[0])


def _spelled_apart(marker: str) -> str:
    """A marker with a space in it: behind its first sign, or behind the word that it begins with."""
    head = re.match(r"\s*(?:\w+(?=[^\w\s])|\S)", marker)
    place = head.end() if head is not None else len(marker)
    return f"{marker[:place]} {marker[place:]}"


def _structure(whose: str = "a turn's text") -> RequestError:
    return RequestError(
        f"{whose} changes the structure of the conversation",
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
    format = tool_format_of(tokenizer)
    words = texts | separators_of(tokenizer, texts) | (markers_of(format) if format.native else set())
    longest_first = sorted((word for word in words if word not in _spelled_apart(word)), key=len, reverse=True)
    markers = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
    longest = max(map(len, longest_first), default=0)
    spelled = re.compile("|".join(re.escape(entries[token].content) for token in sorted(added - special)) or r"(?!)")
    thoughts, plain = thought_format_of(tokenizer), _of_plain_texts(tokenizer)
    return Chat(tokenizer, special, added, markers, longest, spelled, format, thoughts, plain)


def _of_plain_texts(tokenizer: Any) -> Any:
    """A tokenizer that reads markers as words: a copy of one that keeps how it reads from text to text.

    It keeps that in what reads, its backend; all else, such as a vocabulary once more, is shared.
    """
    if not hasattr(tokenizer, "split_special_tokens"):
        return tokenizer
    shared = (value for value in vars(tokenizer).values() if value is not tokenizer.backend_tokenizer)
    plain = deepcopy(tokenizer, {id(value): value for value in shared})
    plain.encode("a", add_special_tokens=False, split_special_tokens=True)  # as it reads from here on
    return plain
