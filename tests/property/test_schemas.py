"""Random JSON Schemas under a model that says anything: valid answers, no unknown keys, and integers stay integers.

IG_SCHEMAS sets how many schemas are tried (400 by default, and 1,000 in `make test-deep`).
"""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Distribution, TokenPlace, Vocabulary
from ig_guardrail.text.calls import ResponseFormat, Tool, parse_calls
from ig_guardrail.types import Draw, Message, Sampling

SCHEMAS = int(os.environ.get("IG_SCHEMAS", "400"))
ROOM = 600
KEYS = ("id", "name", "tags", "größe", "a b")
PIECES = ['"', '":', '", "', "{", "}", "[", "]", ", ", "1", "23", "true", "null", "name", "kind", "é", "\n", " "]


@dataclass(frozen=True)
class Babbler:
    """Any token may follow any other; those that close something are likelier, so that answers end."""

    seed: int
    vocabulary: Vocabulary = field(default_factory=lambda: Vocabulary(PIECES))

    def next_tokens(self, place: TokenPlace) -> Distribution:
        dice = random.Random(f"{self.seed} {place.prefix} {place.lane}")
        size = self.vocabulary.end + 1
        weights = [dice.random() ** 3 for _ in range(size)]
        for closing in ('"', "}", "]"):
            weights[PIECES.index(closing)] += 2
        weights[self.vocabulary.end] += 4
        total = sum(weights)
        return [(token, weight / total) for token, weight in enumerate(weights)]


leaves = st.one_of(
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-50, 50),
        st.integers(0, 99),
    ),
    st.just({"type": "integer"}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 3),
        st.integers(0, 9),
    ),
    st.builds(
        lambda values: {"enum": values},
        st.lists(st.sampled_from(["x", "y y", "ü", 3, None]), min_size=1, max_size=4, unique=True),
    ),
    st.builds(lambda value: {"const": value}, st.sampled_from([1, "one", False])),
)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(KEYS), max_size=4, unique=True))
    required = [name for name in names if draw(st.booleans())]
    return {"type": "object", "properties": {name: draw(inner) for name in names}, "required": required}


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.builds(lambda item, most: {"type": "array", "items": item, "maxItems": most}, inner, st.integers(0, 3))
    unions = st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner)
    return st.one_of(objects(inner), arrays, unions)


schemas = objects(st.recursive(leaves, branches, max_leaves=5))
relaxed = settings(
    max_examples=SCHEMAS // 2, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def answer(form: ResponseFormat, seed: int) -> tuple[str, str | None]:
    engine = ScriptedEngine(Babbler(seed), context=4096)
    sampling = Sampling(seed=seed, temperature=1.0, top_p=1.0, max_tokens=ROOM, grammar=form.grammar(ROOM))
    root = engine.open(engine.encode([Message("user", "Go.")]), sampling).result()
    (node,) = engine.extend([Draw(root)], ROOM).result()
    engine.close(root)
    return node.text, node.finish


def check(value: Any, schema: dict[str, Any]) -> None:
    Draft202012Validator(schema).validate(value)
    assert set(value) <= set(schema["properties"])


@pytest.mark.slow
@relaxed
@given(schemas, st.integers(0, 10**6))
def test_structured_answers_are_valid(schema: dict[str, Any], seed: int) -> None:
    text, finish = answer(ResponseFormat(schema=schema), seed)
    assume(finish == "stop")
    check(json.loads(text), schema)


@pytest.mark.slow
@relaxed
@given(schemas, schemas, st.integers(0, 10**6))
def test_calls_are_valid(one: dict[str, Any], other: dict[str, Any], seed: int) -> None:
    form = ResponseFormat((Tool("first", "", one), Tool("second", "", other)), choice="any")
    text, finish = answer(form, seed)
    assume(finish == "stop")
    words, calls = parse_calls(text)
    assert words == ""
    assert calls
    for call in calls:
        check(call.arguments, {"first": one, "second": other}[call.name])
