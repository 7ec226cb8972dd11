"""LangChain's acceptance tests through `ChatOpenAI`, on a scripted model behind the server."""

from __future__ import annotations

from ig_guardrail.guardrail import Guardrail
from tests.clients.standard import WARNED, ThroughChatOpenAI
from tests.standard import Offered
from tests.unit.langchain.obliging import obliging_guardrail

pytestmark = WARNED


class TestScriptedModel(ThroughChatOpenAI, Offered):
    """Invoke, stream, batch, usage, conversations, tools, structured output: sync, async, and as protocol events."""

    @classmethod
    def guardrail(cls) -> Guardrail:
        return obliging_guardrail()
