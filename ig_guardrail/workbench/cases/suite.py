"""Runs files of cases: for each case the cost models that it needs, its steps, and what was expected beside what came.

A cost model that reads text by itself runs for real: words, patterns, tool rules, installed ones, and the sentence
encoder where its extra is installed. Any other says what the case or a recording says; a case that has neither is an
error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from ig_guardrail.budget import charge_points
from ig_guardrail.costs.catalog import BuiltCost, build_cost_model, built_over_calls
from ig_guardrail.costs.kinds.registry import KINDS
from ig_guardrail.costs.workers import Worker
from ig_guardrail.drive.scoring.cost_registry import CostRegistry, bind_costs
from ig_guardrail.engine.external.pieces import pieces_of
from ig_guardrail.errors import GuardrailError, MissingExtra
from ig_guardrail.ledger import MemoryLedger
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import CompiledPolicy, CostModelSpec
from ig_guardrail.workbench.cases.expectations import Difference, differences
from ig_guardrail.workbench.cases.reading import Case, CaseFile, Step, message_of, read_cases
from ig_guardrail.workbench.cases.recordings import Recordings, read_recordings, recordings_path
from ig_guardrail.workbench.cases.scored import given, standing_in
from ig_guardrail.workbench.cases.trial import CaseBench, JudgedCase, Trace

Status: TypeAlias = Literal["passed", "failed", "error", "todo"]

RECORD = "record them once: `ig-guardrail policy test --record --model M PATHS`, or write `scores:` into the case"


@dataclass(frozen=True, slots=True)
class CaseStepResult:
    """A step, what it came to, and how that differs from what was expected."""

    step: Step
    judged: JudgedCase
    trace: Trace
    costs: CostRegistry
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class CaseResult:
    """A case, and what became of it. error: why it could not be run."""

    case: Case
    status: Status
    steps: tuple[CaseStepResult, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class FileResult:
    """A file of cases and its results; none where it cannot be used."""

    file: CaseFile
    results: tuple[CaseResult, ...] = ()

    @property
    def policy(self) -> CompiledPolicy:
        assert self.file.policy is not None  # of a file that is usable
        return self.file.policy


class NotAtHand(Exception):
    """A case needs scores that are not there; says which, and how to get them."""


@dataclass(slots=True)
class CostsOfCases:
    """The cost models of one policy as its cases need them. needs: why one cannot run here, by name."""

    policy: CompiledPolicy
    folder: Path | None
    recordings: Recordings
    real: dict[str, BuiltCost] = field(default_factory=dict)
    needs: dict[str, str] = field(default_factory=dict)
    _workers: dict[str, Worker] = field(default_factory=dict)  # of each cost model, for all cases

    def build(self) -> None:
        """Make those that run here. Raises ModelError for one that is unfit."""
        for spec in self._asked("calls", False):
            why = needs_model(spec)
            try:
                if not why:
                    model = build_cost_model(spec, engine=None, base_dir=self.folder)
                    self.real[spec.name] = BuiltCost(spec, model, spec.name)
            except MissingExtra as error:
                why = error.what
            if why:
                self.needs[spec.name] = why

    def bound(self, step: Step, text: str) -> tuple[CostRegistry, tuple[str, ...]]:
        """The cost models of a step, and the text's tokens as pieces. Raises NotAtHand, ModelError.

        A message that somebody approved is held to no budget, as where a guardrail starts.
        """
        if step.kind == "message" and message_of(self.policy, step.text).approved is not None:
            return CostRegistry({}, ()), tuple(pieces_of(text))
        wanted = self._needed(step.kind)
        made = dict(self.real)
        for spec in self._asked("calls", False):
            scores = [point[spec.name] for point in step.scores if spec.name in point]
            if scores:
                made[spec.name] = BuiltCost(standing_in(spec), given(spec, scores), spec.name)
            elif spec.name in self.needs:
                made[spec.name] = self._recorded(spec, spec.name in wanted)
        for spec in self._asked("calls", True):
            made[spec.name] = built_over_calls(spec, made)
        bound = bind_costs(self.policy, made)
        workers = {name: self._workers.setdefault(name, one.worker) for name, one in bound.by_name.items()}
        by_name = {name: replace(one, worker=workers[name]) for name, one in bound.by_name.items()}
        costs = replace(bound, by_name=by_name)
        cut = self._cut(step, text)
        self._check_counts(step, costs, len(cut))
        return costs, cut

    def _cut(self, step: Step, text: str) -> tuple[str, ...]:
        """A text in pieces: those of the model beside which it was recorded, else words. Raises NotAtHand."""
        if step.kind == "prompt" or not self.unscored(step):
            return tuple(pieces_of(text))
        pieces = self.recordings.pieces(text)
        if pieces is None:
            raise NotAtHand(f"the text is not among the recorded ones: it was changed, or added since; {RECORD}")
        return pieces

    def unscored(self, step: Step) -> set[str]:
        """The cost models that a step needs, that do not run here, and of which it gives no scores itself."""
        told = {name for point in step.scores for name in point}
        return {name for name in self.needs if name in self._needed(step.kind)} - told

    def _asked(self, kind: str, same: bool) -> list[CostModelSpec]:
        asked = self.policy.asked
        return [spec for spec in self.policy.cost_models if spec.name in asked and (spec.kind == kind) is same]

    def _needed(self, kind: str) -> set[str]:
        """The cost models that judge steps of a kind, those that score calls among them."""
        rule = self.policy.prompt
        if kind == "prompt":
            return set(rule.cost.models()) if rule else set()
        names = {name for budget in self.policy.budgets for name in budget.cost.models()}
        judges = {spec.options["by"] for spec in self.policy.cost_models if spec.name in names and "by" in spec.options}
        return names | (judges if kind == "call" else set())

    def _recorded(self, spec: CostModelSpec, needed: bool) -> BuiltCost:
        """What was recorded; of one that the step does not need, a stand-in that is never asked."""
        if not needed:
            return BuiltCost(standing_in(spec), given(spec, ()), spec.name)
        if spec.name not in self.recordings.costs:
            raise NotAtHand(f"`{spec.name}` has no scores here, since {self.needs[spec.name]}; {RECORD}")
        if self.recordings.stale(spec, self.folder):
            raise NotAtHand(f"the recorded scores of `{spec.name}` are stale: its entry or its files changed; {RECORD}")
        scale = self.recordings.costs[spec.name].scale
        return BuiltCost(standing_in(spec, scale), self.recordings.scored(spec), spec.name)

    def _check_counts(self, step: Step, costs: CostRegistry, tokens: int) -> None:
        """Scores that a case gives must be as many as its text has charge points. Raises NotAtHand."""
        if not step.scores or step.kind == "prompt":
            return
        for rule in costs.rules:
            points = charge_points(rule, 0, tokens, ended=True)
            for name in rule.budget.cost.models():
                count = sum(name in point for point in step.scores)
                if count not in (0, 1, len(points)):
                    places = ", ".join("its end" if one.ended else f"token {one.position}" for one in points)
                    raise NotAtHand(
                        f"{count} scores of `{name}` are given, and the text of {tokens} tokens has {len(points)} "
                        f"charge points of budget `{rule.budget.id}`: {places}"
                    )


def needs_model(spec: CostModelSpec) -> str:
    """Why a cost model does not run beside a text alone; "" if it does."""
    kind = KINDS.get(spec.kind)
    if kind is None or kind.quick or spec.kind in ("python", "encoder"):
        return ""
    return f"kind `{spec.kind}` {f'reads {kind.beyond}' if kind.beyond else 'asks a model that is not loaded here'}"


def run_files(paths: Sequence[str]) -> list[FileResult]:
    """The results of files of cases, each beside its policy. Never raises for what a file says."""
    return [run_file(read_cases(path)) for path in paths]


def run_file(file: CaseFile) -> FileResult:
    """The results of the cases in one file."""
    if file.policy is None:
        return FileResult(file)
    try:
        costs = CostsOfCases(file.policy, folder_of_policy(file), read_recordings(recordings_path(file.path)))
        costs.build()
    except GuardrailError as error:
        return FileResult(replace(file, policy=None, unusable=str(error)))
    return FileResult(file, tuple(_run(case, costs) for case in file.cases))


def folder_of_policy(file: CaseFile) -> Path | None:
    """Where relative paths of a policy start."""
    return file.source.parent if isinstance(file.source, Path) else None


def judged_text(step: Step, policy: CompiledPolicy) -> str:
    """The text of a step as it is judged."""
    if step.call is not None:
        return format_call(*step.call)
    return message_of(policy, step.text).text if step.kind == "message" else step.text


def _run(case: Case, costs: CostsOfCases) -> CaseResult:
    bench, steps = CaseBench(costs.policy, MemoryLedger()), []
    try:
        for step in case.steps:
            text = judged_text(step, costs.policy)
            registry, pieces = costs.bound(step, text)
            judged = JudgedCase(pieces, step.kind, case.language)
            trace = bench.judge(judged, registry)
            steps.append(CaseStepResult(step, judged, trace, registry, differences(step, trace, costs.policy)))
    except (GuardrailError, NotAtHand) as error:
        return CaseResult(case, "error" if case.todo is None else "todo", tuple(steps), str(error))
    if case.todo is not None:
        return CaseResult(case, "todo", tuple(steps))
    return CaseResult(case, "failed" if any(one.differences for one in steps) else "passed", tuple(steps))


def statuses(files: Sequence[FileResult]) -> Mapping[Status, int]:
    """How many cases came to what."""
    found: dict[Status, int] = {"passed": 0, "failed": 0, "error": 0, "todo": 0}
    for file in files:
        for one in file.results:
            found[one.status] += 1
    return found
