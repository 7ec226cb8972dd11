"""Whole numbers of 64 bits, such as identifiers and nanoseconds, are compared to their last digit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ig_guardrail.costs.calls.offers import narrowed
from ig_guardrail.costs.calls.rules import tool_rules
from ig_guardrail.policy import compile_text
from ig_guardrail.text.calls import ResponseFormat
from ig_guardrail.types import CompiledPolicy, Tool, ToolCall
from ig_guardrail.workbench.meaning.explaining import explain_policy
from tests.faults.schema_answers import babbled, takes
from tests.golden.conversations import POLITE, compiled

SNOWFLAKE = 1234567890123456789


def written(limits: str) -> str:
    return POLITE + f"tools: {{arguments: [{{tool: pay, argument: id, {limits}}}]}}\n"


def policy(limits: str) -> CompiledPolicy:
    return compiled(written(limits))


def fault(limits: str) -> str:
    _, (found,) = compile_text(written(limits), "p.yaml")
    return f"{found.message}, {found.label}"


def allowed(limits: str, value: Any) -> bool:
    (tools,) = [spec for spec in policy(limits).cost_models if spec.kind == "tools"]
    return not tool_rules("tools", ("hte",), tools.options).broken_by(ToolCall("pay", {"id": value}))


@pytest.mark.parametrize("end", [2**53 + 1, 10**15 + 1, SNOWFLAKE, 2**63 - 1, 2**64 - 1, -(2**63), -(2**53) - 1])
def test_a_limit_holds_to_the_last_digit(end: int) -> None:
    assert [allowed(f"least: {end}", end + step) for step in (-1, 0, 1)] == [False, True, True]
    assert [allowed(f"most: {end}", end + step) for step in (-1, 0, 1)] == [True, True, False]
    assert allowed(f"least: {end}, most: {end}", end)


@pytest.mark.parametrize("end", [2**64, -(2**63) - 1, 10**30])
def test_a_limit_beyond_64_bits_is_refused_with_the_range(end: int) -> None:
    assert "-9223372036854775808 to 18446744073709551615" in fault(f"most: {end}")


def test_limits_differ_in_the_hash_if_they_differ_in_the_last_digit_and_others_keep_theirs() -> None:
    assert policy(f"most: {SNOWFLAKE}").sha256 != policy(f"most: {SNOWFLAKE + 1}").sha256
    assert policy("most: 100").sha256 == policy("most: 100.0").sha256 == policy("most: 1e2").sha256


def test_a_call_is_drawn_within_such_limits() -> None:
    (tools,) = [one for one in policy(f"least: {SNOWFLAKE}, most: {SNOWFLAKE}").cost_models if one.kind == "tools"]
    parameters = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
    tool = narrowed(Tool("pay", "", parameters), tool_rules("tools", ("hte",), tools.options))
    assert tool is not None
    text, _ = babbled(ResponseFormat(schema=tool.accepted), 1, 120)
    assert json.loads(text) == {"id": SNOWFLAKE}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ("most: 1234567", "at most 1234567"),
        (f"least: {SNOWFLAKE}", f"at least {SNOWFLAKE}"),
        ("least: 0.25, most: 1234567.5", "at least 0.25 and of at most 1234567.5"),
    ],
)
def test_limits_are_explained_to_their_last_digit(limits: str, said: str) -> None:
    assert said in str(explain_policy(policy(limits)))


def test_limits_that_no_number_keeps_are_told_to_their_last_digit() -> None:
    said = fault(f"least: {SNOWFLAKE + 1}, most: {SNOWFLAKE}")
    assert f"`least` is {SNOWFLAKE + 1}, but `most` is {SNOWFLAKE}" in said


@pytest.mark.parametrize("number", [2**53 + 1, SNOWFLAKE, 2**64 - 1, -(2**63), -(2**53) - 1])
@pytest.mark.parametrize("word", ["const", "enum"])
def test_a_value_of_64_bits_is_written_and_checked_exactly(word: str, number: int) -> None:
    schema = {"const": number} if word == "const" else {"enum": [number]}
    text, finish = babbled(ResponseFormat(schema=schema), 1, 120)
    assert (text, finish) == (str(number), "stop")
    assert [takes(schema, number + step) for step in (-1, 0, 1)] == [False, True, False]


def test_several_values_are_told_apart_beside_others() -> None:
    schema = {"enum": [SNOWFLAKE, SNOWFLAKE + 2, "none", 7, None]}
    assert all(takes(schema, value) for value in schema["enum"])
    assert not any(takes(schema, value) for value in (SNOWFLAKE + 1, SNOWFLAKE - 1, "some", 8))
    narrower = {"enum": [SNOWFLAKE, SNOWFLAKE + 2, 5], "minimum": SNOWFLAKE + 1}
    assert takes(narrower, SNOWFLAKE + 2)
    assert not takes(narrower, SNOWFLAKE)
