"""Why our chat models are not written as LangChain's JSON, said where somebody writes or reads it."""

from __future__ import annotations

from langchain_core.language_models import BaseChatModel
from langchain_core.load.serializable import SerializedNotImplemented


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
