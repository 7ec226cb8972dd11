"""A budget's threshold from harmless answers, with a bound that holds: an exact binomial one, by counting.

What counts is the event "some charge point of the answer scores above the threshold", since one is enough for a guard
to step in. Of n harmless answers the highest scores are sorted, and the threshold is the lowest of them that is passed
by no more than k, the most for which the upper Clopper-Pearson bound of k in n is at most the rate. As k is set before
any score is seen, the bound holds with the stated confidence whatever scores are like, for answers that are drawn
independently from those to come.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

from ig_guardrail.errors import GuardrailError, RequestError
from ig_guardrail.statistics.binomial import fewest_answers, most_touched, proportion
from ig_guardrail.statistics.bootstrap import Estimate
from ig_guardrail.types import Budget, CompiledPolicy
from ig_guardrail.workbench.traffic.bench import Bench
from ig_guardrail.workbench.traffic.recordings import read_recordings
from ig_guardrail.workbench.traffic.replay import CannotJudge, PolicyReplay
from ig_guardrail.workbench.traffic.texts import read_texts

SHORT = 16  # characters of a hash that a person may have to read
METHOD = "exact binomial"
STEP = Decimal("0.0001")
REPLACED = math.inf  # the peak of an answer in place of a draft that nobody scored: it touches any threshold


@dataclass(frozen=True, slots=True)
class AnswerPeaks:
    """The highest score of each answer at any charge point, and what was left out, by reason.

    source  the model that answers were read beside, and `cost_models` with their hashes
    sha256  of the file or files
    """

    peaks: tuple[float, ...]
    sha256: str
    source: str
    cost_models: Mapping[str, str]
    apart: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CalibratedThreshold:
    """A threshold, and the claim that it carries.

    touched  of so many harmless answers; allowed: how many would have been let be
    bound    the exact upper bound of the touched share, of that confidence
    missed   the share of harmful answers that it does not touch, with its exact interval
    before   how many harmless answers the policy's present threshold touches
    """

    budget: str
    threshold: float
    rate: float
    confidence: float
    harmless: AnswerPeaks
    touched: int
    allowed: int
    bound: float
    before: int
    missed: Estimate | None
    harmful: AnswerPeaks | None

    def note(self) -> dict[str, Any]:
        """What is written beside the number."""
        return {
            "rate": self.rate,
            "confidence": self.confidence,
            "n": len(self.harmless.peaks),
            "touched": self.touched,
            "data": self.harmless.sha256[:SHORT],
            "method": METHOD,
            "date": datetime.now(UTC).date().isoformat(),
            "model": self.harmless.source,
            "cost_models": {name: sha256[:SHORT] for name, sha256 in self.harmless.cost_models.items()},
        }


def calibrate_budget(
    budget: Budget, harmless: AnswerPeaks, rate: float, confidence: float = 0.95, harmful: AnswerPeaks | None = None
) -> CalibratedThreshold:
    """The lowest threshold that at most a share `rate` of harmless answers touch, with that confidence.

    Raises GuardrailError where the sample is too small for the claim, or no threshold keeps it.
    """
    _check_shares(rate, confidence)
    count, miss = len(harmless.peaks), 1 - confidence
    allowed = most_touched(count, rate, miss) if count else None
    if allowed is None:
        raise GuardrailError(
            f"{count} harmless answers cannot support a threshold for {rate:.2%} of them",
            where=f"budget '{budget.id}'",
            why=f"the {confidence:.0%} bound would lie above that share even if none were touched",
            fix=f"give at least {fewest_answers(rate, miss)} answers; with {fewest_answers(rate, miss, 2)}, two may be",
        )
    ranked = sorted(harmless.peaks)
    threshold = _rounded_up(ranked[count - 1 - allowed])
    if threshold >= 1:
        raise GuardrailError(
            f"no threshold keeps the claim: more than {allowed} of {count} harmless answers touch any",
            where=f"budget '{budget.id}'",
            why="they score 1, or the search replaced their drafts, whose scores nobody knows",
            fix="use another cost model, a higher --rate, or answers that were recorded in `mode: shadow`",
        )
    touched = _above(harmless.peaks, threshold)
    missed = None
    if harmful is not None:
        if not harmful.peaks:
            raise RequestError("no harmful answer could be scored", where="--harmful", fix="give answers")
        missed = proportion(len(harmful.peaks) - _above(harmful.peaks, threshold), len(harmful.peaks), confidence)
    return CalibratedThreshold(
        budget=budget.id,
        threshold=threshold,
        rate=rate,
        confidence=confidence,
        harmless=harmless,
        touched=touched,
        allowed=allowed,
        bound=proportion(touched, count, 1 - 2 * miss).high,
        before=_above(harmless.peaks, budget.threshold),
        missed=missed,
        harmful=harmful,
    )


def peaks_of_recordings(policy: CompiledPolicy, folder: Path | None, budget: Budget, path: Path) -> AnswerPeaks:
    """The peaks of recorded answers under a budget, by the scores that were recorded. Raises RequestError."""
    alone = PolicyReplay(_with_only(policy, budget), folder)
    apart: dict[str, int] = {}
    peaks: list[float] = []
    models: dict[str, str] = {}
    sources: dict[str, None] = {}
    seen: set[str] = set()
    for _, recording in read_recordings(path):
        try:
            _check_whole(recording.text_sha256, recording.ended or recording.searched, seen)
            charges = alone.charges(recording)
        except CannotJudge as reason:
            apart[str(reason)] = apart.get(str(reason), 0) + 1
            continue
        peaks.append(REPLACED if recording.searched else max((line.score for line in charges), default=0.0))
        models |= {name: recording.cost_models[name].sha256 for name in budget.cost.models()}
        sources[recording.engine["name"]] = None
    return AnswerPeaks(tuple(peaks), data_sha256(path), ", ".join(sources), models, apart)


def peaks_of_texts(bench: Bench, budget: Budget, path: Path) -> AnswerPeaks:
    """The peaks of texts under a budget, scored now. Raises RequestError."""
    if budget.id in bench.left_out:
        raise RequestError(
            f"budget '{budget.id}' cannot be scored without a model",
            where="policy calibrate",
            why=bench.left_out[budget.id],
            fix="name one: `--model embedded`",
        )
    served = [name for name in budget.cost.models() if bench.by_words and name in bench.costs.substitutes]
    if served:
        raise RequestError(
            f"cost model '{served[0]}' cannot be scored without a model",
            where="policy calibrate",
            why=f"`{bench.costs.substitutes[served[0]]}` serves in its place, and scores on another scale",
            fix="name the model that the policy will run beside: `--model embedded`",
        )
    apart: dict[str, int] = {}
    peaks: list[float] = []
    seen: set[str] = set()
    for row in read_texts(path):
        try:
            _check_whole(row.prompt + "\0" + row.text + repr(row.calls), True, seen)
        except CannotJudge as reason:
            apart[str(reason)] = apart.get(str(reason), 0) + 1
            continue
        charges = bench.charge(row).charges
        peaks.append(max((line.score for line in charges if line.budget == budget.id), default=0.0))
    models = {name: bench.costs.hashes[name] for name in budget.cost.models()}
    return AnswerPeaks(tuple(peaks), data_sha256(path), bench.engine.info.model, models, apart)


def budget_of(policy: CompiledPolicy, name: str) -> Budget:
    """The budget of a name. Raises RequestError for one that is not there, or is not over one answer."""
    found = next((budget for budget in policy.budgets if budget.id == name), None)
    if found is None:
        raise RequestError(
            f"there is no budget '{name}'",
            where=f"policy '{policy.name}'",
            fix=f"its budgets are {', '.join(budget.id for budget in policy.budgets)}",
        )
    if found.scope != "response":
        raise RequestError(
            f"budget '{name}' is shared by answers (scope `{found.scope}`)",
            where=f"policy '{policy.name}'",
            why="a threshold is set on answers one by one",
            fix="calibrate a budget of scope `response` over the same cost model",
        )
    return found


def data_sha256(path: Path) -> str:
    """The hash of a file, or of all files of a folder that recordings are read from."""
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
        with file.open("rb") as opened:
            while part := opened.read(1 << 20):
                digest.update(part)
    return digest.hexdigest()


def _check_whole(text: str | None, whole: bool, seen: set[str]) -> None:
    """Raises CannotJudge for an answer that is not a drawing of its own."""
    if not whole:
        raise CannotJudge("the answer is not whole")
    if text is not None and text in seen:
        raise CannotJudge("the same answer is there already")
    seen |= {text} if text is not None else set()


def _with_only(policy: CompiledPolicy, budget: Budget) -> CompiledPolicy:
    return replace(policy, budgets=(budget,), prompt=None)


def _check_shares(rate: float, confidence: float) -> None:
    for name, value, least in (("--rate", rate, 0.0), ("--confidence", confidence, 0.5)):
        if not least < value < 1:
            raise RequestError(
                f"{name} is {value:g}", where="policy calibrate", fix=f"give a share above {least:g} and below 1"
            )


def _above(peaks: Sequence[float], threshold: float) -> int:
    return sum(peak > threshold for peak in peaks)


def _rounded_up(score: float) -> float:
    """To four places, so that a person can read it; upwards, so that the claim still holds."""
    return 1.0 if score >= 1 else float(Decimal(repr(score)).quantize(STEP, ROUND_CEILING))


def as_lines(found: CalibratedThreshold, policy: CompiledPolicy) -> Iterable[str]:
    """What was found, for people."""
    harmless, harmful = found.harmless, found.harmful
    budget, count = budget_of(policy, found.budget), len(harmless.peaks)
    yield f"budget '{found.budget}' of {policy.name} {policy.version}, answers read beside {harmless.source}"
    yield (
        f"  threshold {found.threshold:g}: with {found.confidence:.0%} confidence at most {found.rate:.2%} of harmless"
        f" answers are touched at any charge point"
    )
    yield f"  touched {found.touched} of {count} ({found.allowed} allowed); exact upper bound {found.bound:.2%}"
    yield f"  now {budget.threshold:g}: touches {found.before} of {count}"
    if found.missed is not None and harmful is not None:
        one = found.missed
        yield (
            f"  missed {round(one.value * one.n)} of {one.n} harmful answers: {one.value:.1%}, "
            f"{found.confidence:.0%} interval {one.low:.1%} to {one.high:.1%}"
        )
    for name, peaks in (("harmless", harmless), ("harmful", harmful)):
        yield from (f"  left out: {n} {name}, since {why}" for why, n in (peaks.apart if peaks else {}).items())
    rises_only = budget.accumulate == "max" and budget.budget > 0
    if rises_only and budget.weight * (1 - found.threshold) <= budget.budget:
        yield (
            f"note: with `budget: {budget.budget:g}` no rise of a score above {found.threshold:g} is denied any more;"
            f" lower it"
        )
    yield "note: the claim is on answers drawn as these were, on this budget alone, and on this model and cost model"
