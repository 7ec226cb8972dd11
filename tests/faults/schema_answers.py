"""Answers of a form from models that say anything, and what a form takes: shared by the tests of schemas."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from typing import Any

from ig_guardrail.engine.grammar.grammar import Grammars
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.text.calls import ResponseFormat
from ig_guardrail.types import Draw, Message, Sampling

BYTES = Vocabulary([])
GRAMMARS = Grammars(BYTES.language, BYTES.ids)
PIECES = [
    '"',
    '":',
    '", "',
    "{",
    "}",
    "[",
    "]",
    ", ",
    "1",
    "23",
    "0",
    "-",
    ".",
    "true",
    "null",
    "é",
    " ",
    "a",
    "b",
    "e",
]


@dataclass(frozen=True)
class Babbler:
    """Any token may follow any other, the tokens of bytes among them; it never cares to come to an end."""

    seed: int
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        dice = random.Random(f"{self.seed} {place.prefix} {place.lane}")
        weights = [dice.random() ** 3 for _ in range(self.vocabulary.language.size)]
        total = sum(weights)
        return [(token, weight / total) for token, weight in enumerate(weights)]


def babbled(form: ResponseFormat, seed: int, room: int) -> tuple[str, str | None]:
    """An answer of at most `room` tokens, and why it ended. Raises RequestError where there can be none."""
    engine = ScriptedEngine(Babbler(seed), context=4096)
    sampling = Sampling(seed=seed, temperature=1.0, top_p=1.0, max_tokens=room, grammar=form.grammar(room))
    root = engine.open(engine.encode([Message("user", "Go.")]), sampling).result()
    (node,) = engine.extend([Draw(root)], room).result()
    engine.close(root)
    return node.text, node.finish


def takes(schema: Any, value: Any, room: int = 600) -> bool:
    """Whether JSON of a schema may be this value."""
    state = GRAMMARS.compiled(ResponseFormat(schema=schema).grammar(room) or "").after(())
    for token in BYTES.ids(json.dumps(value, ensure_ascii=False)):
        if not state.allowed()[token]:
            return False
        state.take(token)
    return bool(state.allowed()[BYTES.end])


def most(schema: Any, before: str, unit: str, room: int) -> int:
    """How often a text may stand behind another, up to ten times the room."""
    state = GRAMMARS.compiled(ResponseFormat(schema=schema).grammar(room) or "").after(BYTES.ids(before))
    for count in range(10 * room):
        for token in BYTES.ids(unit):
            if not state.allowed()[token]:
                return count
            state.take(token)
    return 10 * room
