"""An answer as it grows, token by token: its text, its offsets, and what ends it.

Every engine reads its tokens through a `AnswerDraft`, so that end tokens, stop strings and limits mean the same in all.

A stop string ends the answer inside its text, however tokens cut the string. Characters are read in order, and the
first one that completes a stop string ends the answer. Where it completes several (one is the end of another), the
longest counts, so that nothing of any of them is shown. Where a stop string begins with another, only the shorter can
ever be completed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ig_guardrail.engine.decoding.messages import FormState, MessageRules
from ig_guardrail.engine.grammar.grammar import Grammar
from ig_guardrail.engine.grammar.network import FAR
from ig_guardrail.engine.text.detokenize import Held
from ig_guardrail.engine.text.thought_reader import ThoughtHeld
from ig_guardrail.engine.text.vocabulary import TokenVocabulary
from ig_guardrail.types import Finish, Node, Thought


@dataclass(frozen=True, slots=True)
class AnswerRules:
    """What an answer may be in one context: its form, and what ends it (end tokens, stop strings, most tokens).

    opened     whether it goes on with a thought that the prompt opened
    reasoning  tokens after which a thought is ended; None sets no limit
    messages   what its messages may be, where the template gives each a header
    """

    language: TokenVocabulary
    stop: tuple[str, ...]
    limit: int
    grammar: Grammar | None = None
    opened: bool = False
    reasoning: int | None = None
    messages: MessageRules | None = None

    def behind_thought(self, ids: tuple[int, ...], position: int) -> tuple[int, ...]:
        """Tokens of words at a position of an answer; at its beginning, behind the end of a thought that is open.

        Where messages have headers, they stand behind that of words.
        """
        thoughts = self.language.thoughts
        if position or thoughts is None:
            return ids
        header = () if thoughts.headers is None else thoughts.headers.words
        return (*(thoughts.ends if self.opened else header), *ids)

    def replay(self, ids: tuple[int, ...]) -> Held:
        """What is carried after `ids`."""
        thoughts = self.language.thoughts
        if thoughts is None:
            return self.language.detokenizer.replay(ids)
        held = thoughts.replay(ids, self.opened, self.reasoning, self.grammar is not None)
        formed = self.grammar is not None and self.messages is None
        opening = formed and held.phase == "before" and ids == thoughts.begins[: len(ids)]
        return replace(held, forced=thoughts.begins[len(ids) :]) if opening and ids else held


class AnswerDraft:
    """One block being read on from `parent`: its tokens so far, and the answer's text after them."""

    def __init__(self, rules: AnswerRules, parent: Node, held: Held) -> None:
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish: Finish | None = None
        self.held = held
        self.thought = parent.thought
        self.hurried = parent.hurried
        self._thoughts = rules.language.thoughts
        self.form = _form(rules, parent.answer_ids(), held)
        self._rules = rules
        self._language = rules.language
        self._parent = parent
        self._offsets: list[int] = []
        self._written: list[str] = []
        self._length = len(parent.text)
        self._recent = _end(parent.text[parent.thought.characters :], rules.stop)
        self._cut: int | None = None

    @property
    def position(self) -> int:
        """Answer tokens so far, from the root on."""
        return self._parent.position + len(self.ids)

    def answer_ids(self) -> tuple[int, ...]:
        """All answer tokens so far, from the root on."""
        return (*self._parent.answer_ids(), *self.ids)

    @property
    def left(self) -> int:
        """Answer tokens that may still come."""
        return self._rules.limit - self.position

    @property
    def tries(self) -> int:
        """How many tokens may be passed over before the way out is taken."""
        return 0 if self.form is None else self.form.tries

    def allowed(self) -> NDArray[np.bool_] | None:
        """Which tokens may come next, (vocabulary,); None where all may. A form leaves room for a thought before it."""
        if self.form is None:
            return None
        allowed = self.form.allowed()
        if self._rules.messages is not None and isinstance(self.held, ThoughtHeld):
            return self._rules.messages.narrowed(allowed, self.held, self.answer_ids()[self.held.behind :])
        if self._thoughts is not None and self._may_think:
            allowed[self._thoughts.begins[0]] = True
        return allowed

    def due(self, token: int) -> int:
        """The token to be read where `token` was drawn: a marker that goes on, or the end of a thought that must end.

        It must at its limit, and before what is no answer of the form that was asked for.
        """
        held = self.held
        if not isinstance(held, ThoughtHeld) or self._thoughts is None:
            return token
        if not held.forced and held.phase == "thought" and self._must_end(token, held):
            self.held = held = replace(held, forced=self._thoughts.thought_end(held))
        return held.forced[0] if held.forced else token

    def may_read(self, token: int) -> bool:
        """Whether an answer that has a form can be closed in time behind this token."""
        if self.form is None or self._begins_thought(token) or self._ends_message(token):
            return True
        return self.form.may_take(token, self.left)

    def give_up(self, token: int) -> None:
        """Note that a token was drawn and may not be read; it is the room's doing if more of it would do."""
        if self.hurried is None and self.form is not None and self.form.may_take(token, FAR):
            self.hurried = self._length

    def fitting(self, ranked: Iterable[int], count: int) -> list[int]:
        """The first `count` tokens of a ranking behind which the answer can be closed; the way out if none is."""
        if self.form is None:
            return list(dict.fromkeys(map(self.due, islice(ranked, count))))
        found = list(
            islice((token for token in islice(ranked, count + self.form.tries) if self.may_read(token)), count)
        )
        out = None if found else self.form.way_out(self.left)
        return [out] if out is not None else found

    def read(self, token: int) -> bool:
        """Take one token. False if it is an end token, which ends the answer and is not part of it.

        Raises EngineError if the answer has a form, and it does not allow the token.
        """
        if self._begins_thought(token) and isinstance(self.held, ThoughtHeld) and self._thoughts is not None:
            self.form, self.held = None, replace(self.held, forced=self._thoughts.begins)
        if self._ends_message(token):
            if not (isinstance(self.held, ThoughtHeld) and self.held.before_call):
                self.end("stop")
                return False
            self.form = None  # up to the header of the call
        elif self.form is not None:
            self.form.take(token)
        if token in self._language.end:
            self.end("stop")
            return False
        self.ids.append(token)
        self._take(token)
        if self._cut is not None:
            self.end("stop")
        elif self.position >= self._rules.limit:
            whole = self.form is not None and self.form.ended
            if whole and self.hurried is None and self.form is not None and self.form.counting:
                self.hurried = self._length
            self.end("stop" if whole else "length")
        self._offsets.append(self._length)
        return True

    def read_all(self, tokens: Iterable[int], finish: Finish | None) -> None:
        """Take tokens up to the end of the answer, and then `finish` if they did not end it."""
        for token in tokens:
            self.read(token)
            if self.finish is not None:
                return
        if finish is not None:
            self.end(finish)

    def end(self, finish: Finish) -> None:
        """End the answer here; of a character that was begun and not completed nothing is shown."""
        if self._thoughts is not None and isinstance(self.held, ThoughtHeld):
            text, held = self._thoughts.flush(self.held)
            self._write(text, held.thought)
        self.held = Held()
        self.finish = finish if self._cut is None else "stop"

    def node(self, id: int, hidden: Mapping[int, Any]) -> Node:
        """The block as a node of the tree. `hidden`: layer -> array (len(ids), hidden size)."""
        text = self._parent.text + "".join(self._written)
        return Node(
            id=id,
            root=self._parent.root,
            parent=self._parent,
            ids=tuple(self.ids),
            position=self.position,
            text=text,
            offsets=tuple(self._offsets),
            visible=len(text) if self._cut is None else self._cut,
            logprobs=tuple(self.logprobs),
            hidden=hidden,
            finish=self.finish,
            hurried=self.hurried,
            thought=self.thought,
        )

    def _take(self, token: int) -> None:
        """Write what a token makes known. A form begins where a thought ends."""
        if self._thoughts is None or not isinstance(self.held, ThoughtHeld):
            text, self.held = self._language.detokenizer.read(token, self.held)
            self._write(text, self.thought)
            return
        before = self.held.phase
        text, self.held = self._thoughts.read(token, self.held)
        self._write(text, self.held.thought)
        new = before != self.held.phase and before != "behind"
        if new and not (self._rules.messages is None and (before, self.held.phase) == ("before", "answer")):
            self.form = _form(self._rules, self.answer_ids(), self.held)

    def _ends_message(self, token: int) -> bool:
        """Whether a token ends a message of words, where messages have headers."""
        messages, held = self._rules.messages, self.held
        if messages is None or not isinstance(held, ThoughtHeld) or token != messages.headers.end:
            return False
        return messages.in_words(held)

    @property
    def _may_think(self) -> bool:
        """Whether a thought may begin with the next token."""
        headed = self._rules.messages is not None  # then the header of a thought is one of several
        return not headed and self.position == 0 and isinstance(self.held, ThoughtHeld) and self.held.phase == "before"

    def _begins_thought(self, token: int) -> bool:
        """Whether a token can be nothing but the marker before a thought, since the form does not allow it."""
        if self.form is None or self._thoughts is None or not self._may_think or token != self._thoughts.begins[0]:
            return False
        return not self.form.allowed()[token]

    def _must_end(self, token: int, held: ThoughtHeld) -> bool:
        """Whether a thought has to end where `token` was drawn."""
        if held.over:
            return True
        if self._rules.grammar is None or self._thoughts is None:
            return False
        return token in self._language.end or self._thoughts.read(token, held)[1].phase == "answer"

    def _write(self, text: str, thought: Thought) -> None:
        """Add to the answer, and to the thought before it; stop strings are looked for in the answer alone."""
        added = thought.characters - self.thought.characters
        self.thought = thought
        if self._rules.stop and self._cut is None:
            known, before = self._recent + text[added:], self._length + added - len(self._recent)
            found = first_stop(known, len(self._recent), self._rules.stop)
            self._cut = None if found is None else before + found
            self._recent = _end(known, self._rules.stop)
        self._written.append(text)
        self._length += len(text)


