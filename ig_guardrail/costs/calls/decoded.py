"""A cost model that reads text, led to read JSON and calls as whoever gets them does: decoded.

Beside the answer as it is written, every key and text in its JSON and in its calls is judged as a text of its own, from
its first character on. The worst counts. Words that are no JSON are judged as they are, and nothing is asked twice of
them.

A level is a score of sentences. So it reads the answer as it is written, but with escapes resolved, which would make
other words of what stands beside them; and a key, the name of a tool or of a call does not count by itself where it is
a single word. Events are looked for in names as in any text.

Words are read as JSON where they begin with a bracket, in a fence or not, and where the piece says that they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from ig_guardrail.costs.base import Attributing, CostModel, FoldState, LedCost
from ig_guardrail.costs.calls.reader import Border, CallReader, reader_of
from ig_guardrail.errors import CostFailure
from ig_guardrail.text.call_notation import marker_of
from ig_guardrail.text.json_strings import JsonTexts, TextPart, like_json
from ig_guardrail.types import CallNotation, Piece, Prompt, ToolCall, ToolFormat

Scores: TypeAlias = tuple[float, ...]
FoldStep: TypeAlias = tuple[FoldState, Piece]


@dataclass(frozen=True, slots=True)
class JsonProgress:
    """How far the JSON of an answer was read: that of its words, and that of the calls behind them.

    json    whether the words are JSON; None as long as `head`, which is all of them, does not tell
    calls   of calls that are JSON; None before they begin
    reader  of calls that are not, whose texts are read when they are whole
    """

    border: Border = field(default_factory=Border)
    words: JsonTexts = field(default_factory=JsonTexts)
    calls: JsonTexts | None = None
    reader: CallReader = field(default_factory=CallReader)
    json: bool | None = None
    head: str = ""

    def read(self, piece: Piece) -> tuple[JsonProgress, list[TextPart], list[TextPart], str]:
        """The decoder after a piece; what that adds to texts of the words, and of the calls; the piece without escapes.

        Where only a marker tells where calls begin, JSON words go on behind it: it may stand in one of their texts.
        """
        border, said = self.border.read(piece)
        calls, in_calls, clear_calls = _read_json(self.calls, border.begun, said)
        reader = self.reader
        if border.notation.format.values != "json":
            reader = reader.read(piece)
            if border.begun is not None and border.begun.values != "json":
                in_calls = [part for call in reader.made if isinstance(call, ToolCall) for part in _texts_of(call)]
        before, known = len(piece.text) - len(said), len(said) - len(piece.text)
        apart = (
            bool(said) and border.begun is not None and not marker_of(border.begun)
        )  # no text in JSON holds such one
        spoken = (
            piece.text[: piece.words] if piece.words is not None else piece.text[: max(0, before) if apart else None]
        )
        text = self.head + spoken
        json = self.json if self.json is not None else piece.json or like_json(text)
        head = text if json is None else ""
        words, in_words, clear = self.words.read(text) if json and text else (self.words, [], text)
        clear = clear[len(self.head) :]
        if piece.words is not None:
            clear += clear_calls
        elif said and (apart or not json):  # some of the first call's marker may stand in pieces before
            clear = piece.text[: max(0, before)] + clear_calls[max(0, known) :]
        if piece.ended or (said and (apart or piece.words is not None)):
            in_words, words = in_words + words.end(), JsonTexts()
        if piece.ended and calls is not None:
            in_calls += calls.end()
        return JsonProgress(border, words, calls, reader, json, head), in_words, in_calls, clear


def progress_of(notation: CallNotation) -> JsonProgress:
    """What reads the JSON of an answer from its beginning on."""
    return JsonProgress(Border(notation), reader=reader_of(notation))


def _read_json(
    texts: JsonTexts | None, form: ToolFormat | None, said: str
) -> tuple[JsonTexts | None, list[TextPart], str]:
    """What more of calls adds to texts in their JSON, and that without escapes. Calls that are no JSON have none."""
    if not said or form is None or form.values != "json":
        return texts, [], said
    return (texts or JsonTexts(envelope=_envelope(form))).read(said)


def _envelope(form: ToolFormat) -> int:
    """How many levels of a call's JSON hold names alone."""
    before = form.begin + form.open.partition("{")[0]
    return before.count("[") - before.count("]") + bool(form.keys)


def _texts_of(call: ToolCall) -> list[TextPart]:
    """The texts of a call that is whole."""
    source = json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)
    return JsonTexts(envelope=1).read(source)[1]


@dataclass(frozen=True, slots=True, eq=False)
class OpenText:
    """A text that goes on.

    state   of the cost model, after what it has read of the text
    scores  what it said of that; None where it has read nothing
    unread  what waits, since it may turn out to be a name
    """

    state: FoldState
    scores: Scores | None = None
    unread: str = ""


