"""What of a policy can be checked without a language model: input turns, and tool calls with their arguments.

A guardrail over text that is written elsewhere, and what a request to it says.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ig_guardrail.assembly import guard_text
from ig_guardrail.budget import BudgetRule, BudgetState, charge
from ig_guardrail.costs.base import CostModel
from ig_guardrail.costs.catalog import build_costs, reads_text
from ig_guardrail.costs.combine import evaluate, hazards_behind, pick
from ig_guardrail.drive.auditor import Auditor
from ig_guardrail.drive.cost_registry import BoundCost, check_prompt, seated
from ig_guardrail.drive.judging import START, await_scores, begin_scoring
from ig_guardrail.drive.prompt_check import prompt_hazards
from ig_guardrail.drive.runners import finish
from ig_guardrail.drive.scorer import check_scores
from ig_guardrail.engine.external.engine import StreamedEngine
from ig_guardrail.engine.external.stream import AnswerReader
from ig_guardrail.errors import EngineError
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.ledger import Ledger, ledger_at
from ig_guardrail.policy import load_policy
from ig_guardrail.reload import ReloadingGuardrail, path_of, state_of
from ig_guardrail.settings import AuditFile, audit_file
from ig_guardrail.spec import GuardrailSpec, folder_of
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import Budget, CompiledPolicy, Piece, Prompt, Role, Sampling


@dataclass(frozen=True, slots=True)
class TextChecks:
    """A policy and those of its cost models that read text. A check blocks its thread, within their time limits."""

    policy: CompiledPolicy
    seats: Mapping[str, BoundCost]
    opened_from: tuple[str | Path | CompiledPolicy, Mapping[str, CostModel] | None]

    def __deepcopy__(self, memo: dict[int, Any]) -> TextChecks:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by what they were opened from."""
        return text_checks, self.opened_from

    def prompt_score(self, text: str) -> float:
        """The prompt rule's score of one input turn; 0 without a rule. Raises CostFailure if it cannot be told."""
        return self._prompt(text)[0]

    def refuses_prompt(self, text: str) -> bool:
        """Whether the policy refuses an input turn outright."""
        return self.prompt_denied(text) is not None

    def prompt_denied(self, text: str) -> tuple[str, ...] | None:
        """The hazards for which the policy refuses an input turn; None if it does not."""
        rule = self.policy.prompt
        if rule is None or rule.on_exceed != "refuse":
            return None
        score, scores = self._prompt(text)
        return prompt_hazards(rule, scores) if score > rule.threshold else None

    def _prompt(self, text: str) -> tuple[float, dict[str, dict[str, float]]]:
        """The prompt rule's score of an input turn, and those that it is made of, by cost model and hazard."""
        rule = self.policy.prompt
        if rule is None or not text.strip():
            return 0.0, {}
        scores = {name: self._asked(name, self.seats[name].model, text, "user") for name in rule.cost.models()}
        return evaluate(rule.cost, {name: max(own.values()) for name, own in scores.items()}), scores

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The enforced budgets that read text alone."""
        return tuple(
            budget
            for budget in self.policy.budgets
            if budget.mode == "enforce" and all(model in self.seats for model in budget.cost.models())
        )

    def forbidden_by(self, name: str, arguments: Mapping[str, Any], id: str | None = None) -> str | None:
        """The budget that a call with these arguments would overdraw by itself, among those that read text alone.

        id: what the call is named, where somebody is told
        """
        return self.overdrawn_by(readings(name, arguments, id))

    def overdrawn_by(self, texts: Sequence[str]) -> str | None:
        """The budget that the worst of some texts would overdraw by itself, among those that read text alone."""
        return next((budget for budget, _ in self._overdrawn(texts)), None)

    def overdrawn(self, texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """All of these budgets, in order, and the hazards for which each would be overdrawn."""
        return dict(self._overdrawn(texts))

    def _overdrawn(self, texts: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        for budget in self.budgets:
            scores = {model: self._worst(model, texts) for model in budget.cost.models()}
            if _cost(budget, _joined(budget, scores)) > budget.budget:
                hazards = hazards_behind(budget.cost, scores, budget.hazards, budget.threshold)
                yield budget.id, hazards or budget.hazards

    def strain(self, budget: Budget, texts: Sequence[str]) -> float:
        """How far the worst of some texts uses up a budget by itself, in [0, 1]: 0.5 or more, and nothing is left.

        Below that it grows with the score, up to the highest that is within budget; above, with what is overdrawn.
        """
        score = _joined(budget, {model: self._worst(model, texts) for model in budget.cost.models()})
        cost, worst = _cost(budget, score), _cost(budget, 1.0)
        if cost > budget.budget:
            return 0.5 + 0.5 * (cost - budget.budget) / (worst - budget.budget)
        most = budget.threshold + budget.budget / budget.weight
        return min(0.5, 0.5 * score / most) if most else 0.0

    def _worst(self, name: str, texts: Sequence[str]) -> dict[str, float]:
        """By hazard, the highest score that a cost model gives to one of some answers, calls and JSON read decoded."""
        scores = [self._asked(name, self.seats[name].reader, text) for text in texts]
        return {hazard: max(own[hazard] for own in scores) for hazard in scores[0]}

    def _asked(self, name: str, model: CostModel, text: str, role: Role = "assistant") -> dict[str, float]:
        """Scores by hazard."""
        seat = self.seats[name]
        call = begin_scoring(seat, Prompt((), ()), [(START, Piece(text, ended=True, role=role))], model)
        answers = finish(await_scores(seat, call))
        (fold,) = check_scores(seat, answers, 1)
        return dict(zip(model.hazards, fold.scores, strict=True))


def _joined(budget: Budget, scores: Mapping[str, Mapping[str, float]]) -> float:
    """A budget's score, each cost model's being its highest for the budget's hazards."""
    own = {model: pick(tuple(one), tuple(one.values()), budget.hazards) for model, one in scores.items()}
    return evaluate(budget.cost, own)


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
    compiled = load_policy(policy)
    by_name = {spec.name: spec for spec in compiled.cost_models}
    asked = [name for name in compiled.asked if reads_text(by_name[name], by_name)]
    built = build_costs(compiled.cost_models, asked, cost_models, engine=None, base_dir=folder_of(policy))
    check_prompt(compiled.prompt, {name: one.model for name, one in built.items()})
    seats = {name: seated(one) for name, one in built.items() if not one.model.layers}
    return TextChecks(compiled, seats, (policy, cost_models))


