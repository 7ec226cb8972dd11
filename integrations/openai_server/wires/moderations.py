"""`POST /v1/moderations`: texts by OpenAI's categories where a hazard of the policy matches one, and by hazard.

A category that no budget of the policy is about scores 0, and applies to no input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from ig_guardrail.costs.kinds.openai import CATEGORIES
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.messages.content import ContentReader
from ig_guardrail.integrations.openai_server.faults import unfit
from ig_guardrail.integrations.openai_server.judging import Given, JudgedText
from ig_guardrail.integrations.openai_server.wires.fields import OURS, Fields, own_options
from ig_guardrail.types import AssistantMessage
from ig_guardrail.types.hazards import broader

FIELDS = Fields(honoured=("model", "input", OURS), ignored=(), refused={})
STANDS_FOR: Mapping[str, tuple[str, ...]] = {  # one hazard may be seen in several categories; these are the closest
    "hte": ("hate",),
    "x.insult": ("harassment",),
    "vcr": ("violence",),
    "ncr": ("illicit",),
    "iwp": ("illicit/violent",),
    "ssh": ("self-harm",),
    "sxc": ("sexual",),
    "cse": ("sexual/minors",),
}
OPENAIS = ("omni-moderation", "text-moderation")  # names of models that clients send by themselves
NAMES = tuple(dict.fromkeys(name for names in CATEGORIES.values() for name in names))


@dataclass(frozen=True, slots=True)
class ModerationAsked:
    """A body that was read. model: "" where it names none of ours"""

    model: str
    given: tuple[Given, ...]
    policy: str | None


def read_moderation(body: Mapping[str, Any]) -> ModerationAsked:
    """What a body asks. Raises Refused or RequestError, naming the field, for what cannot be judged."""
    given, _ = FIELDS.read(body)
    own = own_options(given)
    if set(own) - {"policy"}:
        raise unfit("`policy` is the option there is", OURS, "unknown_parameter")
    model = given.get("model", "")
    if not isinstance(model, str):
        raise unfit("it is no text", "model")
    said = tuple(Given(AssistantMessage(text)) for text in _texts(given.get("input")))
    return ModerationAsked(model, said, own.get("policy"))


def _texts(asked: object) -> list[str]:
    """The texts of an input: one, each of a list, or that of a list of parts."""
    if isinstance(asked, str):
        return [asked]
    if not isinstance(asked, list) or not asked:
        raise unfit("it is a text, a list of texts, or a list of parts of text", "input")
    if all(isinstance(one, str) for one in asked):
        return asked
    return [ContentReader().text(asked, "input")]


def write_moderation(model: str, guardrail: Guardrail, judged: Sequence[JudgedText]) -> dict[str, Any]:
    """The results, in order."""
    return {"id": f"modr-{uuid4().hex}", "model": model, "results": [_result(guardrail, one) for one in judged]}


def _result(guardrail: Guardrail, one: JudgedText) -> dict[str, Any]:
    enforced = {rule.budget.id for rule in guardrail.costs.enforced}
    over = {hazard for budget, hazards in one.charged.over.items() if budget in enforced for hazard in hazards}
    scores, flags, judged = dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, False), set[str]()
    for hazard, score in one.charged.hazards.items():
        for name in (hazard, *_categories(hazard)):
            judged.add(name)
            scores[name] = max(scores.get(name, 0.0), score)
            flags[name] = flags.get(name, False) or hazard in over
    return {
        "flagged": bool(over),
        "categories": flags,
        "category_scores": scores,
        "category_applied_input_types": {name: ["text"] if name in judged else [] for name in scores},
        OURS: {"allowed": one.allowed, "denied_by": one.denied.budget if one.denied else None},
    }


def _categories(hazard: str) -> tuple[str, ...]:
    """OpenAI's categories that a hazard, or what it is a part of, stands for."""
    return next((STANDS_FOR[name] for name in broader(hazard) if name in STANDS_FOR), ())
