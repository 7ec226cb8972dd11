"""Reads an answer's thought apart from what follows it, token by token, however tokens cut the markers.

The text that it gives is the thought and then the answer, without markers and the white space beside them; how much of
it is thought comes with it. What may become a marker, or white space beside one, waits until that is known. An answer
that begins otherwise than with a thought is given as it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ig_guardrail.engine.text.detokenize import Detokenizer, Held
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.text.call_notation import overlap
from ig_guardrail.types import Thought

Phase: TypeAlias = Literal["before", "thought", "behind", "answer"]

_FIRST_MARK = 0xD800  # special tokens of markers are read as halves of characters, which no text has


@dataclass(frozen=True, slots=True)
class ThoughtHeld(Held):
    """What is carried between tokens, beside bytes that are not yet text.

    phase     where the answer stands: before a thought that may come, in it, behind its end, or in what follows
    waiting   text that may become a marker, or is white space beside one
    position  answer tokens so far
    since     answer tokens before the thought, whose opening the model wrote
    behind    answer tokens up to the end of the thought
    forced    tokens that are to follow, whatever is drawn
    limit     tokens after which a thought is ended; None sets no limit
    """

    phase: Phase = "before"
    waiting: str = ""
    thought: Thought = field(default_factory=Thought)
    position: int = 0
    since: int = 0
    behind: int = 0
    forced: tuple[int, ...] = ()
    limit: int | None = None

    @property
    def over(self) -> bool:
        """Whether a thought goes on at its limit."""
        return self.phase == "thought" and self.limit is not None and self.position - self.since >= self.limit


@dataclass(frozen=True, slots=True)
class ThoughtReader:
    """Reads tokens of one model. opening, closing, plain: the markers, special tokens in them as halves of characters.

    begins, ends  the tokens that open a thought, and that end one
    marks         what special tokens of markers are read as
    """

    detokenizer: Detokenizer
    opening: str
    closing: str
    plain: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    marks: Mapping[int, str] = field(default_factory=dict)

    def start(self, opened: bool, limit: int | None = None) -> ThoughtHeld:
        """Before the first token. opened: the prompt ends in a thought."""
        begun = ThoughtHeld(limit=limit)
        return replace(begun, phase="thought", thought=Thought(begun=True)) if opened else begun

    def read(self, token: int, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """The characters of thought and answer that `token` makes known, and what to carry to the next one."""
        text, spelled = self.detokenizer.read(token, Held(held.data, held.begun))
        due = held.forced or (self.ends if held.over else ())
        forced = due[1:] if due[:1] == (token,) else ()
        after = replace(held, data=spelled.data, begun=spelled.begun, position=held.position + 1, forced=forced)
        told, after = self._told(held.waiting + text + self.marks.get(token, ""), after)
        answered = after.phase == "answer" and len(told) > after.thought.characters - held.thought.characters
        if held.phase != "answer" and not answered:
            after = replace(after, thought=replace(after.thought, tokens=after.position))
        return told, after

    def flush(self, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """What remains at the end of an answer, and where it leaves the thought."""
        kept = self._clean(held.waiting.rstrip() if held.phase == "thought" else held.waiting)
        grown = len(kept) if held.phase == "thought" else 0
        thought = replace(held.thought, characters=held.thought.characters + grown)
        return kept, replace(held, data=b"", waiting="", thought=thought)

    def replay(self, ids: tuple[int, ...], opened: bool, limit: int | None = None) -> ThoughtHeld:
        """What is carried after `ids`."""
        held = self.start(opened, limit)
        for token in ids:
            _, held = self.read(token, held)
        return held

    def _told(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """What is known of a text, and how it leaves the reader; the rest waits."""
        match held.phase:
            case "before":
                return self._before(text, held)
            case "thought":
                return self._within(text, held)
            case "behind":
                said = text.lstrip()
                return self._clean(said), replace(held, waiting="", phase="answer" if said else "behind")
            case "answer":
                return self._clean(text), replace(held, waiting="")

    def _before(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        begun = text.lstrip()
        if begun.startswith(self.opening):
            inside = replace(held, phase="thought", since=held.position, thought=replace(held.thought, begun=True))
            return self._within(begun[len(self.opening) :], inside)
        if self.plain and begun.startswith(self.plain):
            return self._told(begun[len(self.plain) :], replace(held, phase="behind", behind=held.position))
        if any(marker.startswith(begun) for marker in (self.opening, self.plain)):
            return "", replace(held, waiting=text)
        return self._clean(text), replace(held, phase="answer", waiting="")

    def _within(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        text = text if held.thought.characters else text.lstrip()
        inside, closed, rest = text.partition(self.closing)
        if not closed:
            inside = text[: len(text) - overlap(text, self.closing)]
        words = inside.rstrip()
        known = self._clean(words)
        thought = replace(held.thought, characters=held.thought.characters + len(known))
        if not closed:
            return known, replace(held, waiting=text[len(words) :], thought=thought)
        answer, after = self._told(rest, replace(held, phase="behind", behind=held.position, thought=thought))
        return known + answer, after

    def _clean(self, text: str) -> str:
        """A text without special tokens that are no markers where they stand."""
        return "".join(mark for mark in text if not 0xD800 <= ord(mark) < 0xE000) if self.marks else text


def thought_reader_of(tokenizer: Any, found: ThoughtFormat, detokenizer: Detokenizer) -> ThoughtReader:
    """The reader of a `transformers` tokenizer's thoughts."""
    written = [tokenizer.encode(text, add_special_tokens=False) for text in (found.opening, found.closing, found.plain)]
    used = dict.fromkeys(token for ids in written for token in ids)
    special = {token: entry.content for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    marks = {token: chr(_FIRST_MARK + number) for number, token in enumerate(used.keys() & special.keys())}
    named = {special[token]: mark for token, mark in marks.items()}
    return ThoughtReader(
        detokenizer,
        opening=_marked(found.opening, named),
        closing=_marked(found.closing, named),
        plain=_marked(found.plain, named),
        begins=tuple(written[0]),
        ends=tuple(written[1]),
        marks=marks,
    )


def _marked(text: str, marks: Mapping[str, str]) -> str:
    for content, mark in marks.items():
        text = text.replace(content, mark)
    return text
