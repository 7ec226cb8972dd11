"""Scores prefixes, each once: cost models are folded over the pieces between charge points, and the folds are kept.

The key of a fold is (cost model, charge-point spacing, token prefix): what a prefix scores does not depend on how a
strategy cut it, which branch asked first, or who asks, strategy or gate.

Cost models of text read JSON and calls decoded too (see `costs.decoded`); those of calls read calls, and no words.

Token prefixes by number: equal prefixes of a context have one number, others never share it. In another context, such
as one of a second model, the same tokens may say something else. A token costs the same at any place.

A prefix as a tuple would take memory and time by its length, so an answer scored at every token by their squares.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ig_guardrail.budget import BudgetRule, Point, spacing
from ig_guardrail.costs.base import CostModel, FoldState, Sourced
from ig_guardrail.costs.calls.decoded import fired_rules, heard
from ig_guardrail.costs.combine import evaluate, hazards_behind, pick
from ig_guardrail.costs.thoughts import ThoughtfulCost
from ig_guardrail.drive.runners import Waiting
from ig_guardrail.drive.scoring.cost_registry import BoundCost, CostRegistry
from ig_guardrail.drive.scoring.judging import START, Fold, await_scores, begin_scoring
from ig_guardrail.engine.base import Engine
from ig_guardrail.errors import CostFailure
from ig_guardrail.stream.release import tokens_behind
from ig_guardrail.text.call_notation import marker_of
from ig_guardrail.types import Budget, CallTimes, Judging, Measure, Message, Node, Piece, Prompt, QuotedSource, Thought

NO_PROMPT = Message("user", "Hello.")  # before an answer whose prompt is not known
MOST_SOURCES = 16  # documents a receipt names
_CONTEXTS = -1  # in place of a prefix, before the beginnings of contexts, which go by their roots


@dataclass(frozen=True, slots=True)
class Track:
    """A cost model read at one spacing of charge points."""

    model: str
    granularity: str
    every: int


@dataclass(frozen=True, slots=True)
class FoldKey:
    """Where a fold stands: a track, the number of a token prefix, how much of it is words for certain, whether it ends.

    The same tokens may be words in one answer and calls in another.
    """

    track: Track
    prefix: int
    words: int | None
    ended: bool


class Scorer:
    """The scores of one request. json: whether the words of its answer are JSON for certain.

    thoughts: what becomes of a thought before the answer; None where there can be none
    """

    def __init__(
        self, costs: CostRegistry, prompt: Prompt, json: bool = False, thoughts: Judging | None = None
    ) -> None:
        self._costs = costs
        self._prompt = prompt
        self._json = json
        self._marker = marker_of(prompt.notation.format)
        self._models = {name: _reader(cost, thoughts) for name, cost in costs.by_name.items()}
        self._rules = {rule.budget.id: rule for rule in costs.rules}
        self._folds: dict[FoldKey, Fold] = {}
        self._prefixes = Prefixes()
        self.calls = 0
        self.times: dict[str, CallTimes] = {}  # by cost model
        self.fail_open: list[str] = []
        self.sources: dict[str, QuotedSource] = {}  # by document
        self.fired: dict[str, dict[str | int, None]] = {}  # by cost model, in the order in which they were seen

    @classmethod
    def of_written(cls, engine: Engine, costs: CostRegistry, prompt: Prompt) -> Scorer:
        """The scores of an answer that is written already: a thought before it, where the model has any, was shown."""
        return cls(costs, prompt, thoughts=of_shown_thoughts(engine))

    def aside(self) -> Scorer:
        """One for the same request that knows what this one knows; what it learns goes with it."""
        other = copy.copy(self)
        other._folds, other.calls, other.fail_open, other.sources = dict(self._folds), 0, [], {}
        other.times = {}
        return other

    def measure(self, node: Node, due: Sequence[tuple[str, Point]]) -> Waiting[list[Measure]]:
        """The measures of one node."""
        return (yield from self.measure_all([(node, due)]))[0]

    def measure_all(self, asked: Sequence[tuple[Node, Sequence[tuple[str, Point]]]]) -> Waiting[list[list[Measure]]]:
        """For each (node, due points): its measures, in order. Cost models are called once a wave for all nodes.

        Raises CostFailure and CostTimeout, unless the policy lets that cost model fail open.
        """
        missing: dict[FoldKey, tuple[FoldKey | None, Piece]] = {}
        for node, due in asked:
            for budget, point in due:
                for track in self._tracks(self._rules[budget]):
                    self._plan(missing, track, node, point)
        while missing:
            ready = [mark for mark, (before, _) in missing.items() if before is None or before in self._folds]
            yield from self._advance({mark: missing.pop(mark) for mark in ready})
        return [[self._read(node, *one) for one in due] for node, due in asked]

    def _tracks(self, rule: BudgetRule) -> list[Track]:
        return [Track(name, rule.granularity, rule.budget.every) for name in rule.budget.cost.models()]

    def _plan(
        self,
        missing: dict[FoldKey, tuple[FoldKey | None, Piece]],
        track: Track,
        node: Node,
        point: Point,
    ) -> None:
        """Note the fold at `point` and, going back, every fold it rests on that is not known yet."""
        step: Point | None = point
        while step is not None:
            mark = self._mark(track, node, step)
            if mark in self._folds or mark in missing:
                return
            before = _previous(track, step, node)
            piece = self._piece(node, before.position if before else 0, step)
            missing[mark] = (self._mark(track, node, before) if before else None, piece)
            step = before

    def _mark(self, track: Track, node: Node, point: Point) -> FoldKey:
        words = self._words(node)
        within = None if words is None else min(words, node.characters_at(point.position))
        return FoldKey(track, self._prefixes.at(node, point.position), within, point.ended)

    def _piece(self, node: Node, start: int, point: Point) -> Piece:
        piece, words = cut_piece(node, start, point.position, point.ended), self._words(node)
        if node.thought.tokens or node.thought.characters:
            piece = replace(piece, thought=_thought_in(piece, node, start))
        if words is not None:
            words = min(max(0, words - node.characters_at(start)), len(piece.text))
        return piece if words is None and not self._json else replace(piece, words=words, json=self._json)

    def _words(self, node: Node) -> int | None:
        """How many characters of an answer are words for certain. Calls in place of JSON stand at its beginning."""
        if node.words is not None or not self._json or not self._marker:
            return node.words
        begun = node.text[node.thought.characters :].lstrip()[: len(self._marker)]
        return None if self._marker.startswith(begun) else len(node.text)

    def _advance(self, steps: Mapping[FoldKey, tuple[FoldKey | None, Piece]]) -> Waiting[None]:
        by_model: dict[str, list[FoldKey]] = {}
        for mark in steps:
            by_model.setdefault(mark.track.model, []).append(mark)
        started = []
        for name, marks in by_model.items():
            one = self._costs.by_name[name]
            inputs = [(self._state(steps[mark][0]), steps[mark][1]) for mark in marks]
            self.calls += 1
            started.append((one, marks, inputs, begin_scoring(one, self._prompt, inputs, self._models[name])))
        for one, marks, inputs, call in started:
            try:
                folds = yield from await_scores(one, call, len(inputs))
            except CostFailure as failure:
                folds = self._failed_open(one, [state for state, _ in inputs], failure)
            finally:
                self.times[one.spec.name] = self.times.get(one.spec.name, CallTimes()).with_call(call.seconds)
            self._folds.update(zip(marks, folds, strict=True))

    def _state(self, before: FoldKey | None) -> FoldState:
        return START if before is None else self._folds[before].state

    def _failed_open(self, one: BoundCost, states: Sequence[FoldState], failure: CostFailure) -> list[Fold]:
        """Scores of 0 in place of those that failed, noted. Raises the failure unless the policy allows that."""
        if one.spec.on_error != "open":
            raise failure
        self.fail_open.append(f"{one.spec.name}: {failure.what}")
        return [Fold(state, (0.0,) * len(one.model.hazards)) for state in states]

    def _read(self, node: Node, budget: str, point: Point) -> Measure:
        rule = self._rules[budget]
        folds = {one.model: self._folds[self._mark(one, node, point)] for one in self._tracks(rule)}
        raw: dict[str, float] = {}
        fired: dict[str, tuple[str | int, ...]] = {}
        for name, fold in folds.items():
            one = self._costs.by_name[name]
            raw[name] = pick(one.model.hazards, fold.scores, rule.budget.hazards)
            rules = fired_rules(one.model, fold.state) if raw[name] else ()
            fired |= {name: rules} if rules else {}
            if raw[name] > rule.budget.threshold:
                self._note_source(one, fold)
                self._note_rules(name, rules)
        score = evaluate(rule.budget.cost, raw)
        hazards = self._hazards(rule.budget, folds) if score > rule.budget.threshold else ()
        return Measure(budget, point.position, point.ended, score, raw, fired, hazards)

    def hazard_scores(self, node: Node, due: Sequence[tuple[str, Point]]) -> dict[str, float]:
        """By hazard, the highest score that it alone gives to a budget at points that were measured."""
        found: dict[str, float] = {}
        for name, point in due:
            budget = self._rules[name].budget
            scores = self._by_hazard(
                {one.model: self._folds[self._mark(one, node, point)] for one in self._tracks(self._rules[name])}
            )
            for hazard in budget.hazards:
                score = evaluate(budget.cost, {model: own.get(hazard, 0.0) for model, own in scores.items()})
                found[hazard] = max(found.get(hazard, 0.0), score)
        return found

    def _hazards(self, budget: Budget, folds: Mapping[str, Fold]) -> tuple[str, ...]:
        """The hazards of a budget that its score rests on."""
        return hazards_behind(budget.cost, self._by_hazard(folds), budget.hazards, budget.threshold)

    def _by_hazard(self, folds: Mapping[str, Fold]) -> dict[str, dict[str, float]]:
        by_name = self._costs.by_name
        return {name: dict(zip(by_name[name].model.hazards, fold.scores, strict=True)) for name, fold in folds.items()}

    def _note_rules(self, model: str, rules: Sequence[str | int]) -> None:
        if rules:
            self.fired.setdefault(model, {}).update(dict.fromkeys(rules))

    def _note_source(self, one: BoundCost, fold: Fold) -> None:
        """Keep where a score comes from, of a few documents, if its cost model can say."""
        sources = map(one.model.source, heard(fold.state)) if isinstance(one.model, Sourced) else ()
        found = next((source for source in sources if source is not None), None)
        if found is not None and (found.document in self.sources or len(self.sources) < MOST_SOURCES):
            self.sources[found.document] = self.sources.get(found.document, found).joined(found)


def of_shown_thoughts(engine: Engine) -> Judging | None:
    """What becomes of thoughts that are shown; None where the model has none."""
    return "charge" if engine.info.thinks else None


def cut_piece(node: Node, start: int, stop: int, ended: bool) -> Piece:
    """The piece of `node`'s answer in the positions (start, stop]; where it ends, only what will be shown of it."""
    end = node.visible if ended else node.characters_at(stop)
    stop = tokens_behind(node, end) if ended and end < len(node.text) else stop
    ids: list[int] = []
    hidden: dict[int, list[Any]] = {}
    for step in _steps_behind(node, start):
        first = step.position - len(step.ids)
        low, high = max(start, first) - first, min(stop, step.position) - first
        if low < high:
            ids += step.ids[low:high]
            for layer, rows in step.hidden.items():
                hidden.setdefault(layer, []).append(rows[low:high])
    text = node.text[node.characters_at(start) : end]
    return Piece(text, tuple(ids), {layer: tuple(rows) for layer, rows in hidden.items()}, ended)


