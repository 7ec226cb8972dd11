"""LangChain's own acceptance tests for chat models, run offline on a scripted model.

Skipped by design is what this model does not offer: images and other media.
"""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from ig_guardrail.integrations.langchain import ChatIGGuardrail
from tests.unit.langchain.obliging import obliging_guardrail

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


class TestStandardIntegration(ChatModelIntegrationTests):
    """Invoke, stream, batch, usage, conversations, tools, structured output: sync, async, and as protocol events."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatIGGuardrail

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"guardrail": obliging_guardrail()}

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "scripted"
