"""A scripted model that does what it is asked: it calls the tool it was told of, or answers in JSON, or in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ig_guardrail.assembly import guard
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary, words
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.integrations.langchain.checking.text_checks import TextChecks
from ig_guardrail.text.calls import CLOSE, OPEN, format_call
from ig_guardrail.types import CompiledPolicy, Message
from tests.golden.conversations import CALM, compiled

JOKE = {"setup": "What do cats eat on a hot day?", "punchline": "Mice cream."}
ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "magic_function": {"input": 3},
    "magic_function_no_args": {},
    "get_weather": {"location": "San Francisco, CA"},
    "greeting_generator": {"answer_style": "Pirate"},
    "my_adder_tool": {"a": 3, "b": 4},
    "Joke": JOKE,
    "JokeDict": JOKE,
}


@dataclass(frozen=True)
class Obliging:
    """Says one answer to a conversation, token by token; `says` looks it up before the usual answers."""

    says: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary = field(
        default_factory=lambda: Vocabulary(list(dict.fromkeys([OPEN, CLOSE, '", "', '": "', *words(CALM)])))
    )

    def next_tokens(self, place: TokenPlace) -> Distribution:
        answer = _ids(self.vocabulary, self.answer(place.prompt.turns))
        done = len(place.prefix)
        on_the_way = done < len(answer) and answer[:done] == place.prefix
        return [(answer[done] if on_the_way else self.vocabulary.end, 1.0)]

    def answer(self, turns: Sequence[Message]) -> str:
        asked = turns[-1].text
        if asked in self.says:
            return self.says[asked]
        tools = told_of(turns)
        if tools and turns[-1].role != "tool":
            return format_call(tools[0], arguments_for(tools[0], asked))
        if any("Answer with JSON" in turn.text for turn in turns if turn.role == "system"):
            return json.dumps(JOKE)
        return CALM


@lru_cache(64)
def _ids(vocabulary: Vocabulary, text: str) -> tuple[int, ...]:
    return vocabulary.ids(text)


def told_of(turns: Sequence[Message]) -> list[str]:
    """Names of the tools in the system text."""
    lines = [line for turn in turns if turn.role == "system" for line in turn.text.splitlines()]
    return [json.loads(line)["name"] for line in lines if line.startswith('{"name"')]


def arguments_for(tool: str, asked: str) -> Mapping[str, Any]:
    """What the usual tools want; for others, what stands in quotation marks."""
    name = asked.split("'")[1] if "'" in asked else "Hello"
    return ARGUMENTS.get(tool, {"customer_name": name, "description": "a company"})


def obliging_guardrail(says: Mapping[str, str] | None = None, policy: CompiledPolicy | None = None) -> Guardrail:
    """A guardrail over it."""
    return guard(ScriptedEngine(Obliging(says or {})), policy or compiled())


def denied_by(checks: TextChecks, texts: Sequence[str]) -> str | None:
    """The budget that the worst of some texts overdraws."""
    return next((one.charge.budget for one in checks.judged(texts) if one.over), None)
