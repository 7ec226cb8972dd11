"""What is left to a check of whole values is read when a schema is bound, and by the check as the schema means it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ig_guardrail.errors import RequestError
from ig_guardrail.schemas import fault_in, followable
from ig_guardrail.schemas.checking import check_of
from ig_guardrail.text.calls import ResponseFormat
from tests.faults.schema_answers import babbled, takes

WHOLE: dict[str, Any] = {"type": "integer"}


@pytest.mark.parametrize(
    ("schema", "place"),
    [
        ({"not": "x"}, "#/not"),
        ({"not": 5}, "#/not"),
        ({**WHOLE, "not": {"type": "int"}}, "#/not/type"),
        ({**WHOLE, "not": {"enum": 5}}, "#/not/enum"),
        ({**WHOLE, "not": {"anyOf": {"type": "integer"}}}, "#/not/anyOf"),
        ({**WHOLE, "not": {"multipleOf": 0}}, "#/not/multipleOf"),
        ({"type": "string", "not": {"pattern": "(?=a)"}}, "#/not/pattern"),
        ({"type": "string", "not": {"$ref": "#/$defs/b"}, "$defs": {"b": {"maxLength": "x"}}}, "#/$defs/b/maxLength"),
        ({"type": "string", "not": {"$ref": "#/nowhere"}}, "#/not/$ref"),
        ({"type": "string", "not": {"$ref": "https://example.org/a"}}, "#/not/$ref"),
        ({"type": "object", "not": {"dependencies": {"a": ["b"]}}}, "#/not/dependencies"),
        ({"if": [], "then": WHOLE}, "#/if"),
        ({"if": {"const": 1}, "then": 5}, "#/then"),
        ({"if": {"const": 1}, "else": {"properties": 5}}, "#/else/properties"),
        ({"type": "array", "contains": [WHOLE]}, "#/contains"),
        ({"type": "array", "contains": {}, "minContains": "x"}, "#/minContains"),
        ({"type": "array", "uniqueItems": "true"}, "#/uniqueItems"),
        ({"type": "array", "unevaluatedItems": 5}, "#/unevaluatedItems"),
        ({"type": "object", "dependentRequired": ["a"]}, "#/dependentRequired"),
        ({"type": "object", "dependentRequired": {"a": "bc"}}, "#/dependentRequired/a"),
        ({"type": "object", "dependentRequired": {"a": [1]}}, "#/dependentRequired/a"),
        ({"type": "object", "dependentSchemas": {"a": 5}}, "#/dependentSchemas/a"),
        ({"type": "object", "patternProperties": {"(?=x)": {}}}, "#/patternProperties/(?=x)"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_place(schema: Any, place: str) -> None:
    with pytest.raises(RequestError) as refused:
        followable(schema, 64)
    assert f"at {place} of the schema" in str(refused.value)


@pytest.mark.parametrize(
    ("more", "right", "wrong"),
    [
        ({}, ["a", 1, None], ["a", "b"]),
        ({"additionalItems": False}, ["a", 1], ["a", 1, 2]),
        ({"additionalItems": {"type": "null"}}, ["a", 1, None], ["a", 1, 2]),
        ({"uniqueItems": True, "additionalItems": WHOLE}, ["a", 1, 2], ["a", 1, 1]),
        ({"uniqueItems": True, "additionalItems": False}, ["a", 1], ["a", 1, 2]),
        ({"not": {"maxItems": 1}, "additionalItems": False}, ["a", 1], ["a"]),
    ],
)
def test_tuples_of_older_drafts_are_followed_also_where_whole_values_are_checked(
    more: dict[str, Any], right: Any, wrong: Any
) -> None:
    schema = {"type": "array", "items": [{"type": "string"}, WHOLE], **more}
    assert takes(schema, right)
    assert not takes(schema, wrong)
    text, finish = babbled(ResponseFormat(schema={**schema, "minItems": 2}), 3, 60)
    assert finish == "stop"
    assert fault_in({**schema, "minItems": 2}, json.loads(text)) is None


def test_a_schema_that_names_its_dialect_is_checked_by_our_rules() -> None:
    """Patterns take linear time, and a digit is one of ASCII, also behind a reference to the whole."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"a": {"type": "string", "pattern": r"^\d$"}, "inner": {"$ref": "#"}},
    }
    holds = check_of(schema)
    assert holds({"inner": {"inner": {"a": "3"}}})
    assert not holds({"inner": {"inner": {"a": "\N{ARABIC-INDIC DIGIT THREE}"}}})
    assert check_of({"const": {"$schema": "x", "items": [1]}})({"$schema": "x", "items": [1]})


def test_a_part_that_nobody_reads_may_be_anything_that_is_a_schema() -> None:
    schema = {"type": "array", "uniqueItems": True, "$defs": {"unused": {"type": "string", "pattern": "(?=a)"}}}
    assert takes({**schema, "items": WHOLE}, [1, 2])
