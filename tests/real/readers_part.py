"""What the pages leave to their readers: tools, models, a policy. Small and real, so that the pages' programs run."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pydantic
import yaml
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

from ig_guardrail.types import Piece, Prompt


class Ticket(pydantic.BaseModel):
    """What a customer reports."""

    damaged: bool


class Mood:
    """A cost model of the reader's own, which finds nothing."""

    name = "mood"

    hazards = ("hte",)
    sha256 = "1"
    granularity: Any = "block"
    reading: Any = "level"
    layers: tuple[int, ...] = ()
    longest_match = 0

    def start(self, prompt: Prompt) -> str:
        return ""

    def advance(self, steps: Sequence[tuple[str, Piece]]) -> list[tuple[str, tuple[float, ...]]]:
        return [(state, (0.1,)) for state, _ in steps]


@tool
def search(text: str) -> str:
    """Look something up."""
    return text


@tool
def send(text: str) -> str:
    """Send a message."""
    return text


def hosted(*_: Any, **__: Any) -> FakeListChatModel:
    """A hosted model that is not asked over the network."""
    return FakeListChatModel(responses=["A fine day."])


def owner(config: RunnableConfig) -> str:
    return "acme"


def policy_of_the_reader() -> str:
    """The packaged default policy on words alone, so that it also starts without a local model."""
    policy: dict[str, Any] = yaml.safe_load((files("ig_guardrail.policies") / "default.yaml").read_text())
    policy["cost_models"] = {"words": {"kind": "lexical", "model": "words", "hazards": ["hte"]}}
    policy["budgets"] = [{"id": "tone", "hazards": ["hte"], "cost": "words", "threshold": 0.9, "budget": 1}]
    policy["prompt"] = {"cost": "words", "threshold": 0.95, "on_exceed": "refuse"}
    policy["tools"] = {"deny": ["delete_*"]}
    return yaml.safe_dump(policy)


def readers_names(folder: Path) -> dict[str, Any]:
    """The names that programs of pages use and do not define."""
    from langchain.agents import create_agent

    from ig_guardrail import (
        ChatIGGuardrail,
        GuardedChatModel,
        GuardInput,
        GuardrailMiddleware,
        GuardRunnable,
    )

    return {
        "__name__": "page",
        "AutoModeMiddleware": dict,
        "ChatIGGuardrail": ChatIGGuardrail,
        "ChatOpenAI": hosted,
        "GuardInput": GuardInput,
        "GuardRunnable": GuardRunnable,
        "GuardedChatModel": GuardedChatModel,
        "GuardrailMiddleware": GuardrailMiddleware,
        "StrOutputParser": StrOutputParser,
        "Ticket": Ticket,
        "any_model": hosted(),
        "create_agent": create_agent,
        "mood": Mood(),
        "owner": owner,
        "pay": send,
        "prompt": ChatPromptTemplate.from_template("Write about {subject}."),
        "search": search,
        "send": send,
        "their_model": None,
        "tools": [search, send],
    }
