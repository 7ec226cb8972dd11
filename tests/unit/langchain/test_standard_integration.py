"""LangChain's own acceptance tests for chat models, run offline on a scripted model.

Skipped by design is what this model does not offer: images and other media.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.standard import Offered
from tests.unit.langchain.obliging import obliging_guardrail

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


class TestStandardIntegration(Offered):
    """Invoke, stream, batch, usage, conversations, tools, structured output: sync, async, and as protocol events."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"guardrail": obliging_guardrail()}

    @property
    def model_override_value(self) -> str:
        return "scripted"
