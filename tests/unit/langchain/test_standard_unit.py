"""LangChain's own unit tests for chat models: construction, settings from the environment, tracing parameters.

Skipped by design: serialisation, since LangChain loads only its own packages' classes.
"""

from __future__ import annotations

from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_tests.unit_tests import ChatModelUnitTests

from ig_guardrail.integrations.langchain import ChatIGGuardrail


class TestStandardUnit(ChatModelUnitTests):
    """No model is loaded."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatIGGuardrail

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        environment = {
            "IG_GUARDRAIL_MODEL": "some/model",
            "IG_GUARDRAIL_POLICY": "strict",
            "IG_GUARDRAIL_DEVICE": "cuda:1",
        }
        return environment, {}, {"model": "some/model", "policy": "strict", "device": "cuda:1"}
