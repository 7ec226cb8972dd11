"""Tool rules compared: verdicts that are known, and calls that decide differently under the rules themselves."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.workbench.meaning.tool_calls import compare_calls, side_of
from ig_guardrail.workbench.meaning.tool_names import TooManyNames, names_by_patterns
from tests.unit.workbench.policies import policy

PAY = {"id": "pay", "tool": "pay*", "calls": 3}
AMOUNT = {"tool": "refund", "argument": "amount"}
UP_TO_100 = {**AMOUNT, "most": 100}
MODE = {"argument": "mode", "one_of": ["a", "b"]}
PATH = {"argument": "path", "matches": "docs/[a-z]+"}


def arguments(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"arguments": list(rules)}


CASES: list[tuple[str, dict[str, Any] | None, dict[str, Any] | None]] = [
    ("stricter", None, {"deny": ["delete_*"]}),
    ("same", {"deny": ["delete_*"]}, {"deny": ["delete_*", "delete_all"]}),
    ("same", {"allow": ["a*", "*b*"], "deny": ["*c"]}, {"allow": ["*b*", "a*"], "deny": ["*c"]}),
    ("looser", {"allow": ["read"]}, {"allow": ["read", "list"]}),
    ("incomparable", {"allow": ["a*"]}, {"allow": ["b*"]}),
    ("looser", arguments(UP_TO_100), arguments({**AMOUNT, "most": 500})),
    ("incomparable", arguments(UP_TO_100), arguments({**AMOUNT, "most": 500, "least": 0})),
    ("same", arguments(UP_TO_100, {**AMOUNT, "most": 500}), arguments(UP_TO_100)),
    ("stricter", arguments(UP_TO_100), arguments({**UP_TO_100, "tool": "refund*"})),
    ("incomparable", arguments(UP_TO_100), arguments({**UP_TO_100, "tool": "refunds"})),  # a misspelt tool
    ("stricter", arguments(MODE), arguments({**MODE, "one_of": ["a"]})),
    ("same", arguments(PATH), arguments({**PATH, "tool": "*"})),
    (
        "not decided",
        arguments(PATH),
        arguments({**PATH, "matches": "docs/[a-z]+|tmp/.*"}),
    ),  # of texts, by examples only
    ("looser", {"limits": [PAY]}, {"limits": [{**PAY, "calls": 5}]}),
    ("same", {"limits": [PAY], "deny": ["pay*"]}, {"deny": ["pay*"]}),
    ("looser", {"limits": [PAY]}, {"limits": [{**PAY, "tool": "pay_in"}]}),
]


def pair(a: Any, b: Any) -> tuple[Any, Any]:
    return policy([{}], **({"tools": a} if a else {})), policy([{}], **({"tools": b} if b else {}))


@pytest.mark.parametrize(("verdict", "a", "b"), CASES)
def test_known_pairs(verdict: str, a: Any, b: Any) -> None:
    made = pair(a, b)
    found = compare_calls(*made)
    assert found.verdict == verdict, found
    assert (found.looser is not None) >= (verdict in ("looser", "incomparable", "not decided"))
    for example, shows, denies in ((found.stricter, *made), (found.looser, *made[::-1])):
        if example is not None and "limit" not in example.by:
            ((call, _),) = example.calls
            assert side_of(shows).allows(call)
            assert not side_of(denies).allows(call)


@given(st.lists(st.text("ab*", min_size=1, max_size=4), min_size=1, max_size=4, unique=True))
def test_every_set_of_patterns_that_a_short_name_fits_is_found(patterns: list[str]) -> None:
    found = names_by_patterns(patterns)
    forms = {one: re.compile(one.replace("*", ".*")) for one in patterns}

    def fits(name: str) -> frozenset[str]:
        return frozenset(one for one, form in forms.items() if form.fullmatch(name))

    names = ("".join(letters) for size in (1, 2, 3, 4) for letters in itertools.product("abz", repeat=size))
    assert {fits(name) for name in names} <= set(found)
    assert all(fits(name) == patterns for patterns, name in found.items())


def test_a_name_that_fits_as_one_that_is_written_out_does_is_found() -> None:
    assert names_by_patterns(["b", "*b", "b*"])[frozenset(("*b", "b*"))] == "bb"
    assert frozenset(("b*",)) in names_by_patterns(["bx", "by", "b*", "*x", "*y"])


def test_patterns_that_overlap_in_too_many_ways_are_refused() -> None:
    with pytest.raises(TooManyNames):
        names_by_patterns([f"*{letter}{letter}*{letter}*b*" for letter in "cdefghijklmnop"])


def test_many_names_that_are_written_out_are_no_work() -> None:
    names = [f"tool_{count}" for count in range(1000)]
    assert len(names_by_patterns([*names, "tool_*", "*"])) == 1002