class ComposedState:
    """What a cost model knows that asks another one. heard: the other's states after what it was asked last."""

    __slots__ = ()
    heard: tuple[FoldState, ...]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedState(ComposedState):
    """What a cost model knows of an answer.

    source  its state after the answer as it is written
    fresh   its state before any text
    peak    the highest scores of texts that are closed, where the cost model gives levels
    heard   its states after what it was asked about the newest piece: that of the answer, and those of texts in it
    words, calls: the open text of either
    """

    source: FoldState
    fresh: FoldState
    peak: Scores
    heard: tuple[FoldState, ...] = ()
    decoder: JsonProgress = field(default_factory=JsonProgress)
    words: OpenText | None = None
    calls: OpenText | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TextQuestion:
    """A part of a text, and what a cost model is asked about it; nothing where it is, so far, a name: `unread`."""

    part: TextPart
    step: FoldStep | None
    unread: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class PiecePlan:
    """What is to be asked about one piece, as it is written, and about the texts in it; the decoder after it."""

    decoder: JsonProgress
    piece: Piece
    words: list[TextQuestion]
    calls: list[TextQuestion]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedCost(LedCost):
    """See above. `model` reads text alone; a state of its own goes with each text."""

    def start(self, prompt: Prompt) -> DecodedState:
        begun = self.model.start(prompt)
        return DecodedState(begun, begun, (0.0,) * len(self.hazards), decoder=progress_of(prompt.notation))

    def advance(self, steps: Sequence[tuple[DecodedState, Piece]]) -> list[tuple[DecodedState, Scores]]:
        """All texts of all pieces are asked about at once. Raises CostFailure where not all of them are answered."""
        plans = [self._plan(state, piece) for state, piece in steps]
        asked = [(state.source, plan.piece) for (state, _), plan in zip(steps, plans, strict=True)]
        asked += [one.step for plan in plans for one in (*plan.words, *plan.calls) if one.step is not None]
        answers = list(self.model.advance(asked))
        if len(answers) != len(asked):
            raise CostFailure(
                f"cost model '{self.name}' failed: it gave {len(answers)} answers to {len(asked)} questions",
                where=f"cost_models.{self.name}",
                why="what was not judged may not be shown",
            )
        rest = iter(answers[len(steps) :])
        return [
            self._after(state, plan, answer, rest)
            for (state, _), plan, answer in zip(steps, plans, answers, strict=False)
        ]

    def _plan(self, state: DecodedState, piece: Piece) -> PiecePlan:
        decoder, words, calls, clear = state.decoder.read(piece)
        whole = replace(piece, text=clear) if self.reading == "level" and clear != piece.text else piece
        return PiecePlan(decoder, whole, self._asked(state.words, words, state), self._asked(state.calls, calls, state))

    def _asked(self, open: OpenText | None, parts: Sequence[TextPart], state: DecodedState) -> list[TextQuestion]:
        """What is to be asked about the parts of texts; the first part belongs to the open text, if there is one."""
        asked, text = [], open or OpenText(state.fresh)
        for part in parts:
            unread = text.unread + part.text
            if self.reading == "level" and part.name:
                asked.append(TextQuestion(part, None, unread))
            elif unread or text.scores is not None:
                asked.append(TextQuestion(part, (text.state, Piece(unread, ended=part.whole))))
            text = OpenText(state.fresh)
        return asked

    def _after(
        self,
        state: DecodedState,
        plan: PiecePlan,
        answer: tuple[FoldState, Scores],
        answers: Iterator[tuple[FoldState, Scores]],
    ) -> tuple[DecodedState, Scores]:
        source, scores = answer
        words, of_words = _taken(state.words, plan.words, state.fresh, answers)
        calls, of_calls = _taken(state.calls, plan.calls, state.fresh, answers)
        seen, peak = [*of_words, *of_calls], state.peak
        if self.reading == "level":
            peak = worst([peak, *(one for part, one, _ in seen if part.whole)])
        judged = [one for _, one, _ in seen]
        if self.reading == "level":
            judged += [text.scores for text in (words, calls) if text is not None and text.scores is not None]
            judged += [peak] if any(peak) else []
        heard = (source, *(answered for _, _, answered in seen))
        after = DecodedState(source, state.fresh, peak, heard, plan.decoder, words, calls)
        return after, worst([scores, *judged]) if judged else scores


def heard(state: FoldState) -> tuple[FoldState, ...]:
    """The states of a cost model that the scores which came with `state` rest on."""
    return tuple(known for one in state.heard for known in heard(one)) if isinstance(state, ComposedState) else (state,)


def fired_rules(model: CostModel, state: FoldState) -> tuple[str | int, ...]:
    """The rules that the scores which came with a state rest on, once each; () where the cost model cannot say."""
    asked = model.model if isinstance(model, DecodedCost) else model
    if not isinstance(asked, Attributing):
        return ()
    return tuple(dict.fromkeys(rule for one in heard(state) for rule in asked.fired(one)))


def read_decoded(model: CostModel) -> CostModel:
    """A cost model that judges decoded texts too. `model` must read nothing but text."""
    return model if isinstance(model, DecodedCost) else DecodedCost(model)


def worst(scores: Sequence[Scores]) -> Scores:
    """The highest score of each hazard; what is no score at all is handed on, since it must not pass for one."""
    odd = next((one for one in scores if len(one) != len(scores[0]) or not all(0 <= score <= 1 for score in one)), None)
    return odd if odd is not None else tuple(map(max, zip(*scores, strict=True)))


def _taken(
    open: OpenText | None, asked: Sequence[TextQuestion], fresh: FoldState, answers: Iterator[tuple[FoldState, Scores]]
) -> tuple[OpenText | None, list[tuple[TextPart, Scores, FoldState]]]:
    """The text that is open after what was asked; for each part its scores, and the state that they came with."""
    seen = []
    for one in asked:
        if one.step is None:
            open = None if one.part.whole else OpenText(fresh, None, one.unread)
            continue
        state, scores = next(answers)
        seen.append((one.part, scores, state))
        open = None if one.part.whole else OpenText(state, scores)
    return open, seen
