"""Reads an answer's thought apart from what follows it, token by token, however tokens cut the markers.

The text that it gives is the thought and then the answer, without markers and the white space beside them; how much of
it is thought comes with it. What may become a marker, or white space beside one, waits until that is known. An answer
that begins otherwise than with a thought is given as it is written.

Where messages have headers (`headers.py`), a thought ends with its message, and the header of the next one says whether
that is another thought, words, or a call, whose header stays in the text, as part of the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from ig_guardrail.engine.text.detokenize import Detokenizer, Held
from ig_guardrail.engine.text.headers import Headers
from ig_guardrail.engine.text.thoughts import ThoughtFormat
from ig_guardrail.text.call_notation import overlap
from ig_guardrail.types import Thought, ToolFormat

Phase: TypeAlias = Literal["before", "thought", "behind", "answer", "call"]

_FIRST_MARK = 0xD800  # special tokens of markers are read as halves of characters, which no text has
_BETWEEN = "\n\n"  # two thoughts, where one message of them follows another


@dataclass(frozen=True, slots=True)
class ThoughtHeld(Held):
    """What is carried between tokens, beside bytes that are not yet text.

    phase     where the answer stands: before a thought that may come, in it, behind its end, or in what follows; in a
              call only where that is a message of its own
    waiting   text that may become a marker, or is white space beside one
    position  answer tokens so far
    since     answer tokens before the thought, whose opening the model wrote
    behind    answer tokens up to the end of the thought
    forced    tokens that are to follow, whatever is drawn
    limit     tokens after which a thought is ended; None sets no limit
    preface   whether its words stand before a call, which is the next message
    formed    whether what follows thoughts has a form
    """

    phase: Phase = "before"
    waiting: str = ""
    thought: Thought = field(default_factory=Thought)
    position: int = 0
    since: int = 0
    behind: int = 0
    forced: tuple[int, ...] = ()
    limit: int | None = None
    preface: bool = False
    formed: bool = False

    @property
    def before_call(self) -> bool:
        """Whether it stands in words that a call follows, as the form has it."""
        return self.preface and self.formed and self.phase in ("behind", "answer")

    @property
    def over(self) -> bool:
        """Whether a thought goes on at its limit."""
        return self.phase == "thought" and self._spent(self.position)

    @property
    def spent(self) -> bool:
        """Whether thoughts had all the tokens that they may have before this message."""
        return self.thought.begun and self._spent(self.behind)

    def _spent(self, position: int) -> bool:
        return self.limit is not None and position - self.since >= self.limit


@dataclass(frozen=True, slots=True)
class ThoughtReader:
    """Reads tokens of one model. opening, closing, plain: the markers, special tokens in them as halves of characters.

    begins, ends  the tokens that open a thought, and that end one before words
    marks         what special tokens of markers are read as
    unthought     special tokens that are spelled, since calls are made of them, and that end no thought: no text of one
    headers       of messages; None where they have none, and one thought, ended by `closing`, stands before the answer
    preface       the header of words before a call; "" where there is none
    """

    detokenizer: Detokenizer
    opening: str
    closing: str
    plain: str
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    marks: Mapping[int, str] = field(default_factory=dict)
    unthought: frozenset[int] = frozenset()
    headers: Headers | None = None
    preface: str = ""

    def start(self, opened: bool, limit: int | None = None, formed: bool = False) -> ThoughtHeld:
        """Before the first token. opened: the prompt ends in a thought."""
        begun = ThoughtHeld(limit=limit, formed=formed)
        return replace(begun, phase="thought", thought=Thought(begun=True)) if opened else begun

    def read(self, token: int, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """The characters of thought and answer that `token` makes known, and what to carry to the next one."""
        text, spelled = self._spelled(token, held)
        due = held.forced or self._following(held)
        forced = due[1:] if due[:1] == (token,) else ()
        after = replace(held, data=spelled.data, begun=spelled.begun, position=held.position + 1, forced=forced)
        told, after = self._told(held.waiting + text, after)
        answering = after.phase in ("answer", "call")
        answered = answering and len(told) > after.thought.characters - held.thought.characters
        if held.phase not in ("answer", "call") and not answered and not held.preface:
            after = replace(after, thought=replace(after.thought, tokens=after.position))
        return told, after

    def flush(self, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """What remains at the end of an answer, and where it leaves the thought; a part of a marker is no text."""
        marked = self.headers is not None or self._clean(held.waiting) != held.waiting
        text = "" if marked else held.waiting
        kept = text.rstrip() if held.phase == "thought" else text
        grown = len(kept) if held.phase == "thought" else 0
        thought = replace(held.thought, characters=held.thought.characters + grown)
        return kept, replace(held, data=b"", waiting="", thought=thought)

    def replay(self, ids: tuple[int, ...], opened: bool, limit: int | None = None, formed: bool = False) -> ThoughtHeld:
        """What is carried after `ids`."""
        held = self.start(opened, limit, formed)
        for token in ids:
            _, held = self.read(token, held)
        return held

    def _spelled(self, token: int, held: ThoughtHeld) -> tuple[str, Held]:
        """The characters that a token completes; one that was begun is never completed behind a marker, nor shown."""
        if token in self.marks or (held.phase == "thought" and token in self.unthought):
            return self.marks.get(token, ""), Held(b"", held.begun)
        return self.detokenizer.read(token, Held(held.data, held.begun))

    def _told(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """What is known of a text, and how it leaves the reader; the rest waits."""
        match held.phase:
            case "before":
                return self._before(text, held)
            case "thought":
                return self._within(text, held)
            case "behind":
                said = text.lstrip()
                return self._told(said, replace(held, phase="answer")) if said else ("", replace(held, waiting=""))
            case "answer" if held.preface:
                return self._prefaced(text, held)
            case "answer" | "call":
                return self._clean(text), replace(held, waiting="")

    def _before(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        begun, earlier = text.lstrip(), held.thought
        if begun.startswith(self.opening):
            since = held.since if earlier.begun else held.position
            inside = replace(held, phase="thought", since=since, thought=replace(earlier, begun=True))
            return self._within(_BETWEEN * bool(earlier.characters) + begun[len(self.opening) :], inside)
        plain = next((header for header in (self.plain, self.preface) if header and begun.startswith(header)), None)
        if plain is not None:
            preface = plain == self.preface
            after = replace(held, phase="behind", behind=held.position, preface=preface, waiting="")
            return self._told(begun[len(plain) :], after)
        if any(marker.startswith(begun) for marker in (self.opening, self.plain, self.preface)):
            return "", replace(held, waiting=text)
        calls = self.headers is not None and begun.startswith(self.headers.spelled.partition(" ")[0])
        return self._clean(text), replace(held, phase="call" if calls else "answer", waiting="")

    def _prefaced(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        """Words before a call, up to the end of their message; the call stands on a line of its own."""
        words, closed, rest = text.partition(self._over)
        if not closed:
            known = text[: len(text) - overlap(text, self._over)]
            return self._clean(known), replace(held, waiting=text[len(known) :])
        call, after = self._told(rest, replace(held, phase="before", behind=held.position, waiting=""))
        return f"{self._clean(words)}\n{call}", after

    def _within(self, text: str, held: ThoughtHeld) -> tuple[str, ThoughtHeld]:
        text = text if held.thought.characters else text.lstrip()
        inside, closed, rest = text.partition(self._over)
        if not closed:
            inside = text[: len(text) - overlap(text, self._over)]
        words = inside.rstrip()
        known = self._clean(words)
        thought = replace(held.thought, characters=held.thought.characters + len(known))
        if not closed:
            return known, replace(held, waiting=text[len(words) :], thought=thought)
        phase: Phase = "behind" if self.headers is None else "before"
        after = replace(held, phase=phase, behind=held.position, thought=thought, waiting="")
        answer, after = self._told(rest, after)
        return known + answer, after

    def thought_end(self, held: ThoughtHeld) -> tuple[int, ...]:
        """The tokens that end a thought, up to the words; where a form follows headers, up to the next header."""
        return self.headers.over if self.headers is not None and held.formed else self.ends

    def _following(self, held: ThoughtHeld) -> tuple[int, ...]:
        """The tokens of which all are to follow where the first is written."""
        if held.over:
            return self.thought_end(held)
        if self.headers is None or (held.phase != "thought" and not held.before_call):
            return ()
        return self.headers.over

    @property
    def _over(self) -> str:
        """What ends a thought: the marker, or what ends a message and begins the next one."""
        return self.closing if self.headers is None else self.closing.removesuffix(self.plain)

    def _clean(self, text: str) -> str:
        """A text without special tokens that are no markers where they stand."""
        return "".join(mark for mark in text if not 0xD800 <= ord(mark) < 0xE000) if self.marks else text


def thought_reader_of(
    tokenizer: Any, found: ThoughtFormat, detokenizer: Detokenizer, format: ToolFormat, size: int
) -> ThoughtReader:
    """The reader of a `transformers` tokenizer's thoughts. format: of its calls; size: how many tokens there are."""
    written = [_ids(tokenizer, text) for text in (found.opening, found.closing, found.plain)]
    used = dict.fromkeys(token for ids in written for token in ids)
    special = {token: entry.content for token, entry in tokenizer.added_tokens_decoder.items() if entry.special}
    unsaid = [token for token in used.keys() & special.keys() if not detokenizer.bytes_of(token)]
    marks = {token: chr(_FIRST_MARK + number) for number, token in enumerate(unsaid)}
    named = {special[token]: mark for token, mark in marks.items()}
    ending = found.over if format.channel else found.closing
    return ThoughtReader(
        detokenizer,
        opening=_marked(found.opening, named),
        closing=_marked(found.closing, named),
        plain=_marked(found.plain, named),
        begins=written[0],
        ends=written[1],
        marks=marks,
        unthought=frozenset(
            token for token, text in special.items() if text not in ending and detokenizer.bytes_of(token)
        ),
        headers=_headers(tokenizer, found, format, detokenizer.spelled(size)) if format.channel else None,
        preface=_marked(_preface(found, format), named) if format.channel else "",
    )


def _headers(tokenizer: Any, found: ThoughtFormat, format: ToolFormat, spelled: Sequence[bytes]) -> Headers:
    """The headers of a template with channels."""
    joint = format.open[-1].encode()
    return Headers(
        words=_ids(tokenizer, found.plain),
        preface=_ids(tokenizer, _preface(found, format)),
        call=_ids(tokenizer, format.open[:-1]),
        over=_ids(tokenizer, found.over),
        spelled=format.open,
        joints=tuple(token for token, data in enumerate(spelled) if data.startswith(joint)),
    )


def _preface(found: ThoughtFormat, format: ToolFormat) -> str:
    """The header of a call's channel where it names no tool: what is said there are words."""
    return format.open.partition(" ")[0] + found.plain[found.plain.rindex("<") :]


def _ids(tokenizer: Any, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False))


def _marked(text: str, marks: Mapping[str, str]) -> str:
    for content, mark in marks.items():
        text = text.replace(content, mark)
    return text
