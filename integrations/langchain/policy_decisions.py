"""A policy as a decision model: whether a text, or a tool call, would break one of its budgets.

Imported by `decisions.policy_decisions` alone, since the base class is only there from langchain-core 1.8 on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.decisions import BaseDecisionModel, ClassifierResponse, Noul, NoulAnswer
from langchain_core.messages import BaseMessage
from pydantic import Field, InstanceOf
from typing_extensions import override

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.checking.text_checks import TextChecks, readings
from ig_guardrail.integrations.langchain.messages.blocks import PROVIDER
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.types import Budget


class PolicyDecisions(BaseDecisionModel):  # type: ignore[misc]  # LangChain before 1.8 has no such class
    """Answers the questions that `questions` lists, for the enforced budgets whose cost models read text alone.

    The answer is no frequency but the strain on the budget: from 0.5 on it is used up or overdrawn. The state is a
    text, a message, messages, or a mapping whose `tool_call` is judged; what a conversation has spent is not counted.
    Raises RequestError for any other question or state, and CostFailure if a cost model fails.
    """

    checks: InstanceOf[TextChecks] = Field(exclude=True, repr=False)

    @property
    def questions(self) -> dict[str, Noul]:
        """By budget id, the question whether a text breaks it."""
        return {budget.id: Noul(instructions=_wording(budget)) for budget in self.checks.budgets}

    @property
    @override
    def _provider(self) -> str:
        return PROVIDER

    @override
    def _classify(self, state: Any, questions: dict[str, Any]) -> ClassifierResponse:
        texts = _said(state)
        answers = {
            name: NoulAnswer(type="noul", noul=self.checks.strain(self._budget(question), texts))
            for name, question in questions.items()
        }
        return ClassifierResponse(model=self.model, answers=answers)

    def _budget(self, question: Any) -> Budget:
        """The budget that a question is about: what counts is its wording, and not the name it was given."""
        known = {_wording(budget): budget for budget in self.checks.budgets}
        wording = str(question.instructions) if isinstance(question, Noul) else ""
        if wording not in known:
            raise RequestError(
                f"the policy cannot answer {question!r:.120}",
                where="questions",
                why="it knows its own budgets only, and a number would be the answer to another question",
                fix=f"ask one of: {'; '.join(known) or 'nothing, no budget reads text alone'}",
            )
        return known[wording]


def _wording(budget: Budget) -> str:
    return f"Does this break budget '{budget.id}' of the policy?"


def _said(state: Any) -> list[str]:
    """The texts to be judged, the worst of which counts."""
    if isinstance(state, str):
        return [state]
    if isinstance(state, BaseMessage):
        return _said([state])
    if isinstance(state, Mapping) and isinstance(state.get("tool_call"), Mapping):
        call = state["tool_call"]
        return readings(call["name"], call["args"])
    if isinstance(state, Sequence) and state and all(isinstance(one, BaseMessage) for one in state):
        turns = messages_of(state)
        made = [call for turn in turns for said in turn.said for call in said.calls]
        return [
            *(turn.text for turn in turns),
            *(text for call in made for text in readings(call.name, call.arguments)),
        ]
    raise RequestError(
        f"the state is {type(state).__name__}",
        where="state",
        why="a policy reads what is said and what is called",
        fix="give a text, a message, messages, or a mapping with a `tool_call`",
    )
