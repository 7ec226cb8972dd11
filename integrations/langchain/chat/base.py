"""Chat models that look at the messages of a request before anything else is done with them.

Where a cache is set, LangChain writes all messages out for its key; that is too late to look at how many there are, and
whether they can be written.

Also here: what is said of settings that cannot be read; and why our chat models are not written as LangChain's JSON,
said where somebody writes or reads it.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

from langchain_core.language_models import BaseChatModel
from langchain_core.load.serializable import SerializedNotImplemented
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator
from typing_extensions import override

from ig_guardrail.drive.request import check_size
from ig_guardrail.integrations.langchain.given.setting_names import misgiven
from ig_guardrail.integrations.langchain.messages.values import demand_written
from ig_guardrail.settings import Limits

SHARED = ("inner", "guardrail", "policy", "canary", "ledger")  # by a model and its copies, with the cost models


class BoundedModel(BaseChatModel):
    """Raises RequestError for more messages than `_limits` allow, or some that nobody could write out."""

    @model_validator(mode="wrap")
    @classmethod
    def _told(cls, given: Any, read: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return read(given)
        except ValidationError as error:
            raise misgiven(error, cls.__name__, cls._instead) from None  # its error quotes what was given

    @classmethod
    @abstractmethod
    def _instead(cls, name: str) -> str:
        """What to do in place of a setting that there is not."""

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy of the settings. Other models, cost models and ledger are shared: what is open is not copied."""
        memo = {} if memo is None else memo
        kept = [getattr(self, name, None) for name in SHARED]
        memo.update({id(one): one for one in [*kept, *getattr(self, "cost_models", {}).values()]})
        return super().__deepcopy__(memo)

    @override
    def generate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        self._look(messages)
        return super().generate(messages, *args, **kwargs)

    @override
    async def agenerate(self, messages: list[list[BaseMessage]], *args: Any, **kwargs: Any) -> LLMResult:
        self._look(messages)
        return await super().agenerate(messages, *args, **kwargs)

    @abstractmethod
    def _limits(self) -> Limits:
        """What a request may hold."""

    def _look(self, requests: list[list[BaseMessage]]) -> None:
        for messages in requests:
            check_size(len(messages), 0, self._limits())
            for index, message in enumerate(messages):
                demand_written(message, index)


def unwritten(model: BaseChatModel, name: str) -> SerializedNotImplemented:
    """What `dumps` writes in place of a model, and what the error of `loads` quotes.

    name: of the model that it runs or guards. No more is told of it: this also goes to tracers.
    """
    kind = type(model).__name__
    return {
        "lc": 1,
        "type": "not_implemented",
        "id": model.lc_id(),
        "repr": (
            f"{kind} around '{name}' is not written as JSON: whoever reads it could be handed another policy, or none. "
            f"Make the model where it is used, from its policy file, or pickle it for a process of your own."
        ),
    }
