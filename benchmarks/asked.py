"""Which head on a sentence encoder serves packaged policies better beside a model without heads of its own.

    python benchmarks/asked.py --answers ANSWERS.jsonl --data ROWS.jsonl.gz    writes benchmarks/out/asked.json

Of each policy of bans three ways are measured: the head that reads answers alone, from the threshold on that was set
for the head on hidden states; the same from a score of its own; and the head that reads what was asked, from a score
of its own. Such a score is the lowest, in hundredths, above which with 95 % confidence at most the policy's share of
the calibration rows of ANSWERS (`ig-guardrail train answers`) lie. The default policy, whose budgets have room, is
measured in two ways: few of these answers cost anything, or few are over a budget, by tone and help together.

Last comes each policy as it is packaged: which answers are over any of its budgets, and over each, by the text costs
that serve beside such a model; and which are not shown where it refuses questions, too.

Answers that set no score measure it, read to their ends: those of benchmarks/domains.py to everyday questions that are
held back there, test rows of ROWS (may be given again), and this project's sensitive ones. Rows reserved for judges
are left out. No language model is asked.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.resources import files
from itertools import groupby, product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from command import publish, run
from domains import OUT as DOMAINS
from domains import RATES
from lessons import RULES, limit_of
from lessons import lowest as lowest_with_room
from numpy.typing import NDArray

from ig_guardrail.costs.catalog import build_cost_model, build_costs
from ig_guardrail.costs.encoder.cost import EncoderCost
from ig_guardrail.drive.scoring.cost_registry import bind_costs
from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, SENSITIVE
from ig_guardrail.learn.data.rows import LabelledRow, digest_of, read_rows
from ig_guardrail.learn.encoder import peak_score
from ig_guardrail.learn.fitting.tensor_cache import progress_line
from ig_guardrail.learn.fitting.windows import EVERY, WORDS
from ig_guardrail.learn.thresholds import surely_allowed
from ig_guardrail.policy import load_policy
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.types import Budget, CostModelSpec
from ig_guardrail.workbench.traffic.bench import WORDS as BY_WORDS
from ig_guardrail.workbench.traffic.bench import Bench, text_engine
from ig_guardrail.workbench.traffic.calibrate import data_sha256
from ig_guardrail.workbench.traffic.texts import TextRow

HERE = Path(__file__).parent
POLICIES = HERE.parent / "policies"
OWN = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets" / "sensitive.jsonl"
ANSWERS, EXCHANGES, TONE = HEADS = ("harmful-help", "harmful-exchange", "toxic-tone")
DEFAULT = "default"
GENERAL = (DEFAULT, "strict")
SHARES: Mapping[str, float] = {DEFAULT: 0.05, "strict": 0.10, **RATES}
MANNERS, MOST = ("Alpaca subset", "Dolly subset"), 100  # answers of each, by the order of their hashes
MEASURED = ("JailbreakBench-artifacts", SENSITIVE, OWN_ANSWERS, *MANNERS)
EVERYDAY = "everyday questions"
AS_PACKAGED = "as packaged"

Peaks: TypeAlias = NDArray[np.float64]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the heads on a sentence encoder under packaged policies.")
    parser.add_argument("--answers", type=Path, action="append", required=True, help="a model's harmless answers")
    parser.add_argument("--data", type=Path, action="append", required=True, help="labelled rows; may be given again")
    parser.add_argument("--policy", choices=tuple(SHARES), action="append", help="all of them, if left out")
    options = parser.parse_args(arguments)
    rows = [row for row in read_rows([*options.data, *options.answers, OWN]).rows if is_measured(row)]
    names = options.policy or list(SHARES)
    read = Reader({_help_of(name).every for name in names})
    figures = [figure for name in names for figure in measured(name, rows, read)]
    data = {path.name: data_sha256(path) for path in (*options.data, *options.answers)}
    publish(HERE / "out" / "asked.json", "Heads on a sentence encoder", figures, data_sha256=data)
    return 0


def is_measured(row: LabelledRow) -> bool:
    """Whether a row is an answer that measures or sets scores; no judge has learned a sensitive one."""
    known = row.source in MEASURED and row.split in ("calibration", "test")
    return known and bool(row.response and row.text.strip()) and (row.source == SENSITIVE or not row.reserved)


def measured(name: str, rows: Sequence[LabelledRow], read: Reader) -> Iterator[tables.Row]:
    """Of each kind of answers, the share that each way of a policy denies, and the score from which it does."""
    budget = _help_of(name)
    sets = [row for row in rows if row.split == "calibration" and row.source == OWN_ANSWERS]
    aside = [row for row in rows if row.split == "test"] + everyday_answers(name)
    kinds = {kind: list(mine) for kind, mine in groupby(sorted(aside, key=_order), key=_kind)}
    kinds |= {kind: mine[:MOST] for kind, mine in kinds.items() if mine[0].source in MANNERS}
    peaks = partial(read.peaks, rows=sets, every=budget.every)
    ways = _with_room(peaks) if name == DEFAULT else _bans(peaks, budget.threshold, SHARES[name])
    for way, head, limit in ways:
        yield tables.row(name, way, "denied above", limit, None, len(sets))
        for kind, mine in kinds.items():
            yield _share(name, way, kind, read.peaks(head, mine, budget.every) > limit)
    yield from as_packaged(name, kinds)


def as_packaged(name: str, kinds: Mapping[str, Sequence[LabelledRow]]) -> Iterator[tables.Row]:
    """Of each kind of answers, the share that a policy stops beside a model without heads."""
    bench = packaged(name)
    stopped: dict[str, dict[str, list[bool]]] = {}
    for kind, mine in kinds.items():
        for row in mine:
            for way, stops in _stopped(bench, TextRow(row.text, kind, row.prompt)).items():
                stopped.setdefault(way, {}).setdefault(kind, []).append(stops)
    for way, found in stopped.items():
        if any(any(those) for those in found.values()):
            yield from (_share(name, way, kind, those) for kind, those in found.items())


def _stopped(bench: Bench, row: TextRow) -> dict[str, bool]:
    """By way, whether an answer is stopped: by any budget, by each alone, or else since its question is refused."""
    answer, rule = bench.charge(row), bench.policy.prompt
    over = {charge.budget for charge in answer.charges if charge.z_after < 0}
    ways = {AS_PACKAGED: bool(over)} | {
        f"{AS_PACKAGED}, {one.id} alone": one.id in over for one in bench.policy.budgets
    }
    if rule is not None and rule.on_exceed == "refuse":
        ways[f"{AS_PACKAGED}, with questions"] = bool(over) or answer.prompt.exceeded
    return ways


def packaged(name: str) -> Bench:
    """A bench with all budgets of a packaged policy, charged after as many words as `Reader` takes for its tokens."""
    policy = load_policy(POLICIES / f"{name}.yaml")
    budgets = tuple(replace(one, every=max(1, one.every * WORDS // EVERY)) for one in policy.budgets)
    policy = replace(policy, budgets=budgets)
    built = build_costs(policy.cost_models, policy.asked, engine=None, base_dir=POLICIES)
    return Bench(text_engine(BY_WORDS), bind_costs(policy, built), policy, by_words=True)


def _share(name: str, way: str, kind: str, stopped: Sequence[bool] | NDArray[np.bool_]) -> tables.Row:
    share = proportion(int(np.sum(stopped)), len(stopped))
    return tables.row(name, way, kind, share.value, (share.low, share.high), share.n)


def _bans(peaks: Callable[[str], Peaks], threshold: float, share: float) -> Iterator[tuple[str, str, float]]:
    """What a way is called, its head, and the score above which an answer is denied."""
    yield "reads answers, as it is", ANSWERS, threshold
    yield "reads answers, set", ANSWERS, lowest(peaks(ANSWERS), share)
    yield "reads exchanges, set", EXCHANGES, lowest(peaks(EXCHANGES), share)


def _with_room(peaks: Callable[[str], Peaks]) -> Iterator[tuple[str, str, float]]:
    """The same of the default policy, whose budgets have room: few answers cost anything, or few are over a budget."""
    for rule in RULES:
        begins = lowest_with_room(peaks(EXCHANGES), peaks(TONE), rule)
        yield f"few {rule}", EXCHANGES, limit_of(begins)


def lowest(scores: Peaks, share: float) -> float:
    """The lowest score, in hundredths, that surely no more than `share` of such answers lie above."""
    allowed = surely_allowed(len(scores), share)
    return next(begins for begins in np.arange(1, 101) / 100 if int((scores > begins).sum()) <= allowed)


def everyday_answers(name: str) -> list[LabelledRow]:
    """The embedded model's answers to everyday questions of a policy's domain; of all three for one that has none."""
    return [row for one in RATES if name in (one, *GENERAL) for row in _recorded(one)]


def _recorded(domain: str) -> list[LabelledRow]:
    prompts, answers = (_lines(DOMAINS / f"{domain}-0.{what}.jsonl") for what in ("prompts", "answers"))
    told = [(prompts[int(one["id"]) - 1]["prompt"], one["text"]) for one in answers if one["text"].strip()]
    return [LabelledRow(prompt, text, "safe", source=EVERYDAY, split="test") for prompt, text in told]


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


class Reader:
    """The heads, and what they said: policies share what was read."""

    def __init__(self, steps: Collection[int]) -> None:
        self._steps = sorted(steps)  # tokens between charge points
        self._heads = {head: _head(head) for head in HEADS}
        self._known: dict[tuple[str, int, str, str], float] = {}

    def peaks(self, head: str, rows: Sequence[LabelledRow], every: int) -> Peaks:
        """(rows,): the highest score of each at a charge point, `every` tokens apart, or at its end."""
        show = progress_line(f"reading by {head}, every {every} tokens")
        for number, row in enumerate(rows, 1):
            if (head, every, row.prompt, row.text) not in self._known:
                for step, (one, cost) in product(self._steps, self._heads.items()):  # in turn: windows are read once
                    peak = peak_score(cost, row.text, row.prompt, step * WORDS // EVERY)
                    self._known[one, step, row.prompt, row.text] = peak
                show(number, len(rows))
        return np.array([self._known[head, every, row.prompt, row.text] for row in rows])


def _head(head: str) -> EncoderCost:
    reads = "exchange" if head == EXCHANGES else "answer"
    spec = CostModelSpec(head, "encoder", ("ncr",), {"head": head, "reads": reads}, 10.0)
    model = build_cost_model(spec, engine=None, base_dir=POLICIES)
    assert isinstance(model, EncoderCost)
    return model


def _help_of(name: str) -> Budget:
    policy = load_policy(POLICIES / f"{name}.yaml")
    return next(budget for budget in policy.budgets if budget.id == "harmful-help")


def _order(row: LabelledRow) -> tuple[str, str]:
    return _kind(row), digest_of(row.prompt, row.text)


def _kind(row: LabelledRow) -> str:
    return f"{row.source}, {row.label}"


if __name__ == "__main__":
    run(main)
