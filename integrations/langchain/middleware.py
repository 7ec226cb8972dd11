"""`GuardrailMiddleware`: a policy around an agent, whichever chat model it runs on.

With `ChatIGGuardrail` the policy is enforced while the model decodes, and this is the second lock: it sees the
arguments a tool is really called with, and turns a refusal into an error where an agent should stop. With another chat
model it is all there is: it reads the input, tool results, tool calls, and answers when they are whole. It cannot judge
words while they stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

from langchain_core.messages import AIMessage, AnyMessage, ToolMessage
from langchain_core.runnables.config import ensure_config, var_child_runnable_config
from langchain_core.tools import BaseTool
from typing_extensions import override

from ig_guardrail.costs.base import CostModel
from ig_guardrail.drive.prompt_check import PromptCheck
from ig_guardrail.drive.request import check_language
from ig_guardrail.errors import RequestError
from ig_guardrail.extras import absence
from ig_guardrail.integrations.langchain.checking.answer_check import AnswerCheck, Refusal
from ig_guardrail.integrations.langchain.checking.check_lines import CheckedText, check_entry
from ig_guardrail.integrations.langchain.checking.text_checks import CheckOpening, TextChecks, readings
from ig_guardrail.integrations.langchain.given.argument_names import names_taken
from ig_guardrail.integrations.langchain.messages.blocks import PROVIDER, RECORD, is_refusal
from ig_guardrail.integrations.langchain.messages.content import unjudged_kinds
from ig_guardrail.integrations.langchain.messages.conversation import is_input, texts_told
from ig_guardrail.integrations.langchain.payer import Payers, TenantOf, conversation_of, with_conversation
from ig_guardrail.integrations.langchain.structured import AnswerRefused, raises
from ig_guardrail.ledger import AccountKey
from ig_guardrail.rollout.canary import Canary, canary_in
from ig_guardrail.settings import AuditFile
from ig_guardrail.text.argument_names import under_other_names
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import CompiledPolicy

try:
    from langchain.agents.middleware import AgentMiddleware, AgentState, hook_config
    from langchain.agents.middleware.types import (
        ContextT,
        ModelRequest,
        ModelResponse,
        PrivateStateAttr,
        ToolCallRequest,
    )
    from langchain.agents.structured_output import StructuredOutputError
    from langgraph.channels import LastValue
    from langgraph.runtime import Runtime
    from langgraph.types import Command
except ModuleNotFoundError as error:
    raise absence("agents", "langchain", "langgraph", by="GuardrailMiddleware") from error

ToolAnswer = ToolMessage | Command[Any]

REMOVED = "[removed: the policy refuses this text]"


class FirstValue(LastValue[str]):
    """A value that stays what it was first, whatever an input, a command or a change of the state says later."""

    @override
    def update(self, values: Sequence[str]) -> bool:
        return super().update(values[:1]) if values and not self.is_available() else False


class GuardedState(AgentState[Any]):
    """The agent's state, and the conversation whose budgets its answers share: the thread in which it began.

    It is no part of an agent's input or output, and is named once.
    """

    guarded_conversation: NotRequired[Annotated[str, PrivateStateAttr, FirstValue(str)]]


class GuardrailMiddleware(AgentMiddleware[AgentState[Any], ContextT, Any]):
    """Checks input turns and tool results before the model, its answers, and calls before their tools run.

    policy           a policy file, the name of a packaged policy, or a compiled policy; its cost models that read text
    on_refusal       "end": the run ends with the policy's message; "raise": AnswerRefused
    language         of that message
    cost_models      those that the policy leaves to the program, by name
    unjudged_blocks  kinds of content that pass although they are not text: "image", "audio", "video", "file"
    audit            an audit log, in which a line is written of every input that is refused, every answer that is
                     judged here, and every call before its tool runs; without texts
    reload           whether a policy file that is changed holds for what is checked after that; see `policy_fault`
    canary           another policy for a share of conversations or tenants, as a `Canary` or a dict of its fields
    tenant, tenant_of, tenant_key  name the tenant, as in `ChatIGGuardrail`

    What is refused leaves the agent's state, or never gets there, so that it is not sent again with the next turn.

    A conversation keeps its name in the state. So a thread that goes back in time, or is copied to another one, goes on
    with the budgets that it has left; and so does all that runs within, subagents and models in tools too.

    ContextT is the type of the agent's context, which is passed by; to type checkers, as of LangChain's middleware, its
    state is that of any agent, so that it stands beside others.
    """

    state_schema = GuardedState

    def __init__(
        self,
        policy: str | Path | CompiledPolicy = "default",
        *,
        on_refusal: Literal["end", "raise"] = "end",
        language: str = "en",
        cost_models: Mapping[str, CostModel] | None = None,
        unjudged_blocks: Sequence[str] = (),
        audit: str | Path | AuditFile | None = None,
        reload: bool = False,
        canary: Canary | Mapping[str, Any] | None = None,
        tenant: str | None = None,
        tenant_of: TenantOf | None = None,
        tenant_key: str | None = None,
    ) -> None:
        super().__init__()
        self._payers = Payers(tenant=tenant, tenant_of=tenant_of, tenant_key=tenant_key)
        self._opened = CheckOpening(policy, cost_models, audit, reload, canary_in(canary))
        self._unjudged = unjudged_kinds(unjudged_blocks)
        self._raises = raises(on_refusal)
        check_language(language)
        self._language = language

    @property
    def policy_fault(self) -> str | None:
        """With `reload`, why the policy's file, as it stands now, is not in force; None if it is."""
        return self._opened.fault

    @override
    def before_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Name the conversation, where it has no name yet and runs in a thread."""
        name = conversation_of()
        return {"guarded_conversation": name} if name and "guarded_conversation" not in state else None

    @override
    async def abefore_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        return self.before_agent(state, runtime)

    @override
    def wrap_model_call(
        self, request: ModelRequest[ContextT], handler: Callable[[ModelRequest[ContextT]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Tell guarded models which conversation they answer; judge what another model answered."""
        try:
            with _within(request.state):
                answer = handler(request)
            return self._judged(request, answer)
        except StructuredOutputError as error:
            return self._judged(request, ModelResponse([error.ai_message]), error)

    @override
    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        try:
            with _within(request.state):
                answer = await handler(request)
            return await asyncio.to_thread(self._judged, request, answer)
        except StructuredOutputError as error:
            return await asyncio.to_thread(self._judged, request, ModelResponse([error.ai_message]), error)

    @hook_config(can_jump_to=["end"])
    @override
    def before_model(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Refuse where the policy refuses an input turn or a tool result, and take its text out of the state.

        What stayed there would reach the model with the next turn.
        """
        payer = self._payer(state)
        checks = self._opened.current(payer)
        rule = checks.policy.prompt
        if rule is None or rule.on_exceed != "refuse":
            return None
        read = [(one, *self._read(checks, one)) for one in state["messages"] if is_input(one)]
        bad = [(message, fault, score) for message, fault, score in read if fault is not None]
        if not bad:
            return None
        last, fault, _ = bad[-1]
        what = "a tool's result" if isinstance(last, ToolMessage) else "the input"
        denied = frozenset(hazard for _, one, _ in bad for hazard in one.denied)
        refusal = Refusal(f"prompt check of {what}{fault.reason}", denied)
        message = self._message(checks, refusal)
        worst = max((score for _, _, score in bad), key=lambda one: one.score)
        self._note(checks, payer, CheckedText("input", message.text, prompt=worst, refusal=refusal))
        return {"messages": [*(_emptied(one) for one, _, _ in bad), message], "jump_to": "end"}

    @hook_config(can_jump_to=["end"])
    @override
    async def abefore_model(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        return await asyncio.to_thread(self.before_model, state, runtime)  # a check may wait for a network

    @override
    def after_model(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Raise AnswerRefused, if that is asked for, where the chat model's answer was refused or ended."""
        last = state["messages"][-1]
        if self._raises and isinstance(last, AIMessage) and is_refusal(last):
            reason = last.response_metadata.get(RECORD, {}).get("verdict", {}).get("reason", "")
            raise AnswerRefused(f"the policy let no such answer through: {reason or last.text}")
        return None

    @override
    async def aafter_model(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        return self.after_model(state, runtime)

    @override
    def after_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        """Raise AnswerRefused, if that is asked for, where an input was refused, now that its text left the state."""
        return self.after_model(state, runtime)

    @override
    async def aafter_agent(self, state: AgentState[Any], runtime: Runtime[ContextT]) -> dict[str, Any] | None:
        return self.after_agent(state, runtime)

    @override
    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolAnswer]) -> ToolAnswer:
        """Run the tool if the policy allows the call as it is now; else tell the model that it may not."""
        return self._denied(request) or handler(_going_on(request))

    @override
    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolAnswer]]
    ) -> ToolAnswer:
        return await asyncio.to_thread(self._denied, request) or await handler(_going_on(request))

    def _denied(self, request: ToolCallRequest) -> ToolMessage | None:
        call, payer = request.tool_call, self._payer(request.state)
        checks = self._opened.current(payer)
        texts = readings(call["name"], call["args"], call["id"])
        texts += [
            format_call(call["name"], other) for other in under_other_names(call["args"], names_taken(request.tool))
        ]
        judged = tuple(checks.judged(texts))
        over = [one for one in judged if one.over]
        told = {"tool": call["name"]} if request.tool is not None else {}
        if not over:
            self._note(checks, payer, CheckedText("call", texts[0], judged, told=told))
            return None
        budget, hazards = over[0].charge.budget, frozenset(hazard for one in over for hazard in one.hazards)
        text = f"The policy does not allow this call (budget '{budget}'). Do without it."
        refusal = Refusal(f"budget '{budget}'", hazards)
        self._note(checks, payer, CheckedText("call", text, judged, refusal=refusal, told=told))
        return ToolMessage(text, tool_call_id=call["id"], name=call["name"], status="error")

    def _judged(
        self, request: ModelRequest[ContextT], response: ModelResponse[Any], error: Exception | None = None
    ) -> ModelResponse[Any]:
        """The answer, or the policy's refusal in its place. Raises AnswerRefused if that is asked for; else `error`.

        error: that the answer is no value of the agent's `response_format`; a refusal of a model of ours is none either
        """
        payer = self._payer(request.state)
        checks = self._opened.current(payer)
        tools = {tool.name for tool in request.tools if isinstance(tool, BaseTool)}
        found = AnswerCheck(checks, self._unjudged).judge(response.result, tools, response.structured_response)
        if found is not None and found.refusal is not None:
            message = self._message(checks, found.refusal)
            self._note(checks, payer, CheckedText("answer", message.text, found.budgets, refusal=found.refusal))
            if self._raises:
                raise AnswerRefused(f"the policy lets no such answer through: {found.refusal.reason}") from None
            return ModelResponse([message])
        if found is not None:
            self._note(checks, payer, CheckedText("answer", found.text, found.budgets))
        if error is None:
            return response
        last = response.result[-1]
        if not (isinstance(last, AIMessage) and is_refusal(last) and RECORD in last.response_metadata):
            raise error
        return ModelResponse([_in_words(last)])

    def _read(self, checks: TextChecks, message: AnyMessage) -> tuple[Refusal | None, PromptCheck]:
        """Why an input is refused, with what is wrong about its form; None if it is not. And its worst text's score."""
        try:
            texts = texts_told(message, "messages", self._unjudged)
        except RequestError as error:
            return Refusal(f": {error.what}"), PromptCheck()
        scores = [checks.prompt(text) for text in texts]
        bad = [one.hazards for one in scores if one.action == "refuse"]
        worst = max(scores, key=lambda one: one.score, default=PromptCheck())
        return Refusal("", frozenset().union(*bad)) if bad else None, worst

    def _message(self, checks: TextChecks, refusal: Refusal) -> AIMessage:
        """The policy's message in place of an answer."""
        messages = checks.policy.messages
        message = messages.find("refusal", self._language, refusal.denied)
        record = {
            "verdict": {"outcome": "refused", "reason": refusal.reason, "finish": None, "guarded": True},
            "message": message.text,
            "message_name": message.name,
            "approved": asdict(message.approved) if message.approved else {},
            "denied": list(messages.ranked(refusal.denied)),
        }
        metadata = {"finish_reason": "content_filter", "model_provider": PROVIDER, RECORD: record}
        return AIMessage(message.text, response_metadata=metadata)

    def _payer(self, state: Mapping[str, Any]) -> AccountKey:
        """Whose conversation it is: the one that the state names, in whichever thread it goes on."""
        return self._payers.of(None, state.get("guarded_conversation"))

    def _note(self, checks: TextChecks, payer: AccountKey, checked: CheckedText) -> None:
        """Have a line written of a decision, before it takes effect. Raises AuditError where there must be one."""
        if self._opened.auditor is not None:
            entry = partial(check_entry, checks, checked, self._language, payer)
            self._opened.auditor.check(checks.policy, entry)


