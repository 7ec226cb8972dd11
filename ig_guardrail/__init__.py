"""Local language models that stay within a safety budget while they decode.

Names are loaded when they are first used, so `import ig_guardrail` imports neither torch nor LangChain.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ig_guardrail.errors import GenerationFailed as GenerationFailed
    from ig_guardrail.errors import GuardrailError as GuardrailError
    from ig_guardrail.errors import PolicyError as PolicyError
    from ig_guardrail.guardrail import Guardrail as Guardrail
    from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail as ChatIGGuardrail
    from ig_guardrail.integrations.langchain.chat_model import init_guarded_chat_model as init_guarded_chat_model
    from ig_guardrail.integrations.langchain.guard_input import GuardInput as GuardInput
    from ig_guardrail.integrations.langchain.guard_runnable import GuardRunnable as GuardRunnable
    from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel as GuardedChatModel
    from ig_guardrail.integrations.langchain.middleware import GuardrailMiddleware as GuardrailMiddleware
    from ig_guardrail.integrations.langchain.structured import AnswerRefused as AnswerRefused
    from ig_guardrail.policy import load_policy as load_policy
    from ig_guardrail.types import CompiledPolicy as CompiledPolicy
    from ig_guardrail.types import Message as Message
    from ig_guardrail.types import Receipt as Receipt
    from ig_guardrail.types import Sampling as Sampling

_HOME = {
    "AnswerRefused": "ig_guardrail.integrations.langchain.structured",
    "ChatIGGuardrail": "ig_guardrail.integrations.langchain.chat_model",
    "CompiledPolicy": "ig_guardrail.types",
    "GenerationFailed": "ig_guardrail.errors",
    "GuardInput": "ig_guardrail.integrations.langchain.guard_input",
    "GuardRunnable": "ig_guardrail.integrations.langchain.guard_runnable",
    "GuardedChatModel": "ig_guardrail.integrations.langchain.guarded_model",
    "Guardrail": "ig_guardrail.guardrail",
    "GuardrailError": "ig_guardrail.errors",
    "GuardrailMiddleware": "ig_guardrail.integrations.langchain.middleware",
    "PolicyError": "ig_guardrail.errors",
    "Receipt": "ig_guardrail.types",
    "Sampling": "ig_guardrail.types",
    "Message": "ig_guardrail.types",
    "init_guarded_chat_model": "ig_guardrail.integrations.langchain.chat_model",
    "load_policy": "ig_guardrail.policy",
}

__version__ = "0.1.0"
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ig_guardrail' has no attribute '{name}'; it offers {', '.join(__all__)}")
    with _calm():
        return getattr(importlib.import_module(_HOME[name]), name)


@contextmanager
def _calm() -> Iterator[None]:
    """Without searches for garbage, which take a seventh of the time of an import and find next to none.

    What was made counts as old afterwards, so that the next search, which is for young garbage, leaves it out too.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects and not gc.get_freeze_count():  # what a program has frozen stays so
            gc.freeze()
            gc.unfreeze()
        if collects:
            gc.enable()


def __dir__() -> list[str]:
    return list(__all__)
