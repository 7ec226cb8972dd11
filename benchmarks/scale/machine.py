"""What one replica takes: a step of the engine by its width, a prompt's token, the judging of a block, a charge."""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from statistics import median

from speed.stage import BLOCK, SEED, Stage, answer, unhindered

from ig_guardrail.engine.loading.weights import vocabulary_of
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import LedgerEntry, Limit, kept_at
from ig_guardrail.types import Draw, Prompt, Sampling

WIDTHS = (1, 2, 4, 8, 16, 32)
CONTEXT = 150  # tokens before those that are drawn, and of the prompt that is read: a token costs more behind more
CHARGES = 50
TOKENS = 48  # of an answer whose judging is measured


@dataclass(frozen=True, slots=True)
class Machine:
    """What one replica takes, in seconds of one core or of one GPU.

    steps   a forward for so many rows, each a token further, by their number
    read    a token of a prompt
    judge   a token of a guarded answer beyond the forwards: scores, gate, release
    plain   the same of an answer that nobody guards
    serve   a request beyond its tokens: HTTP, JSON, the way through front and replica
    charge  a round trip to the ledger; the engine goes on with other streams meanwhile
    """

    steps: Mapping[int, float]
    read: float
    judge: float
    plain: float
    serve: float
    charge: float

    def step(self, width: int) -> float:
        """A forward for so many rows: between those measured on a straight line, beyond them as the last two go on."""
        widths = sorted(self.steps)
        at = min(max(bisect_left(widths, width), 1), len(widths) - 1)
        low, high = widths[at - 1], widths[at]
        slope = (self.steps[high] - self.steps[low]) / (high - low)
        return max(0.0, self.steps[low] + slope * (width - low))


def measure(stage: Stage, rounds: int) -> Machine:
    """Medians of CPU time in this process, which has one thread for the model."""
    numbers = count()
    steps = _steps(stage, rounds, numbers)
    read = _median(rounds, partial(_read, stage, numbers))
    calm = stage.rail(unhindered(stage.policy, hold=stage.policy.search.hold))
    guarded, unguarded = (_median(rounds, partial(_token, stage, calm, how)) for how in (None, "none"))
    with tempfile.TemporaryDirectory() as folder:
        charge = median(_charges(f"{folder}/ledger.sqlite"))
    return Machine(steps, read, max(0.0, guarded - steps[1]), max(0.0, unguarded - steps[1]), 0.0, charge)


def _median(rounds: int, work: Callable[[], float]) -> float:
    """Of so many rounds, behind one that warms up."""
    work()
    return median(work() for _ in range(rounds))


def _steps(stage: Stage, rounds: int, numbers: Iterator[int]) -> dict[int, float]:
    """By their number, a forward for answers of requests of their own, each behind a prompt of its own."""
    never = tuple((token, -1e4) for token in vocabulary_of(stage.weights).end)
    sampling = Sampling(temperature=0.7, top_p=0.95, seed=SEED, max_tokens=2 * BLOCK, logit_bias=never)
    roots = [stage.engine.open(_prompt(next(numbers), CONTEXT), sampling).result() for _ in range(max(WIDTHS))]

    def step(width: int) -> float:
        lane, began = next(numbers), time.process_time()  # one that was not drawn yet
        for block in [stage.engine.extend([Draw(root, 1, lane)], BLOCK) for root in roots[:width]]:
            for node in block.result():
                stage.engine.close(node)
        return (time.process_time() - began) / BLOCK

    found = {width: _median(rounds, partial(step, width)) for width in WIDTHS}
    for root in roots:
        stage.engine.close(root)
    return found


def _read(stage: Stage, numbers: Iterator[int]) -> float:
    """A token of a prompt that nobody asked before."""
    began = time.process_time()
    root = stage.engine.open(_prompt(next(numbers), CONTEXT), Sampling(seed=SEED, max_tokens=1)).result()
    taken = time.process_time() - began
    stage.engine.close(root)
    return taken / CONTEXT


def _token(stage: Stage, rail: Guardrail, strategy: str | None) -> float:
    """A token of an answer that is written alone, its prompt known."""
    asked = replace(stage.asked(CONTEXT, TOKENS), strategy=strategy)
    began = time.process_time()
    answer(rail, asked)
    return (time.process_time() - began) / TOKENS


def _charges(place: str) -> list[float]:
    """Seconds by the clock that charges take."""
    ledger, limits = kept_at(place), {"one": Limit("one", 1e9)}
    taken = []
    for _ in range(CHARGES):
        began = time.perf_counter()
        ledger.charge([LedgerEntry("account", 1, "one", 1e-6)], limits)
        taken.append(time.perf_counter() - began)
    return taken


def _prompt(number: int, tokens: int) -> Prompt:
    return Prompt((), tuple(1_000 + (7 * place + 31 * number) % 20_000 for place in range(tokens)))