def _form(rules: AnswerRules, ids: tuple[int, ...], held: Held) -> FormState | None:
    """Where an answer of `ids` stands in its form, or in the header before that.

    None where it has none, or is in a thought or the marker before one.
    """
    if rules.grammar is None:
        return None
    if not isinstance(held, ThoughtHeld):
        return rules.grammar.after(ids)
    if held.phase == "thought" or held.forced:
        return None
    if rules.messages is not None and held.phase == "before":
        return rules.messages.header(held, ids[held.behind :], rules.limit - held.behind)
    return rules.grammar.after(ids[held.behind :])


def _end(text: str, stops: Sequence[str]) -> str:
    """The end of a text that a stop string may begin in."""
    longest = max(map(len, stops), default=0)
    return text[-longest + 1 :] if longest > 1 else ""


def first_stop(text: str, known: int, stops: Iterable[str]) -> int | None:
    """Where the stop string begins that is completed first behind the first `known` characters of `text`.

    Characters before `known` were searched already, so only the last few of them are looked at again.
    None if no stop string was completed.
    """
    found = ((text.find(stop, max(0, known - len(stop) + 1)), len(stop)) for stop in stops if stop)
    completed = [(start + length, start) for start, length in found if start >= 0]
    return min(completed)[1] if completed else None
