"""Chat models that count the messages of a request before anything else is done with them.

Where a cache is set, LangChain writes all messages out for its key; that is too late to look at how many there are.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from typing_extensions import override

from ig_guardrail.drive.request import check_size
from ig_guardrail.settings import Limits


class BoundedModel(BaseChatModel):
    """Raises RequestError for a request of more messages than `_limits` allow; see `messages.turns_of` for the rest."""

    @override
    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        self._count(messages)
        return super().generate(messages, *args, **kwargs)

    @override
    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        self._count(messages)
        return await super().agenerate(messages, *args, **kwargs)

    @abstractmethod
    def _limits(self) -> Limits:
        """What a request may hold."""

    def _count(self, requests: list[list[BaseMessage]]) -> None:
        for messages in requests:
            check_size(len(messages), 0, self._limits())
