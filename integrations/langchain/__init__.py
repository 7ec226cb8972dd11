"""LangChain: `ChatIGGuardrail`, a chat model that decodes within a policy's budgets."""

from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail

__all__ = ["ChatIGGuardrail"]
