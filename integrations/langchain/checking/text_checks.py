"""What of a policy can be checked without a language model: input turns, and tool calls with their arguments.

Also here: a guardrail over text that is written elsewhere, and what a request to it says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from ig_guardrail.assembly import guard_text
from ig_guardrail.budget import BudgetRule, BudgetState, SafetyState, charge, settle
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_costs, reads_text
from ig_guardrail.costs.combine import evaluate, hazards_behind, pick
from ig_guardrail.drive.prompt_check import PromptCheck, score_turns
from ig_guardrail.drive.records.auditor import Auditor
from ig_guardrail.drive.runners import finish
from ig_guardrail.drive.scoring.cost_registry import (
    BoundCost,
    CostRegistry,
    bind_cost,
    check_prompt,
    counted_sha256,
)
from ig_guardrail.drive.scoring.judging import START, await_scores, begin_scoring
from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.engine.external.stream import AnswerReader
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import Ledger, ledger_at
from ig_guardrail.policy import load_policy
from ig_guardrail.policy.sources import folder_of
from ig_guardrail.rollout.canary import Canary
from ig_guardrail.rollout.rollout import Rollout
from ig_guardrail.settings import AuditFile, audit_file
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import Budget, Charge, CompiledPolicy, Measure, Message, Piece, Prompt, Sampling


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """What the worst of some texts costs a budget, as if it were all of an answer.

    hazards  for which it is overdrawn; none where it is not
    """

    charge: Charge
    hazards: tuple[str, ...]

    @property
    def over(self) -> bool:
        return self.charge.z_after < 0


@dataclass(frozen=True, slots=True)
class TextChecks:
    """A policy and those of its cost models that read text. A check blocks its thread, within their time limits.

    costs  these cost models, and the enforced budgets that read text alone; each is charged once, for all of a text
    arm    `stable` or `canary`, where some are checked under another policy; else ""
    """

    policy: CompiledPolicy
    costs: CostRegistry
    opened_from: tuple[str | Path | CompiledPolicy, Mapping[str, CostModel] | None]
    arm: str = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> TextChecks:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by what they were opened from."""
        return text_checks, self.opened_from

    def prompt(self, text: str) -> PromptCheck:
        """What the prompt rule says of one input turn; nothing without a rule. Raises CostFailure without a score."""
        turns = [Message("user", text)] if text.strip() else []
        return finish(score_turns(self.policy.prompt, self.costs, Prompt((), ()), turns))

    def refuses_prompt(self, text: str) -> bool:
        """Whether the policy refuses an input turn outright."""
        return self.prompt(text).action == "refuse"

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The enforced budgets that read text alone."""
        return tuple(rule.budget for rule in self.costs.rules)

    def judged(self, texts: Sequence[str]) -> Iterator[BudgetCheck]:
        """What the worst of some texts costs each of these budgets by itself, in their order."""
        for rule in self.costs.rules:
            budget = rule.budget
            scores = {model: self._worst(model, texts) for model in budget.cost.models()}
            raw = _joined(budget, scores)
            measure = Measure(budget.id, 1, ended=True, score=evaluate(budget.cost, raw), raw=raw)
            _, (line,) = settle([rule], SafetyState(), [measure])
            hazards = hazards_behind(budget.cost, scores, budget.hazards, budget.threshold)
            yield BudgetCheck(line, hazards or budget.hazards if line.z_after < 0 else ())

    def strain(self, budget: Budget, texts: Sequence[str]) -> float:
        """How far the worst of some texts uses up a budget by itself, in [0, 1]: 0.5 or more, and nothing is left.

        Below that it grows with the score, up to the highest that is within budget; above, with what is overdrawn.
        """
        raw = _joined(budget, {model: self._worst(model, texts) for model in budget.cost.models()})
        score = evaluate(budget.cost, raw)
        cost, worst = _cost(budget, score), _cost(budget, 1.0)
        if cost > budget.budget:
            return 0.5 + 0.5 * (cost - budget.budget) / (worst - budget.budget)
        most = budget.threshold + budget.budget / budget.weight
        return min(0.5, 0.5 * score / most) if most else 0.0

    def _worst(self, name: str, texts: Sequence[str]) -> dict[str, float]:
        """By hazard, the highest score that a cost model gives to one of some answers, calls and JSON read decoded."""
        cost = self.costs.by_name[name]
        model = cost.reader
        scores = [self._asked(cost, model, text) for text in texts]
        return {hazard: max(own[hazard] for own in scores) for hazard in scores[0]}

    def _asked(self, cost: BoundCost, model: CostModel, text: str) -> dict[str, float]:
        """Scores by hazard. model: the cost model as it reads answers"""
        call = begin_scoring(cost, Prompt((), ()), [(START, Piece(text, ended=True))], model)
        (fold,) = finish(await_scores(cost, call, 1))
        return dict(zip(model.hazards, fold.scores, strict=True))


def _joined(budget: Budget, scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Each cost model's score: its highest for the budget's hazards."""
    return {model: pick(tuple(one), tuple(one.values()), budget.hazards) for model, one in scores.items()}