def _reader(cost: BoundCost, thoughts: Judging | None) -> CostModel:
    """A cost model as it reads answers."""
    return cost.reader if thoughts is None else ThoughtfulCost(cost.reader, thoughts == "charge")


def _thought_in(piece: Piece, node: Node, start: int) -> Thought:
    """How much of a piece behind position `start` is thought."""
    characters = min(max(0, node.thought.characters - node.characters_at(start)), len(piece.text))
    return Thought(characters, min(max(0, node.thought.tokens - start), len(piece.ids)), node.thought.begun)


def _steps_behind(node: Node, position: int) -> list[Node]:
    """The nodes of an answer that have tokens behind a position, in order."""
    found = list(itertools.takewhile(lambda step: step.position > position, node.ancestors()))
    return found[::-1]


def _previous(track: Track, point: Point, node: Node) -> Point | None:
    """The charge point that a point is folded from: the one before it on the same track, or None for the start.

    The end is folded from the last point before a stop string, so that it reads the answer as it will be shown.
    """
    step = spacing(track.granularity, track.every)
    if step == 0:
        return None
    over = point.position % step
    position = point.position - (over if point.ended else over or step)
    while point.ended and position > 0 and node.characters_at(position) > node.visible:
        position -= step
    return Point(position) if position > 0 else None


