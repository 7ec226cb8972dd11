"""Scores prefixes, each once: cost models are folded over the pieces between charge points, and the folds are kept.

The key of a fold is (cost model, charge-point spacing, token prefix): what a prefix scores does not depend on how a
strategy cut it, which branch asked first, or who asks, strategy or gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ig_guardrail.budget import Point, Rule, spacing
from ig_guardrail.costs.base import Attributing, CostModel, Sourced, State
from ig_guardrail.costs.combine import evaluate, pick
from ig_guardrail.drive.panel import Panel, Seat
from ig_guardrail.drive.waiting import Wait, Waiting
from ig_guardrail.errors import CostFailure, CostTimeout
from ig_guardrail.stream.release import tokens_behind
from ig_guardrail.types import Measure, Node, Piece, Prompt, Source

MOST_SOURCES = 16  # documents a receipt names


@dataclass(frozen=True, slots=True)
class Track:
    """A cost model read at one spacing of charge points."""

    model: str
    granularity: str
    every: int


@dataclass(frozen=True, slots=True)
class Fold:
    """A cost model's state after a prefix, and its scores there by hazard."""

    state: State
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a fold stands: a track, a token prefix, and whether the answer ends there."""

    track: Track
    prefix: tuple[int, ...]
    ended: bool


class Scorer:
    """The scores of one request."""

    def __init__(self, panel: Panel, prompt: Prompt) -> None:
        self._panel = panel
        self._prompt = prompt
        self._rules = {rule.budget.id: rule for rule in panel.rules}
        self._folds: dict[Mark, Fold] = {}
        self.calls = 0
        self.fail_open: list[str] = []
        self.sources: dict[str, Source] = {}  # by document
        self.fired: dict[str, dict[str | int, None]] = {}  # by cost model, in the order in which they were seen

    def measure(self, node: Node, due: Sequence[tuple[str, Point]]) -> Waiting[list[Measure]]:
        """The measures of one node."""
        return (yield from self.measure_all([(node, due)]))[0]

    def measure_all(self, asked: Sequence[tuple[Node, Sequence[tuple[str, Point]]]]) -> Waiting[list[list[Measure]]]:
        """For each (node, due points): its measures, in order. Cost models are called once a wave for all nodes.

        Raises CostFailure and CostTimeout, unless the policy lets that cost model fail open.
        """
        missing: dict[Mark, tuple[Mark | None, Piece]] = {}
        for node, due in asked:
            ids = node.answer_ids()
            for budget, point in due:
                for track in self._tracks(self._rules[budget]):
                    self._plan(missing, track, node, ids, point)
        while missing:
            ready = [mark for mark, (before, _) in missing.items() if before is None or before in self._folds]
            yield from self._advance({mark: missing.pop(mark) for mark in ready})
        return [[self._read(node.answer_ids(), *one) for one in due] for node, due in asked]

    def _tracks(self, rule: Rule) -> list[Track]:
        return [Track(name, rule.granularity, rule.budget.every) for name in rule.budget.cost.models()]

    def _plan(
        self,
        missing: dict[Mark, tuple[Mark | None, Piece]],
        track: Track,
        node: Node,
        ids: tuple[int, ...],
        point: Point,
    ) -> None:
        """Note the fold at `point` and, going back, every fold it rests on that is not known yet."""
        step: Point | None = point
        while step is not None:
            mark = Mark(track, ids[: step.position], step.ended)
            if mark in self._folds or mark in missing:
                return
            before = _previous(track, step, node)
            start = before.position if before else 0
            piece = cut(node, start, step.position, step.ended)
            missing[mark] = (Mark(track, ids[:start], False) if before else None, piece)
            step = before

    def _advance(self, steps: Mapping[Mark, tuple[Mark | None, Piece]]) -> Waiting[None]:
        by_model: dict[str, list[Mark]] = {}
        for mark in steps:
            by_model.setdefault(mark.track.model, []).append(mark)
        started = []
        for name, marks in by_model.items():
            one = self._panel.seats[name]
            inputs = [(self._state(one, steps[mark][0]), steps[mark][1]) for mark in marks]
            self.calls += 1
            started.append((one, marks, inputs, one.worker.call(one.model.advance, inputs)))
        for one, marks, inputs, future in started:
            folds = yield from self._collect(one, [state for state, _ in inputs], Wait(future, one.spec.timeout_s))
            self._folds.update(zip(marks, folds, strict=True))

    def _state(self, one: Seat, before: Mark | None) -> State:
        if before is not None:
            return self._folds[before].state
        try:
            return one.model.start(self._prompt)
        except Exception as error:
            raise _failure(one, f"it failed on the prompt: {error}") from error

    def _collect(self, one: Seat, states: Sequence[State], wait: Wait) -> Waiting[list[Fold]]:
        """The folds a cost model gave, checked; a failure stops the request, or is noted where it may fail open."""
        try:
            return checked(one, (yield wait), len(states))
        except TimeoutError as error:
            one.worker.abandon()
            failure: CostFailure = CostTimeout(
                f"cost model '{one.spec.name}' did not answer within {one.spec.timeout_s:g} s",
                where=f"cost_models.{one.spec.name}",
                why="what was not judged may not be shown",
                fix="raise its timeout_ms, or use a faster cost model",
            )
            failure.__cause__ = error
        except CostFailure as error:
            failure = error
        except Exception as error:
            failure = _failure(one, f"it raised {type(error).__name__}: {error}")
            failure.__cause__ = error
        if one.spec.on_error != "open":
            raise failure
        self.fail_open.append(f"{one.spec.name}: {failure.what}")
        return [Fold(state, (0.0,) * len(one.model.hazards)) for state in states]

    def _read(self, ids: tuple[int, ...], budget: str, point: Point) -> Measure:
        rule = self._rules[budget]
        raw: dict[str, float] = {}
        fired: dict[str, tuple[str | int, ...]] = {}
        for track in self._tracks(rule):
            one = self._panel.seats[track.model]
            fold = self._folds[Mark(track, ids[: point.position], point.ended)]
            raw[track.model] = pick(one.model.hazards, fold.scores, rule.budget.hazards)
            rules = rules_of(one.model, fold.state) if raw[track.model] else ()
            fired |= {track.model: rules} if rules else {}
            if raw[track.model] > rule.budget.threshold:
                self._note_source(one, fold)
                self._note_rules(track.model, rules)
        return Measure(budget, point.position, point.ended, evaluate(rule.budget.cost, raw), raw, fired)

    def _note_rules(self, model: str, rules: Sequence[str | int]) -> None:
        if rules:
            self.fired.setdefault(model, {}).update(dict.fromkeys(rules))

    def _note_source(self, one: Seat, fold: Fold) -> None:
        """Keep where a score comes from, of a few documents, if its cost model can say."""
        found = one.model.source(fold.state) if isinstance(one.model, Sourced) else None
        if found is not None and (found.document in self.sources or len(self.sources) < MOST_SOURCES):
            self.sources[found.document] = self.sources.get(found.document, found).joined(found)


def cut(node: Node, start: int, stop: int, ended: bool) -> Piece:
    """The piece of `node`'s answer in the positions (start, stop]; where it ends, only what will be shown of it."""
    end = node.visible if ended else node.characters_at(stop)
    stop = tokens_behind(node, end) if ended and end < len(node.text) else stop
    ids: list[int] = []
    hidden: dict[int, list[Any]] = {}
    for step in node.path():
        first = step.position - len(step.ids)
        low, high = max(start, first) - first, min(stop, step.position) - first
        if low < high:
            ids += step.ids[low:high]
            for layer, rows in step.hidden.items():
                hidden.setdefault(layer, []).append(rows[low:high])
    text = node.text[node.characters_at(start) : end]
    return Piece(text, tuple(ids), {layer: tuple(rows) for layer, rows in hidden.items()}, ended)


