"""Another chat model that answers in one piece, asked past its cache.

LangChain keeps what such a model says in the model's cache, or in the global one, before anybody judged it, and would
answer every further attempt with the same. Models that stream are not cached by LangChain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Self

from langchain_core.caches import BaseCache
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from typing_extensions import override

from ig_guardrail.integrations.langchain.answer_cache import KnownAnswers

OWN = ("callbacks", "tags", "metadata", "rate_limiter", "output_version", "name")


class UnkeptAnswers(BaseChatModel):
    """`inner`, with its handlers and rate limit; what it says is written to no cache."""

    inner: BaseChatModel

    @classmethod
    def of(cls, inner: BaseChatModel, known: bool) -> Self:
        """known: whether the answer may be one that the model's cache has."""
        cache = _cache_of(inner) if known else None
        own = {name: getattr(inner, name) for name in OWN if getattr(inner, name, None) is not None}
        return cls(inner=inner, cache=False if cache is None else KnownAnswers(cache), verbose=False, **own)

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return self.inner._generate(messages, stop=stop, **_told(self.inner._generate, run_manager), **kwargs)

    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        told = _told(self.inner._agenerate, run_manager)
        return await self.inner._agenerate(messages, stop=stop, **told, **kwargs)

    @property
    @override
    def _llm_type(self) -> str:
        return self.inner._llm_type

    @override
    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        return self.inner._get_llm_string(stop, **kwargs)

    @override
    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return self.inner._get_invocation_params(stop, **kwargs)

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.inner._get_ls_params(stop, **kwargs)


def _cache_of(model: BaseChatModel) -> BaseCache | None:
    """Where LangChain keeps the answers of a model."""
    if isinstance(model.cache, BaseCache):
        return model.cache
    return None if model.cache is False else get_llm_cache()


def _told(generate: Callable[..., Any], run_manager: Any) -> dict[str, Any]:
    """The run, for a model that wants to know of it."""
    return {"run_manager": run_manager} if "run_manager" in inspect.signature(generate).parameters else {}
