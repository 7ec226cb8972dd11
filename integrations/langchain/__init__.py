"""LangChain: `ChatIGGuardrail`, a chat model that decodes within a policy's budgets, and what goes with it."""

from ig_guardrail.integrations.langchain.chat_model import ChatIGGuardrail, init_guarded_chat_model
from ig_guardrail.integrations.langchain.structured import AnswerCut, AnswerRefused

__all__ = ["AnswerCut", "AnswerRefused", "ChatIGGuardrail", "init_guarded_chat_model"]