class Prefixes:
    """The numbers of one request's prefixes, in all of its contexts; 0 is the empty one."""

    def __init__(self) -> None:
        self._longer: dict[tuple[int, int], int] = {}
        self._along: dict[Node, tuple[int, ...]] = {}  # the number before a node's own tokens, and after each of them

    def at(self, node: Node, position: int) -> int:
        """The number of the first `position` tokens of a node's answer. Raises ValueError if it has not so many."""
        if position <= 0:
            return 0
        for step in node.ancestors():
            start = step.position - len(step.ids)
            if start < position <= step.position:
                return self._numbers(step)[position - start]
        raise ValueError(f"position {position} lies outside this answer of {node.position} tokens")

    def _numbers(self, node: Node) -> tuple[int, ...]:
        unknown: list[Node] = []
        number = self._next(_CONTEXTS, node.root)
        for step in node.ancestors():
            if step in self._along:
                number = self._along[step][-1]
                break
            unknown.append(step)
        for step in reversed(unknown):
            numbers = [number]
            for token in step.ids:
                numbers.append(self._next(numbers[-1], token))
            self._along[step] = tuple(numbers)
            number = numbers[-1]
        return self._along[node]

    def _next(self, number: int, token: int) -> int:
        return self._longer.setdefault((number, token), len(self._longer) + 1)
