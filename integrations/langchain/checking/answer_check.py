"""What another model answered an agent, judged when it is whole: its words, its values, and calls that no tool runs.

Calls of tools are judged where they run, with the arguments they then have. An answer of our own models that was made
under the same policy was judged while it was decoded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage
from pydantic import BaseModel

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.checking.text_checks import BudgetCheck, TextChecks, readings
from ig_guardrail.integrations.langchain.messages.blocks import RECORD
from ig_guardrail.integrations.langchain.messages.content import ContentReader, not_text, strings_in
from ig_guardrail.integrations.langchain.messages.conversation import CALLS

MIRRORS = CALLS | {"tool_call_chunk", "invalid_tool_call", "function_call", "input_json_delta", "redacted_thinking"}
BESIDE = ("reasoning_content", "reasoning", "refusal", "function_call")  # what hosts put beside the content


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not let through, and the hazards that led to it, where some did."""

    reason: str
    denied: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """What was judged of an answer, what the worst of it costs each budget, and why it is refused, if it is."""

    text: str
    budgets: tuple[BudgetCheck, ...] = ()
    refusal: Refusal | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class AnswerCheck:
    """The checks of a policy on answers. unjudged: kinds of content that pass although they are not text."""

    checks: TextChecks
    unjudged: Container[str] = ()

    def judge(self, messages: Sequence[BaseMessage], tools: Container[str], value: Any = None) -> JudgedAnswer | None:
        """What the policy says of an answer; None where nothing of it is to be judged here.

        tools: names of those that will run, and be judged then. value: the structured response.
        """
        answers = [one for one in messages if isinstance(one, AIMessage) and not self._judged(one)]
        if not answers:
            return None
        try:
            texts = [text for answer in answers for text in self._texts(answer)]
        except RequestError as error:
            return JudgedAnswer("", refusal=Refusal(error.what))
        if value is not None:
            texts += readings("", {"value": plain(value)})[1:]  # a value is no call
        judged = [[text] for text in dict.fromkeys(texts) if text.strip()]
        for answer in answers:
            calls = [call for call in answer.tool_calls if call["name"] not in tools]
            judged += [readings(call["name"], call["args"]) for call in calls]
        found = [tuple(self.checks.judged(texts)) for texts in judged]
        over = [one for checks in found for one in checks if one.over]
        denied = frozenset(hazard for one in over for hazard in one.hazards)
        refusal = Refusal(f"budget '{over[0].charge.budget}'", denied) if over else None
        worst = tuple(max(of, key=lambda one: (one.over, one.charge.score)) for of in zip(*found, strict=True))
        return JudgedAnswer("\n".join(texts[0] for texts in judged), worst, refusal) if judged else None

    def _judged(self, answer: AIMessage) -> bool:
        record = answer.response_metadata.get(RECORD, {})
        same = record.get("policy", {}).get("sha256") == self.checks.policy.sha256
        return bool(same and record.get("verdict", {}).get("guarded"))

    def _texts(self, answer: AIMessage) -> Iterator[str]:
        yield from ContentReader(MIRRORS, self.unjudged).texts(answer.content, "answer")
        beside = answer.additional_kwargs
        yield from (text for name in BESIDE for text in strings_in(beside.get(name), "answer"))
        yield from (call["args"] or "" for call in answer.invalid_tool_calls)
        spoken = beside.get("audio")
        if isinstance(spoken, Mapping):
            yield str(spoken.get("transcript") or "")
            if spoken.get("data") and "audio" not in self.unjudged:
                raise not_text("audio", "answer")


def plain(value: Any) -> Any:
    """A structured response in dicts, lists, strings and numbers."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value