def rules_of(model: CostModel, state: State) -> tuple[str | int, ...]:
    """The rules that the score which came with a state rests on; () where the cost model cannot say."""
    return model.fired(state) if isinstance(model, Attributing) else ()


def checked(one: Seat, answers: Any, count: int) -> list[Fold]:
    """The folds in a cost model's answers. Raises CostFailure unless there are `count`, all with scores in [0, 1]."""
    if len(answers) != count:
        raise _failure(one, f"it gave {len(answers)} answers to {count} questions")
    folds = [Fold(state, tuple(float(score) for score in scores)) for state, scores in answers]
    for fold in folds:
        if len(fold.scores) != len(one.model.hazards):
            raise _failure(one, f"it gave {len(fold.scores)} scores for {len(one.model.hazards)} hazards")
        for score in fold.scores:
            if not (math.isfinite(score) and 0 <= score <= 1):
                raise _failure(one, f"it gave {score!r}, which is not a score in [0, 1]")
    return folds


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


def _failure(one: Seat, reason: str) -> CostFailure:
    return CostFailure(
        f"cost model '{one.spec.name}' failed: {reason}",
        where=f"cost_models.{one.spec.name}",
        why="what was not judged may not be shown",
        fix="mend the cost model; `on_error: open` would let it be skipped, and every receipt would say so",
    )
