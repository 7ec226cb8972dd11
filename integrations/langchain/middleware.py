"""`GuardrailMiddleware`: a policy around an agent, whichever chat model it runs on.

With `ChatIGGuardrail` the policy is enforced while the model decodes, and this is the second lock: it sees the
arguments a tool is really called with, and turns a refusal into an error where an agent should stop. With another chat
model it is all there is: it reads the input, tool results and tool calls, and cannot judge words while they stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired

from langchain.agents.middleware import AgentMiddleware, AgentState, hook_config
from langchain.agents.middleware.types import ModelRequest, ModelResponse, ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, ChatMessage, ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import Command
from typing_extensions import override

from ig_guardrail.costs.base import CostModel
from ig_guardrail.drive.request import check_language
from ig_guardrail.integrations.langchain.blocks import PROVIDER, RECORD, refused
from ig_guardrail.integrations.langchain.messages import ROLES
from ig_guardrail.integrations.langchain.options import configured
from ig_guardrail.integrations.langchain.structured import AnswerRefused
from ig_guardrail.integrations.langchain.text_checks import text_checks
from ig_guardrail.types import CompiledPolicy

Answer = ToolMessage | Command[Any]

REMOVED = "[removed: the policy refuses this text]"


class GuardedState(AgentState[Any]):
    """The agent's state, and the conversation whose budgets its answers share: the thread in which it began."""

    guarded_conversation: NotRequired[str]


class GuardrailMiddleware(AgentMiddleware[GuardedState, None, Any]):
    """Checks input turns and tool results before the model, refusals after it, and calls before their tools run.

    policy       a policy file, the name of a packaged policy, or a compiled policy; its cost models that read text
    on_refusal   "end": the run ends with the policy's message; "raise": AnswerRefused
    language     of that message
    cost_models  those that the policy leaves to the program, by name

    A conversation keeps its name in the state. So a thread that goes back in time, or is copied to another one, goes on
    with the budgets that it has left.
    """

    state_schema = GuardedState

    def __init__(
        self,
        policy: str | Path | CompiledPolicy = "default",
        *,
        on_refusal: Literal["end", "raise"] = "end",
        language: str = "en",
        cost_models: Mapping[str, CostModel] | None = None,
    ) -> None:
        super().__init__()
        self._checks = text_checks(policy, cost_models)
        self._raises = on_refusal == "raise"
        check_language(language)
        self._language = language

    @override
    def before_agent(self, state: GuardedState, runtime: Runtime[None]) -> dict[str, Any] | None:
        """Name the conversation, where it has no name yet and runs in a thread."""
        thread = configured("thread_id")
        return {"guarded_conversation": thread} if thread and "guarded_conversation" not in state else None

    @override
    async def abefore_agent(self, state: GuardedState, runtime: Runtime[None]) -> dict[str, Any] | None:
        return self.before_agent(state, runtime)

    @override
    def wrap_model_call(
        self, request: ModelRequest[None], handler: Callable[[ModelRequest[None]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Tell a guarded model which conversation it answers."""
        return handler(_named(request))

    @override
    async def awrap_model_call(
        self, request: ModelRequest[None], handler: Callable[[ModelRequest[None]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(_named(request))

    @hook_config(can_jump_to=["end"])
    @override
    def before_model(self, state: GuardedState, runtime: Runtime[None]) -> dict[str, Any] | None:
        """Refuse where the policy refuses an input turn or a tool result, and take its text out of the state.

        What stayed there would reach the model with the next turn.
        """
        bad = [
            message for message in state["messages"] if _is_input(message) and self._checks.refuses_prompt(message.text)
        ]
        if not bad:
            return None
        what = "a tool's result" if isinstance(bad[-1], ToolMessage) else "the input"
        return self._refuse(f"prompt check of {what}", bad)

    @hook_config(can_jump_to=["end"])
    @override
    async def abefore_model(self, state: GuardedState, runtime: Runtime[None]) -> dict[str, Any] | None:
        return await asyncio.to_thread(self.before_model, state, runtime)  # a check may wait for a network

    @override
    def after_model(self, state: GuardedState, runtime: Runtime[None]) -> dict[str, Any] | None:
        """Raise AnswerRefused, if that is asked for, where the chat model's answer was refused or ended."""
        last = state["messages"][-1]
        if self._raises and isinstance(last, AIMessage) and refused(last):
            raise AnswerRefused(f"the policy let no such answer through: {last.text}")
        return None

    @override
    async def aafter_model(self, state: GuardedState, runtime: Runtime[None]) -> dict[str, Any] | None:
        return self.after_model(state, runtime)

    @override
    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Answer]) -> Answer:
        """Run the tool if the policy allows the call as it is now; else tell the model that it may not."""
        return self._denied(request) or handler(request)

    @override
    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Answer]]
    ) -> Answer:
        return await asyncio.to_thread(self._denied, request) or await handler(request)

    def _denied(self, request: ToolCallRequest) -> ToolMessage | None:
        call = request.tool_call
        budget = self._checks.forbidden_by(call["name"], call["args"], call["id"])
        if budget is None:
            return None
        text = f"The policy does not allow this call (budget '{budget}'). Do without it."
        return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error")

    def _refuse(self, reason: str, bad: Sequence[AnyMessage]) -> dict[str, Any]:
        message = self._checks.policy.messages.of("refused", self._language)
        if self._raises:
            raise AnswerRefused(f"the policy refuses: {reason}")
        record = {
            "verdict": {"outcome": "refused", "reason": reason, "finish": None, "guarded": True},
            "message": message,
        }
        metadata = {"finish_reason": "content_filter", "model_provider": PROVIDER, RECORD: record}
        emptied = [one.model_copy(update={"content": REMOVED}) for one in bad]
        return {"messages": [*emptied, AIMessage(message, response_metadata=metadata)], "jump_to": "end"}


def _named(request: ModelRequest[None]) -> ModelRequest[None]:
    name = request.state.get("guarded_conversation")
    if name is None or "conversation" not in type(request.model).model_fields:
        return request
    return request.override(model_settings={"conversation": name, **request.model_settings})


def _is_input(message: AnyMessage) -> bool:
    """Whether a message is an input turn or a tool's result."""
    role = message.role if isinstance(message, ChatMessage) else message.type
    return ROLES.get(role) in ("user", "tool")
