"""Rules for tool calls: names as soon as they are written, arguments when a call is whole."""

from __future__ import annotations

from typing import Any

import pytest

from ig_guardrail.costs.calls.rules import ToolRules, tool_rules
from ig_guardrail.errors import ModelError
from ig_guardrail.text.calls import CLOSE, OPEN, format_call
from ig_guardrail.types import Piece, Prompt


def rules(**options: Any) -> ToolRules:
    return tool_rules("tools", ("x.tools",), options)


def broken(one: ToolRules, *texts: str) -> list[float]:
    """The score after each piece."""
    state, scores = one.start(Prompt((), (1,))), []
    for text in texts:
        ((state, (score,)),) = one.advance([(state, Piece(text))])
        scores.append(score)
    return scores


def test_words_cost_nothing() -> None:
    assert broken(rules(deny=["*"]), "Let me ", "delete_file that.") == [0, 0]


def test_a_denied_name_is_seen_as_soon_as_it_is_written() -> None:
    pieces = ("I will. ", OPEN + '{"name": "dele', 'te_file"', ', "arguments": {}}' + CLOSE)
    assert broken(rules(deny=["delete_*"]), *pieces) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("options", "name", "may"),
    [
        ({}, "anything", True),
        ({"allow": ["search", "read_*"]}, "read_file", True),
        ({"allow": ["search", "read_*"]}, "search_all", False),
        ({"allow": ["*"], "deny": ["*_file"]}, "read_file", False),
        ({"deny": ["a.b"]}, "axb", True),
        ({"deny": ["a*c*e"]}, "abcde", False),
    ],
)
def test_names_with_stars(options: dict[str, Any], name: str, may: bool) -> None:
    assert rules(**options).may_call(name) is may


@pytest.mark.parametrize(
    ("limit", "value", "breaks"),
    [
        ({"most": 100}, 100, 0),
        ({"most": 100}, 100.5, 1),
        ({"most": 100}, "5", 1),
        ({"most": 100}, True, 1),
        ({"least": 1, "most": 2}, 0, 1),
        ({"matches": "docs/[a-z]+"}, "docs/readme", 0),
        ({"matches": "docs/[a-z]+"}, "docs/../secret", 1),
        ({"matches": "docs/[a-z]+"}, ["docs/readme"], 1),
        ({"one_of": ["read", "list"]}, "list", 0),
        ({"one_of": ["read", "list"]}, "write", 1),
        ({"most": 1}, None, 1),
    ],
)
def test_argument_rules(limit: dict[str, Any], value: Any, breaks: int) -> None:
    one = rules(arguments=[{"tool": "pay*", "argument": "x", **limit}])
    assert broken(one, format_call("pay_now", {"x": value})) == [breaks]
    assert broken(one, format_call("look", {"x": value}), format_call("pay", {"y": value})) == [0, 0]


@pytest.mark.parametrize("name", ["AMOUNT", "Amount", "amount"])
def test_an_argument_is_limited_in_letters_of_any_case(name: str) -> None:
    for written in ("amount", "Amount"):
        one = rules(arguments=[{"argument": written, "most": 1}])
        assert broken(one, format_call("a", {"amount_": 2, name: 1}), format_call("b", {name: 2})) == [0, 1]


def test_every_call_is_looked_at() -> None:
    one = rules(arguments=[{"argument": "x", "most": 1}])
    assert broken(one, format_call("a", {"x": 1}), format_call("b", {"x": 2})) == [0, 1]


def test_a_pattern_that_does_not_compile_is_named() -> None:
    with pytest.raises(ModelError, match=r"tools\.arguments: the pattern '\(' does not compile"):
        rules(arguments=[{"argument": "x", "matches": "("}])


def test_other_rules_have_another_hash() -> None:
    assert len({rules(deny=[name]).sha256 for name in "abc"} | {rules().sha256}) == 4


def test_numbers_of_any_size_are_judged() -> None:
    one = rules(arguments=[{"argument": "x", "most": 100}])
    assert broken(one, OPEN + '{"name": "f", "arguments": {"x": ' + "9" * 400 + "}}" + CLOSE) == [1]


def test_a_closed_call_that_cannot_be_read_may_not_be_made() -> None:
    deep = OPEN + '{"name": "f", "arguments": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}" + CLOSE
    assert broken(rules(deny=["g"]), deep) == [1]
