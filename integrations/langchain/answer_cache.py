"""Caches around LangChain's: one keeps only answers that completed, since a refusal is decided again each time, and one
keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.caches import BaseCache
from langchain_core.globals import get_llm_cache
from langchain_core.outputs import Generation

from ig_guardrail.integrations.langchain.messages.outcomes import is_cacheable


class CompletedAnswers(BaseCache):
    """Passes through to `inner`, or, where that is None, to LangChain's global cache if one is set at that moment."""

    def __init__(self, inner: BaseCache | None = None) -> None:
        self._inner = inner

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        cache = self._cache()
        return cache.lookup(prompt, llm_string) if cache is not None else None

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        cache = self._cache()
        return await cache.alookup(prompt, llm_string) if cache is not None else None

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        cache = self._cache()
        if cache is not None and is_cacheable(return_val):
            cache.update(prompt, llm_string, return_val)

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        cache = self._cache()
        if cache is not None and is_cacheable(return_val):
            await cache.aupdate(prompt, llm_string, return_val)

    def clear(self, **kwargs: Any) -> None:
        cache = self._cache()
        if cache is not None:
            cache.clear(**kwargs)

    async def aclear(self, **kwargs: Any) -> None:
        cache = self._cache()
        if cache is not None:
            await cache.aclear(**kwargs)

    def _cache(self) -> BaseCache | None:
        return self._inner if self._inner is not None else get_llm_cache()


class KnownAnswers(BaseCache):
    """What `inner` has; nothing is added to it."""

    def __init__(self, inner: BaseCache) -> None:
        self._inner = inner

    def lookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return self._inner.lookup(prompt, llm_string)

    async def alookup(self, prompt: str, llm_string: str) -> Sequence[Generation] | None:
        return await self._inner.alookup(prompt, llm_string)

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """Keeps nothing: it was not judged yet."""

    async def aupdate(self, prompt: str, llm_string: str, return_val: Sequence[Generation]) -> None:
        """The same."""

    def clear(self, **kwargs: Any) -> None:
        """Clears nothing: it is the other model's."""
