"""TypedDicts with marked keys are schemas like any other: a key that may be missing need not be given."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, Optional, Required, TypedDict

import pytest
from typing_extensions import ReadOnly

from ig_guardrail.integrations.langchain.response_format import schema_of, tool_of
from ig_guardrail.integrations.langchain.structured import structured
from tests.faults.schema_answers import takes
from tests.faults.test_cut_values import chat


class Inner(TypedDict):
    """A part."""

    n: NotRequired[int]


class Marked(TypedDict):
    """A ticket."""

    owner: str
    pears: NotRequired[Annotated[int, ..., "How many."]]
    kind: Annotated[NotRequired[Literal["a", "b"]], ..., "Which."]
    id: ReadOnly[int]
    parts: NotRequired[list[Inner]]
    part: NotRequired[Optional[Inner]]  # noqa: UP045
    other: NotRequired[Inner | None]


class Partial(TypedDict, total=False):
    """A ticket of which little is known."""

    owner: Required[str]
    pears: int


class Plain(TypedDict):
    """A ticket."""

    owner: str
    pears: int


@pytest.mark.parametrize(
    ("schema", "required"), [(Marked, ["owner", "id"]), (Partial, ["owner"]), (Plain, ["owner", "pears"])]
)
def test_what_may_be_missing_is_not_required(schema: Any, required: list[str]) -> None:
    made = schema_of(schema)
    assert made["required"] == required
    assert tool_of(schema).description == schema.__doc__
    assert takes(made, dict.fromkeys(required, 1) | {"owner": "Mira"})
    assert not takes(made, {})


def test_marked_keys_keep_their_types() -> None:
    properties = schema_of(Marked)["properties"]
    assert properties["pears"] == {"description": "How many.", "type": "integer"}
    assert properties["kind"]["enum"] == ["a", "b"]
    assert properties["parts"]["items"]["properties"] == properties["part"]["anyOf"][0]["properties"]
    assert "required" not in properties["parts"]["items"] or not properties["parts"]["items"]["required"]


class Unknown(TypedDict):
    """What may be unknown."""

    rating: Annotated[Optional[int], None, "How good."]  # noqa: UP045
    owner: str | None
    inner: list[Optional[Inner]]  # noqa: UP045
    notes: dict[str, int | None]
    kind: Literal["a", "b"] | int | None


def test_null_may_stand_where_the_hints_say_so() -> None:
    schema = schema_of(Unknown)
    nothing = {"owner": None, "inner": [None, {}, {"n": 1}], "notes": {"a": None, "b": 1}, "kind": None}
    assert takes(schema, {"rating": None, **nothing})
    assert takes(schema, {"rating": 3, **nothing, "owner": "Mira", "kind": 4})
    assert not takes(schema, {**nothing, "inner": None})
    assert not takes(schema_of(Plain), {"owner": None, "pears": 1})


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_a_value_of_it_is_given(method: Any) -> None:
    chain = structured(chat(list('{"owner": "Mira", "id": 3}')), Marked, False, method, {})
    assert chain.invoke("Write it.") == {"owner": "Mira", "id": 3}
