"""What this chat model offers, as LangChain's acceptance tests ask for it, for every model they are run on."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests

from ig_guardrail.integrations.langchain import ChatIGGuardrail


class Offered(ChatModelIntegrationTests):
    """All but images and other media. `model_override_value` is left to say."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatIGGuardrail

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_model_override(self) -> bool:
        return True
