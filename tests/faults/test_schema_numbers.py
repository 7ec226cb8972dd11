"""Numbers of a schema are kept as they are read back: what a float cannot tell apart is refused, not rounded."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ig_guardrail.errors import RequestError
from ig_guardrail.schemas import reached_bounds
from ig_guardrail.text.calls import ResponseFormat
from tests.faults.schema_answers import BYTES, GRAMMARS, babbled, takes

NUMBER: dict[str, Any] = {"type": "number"}


@pytest.mark.parametrize(
    "schema",
    [
        *({"const": one} for one in (-(2**64), 12345678901234567890123, float(2**63), 1e23, 10**400)),
        *({"enum": ["a", {"b": [one]}]} for one in (2**53 + 1, 2**63, -(2**64), float(2**63), 10**400)),
    ],
)
def test_whole_numbers_that_would_be_written_as_others_are_refused(schema: Any) -> None:
    with pytest.raises(RequestError, match=r"cannot be written exactly, at #|larger than any float"):
        babbled(ResponseFormat(schema=schema), 1, 120)


@pytest.mark.parametrize("number", [123456789.123456789, 248660842.56138194, 922052815.4493463])
def test_what_the_grammar_would_round_is_never_given_as_if_it_were_right(number: float) -> None:
    with pytest.raises(RequestError, match="no answer of"):
        babbled(ResponseFormat(schema={"const": number}), 1, 120)


@pytest.mark.parametrize(
    "number", [2**53, -(2**53), 10**18, 10**23, 1e-7, 1.5e-10, 1e22, 1.0, -0.0, 0.1 + 0.2, 3.141592653589793, 1e-300]
)
def test_other_numbers_are_written_in_their_room(number: Any) -> None:
    text, finish = babbled(ResponseFormat(schema={"enum": [{"a": [number]}]}), 1, 330)
    assert (json.loads(text), finish) == ({"a": [number]}, "stop")


@pytest.mark.parametrize(
    ("schema", "right", "wrong"),
    [
        ({"exclusiveMaximum": 999999999999999}, "999999999999998", "999999999999998.999999"),
        ({"exclusiveMinimum": 100000000000000}, "100000000000001", "100000000000000.000001"),
        ({"exclusiveMinimum": 0.1, "maximum": 0.2}, "0.100001", "0.1"),
        ({"multipleOf": 0.01}, "9999999999999.99", "552334889565951.23"),
        ({"multipleOf": 0.5, "maximum": 10**15 - 1}, "99999999999999.5", "999999999999999"),
    ],
)
def test_limits_hold_for_numbers_as_they_are_read(schema: dict[str, Any], right: str, wrong: str) -> None:
    assert takes({**NUMBER, **schema}, json.loads(right))
    assert not _written({**NUMBER, **schema}, wrong)


WHOLE: dict[str, Any] = {"type": "integer"}
SNOWFLAKE, NANOSECONDS = 1234567890123456789, 1_764_000_000_000_000_001


@pytest.mark.parametrize(
    ("limits", "right", "wrong"),
    [
        ({}, [0, -1, SNOWFLAKE, NANOSECONDS, 2**64 - 1, -(2**63)], [2**64, 10**20 - 1, -(2**63) - 1]),
        ({"minimum": 0}, [SNOWFLAKE, 2**64 - 1], [-1, 2**64]),
        ({"maximum": 10}, [10, -(2**63)], [11, -(2**63) - 1]),
        ({"minimum": 0, "maximum": 2**64 - 1}, [SNOWFLAKE, 2**64 - 1], [2**64]),
        ({"exclusiveMinimum": 2**53}, [2**53 + 1, NANOSECONDS], [2**53]),
        ({"minimum": 10**17, "maximum": 2 * 10**18}, [SNOWFLAKE], [10**17 - 1, 2 * 10**18 + 1]),
        ({"multipleOf": 1000}, [NANOSECONDS - 1], [NANOSECONDS]),
    ],
)
def test_whole_numbers_have_64_bits_to_the_last(limits: Any, right: list[int], wrong: list[int]) -> None:
    schema = {**WHOLE, **limits}
    assert [takes(schema, number) for number in (*right, *wrong)] == [True] * len(right) + [False] * len(wrong)
    assert not takes({"type": "array", "items": schema}, [wrong[0]])


def test_whole_numbers_beyond_64_bits_are_refused_with_their_range() -> None:
    with pytest.raises(
        RequestError, match=r"(?s)no whole number of it has 64 bits.*from -9223372036854775808 to 184467"
    ):
        babbled(ResponseFormat(schema={**WHOLE, "minimum": 2**64}), 1, 120)


def test_whole_numbers_of_19_digits_are_no_more_called_ended_by_the_room() -> None:
    assert reached_bounds(WHOLE, 100, SNOWFLAKE) == ()
    assert reached_bounds(WHOLE, 100, 10**19) == ("",)
    assert reached_bounds({**WHOLE, "maximum": 2**64 - 1}, 100, 10**19) == ()


def _written(schema: Any, text: str) -> bool:
    state = GRAMMARS.compiled(ResponseFormat(schema=schema).grammar(600) or "").after(())
    for token in BYTES.ids(text):
        if not state.allowed()[token]:
            return False
        state.take(token)
    return bool(state.allowed()[BYTES.end])


def test_a_multiple_is_one_by_its_digits_where_whole_values_are_checked() -> None:
    prices = {"type": "array", "items": {**NUMBER, "multipleOf": 0.01}, "uniqueItems": True}
    assert takes(prices, [0.07, 1.1, 0.29])
    assert not takes(prices, [0.07, 0.07])


def test_numbers_that_came_to_the_largest_multiple_are_told() -> None:
    assert reached_bounds({**NUMBER, "multipleOf": 0.01}, 100, 9999999999999.99) == ("",)
    assert reached_bounds({**NUMBER, "multipleOf": 0.01}, 100, 99999.99) == ()


def test_one_and_one_point_nought_are_one_value_of_two_branches() -> None:
    schema = {"oneOf": [{"enum": [1, "a"]}, {"enum": [1.0, {"x": 1, "y": 2}]}, {"enum": [{"y": 2, "x": 1.0}]}]}
    text, _ = babbled(ResponseFormat(schema=schema), 1, 60)
    assert json.loads(text) == "a"
    Draft202012Validator(schema).validate("a")
