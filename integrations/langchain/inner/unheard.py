"""Calls of another model that only its own handlers hear.

LangChain gives every run the handlers of its config, and those that context variables, the environment and global
settings name: tracers, collectors of runs, `set_debug`, `set_verbose`. Of a draft that was not judged none of them may
hear. So a call is made in a context where those variables are empty, with a deaf handler where LangChain would add one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from langchain_core.callbacks import BaseCallbackHandler, CallbackManager, StdOutCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config, patch_config, var_child_runnable_config
from langchain_core.tracers.stdout import ConsoleCallbackHandler

OF_THE_GRAPH = "__pregel"  # begins the keys by which LangGraph streams and stores what runs inside a node


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
