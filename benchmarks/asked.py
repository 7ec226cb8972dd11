"""What the text cost that reads what was asked charges under the packaged policies, and where it begins to.

    python benchmarks/asked.py --answers ANSWERS.jsonl --write             set its scale in policies/*.yaml
    python benchmarks/asked.py --answers ANSWERS.jsonl --data ROWS.jsonl   measure; writes benchmarks/out/asked.json

ANSWERS is what `ig-guardrail train answers` wrote. Its calibration rows, which no head has learned, set the score that
counts as a policy's threshold: the lowest at which, with 95 % confidence, at most the policy's share of such answers
costs anything. Where budgets have room (`default`, `observe`) that is said of tone and help together, for a ban of help
alone. Test rows of ROWS (may be given again), of ANSWERS and of this project's sensitive answers measure, read to their
ends. Rows reserved for judges are left out, but sensitive ones, which no judge has learned. No language model is
asked.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import numpy as np
from command import publish, run
from numpy.typing import NDArray

from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.evaluate import tables
from ig_guardrail.learn.data.recipes import OWN_ANSWERS, SENSITIVE
from ig_guardrail.learn.data.rows import LabelledRow, read_rows
from ig_guardrail.learn.encoder import peak_score
from ig_guardrail.learn.fitting.tensor_cache import progress_line
from ig_guardrail.learn.fitting.windows import EVERY, WORDS
from ig_guardrail.learn.thresholds import surely_allowed
from ig_guardrail.policy import load_policy
from ig_guardrail.statistics.binomial import proportion
from ig_guardrail.types import Budget, CompiledPolicy, CostModelSpec
from ig_guardrail.workbench.traffic.calibrate import data_sha256

HERE = Path(__file__).parent
POLICIES = HERE.parent / "policies"
OWN = Path(str(files("ig_guardrail.evaluate"))) / "prompt_sets" / "sensitive.jsonl"
SHARES: Mapping[str, float] = {
    "default": 0.05,
    "observe": 0.05,
    "strict": 0.10,
    "education": 0.10,
    "health": 0.05,
    "support": 0.05,
}
HELP, TONE = "help-text", "tone-text"
JAILBREAKS = "JailbreakBench-artifacts"
MEASURED = (JAILBREAKS, SENSITIVE, OWN_ANSWERS, "Alpaca subset", "Dolly subset")
SCALE = re.compile(rf"(  {HELP}: \{{.*?scale: \{{from: )[0-9.]+(, to: )[0-9.]+")

Peaks = NDArray[np.float64]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Measure the text cost that reads what was asked.")
    parser.add_argument("--answers", type=Path, required=True, help="the embedded model's harmless answers")
    parser.add_argument("--data", type=Path, action="append", default=[], help="labelled rows; may be given again")
    parser.add_argument("--write", action="store_true", help="put the scales that were found into policies/")
    options = parser.parse_args(arguments)
    if options.data == [] and not options.write:
        parser.error("give --data, --write or both")
    if options.write:
        harmless = [row for row in _rows([options.answers]) if row.split == "calibration"]
        for name, share in SHARES.items():
            set_scale(name, share, harmless)
    if options.data:
        rows = [row for row in _rows([*options.data, options.answers, OWN]) if row.split == "test"]
        data = {path.name: data_sha256(path) for path in (*options.data, options.answers)}
        figures = [row for name in SHARES if name != "observe" for row in measured(name, rows)]
        publish(HERE / "out" / "asked.json", "The text cost that reads what was asked", figures, data_sha256=data)
    return 0


def set_scale(name: str, share: float, harmless: Sequence[LabelledRow]) -> None:
    """Write the score that counts as the threshold of a policy's help into its file."""
    path, policy = POLICIES / f"{name}.yaml", load_policy(POLICIES / f"{name}.yaml")
    budget = _budget(policy, "harmful-help")
    scores = _peaks(_model(policy, HELP), harmless, budget.every)
    other = np.zeros(len(harmless), dtype=bool)
    if budget.budget > 0:
        tone = _budget(policy, "toxic-tone")
        other = _peaks(_model(policy, TONE), harmless, tone.every) > tone.threshold
    found = lowest(scores, other, surely_allowed(len(harmless), share))
    counts = (rf"\g<1>{found}", rf"\g<2>{budget.threshold}")
    text, times = SCALE.subn("".join(counts), path.read_text(encoding="utf-8"))
    if times != 1:
        raise ValueError(f"{path.name} has no scale of {HELP} to set")
    path.write_text(text, encoding="utf-8")
    touched = proportion(int((scores > found).sum()), len(scores))
    print(f"{name}: {found} counts as {budget.threshold}; help costs in {touched.value:.1%} of {len(scores)} answers")


def lowest(scores: Peaks, other: NDArray[np.bool_], allowed: int) -> float:
    """The lowest score, in hundredths, above which at most `allowed` answers lie or are touched by another budget.

    Raises ValueError if the other budget alone touches more.
    """
    for hundredth in range(1, 100):
        if int(((scores > hundredth / 100) | other).sum()) <= allowed:
            return hundredth / 100
    raise ValueError(f"more than {allowed} answers are touched whatever help counts")


def measured(name: str, rows: Sequence[LabelledRow]) -> Iterator[tables.Row]:
    """Of each kind of answers, the share that costs anything under a policy, and that which is over its budget."""
    policy = load_policy(POLICIES / f"{name}.yaml")
    budget, spec = _budget(policy, "harmful-help"), _spec(policy, HELP)
    for kind, mine in groupby(sorted(rows, key=_kind), key=_kind):
        scores = _peaks(_model(policy, HELP), list(mine), budget.every)
        excess = np.array([spec.counted(score) for score in scores.tolist()]) - budget.threshold
        lines = {"costs": 0.0, "over budget": budget.budget} if budget.budget else {"over budget": 0.0}
        for what, over in lines.items():
            share = proportion(int((excess > over).sum()), len(scores))
            yield tables.row(name, what, kind, share.value, (share.low, share.high), share.n)


def _rows(paths: Sequence[Path]) -> list[LabelledRow]:
    """The answers that are measured or set scales, as they are in the data."""
    ours = (SENSITIVE,)
    return [
        row
        for row in read_rows(paths).rows
        if row.source in MEASURED and row.response and row.text.strip() and (row.source in ours or not row.reserved)
    ]


def _kind(row: LabelledRow) -> str:
    return f"{row.source}, {row.label}"


def _budget(policy: CompiledPolicy, name: str) -> Budget:
    return next(budget for budget in policy.budgets if budget.id == name)


def _spec(policy: CompiledPolicy, name: str) -> CostModelSpec:
    return next(spec for spec in policy.cost_models if spec.name == name)


def _model(policy: CompiledPolicy, name: str) -> CostModel:
    return build_cost_model(_spec(policy, name), engine=None, base_dir=POLICIES)


_known: dict[tuple[str, str, str, int], float] = {}


def _peaks(model: CostModel, rows: Sequence[LabelledRow], every: int) -> Peaks:
    """(rows,): the highest score of each at a charge point or its end; policies share what was read."""
    words = max(1, every * WORDS // EVERY)
    show = progress_line(f"reading by {model.name}, every {words} words")
    found = []
    for number, row in enumerate(rows, 1):
        key = (model.sha256, row.prompt, row.text, words)
        if key not in _known:
            _known[key] = peak_score(model, row.text, row.prompt, words)
        found.append(_known[key])
        show(number, len(rows))
    return np.array(found)


if __name__ == "__main__":
    run(main)
