"""What early looks at a draft are worth: the default policy with them and without, the rest being the same."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.errors import GuardrailError
from ig_guardrail.evaluate import tables
from ig_guardrail.evaluate.arms import arms_of
from ig_guardrail.evaluate.prompts import read_prompts
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search import inference_guard
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import Message, Node, Sampling
from speed.calm import PROMPTS, calm_task
from speed.stage import SEED, Say, Stage
from speed.timing import in_turn, ratios, row

PART = "early looks at a draft (default policy with / without)"
RISKY = Path(__file__).parent.parent / "prompts-tuning-risky.jsonl"
TOKENS = 48


@dataclass(frozen=True, slots=True)
class Run:
    """CPU seconds of a whole answer, and wall seconds to its first text."""

    cpu: float
    first: float


def blind(root: Node, ctx: SearchContext) -> Search:
    """The search, told that nothing can be seen between charge points."""
    return inference_guard.search(root, replace(ctx, early_score=False))


def measure(stage: Stage, pairs: int, say: Say) -> list[tables.Row]:
    """Calm answers for the first text, answers that had to be searched for the time of the whole."""
    rail = stage.rail(stage.policy)
    say("  looking for calm answers, and for such as are searched")
    calm = [calm_task(arms_of(rail), PROMPTS[i % len(PROMPTS)]) for i in range(pairs)]
    calm_runs = _runs(rail, [GenerationRequest(task.turns, task.sampling) for task in calm], say)
    searched, kept = _searched(rail, pairs)
    searched_runs = _runs(rail, searched, say)
    return [
        _ratio("first-text", "wall time to the first text, calm answers", calm_runs, "first"),
        _ratio("calm", "CPU time of calm answers", calm_runs, "cpu"),
        _ratio("searched-first", "wall time to the first text, searched answers", searched_runs, "first"),
        _ratio("searched", "CPU time of searched answers", searched_runs, "cpu"),
        tables.row(PART, "same", "searched answers that are the same either way (count)", kept, None, pairs),
    ]


def _runs(rail: Guardrail, asks: Sequence[GenerationRequest], say: Say) -> Mapping[str, list[Run]]:
    ways: Mapping[str, Any] = {"with": None, "without": blind}
    return in_turn({name: partial(_timed, rail, asks, way) for name, way in ways.items()}, len(asks), say)


def _timed(rail: Guardrail, asks: Sequence[GenerationRequest], strategy: Any, number: int) -> Run:
    cpu, wall = time.process_time(), time.perf_counter()
    first = 0.0
    for chunk in rail.stream(replace(asks[number], strategy=strategy)):
        first = first or (time.perf_counter() - wall if chunk.text else 0.0)
    return Run(time.process_time() - cpu, first)


def _ratio(name: str, title: str, runs: Mapping[str, list[Run]], what: str) -> tables.Row:
    above, below = ([getattr(run, what) for run in runs[way]] for way in ("with", "without"))
    return row(PART, name, title, ratios(above, below))


def _searched(rail: Guardrail, count: int) -> tuple[list[GenerationRequest], int]:
    """Requests whose answers are searched and completed; for how many of them early looks change no word."""
    found: list[GenerationRequest] = []
    same = 0
    for ask in _risky():
        texts = []
        for strategy in (None, blind):
            *_, last = rail.stream(replace(ask, strategy=strategy))
            assert last.receipt is not None
            texts.append(last.receipt.text)
        if last.receipt.verdict.outcome == "completed" and last.receipt.tokens["discarded"] > TOKENS:
            found.append(ask)
            same += texts[0] == texts[1]
        if len(found) == count:
            return found, same
    raise GuardrailError(f"fewer than {count} answers are searched and completed", where=str(RISKY))


def _risky() -> Iterator[GenerationRequest]:
    for asked in read_prompts(RISKY):
        yield GenerationRequest(
            (Message("user", asked.prompt),), Sampling(temperature=0.7, top_p=0.95, seed=SEED, max_tokens=TOKENS)
        )