def _cost(budget: Budget, score: float) -> float:
    """What one text costs that is all of an answer."""
    _, cost = charge(BudgetRule(budget, "final", "level"), BudgetState(), 1, score)
    return cost


def readings(name: str, arguments: Mapping[str, Any], id: str | None = None) -> list[str]:
    """A call as it is judged: as a model writes it, and its arguments alone; either is read decoded as well."""
    return [format_call(name, arguments, id), json.dumps(arguments, ensure_ascii=False, default=str)]


def text_checks(policy: str | Path | CompiledPolicy, cost_models: Mapping[str, CostModel] | None = None) -> TextChecks:
    """The checks of a policy (file, name or value). Raises PolicyError, ModelError.

    cost_models: those that the policy leaves to the program, by name
    """
    return _checks_under(load_policy(policy), folder_of(policy), (policy, cost_models))


def _checks_under(
    policy: CompiledPolicy,
    folder: Path | None,
    opened_from: tuple[str | Path | CompiledPolicy, Mapping[str, CostModel] | None],
    arm: str = "",
) -> TextChecks:
    by_name = {spec.name: spec for spec in policy.cost_models}
    asked = [name for name in policy.asked if reads_text(by_name[name], by_name)]
    built = build_costs(policy.cost_models, asked, opened_from[1], engine=None, base_dir=folder)
    check_prompt(policy.prompt, {name: one.model for name, one in built.items()})
    kept = {name: one for name, one in built.items() if not one.model.layers}
    enforced = [budget for budget in policy.budgets if budget.mode == "enforce"]
    costs = CostRegistry(
        {name: bind_cost(one) for name, one in kept.items()},
        tuple(BudgetRule(one, "final", "level") for one in enforced if all(name in kept for name in one.cost.models())),
        {name: counted_sha256(one) for name, one in kept.items()},
    )
    return TextChecks(policy, costs, opened_from, arm)


class CheckOpening(Rollout[TextChecks]):
    """The checks of a policy, opened at once, and copied by what they were opened from; they may follow its file.

    With a canary there are two. auditor: has a line written for what was checked; None unless it is asked for
    """

    def __init__(
        self,
        policy: str | Path | CompiledPolicy,
        cost_models: Mapping[str, CostModel] | None = None,
        audit: str | Path | AuditFile | None = None,
        reload: bool = False,
        canary: Canary | None = None,
    ) -> None:
        self._given = (policy, cost_models, audit, reload, canary)
        self._cost_models = cost_models
        self.auditor = None if audit is None else Auditor(audit_file(audit))
        super().__init__(policy, canary, reload)
        self.current()

    @override
    def _open_under(
        self, policy: CompiledPolicy, folder: Path | None, arm: str, beside: TextChecks | None
    ) -> TextChecks:
        return _checks_under(policy, folder, (policy, self._cost_models), arm)


LONGEST = 16_384  # pieces of one answer, by default


class TextOpening(Rollout[Guardrail]):
    """A text guardrail that is opened at once, and copied by what it was opened from; it may follow its policy's file.

    With a canary there are two, which share a ledger and an audit log.
    """

    def __init__(
        self,
        policy: str | Path | CompiledPolicy,
        ledger: str | Path | Ledger | None = None,
        cost_models: Mapping[str, CostModel] | None = None,
        audit: str | Path | AuditFile | None = None,
        reload: bool = False,
        canary: Canary | None = None,
    ) -> None:
        self._given = (policy, ledger, cost_models, audit, reload, canary)
        self._ledger, self._cost_models, self._audit = ledger, cost_models, audit
        super().__init__(policy, canary, reload)
        self.current()

    @override
    def _open_under(self, policy: CompiledPolicy, folder: Path | None, arm: str, beside: Guardrail | None) -> Guardrail:
        if beside is None:
            engine, ledger = StreamedEngine("", _nothing), ledger_at(self._ledger)
            opened = guard_text(engine, policy, folder, ledger, self._cost_models)
            opened.auditor = None if self._audit is None else Auditor(audit_file(self._audit))
        else:
            opened = guard_text(beside.engine, policy, folder, beside.ledger, self._cost_models)
            opened.auditor = beside.auditor
            opened.approve()
        opened.arm = arm
        return opened


def sampling(longest: int, stop: tuple[str, ...] = ()) -> Sampling:
    """How others draw is theirs to say; here an answer is only ended, at a stop string or after `longest` pieces."""
    return Sampling(temperature=1.0, top_p=1.0, stop=stop, max_tokens=longest)


def _nothing() -> AnswerReader:
    raise EngineError("there is no answer to read", where="engine", fix="use the guardrail `over` an engine")