def _emptied(message: AnyMessage) -> AnyMessage:
    """A message without what it said, which takes its place in the state."""
    kept = {"artifact": None} if isinstance(message, ToolMessage) else {"name": None}
    return message.model_copy(update={"content": REMOVED, "additional_kwargs": {}, "response_metadata": {}, **kept})


def _in_words(refusal: AIMessage) -> AIMessage:
    """A refusal with the policy's message behind what was shown; an answer that was to be a value goes without it."""
    said, shown = refusal.response_metadata[RECORD].get("message", ""), refusal.content
    if not isinstance(shown, str) or shown.endswith(said):
        return refusal
    return refusal.model_copy(update={"content": f"{shown}\n\n{said}" if shown else said})


@contextmanager
def _within(state: Mapping[str, Any]) -> Iterator[None]:
    """Let what is called here, without a config of its own, go on with the state's conversation."""
    name = state.get("guarded_conversation")
    if name is None:
        yield
        return
    token = var_child_runnable_config.set(with_conversation(ensure_config(), name))
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def _going_on(request: ToolCallRequest) -> ToolCallRequest:
    """The request, whose tool runs under a config that notes the conversation; each call has a config of its own."""
    name = request.state.get("guarded_conversation")
    if name is not None:
        request.runtime.config.update(with_conversation(request.runtime.config, name))
    return request
