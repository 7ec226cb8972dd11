"""What a safety model is asked: a conversation whose last turn is judged, in parts that fit what it reads at once.

A long text is judged in windows that overlap, and the worst one counts. What was said before stands before each window,
its end alone where it is long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ig_guardrail.costs.guards.format import GuardFormat
from ig_guardrail.types import Message

Turn: TypeAlias = tuple[str, str]  # "user" or "assistant", and what it says

NEUTRAL: Turn = ("user", "Write a short message.")  # what a text answers that is judged alone
MOST_TURNS = 16  # before the judged one
_OPENING = "<|"  # special tokens of most families begin with it


@dataclass(frozen=True, slots=True)
class GuardQuestion:
    """One pass of a model. category: what it is asked about; "" for whatever its format says."""

    before: tuple[Turn, ...]
    judged: Turn
    category: str = ""


class GuardModel(Protocol):
    """A safety model, wherever it runs."""

    def scores(self, questions: Sequence[GuardQuestion]) -> list[float]:
        """For each question, the probability of an unsafe verdict. Raises CostFailure where it gives none."""
        ...


class Ruler(Protocol):
    """How long a text is, by whatever a model's limit counts."""

    def edges(self, text: str) -> list[tuple[int, int]]:
        """Where each unit of the text begins and ends."""
        ...


@dataclass(frozen=True, slots=True)
class GuardQuestions:
    """Questions in the words of a format. categories: all that are asked about; special: texts of special tokens."""

    form: GuardFormat
    categories: tuple[str, ...]
    special: frozenset[str] = frozenset()

    def messages(self, question: GuardQuestion) -> list[dict[str, str]]:
        """The messages that a chat template is given."""
        turns = [(role, self._neutral(text)) for role, text in (*question.before, question.judged)]
        if self.form.layout == "transcript":
            turns = [("user", "\n\n".join(f"{_heading(role)}\n{text}" for role, text in turns))]
        opening = [("system", self._own(self.form.system, question))] if self.form.system else []
        closing = [("user", self._own(self.form.closing, question))] if self.form.closing else []
        return [{"role": role, "content": text} for role, text in (*opening, *turns, *closing)]

    def variables(self, question: GuardQuestion) -> dict[str, Any]:
        """The variables of the chat template, besides the messages."""
        return dict(self._own(self.form.template, question))

    def _own(self, value: Any, question: GuardQuestion) -> Any:
        return self.form.filled(value, question.category, self.categories, question.judged[0])

    def _neutral(self, text: str) -> str:
        """The text with a space inside every marker, so that it opens and closes nothing."""
        headings = (_heading("user"), _heading("assistant")) if self.form.layout == "transcript" else ()
        words = {_OPENING, *headings, *self.form.markers, *(one.strip() for one in self.special)}
        markers = sorted((one for one in words if len(one) > 1), key=len, reverse=True)
        spread = re.compile("|".join(map(re.escape, markers)))
        while spread.search(text):
            text = spread.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text


def spoken(turns: Sequence[Message]) -> tuple[Turn, ...]:
    """A conversation as templates of safety models take it: the user's and the assistant's turns, in alternation.

    System turns are left out, and results of tools are said by the user. It begins and ends with a turn of the user.
    """
    said: list[Turn] = []
    for turn in turns:
        role = "assistant" if turn.role == "assistant" else "user"
        if turn.role == "system" or not turn.text.strip():
            continue
        if said and said[-1][0] == role:
            said[-1] = (role, f"{said[-1][1]}\n\n{turn.text}")
        else:
            said.append((role, turn.text))
    opening = [NEUTRAL] if not said or said[0][0] != "user" else []
    closing = [NEUTRAL] if said and said[-1][0] != "user" else []
    return (*opening, *said, *closing)


def windows(question: GuardQuestion, room: int, ruler: Ruler) -> Iterator[GuardQuestion]:
    """The question in parts: the judged text in windows, which with what was said before come to `room` units."""
    before = _end_of(question.before[-MOST_TURNS:], room // 2, ruler)
    left = room - sum(len(ruler.edges(text)) for _, text in before)
    role, text = question.judged
    edges = ruler.edges(text)
    for first, last in spread_over(len(edges), left):
        part = text[edges[first][0] : edges[last][1]] if len(edges) > left else text
        if part.strip():
            yield GuardQuestion(before, (role, part), question.category)


def spread_over(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Windows over `count` units, `most` at a time, as the first and the last of each; an eighth is shared by two."""
    shared = most // 8
    for first in range(0, max(1, count - shared), most - shared) if count else ():
        yield first, min(first + most, count) - 1


def _end_of(turns: Sequence[Turn], room: int, ruler: Ruler) -> tuple[Turn, ...]:
    """The last turns that `room` units hold, the earliest of them cut where it must be; the user says the first."""
    kept: list[Turn] = []
    for role, text in reversed(turns):
        edges = ruler.edges(text)
        if room <= 0 or not edges:
            break
        kept.insert(0, (role, text if len(edges) <= room else text[edges[-room][0] :]))
        room -= len(edges)
    while kept and kept[0][0] != "user":
        kept.pop(0)
    return tuple(kept) if kept or not turns else (NEUTRAL,)


def _heading(role: str) -> str:
    return f"[{role}]"
