"""LangChain's decision models, both ways: one of theirs as a cost model, a policy of ours as one of them.

Decision models came with langchain-core 1.8. Nothing of them is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable

from ig_guardrail.costs.kinds.base import options_sha256
from ig_guardrail.errors import CostFailure, ModelError
from ig_guardrail.types import CompiledPolicy, Granularity, Piece, Prompt, ScoreKind

if TYPE_CHECKING:
    from ig_guardrail.integrations.langchain.policy_decisions import PolicyDecisions


class DecisionCost:
    """A cost model that asks a decision model about the answer so far: the probability of yes is the score.

    model      LangChain's `BaseDecisionModel`; it is told the answer so far and nothing of the conversation
    questions  by hazard id, a question whose yes is the harm
    name       how receipts call it

    A level, charged at block points. Its hash names the model, not its weights: a hosted one may change behind it.
    """

    granularity: Granularity = "block"
    reading: ScoreKind = "level"
    layers: tuple[int, ...] = ()
    longest_match = 0

    def __init__(self, model: Runnable[Any, Any], questions: Mapping[str, str], name: str = "decisions") -> None:
        """Raises ModelError where there are no questions, or LangChain has no decision models."""
        if not questions:
            raise ModelError("a decision cost has no questions", where=name, fix="give one for each hazard")
        self.name = name
        self.hazards = tuple(questions)
        self.sha256 = options_sha256(
            "decisions", type=type(model).__qualname__, model=getattr(model, "model", ""), questions=dict(questions)
        )
        self._model = model
        self._questions = {hazard: decision_types().Noul(instructions=text) for hazard, text in questions.items()}

    def start(self, prompt: Prompt) -> str:
        """The state is the answer so far."""
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        """One request for each answer, side by side. Raises CostFailure where an answer to a question is missing."""
        texts = [before + piece.text for before, piece in steps]
        replies = self._model.batch([{"state": text, "questions": self._questions} for text in texts])
        return [(text, self._scores(reply)) for text, reply in zip(texts, replies, strict=True)]

    def _scores(self, reply: Any) -> tuple[float, ...]:
        missing = [hazard for hazard in self.hazards if hazard not in reply.nouls]
        if missing:
            raise CostFailure(
                f"the decision model gave no probability for '{missing[0]}'",
                where=f"cost_models.{self.name}",
                why="a label, a rank or no answer at all is not a score",
                fix="use a decision model that answers yes-or-no questions",
            )
        return tuple(reply.nouls[hazard].noul for hazard in self.hazards)


def policy_decisions(policy: str | Path | CompiledPolicy = "default") -> PolicyDecisions:
    """A policy (file, name or value) as a decision model; see `PolicyDecisions`.

    Raises PolicyError; ModelError where LangChain has no decision models.
    """
    decision_types()
    from ig_guardrail.integrations.langchain.checking.text_checks import text_checks
    from ig_guardrail.integrations.langchain.policy_decisions import PolicyDecisions

    checks = text_checks(policy)
    return PolicyDecisions(model=f"{checks.policy.name} {checks.policy.version}", checks=checks)


def decision_types() -> Any:
    """LangChain's module of decision models. Raises ModelError where it has none."""
    try:
        from langchain_core import decisions
    except ImportError as error:
        raise ModelError(
            "this LangChain has no decision models",
            where="langchain_core.decisions",
            why="they came with langchain-core 1.8",
            fix="pip install 'langchain-core>=1.8'",
        ) from error
    return decisions
