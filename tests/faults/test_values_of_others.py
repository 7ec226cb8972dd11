"""A value that another model gives is of its schema, or an error says where it is not."""

from __future__ import annotations

import json
from typing import Any, NotRequired, TypedDict

import pytest
from langchain_core.runnables import Runnable

from ig_guardrail.errors import RequestError
from ig_guardrail.integrations.langchain import AnswerCut
from ig_guardrail.integrations.langchain.guarded_model import GuardedChatModel
from tests.golden.conversations import compiled
from tests.unit.langchain.teller import call_part, last_part, teller

SCHEMA: dict[str, Any] = {
    "title": "Ticket",
    "type": "object",
    "properties": {"owner": {"type": "string", "pattern": "^[A-Z]"}, "pears": {"type": "integer", "maximum": 9}},
    "required": ["owner", "pears"],
}


class Ticket(TypedDict):
    """A ticket."""

    owner: str
    pears: int


class Partial(TypedDict):
    """A ticket of which not all is known."""

    owner: str
    pears: NotRequired[int]


RIGHT = {"owner": "Mira", "pears": 3}
WRONG: list[tuple[Any, str]] = [
    ({"owner": "Mira", "pears": "three"}, "at $.pears"),
    ({"owner": "Mira"}, "'pears' is a required property, at $"),
    ({}, "at $"),
    ({"owner": 5, "pears": 3}, "at $.owner"),
]


def asked(schema: Any, value: Any, **options: Any) -> Runnable[Any, Any]:
    inner = teller([call_part("Ticket", json.dumps(value), "1"), last_part("tool_calls")])
    return GuardedChatModel(inner=inner, policy=compiled()).with_structured_output(schema, **options)


@pytest.mark.parametrize("schema", [SCHEMA, Ticket])
async def test_a_value_of_its_schema_is_given(schema: Any) -> None:
    assert asked(schema, RIGHT).invoke("Write it.") == RIGHT
    assert await asked(schema, RIGHT).ainvoke("Write it.") == RIGHT
    assert list(asked(schema, RIGHT).stream("Write it."))[-1] == RIGHT


@pytest.mark.parametrize("schema", [SCHEMA, Ticket])
@pytest.mark.parametrize(("value", "told"), WRONG)
async def test_a_value_that_breaks_its_schema_is_an_error(schema: Any, value: Any, told: str) -> None:
    for given in (asked(schema, value).invoke, lambda text: list(asked(schema, value).stream(text))):
        with pytest.raises(AnswerCut) as cut:
            given("Write it.")
        assert told in str(cut.value)
    with pytest.raises(AnswerCut):
        await asked(schema, value).ainvoke("Write it.")
    beside = asked(schema, value, include_raw=True).invoke("Write it.")
    assert beside["parsed"] is None
    assert isinstance(beside["parsing_error"], AnswerCut)


def test_a_key_that_need_not_be_there_may_be_missing() -> None:
    inner = teller([call_part("Partial", json.dumps({"owner": "Mira"}), "1"), last_part("tool_calls")])
    model = GuardedChatModel(inner=inner, policy=compiled())
    assert model.with_structured_output(Partial).invoke("Write it.") == {"owner": "Mira"}


@pytest.mark.parametrize("value", [{"owner": "mira", "pears": 3}, {"owner": "Mira", "pears": 12}])
def test_so_is_one_of_which_only_the_schema_knows(value: Any) -> None:
    with pytest.raises(AnswerCut, match="the answer is no value of its schema"):
        asked(SCHEMA, value).invoke("Write it.")


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "string", "pattern": "(?=a)"}, "#/properties/a/pattern"),
        ({"$ref": "https://example.org/x"}, "#/properties/a/$ref"),
        ({"type": "string", "max_length": 3}, "#/properties/a"),
    ],
)
def test_a_schema_by_which_nothing_can_be_checked_is_refused_when_it_is_bound(part: Any, place: str) -> None:
    with pytest.raises(RequestError) as refused:
        asked({"title": "Ticket", "type": "object", "properties": {"a": part}}, {})
    assert f"at {place} of the schema" in str(refused.value)
