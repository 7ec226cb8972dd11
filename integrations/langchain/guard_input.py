"""`GuardInput`: a policy's prompt check as a step of a chain, before whatever reads the input."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from langchain_core.messages import BaseMessage, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig
from typing_extensions import override

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain.checking.text_checks import text_checks
from ig_guardrail.integrations.langchain.messages.content import unjudged_kinds
from ig_guardrail.integrations.langchain.messages.conversation import messages_of
from ig_guardrail.integrations.langchain.structured import AnswerRefused
from ig_guardrail.types import CompiledPolicy, Message

Input = TypeVar("Input")


class GuardInput(Runnable[Any, Any]):
    """Passes its input on as it is, unless the policy's prompt rule refuses a user's or a tool's turn of it.

    policy           a policy file, the name of a packaged policy, or a compiled policy
    unjudged_blocks  kinds of content that pass although they are not text: "image", "audio", "video", "file"

    The input is a string, a message, a list of messages as chat models take it, or what a prompt template makes.
    Raises PolicyError for a policy that is refused, RequestError for one whose prompt rule refuses nothing;
    AnswerRefused when called, where it refuses the input.
    """

    def __init__(self, policy: str | Path | CompiledPolicy, *, unjudged_blocks: Sequence[str] = ()) -> None:
        self._checks = text_checks(policy)
        self._unjudged = unjudged_kinds(unjudged_blocks)
        rule = self._checks.policy.prompt
        if rule is None or rule.on_exceed != "refuse":
            raise RequestError(
                f"policy '{self._checks.policy.name}' refuses no input",
                where="GuardInput",
                why="a step that lets everything through would only look like a check",
                fix="give the policy a `prompt` rule with `on_exceed: refuse`",
            )

    @override
    def invoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Input:
        passed: Input = self._call_with_config(self._checked, input, config)
        return passed

    @override
    async def ainvoke(self, input: Input, config: RunnableConfig | None = None, **kwargs: Any) -> Input:
        async def checked(given: Input) -> Input:
            return await asyncio.to_thread(self._checked, given)  # a check may wait for a network

        passed: Input = await self._acall_with_config(checked, input, config)
        return passed

    def _checked(self, input: Input) -> Input:
        asked = (turn.text for turn in _turns(input, self._unjudged) if turn.role in ("user", "tool"))
        if any(self._checks.refuses_prompt(text) for text in asked):
            raise AnswerRefused("the policy refuses this input")
        return input


def _turns(given: object, unjudged: Container[str]) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (Message("user", given),)
    if isinstance(given, PromptValue):
        return messages_of(given.to_messages(), unjudged=unjudged, elsewhere=True)
    if isinstance(given, BaseMessage):
        return messages_of([given], unjudged=unjudged, elsewhere=True)
    if isinstance(given, list | tuple):  # of messages, or of what chat models take for some, such as pairs and dicts
        with suppress(ValueError, NotImplementedError):
            return messages_of(convert_to_messages(given), unjudged=unjudged, elsewhere=True)
    raise RequestError(
        f"the input is a {type(given).__name__}",
        where="GuardInput",
        why="what is no text cannot be checked",
        fix="place it where strings or messages flow, such as behind the prompt template",
    )
