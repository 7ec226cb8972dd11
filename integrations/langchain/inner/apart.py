"""Another chat model, called so that nobody hears and nothing keeps what it says before it was judged.

LangChain gives every run the handlers of its config, and those that context variables, the environment and global
settings name: tracers, collectors of runs, `set_debug`, `set_verbose`. So a call is made in a context where those
variables are empty, with a deaf handler where LangChain would add one.

What a model says in one piece LangChain keeps in the model's cache, or in the global one, and would answer every
further attempt with the same. So such a model is called past its cache. Models that stream are not cached by LangChain.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from langchain_core.caches import BaseCache
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    CallbackManager,
    CallbackManagerForLLMRun,
    StdOutCallbackHandler,
)
from langchain_core.globals import get_llm_cache
from langchain_core.language_models import BaseChatModel, LangSmithParams
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, patch_config, var_child_runnable_config
from langchain_core.tracers.stdout import ConsoleCallbackHandler
from typing_extensions import override

from ig_guardrail.integrations.langchain.answer_cache import KnownAnswers

OF_THE_GRAPH = "__pregel"  # begins the keys by which LangGraph streams and stores what runs inside a node
OWN = ("callbacks", "tags", "metadata", "rate_limiter", "output_version", "name")


class Deaf(BaseCallbackHandler):
    """Hears nothing."""

    ignore_llm = ignore_chat_model = ignore_chain = ignore_agent = True
    ignore_retriever = ignore_retry = ignore_custom_event = True


class DeafConsole(Deaf, ConsoleCallbackHandler):
    """Stands where `set_debug` would have LangChain put a console."""


class DeafOutput(Deaf, StdOutCallbackHandler):
    """Stands where `set_verbose` would have LangChain put one."""


def unheard_config() -> RunnableConfig:
    """The config of the present run, without its handlers, and without what ties it to a graph."""
    config = ensure_config()
    named = {key: value for key, value in config.get("configurable", {}).items() if not key.startswith(OF_THE_GRAPH)}
    deaf: list[BaseCallbackHandler] = [DeafConsole(), DeafOutput()]
    apart = patch_config(config, callbacks=CallbackManager(handlers=[*deaf], inheritable_handlers=[*deaf]))
    return {**apart, "configurable": named}


@contextmanager
def unheard(config: RunnableConfig) -> Iterator[None]:
    """While it lasts, calls with `config` in this context are heard by no handler of the surroundings.

    For a context of its own, a copy or that of a task: variables are not set back.
    """
    from langchain_core.tracers.context import _configure_hooks, tracing_v2_callback_var
    from langsmith.run_helpers import tracing_context

    var_child_runnable_config.set(config)
    tracing_v2_callback_var.set(None)
    for variable, _, _, env_var in _configure_hooks:
        variable.set(None if env_var is None else Deaf())
    with tracing_context(enabled=False, parent=False):
        yield


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
