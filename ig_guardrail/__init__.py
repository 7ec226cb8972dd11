"""Local language models that stay within a safety budget while they decode.

Names are loaded when they are first used, so `import ig_guardrail` imports neither torch nor LangChain.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "ChatIGGuardrail": "ig_guardrail.integrations.langchain.chat_model",
    "CompiledPolicy": "ig_guardrail.types",
    "GenerationFailed": "ig_guardrail.errors",
    "Guardrail": "ig_guardrail.guardrail",
    "GuardrailError": "ig_guardrail.errors",
    "PolicyError": "ig_guardrail.errors",
    "Receipt": "ig_guardrail.types",
    "Sampling": "ig_guardrail.types",
    "Turn": "ig_guardrail.types",
    "load_policy": "ig_guardrail.policy",
}

__version__ = "0.1.0"
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ig_guardrail' has no attribute '{name}'; it offers {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