LONGEST = 16_384  # pieces of one answer, by default


def text_guardrail(
    policy: str | Path | CompiledPolicy,
    ledger: str | Path | Ledger | None = None,
    cost_models: Mapping[str, CostModel] | None = None,
) -> Guardrail:
    """The guardrail of a policy (file, name or value), to be used `over` an engine for each request.

    cost_models: those that the policy leaves to the program (`kind: provided`), by name

    Raises PolicyError; ModelError if a budget is of hidden states.
    """
    compiled = load_policy(policy)
    return guard_text(StreamedEngine("", _nothing), compiled, folder_of(policy), ledger_at(ledger), cost_models)


class TextOpening:
    """A text guardrail that is opened at once, and copied by what it was opened from; it may follow its policy's file.

    A copy in this process is the same one; one that was pickled is opened again where it is read.
    """

    def __init__(
        self,
        policy: str | Path | CompiledPolicy,
        ledger: str | Path | Ledger | None = None,
        cost_models: Mapping[str, CostModel] | None = None,
        audit: str | Path | AuditFile | None = None,
        reload: bool = False,
    ) -> None:
        self._given = (policy, ledger, cost_models, audit, reload)
        spec = GuardrailSpec(policy=policy, cost_models=cost_models or {}, reload=reload)
        seen = state_of(path_of(spec)) if reload else None
        self._first = text_guardrail(policy, ledger, cost_models)
        self._first.auditor = None if audit is None else Auditor(audit_file(audit))
        self._reloading = None if seen is None else ReloadingGuardrail(spec, self._first, seen, self._remade)

    @property
    def guardrail(self) -> Guardrail:
        """The guardrail for a request that begins now."""
        return self._first if self._reloading is None else self._reloading.current()

    async def guardrail_async(self) -> Guardrail:
        """The same; a thread reads what was changed, so that the event loop stays free."""
        return self._first if self._reloading is None else await asyncio.to_thread(self._reloading.current)

    @property
    def fault(self) -> str | None:
        """Why the policy's file, as it stands now, is not in force."""
        return None if self._reloading is None else self._reloading.fault

    def _remade(self, old: Guardrail, policy: CompiledPolicy, folder: Path) -> Guardrail:
        new = guard_text(old.engine, policy, folder, old.ledger, self._given[2])
        new.auditor = old.auditor
        new.approve()
        return new

    def __deepcopy__(self, memo: dict[int, Any]) -> TextOpening:
        return self

    def __reduce__(self) -> tuple[type[TextOpening], tuple[Any, ...]]:
        return TextOpening, self._given


def sampling(longest: int, stop: tuple[str, ...] = ()) -> Sampling:
    """How others draw is theirs to say; here an answer is only ended, at a stop string or after `longest` pieces."""
    return Sampling(temperature=1.0, top_p=1.0, stop=stop, max_tokens=longest)


def _nothing() -> AnswerReader:
    raise EngineError("there is no answer to read", where="engine", fix="use the guardrail `over` an engine")
