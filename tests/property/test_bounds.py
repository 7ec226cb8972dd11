"""What a value says of its bounds: told where the room ended a part of it, and nowhere else.

One more character, item or digit tells which it is: the schema takes it, and the form that the room bounds does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ig_guardrail.schemas import reached_bounds
from tests.examples import examples
from tests.faults.schema_answers import takes

ROOM = 24  # tokens
SIZES = (0, 1, 5, 15, 16, 17, 39, 40, 41, 47, 48, 49)

texts = st.one_of(
    st.just({"type": "string"}),
    st.builds(lambda most: {"type": "string", "maxLength": most}, st.sampled_from(SIZES)),
    st.builds(lambda least: {"type": "string", "minLength": least}, st.sampled_from(SIZES)),
    st.just({"type": "string", "pattern": "^x*$"}),
    st.builds(
        lambda most: {"anyOf": [{"type": "string", "maxLength": most}, {"type": "null"}]}, st.sampled_from(SIZES)
    ),
    st.just({"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 5}, {"type": "string"}]}),
)
numbers = st.one_of(
    st.just({"type": "integer"}),
    st.builds(lambda most: {"type": "integer", "maximum": most}, st.sampled_from([9, 10**14, 10**15 - 1, 10**16])),
    st.just({"type": "integer", "minimum": 0}),
    st.just({"type": "number", "exclusiveMinimum": -2}),
)
lists = st.builds(
    lambda item, own: {"type": "array", "items": item, **own},
    st.one_of(texts, numbers),
    st.one_of(st.just({}), st.builds(lambda most: {"maxItems": most}, st.sampled_from(SIZES))),
)
parts = st.one_of(texts, numbers, lists)


@st.composite
def values(draw: st.DrawFn, part: dict[str, Any]) -> Any:
    """A value of one kind, of a size near the bounds."""
    kind = part.get("type", "string")
    if kind == "array":
        return draw(st.lists(values(part["items"]), min_size=1, max_size=1)) * draw(st.sampled_from(SIZES))
    if kind == "string":
        return "x" * draw(st.sampled_from(SIZES))
    return draw(st.sampled_from([0, 7, -1, 10**13, 10**14 - 1, 10**14, -(10**14), 10**15 - 1]))


@st.composite
def valued(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A schema of a few parts, and a value of it."""
    named = draw(st.dictionaries(st.sampled_from(["a", "b/c", "d~"]), parts, min_size=1))
    schema = {"type": "object", "properties": named, "required": list(named)}
    return schema, {name: draw(values(part)) for name, part in named.items()}


def grown(value: Any) -> Iterator[tuple[str, Any]]:
    """Every part of a value by its pointer, and the value with one more character, item or digit there."""
    if isinstance(value, dict | list):
        places = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in places:
            for pointer, more in grown(part):
                step = str(key).replace("~", "~0").replace("/", "~1")
                other = {**value, key: more} if isinstance(value, dict) else [*value[:key], more, *value[key + 1 :]]
                yield f"/{step}{pointer}", other
    if isinstance(value, list) and value:
        yield "", [*value, value[-1]]
    if isinstance(value, str):
        yield "", value + "x"
    if isinstance(value, int) and value:
        yield "", value * 10


@settings(max_examples=examples(100), deadline=None)
@given(valued())
def test_what_the_room_ended_is_told_and_nothing_else(found: tuple[dict[str, Any], dict[str, Any]]) -> None:
    schema, value = found
    assume(takes(schema, value, ROOM))
    sound = Draft202012Validator(schema).is_valid
    ended = {pointer for pointer, more in grown(value) if sound(more) and not takes(schema, more, ROOM)}
    assert set(reached_bounds(schema, ROOM, value)) == ended


NESTED = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["next"],
        }
    },
}


def test_where_nesting_ends_is_told() -> None:
    value: Any = {"next": None}
    told = []
    while takes(NESTED, value, ROOM):
        told.append(reached_bounds(NESTED, ROOM, value))
        value = {"next": value}
    assert told == [()] * (len(told) - 1) + [("/next" * len(told),)]


def test_many_and_long_keys_are_told() -> None:
    schema = {
        "type": "object",
        "properties": {"named": {"type": "integer"}},
        "additionalProperties": {"type": "integer"},
    }
    assert reached_bounds(schema, ROOM, {f"k{at}": at for at in range(16)}) == ()
    assert reached_bounds(schema, ROOM, {"k" * 47: 1}) == ()
    longest = max(size for size in range(1, 60) if takes(schema, {"k" * size: 1}, ROOM))
    assert reached_bounds(schema, ROOM, {"k" * longest: 1}) == ("",)


def test_a_value_of_another_schema_may_be_ended_anywhere() -> None:
    assert reached_bounds({"type": "integer"}, ROOM, "x") == ("",)


def test_any_keys_are_read_however_long_they_may_be() -> None:
    for names in ({}, {"propertyNames": {"maxLength": 9}}, {"patternProperties": {"^k": {"type": "integer"}}}):
        schema = {"type": "object", "additionalProperties": {"type": "integer"}, **names}
        assert reached_bounds(schema, 4_000, {"k": 1, "x": -(2**63)}) == ("/x",)
    assert reached_bounds({}, 4_000, {"k" * 2_000: [{"x": "y" * 10}]}) == ()
