"""A policy that extends another never shows what the other denies: random children and scores, at the real gate."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.calls.rules import ToolRules, tool_rules
from ig_guardrail.costs.combine import evaluate
from ig_guardrail.policy import compile_text, load_policy
from ig_guardrail.policy.inheritance.tightening import HARSHER
from ig_guardrail.types import CompiledPolicy, ToolCall
from ig_guardrail.workbench.meaning.comparing import ASSUMED, compare
from ig_guardrail.workbench.meaning.sources import Source, open_books
from ig_guardrail.workbench.meaning.trials import MadeUpAnswer, Moment, run
from tests.examples import examples

HEAD = {"apiVersion": "ig-guardrail/v1", "kind": "SafetyPolicy"}
RICH = {
    **HEAD,
    "metadata": {"name": "rich", "version": "1.2.0"},
    "cost_models": {
        "a": {"kind": "lexical", "model": "words", "hazards": ["hte", "ncr"]},
        "b": {"kind": "lexical", "model": "screen", "hazards": ["ncr"], "on_error": "open"},
        "p": {"kind": "pattern", "patterns": ["foo", "bar"], "longest_match": 8, "hazards": ["hte"]},
        "q": {"kind": "python", "entry_point": "judge", "hazards": ["hte"]},
        "c": {
            "kind": "openai",
            "model": "omni-moderation-latest",
            "hazards": ["hte", "ssh"],
            "base_url": "http://127.0.0.1:8000/v1",
        },
    },
    "budgets": [
        {"id": "one", "hazards": ["hte", "ncr"], "cost": "max(a, b)", "threshold": 0.4, "budget": 0.2},
        {"id": "two", "hazards": ["ncr"], "cost": "mean(a, 0.5 * b)", "threshold": 0.3, "accumulate": "sum",
         "budget": 0.6, "discount": 0.995, "every": 12},
        {"id": "three", "hazards": ["hte"], "cost": "p", "threshold": 0.5, "budget": 1},
        {"id": "four", "hazards": "all", "cost": "min(a, q)", "threshold": 0.5, "weight": 2, "budget": 0.4},
        {"id": "five", "hazards": ["hte", "ssh"], "cost": "c + 0.1", "threshold": 0.4, "scope": "conversation",
         "decay": 0.5, "window": 3, "budget": 0.5},
        {"id": "six", "hazards": ["hte"], "cost": "max(p, a)", "threshold": 0.3, "budget": 0.3, "mode": "shadow"},
    ],
    "prompt": {"cost": "max(a, p)", "threshold": 0.6, "on_exceed": "search"},
    "tools": {
        "allow": ["pay*", "read"],
        "deny": ["*_all"],
        "arguments": [{"tool": "pay*", "argument": "amount", "most": 100}],
        "limits": [{"id": "pays", "tool": "pay*", "calls": 3}],
    },
    "messages": {"refusal": {"en": "No."}, "closing": {"en": "Enough."}},
}  # fmt: skip

EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "p", "q", "c", "new", "help", "tone", "words", "0.1", "0.5"]),
    lambda part: (
        st.tuples(st.sampled_from(["max", "min", "mean"]), st.lists(part, min_size=1, max_size=3)).map(
            lambda pair: f"{pair[0]}({', '.join(pair[1])})"
        )
        | st.tuples(part, part).map(" + ".join)
        | part.map(lambda text: f"0.5 * ({text})")
    ),
    max_leaves=5,
)


@st.composite
def costs(draw: Callable[[st.SearchStrategy[Any]], Any], cost: str) -> str:
    """Mostly expressions that hold the parent's."""
    other = draw(EXPRESSIONS)
    return draw(st.sampled_from([cost, f"max({cost}, {other})", f"{cost} + {other}", f"min({cost}, {other})", other]))


def near(draw: Callable[[st.SearchStrategy[Any]], Any], value: float, low: float = 0.0, high: float = 1.0) -> float:
    steps = [value, value, value - 0.1, value - 0.2, value / 2, value + 0.1, low, high]
    return round(min(high, max(low, draw(st.sampled_from(steps)))), 4)


VALUES: dict[str, list[Any]] = {
    "threshold": [0.1, 0.3, 0.4, 0.5, 0.62, 0.69, 0.8],
    "budget": [0, 0.05, 0.1, 0.3, 0.6, 1, 2],
    "weight": [0.3, 0.8, 1, 1.5, 2, 3],
    "discount": [0.99, 0.995, 1],
    "accumulate": ["max", "sum"],
    "every": [1, 4, 6, 8, 12, 16, 24, 32],
    "mode": ["enforce", "shadow"],
    "decay": [0.1, 0.5, 0.8, 1],
    "window": [0, 1, 2, 3, 5],
    "hazards": ["all", ["hte"], ["ssh"], ["ncr", "hte"], ["vcr", "ncr", "iwp", "hte", "x.insult"]],
    "cost": ["new", "max(a, new)", "min(a, b)", "mean(p, a)", "0.5 * a", "tone", "words"],
}


def child_of(name: str, budgets: list[dict[str, Any]]) -> dict[str, Any]:
    """A child of a parent that changes these budgets."""
    new = {"kind": "lexical", "model": "words", "hazards": ["hte", "ssh", "ncr"]}
    head = {**HEAD, "metadata": {"name": "child", "version": "1.0.0"}, "extends": name}
    return {**head, "cost_models": {"new": new}, **({"budgets": budgets} if budgets else {})}


@st.composite
def children(draw: Callable[[st.SearchStrategy[Any]], Any], parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    budgets = []
    for one in draw(st.permutations(parent["budgets"]))[: draw(st.integers(1, 2))]:
        changes = {
            "threshold": lambda one=one: near(draw, one["threshold"]),
            "budget": lambda one=one: near(draw, one.get("budget", 0), 0, 2),
            "weight": lambda one=one: near(draw, one.get("weight", 1), 0.1, 3),
            "discount": lambda: draw(st.sampled_from([0.99, 0.995, 1])),
            "accumulate": lambda: draw(st.sampled_from(["max", "sum"])),
            "every": lambda one=one: draw(st.sampled_from([1, 4, 6, 8, 16, one.get("every", 16), 32])),
            "mode": lambda: draw(st.sampled_from(["enforce", "enforce", "shadow"])),
            "decay": lambda: draw(st.sampled_from([0.2, 0.5, 0.7, 1])),
            "window": lambda: draw(st.sampled_from([0, 2, 3, 5])),
            "hazards": lambda one=one: draw(st.sampled_from(["all", one["hazards"], ["hte"], ["ncr", "hte"]])),
            "cost": lambda one=one: draw(costs(one["cost"])),
        }
        shared = one.get("scope") == "conversation"
        keys = draw(st.permutations(sorted(changes)))[: draw(st.integers(1, 2))]
        keys = [key for key in keys if shared or key not in ("decay", "window")]
        if keys:
            budgets.append({"id": one["id"], **{key: changes[key]() for key in keys}})
    if draw(st.booleans()):
        budgets.append({"id": "new", "hazards": ["ssh"], "cost": "new", "threshold": 0.5})
    made = child_of(name, budgets)
    if "p" in parent["cost_models"] and draw(st.integers(0, 3)) == 0:
        made["cost_models"]["p"] = {"patterns": [draw(st.sampled_from(["foo", "baz"]))]}
    if draw(st.integers(0, 2)) == 0:
        over = parent["prompt"]
        made["prompt"] = {
            "threshold": near(draw, over["threshold"]),
            "cost": draw(st.sampled_from([over["cost"], f"max({over['cost']}, new)", "new"])),
            "on_exceed": draw(st.sampled_from([over["on_exceed"], "search", "refuse", "observe"])),
        }
    if draw(st.integers(0, 2)) == 0:
        allow = draw(
            st.lists(st.sampled_from(["pay*", "pay_some", "read", "*", "write", "p*"]), max_size=2, unique=True)
        )
        deny = draw(st.lists(st.sampled_from(["read", "*_all", "pay_a*"]), max_size=2, unique=True))
        calls = draw(st.integers(0, 5))
        made["tools"] = {
            **({"allow": allow} if allow else {}),
            **({"deny": deny} if deny else {}),
            "limits": [{"id": "pays", "tool": "pay*", "calls": calls}],
        }
    return made


def answers(dice: Random, sources: Sequence[Source], sharp: Sequence[float]) -> list[MadeUpAnswer]:
    """Answers of a conversation, scored at places where some budget looks. sharp: scores that some budget cares for."""
    heard = dice.sample(sources, min(len(sources), dice.randint(1, 3)))
    grid = [0.0, *sharp, *(min(1.0, one + more) for one in sharp for more in (0.01, 0.07, 0.2)), 1.0]

    def drawn() -> dict[str, float]:
        return {one.name: dice.choice([0.0, 1.0] if one.whole else grid) for one in heard}

    steady, found = drawn() if dice.random() < 0.5 else None, []
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        tokens = dice.choice([1, 5, 12, 24, 33, 48])
        places = [place for place in (4, 8, 12, 16, 24, 32, 36, 48) if place <= tokens and dice.random() < 0.4]
        moments = [(place, False) for place in places] + [(tokens, True)] * dice.randint(0, 1)
        scored = [Moment(place, steady or drawn(), ended) for place, ended in moments]
        found.append(MadeUpAnswer(tokens, tuple(scored)))
    return found


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parents") / "rich.yaml"
    path.write_text(json.dumps(RICH))
    return path


def parents(rich: Path) -> list[tuple[str, CompiledPolicy, Mapping[str, Any]]]:
    packaged = [(name, load_policy(name)) for name in ("default", "strict", "observe")]
    found = [(name, one, json.loads(one.normal_form)) for name, one in packaged]
    return [*found, (str(rich), load_policy(rich), RICH), (str(rich), load_policy(rich), RICH)]


def rules_of(policy: CompiledPolicy) -> ToolRules | None:
    spec = next((one for one in policy.cost_models if one.kind == "tools"), None)
    return None if spec is None else tool_rules(spec.name, spec.hazards, spec.options)


@settings(max_examples=examples(50), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), dice=st.randoms(use_true_random=False))
def test_what_a_parent_denies_no_child_shows(data: st.DataObject, dice: Random, rich: Path) -> None:
    try_one(data, dice, rich)


@pytest.mark.slow
def test_no_single_change_that_is_taken_shows_more(rich: Path) -> None:
    dice, taken = Random(0), 0
    for name, parent, form in parents(rich)[:-1]:
        for one in form["budgets"]:
            for key, values in VALUES.items():
                for value in [
                    *values,
                    *([f"max({one['cost']}, new)", f"{one['cost']} + new"] if key == "cost" else []),
                ]:
                    text = json.dumps(child_of(name, [{"id": one["id"], key: value}]))
                    child, _ = compile_text(text, "child.yaml", warn=False)
                    if child is not None:
                        taken += 1
                        hold_to(parent, child, dice, text)
    assert taken > 150


def try_one(data: st.DataObject, dice: Random, rich: Path) -> None:
    """A random child of a random parent."""
    name, parent, form = data.draw(st.sampled_from(parents(rich)))
    text = json.dumps(data.draw(children(form, name)))
    child, _ = compile_text(text, "child.yaml", warn=False)
    if child is not None:
        dice = Random(dice.random())
        hold_to(parent, child, dice, text)


def hold_to(parent: CompiledPolicy, child: CompiledPolicy, dice: Random, text: str) -> None:
    """Run made-up answers, prompts and calls under both."""
    books = open_books((parent, child), None, dice.choice(ASSUMED))
    changed = {one for one in parent.budgets if one not in child.budgets}
    moved = {*changed, *(one for one in child.budgets if one not in parent.budgets)}
    lines = [line for side in books.sides for line in side if line.rule.budget in moved]
    heard = {name for line in lines for name in line.cost.models()}
    sources = [one for one in books.sources if one.name in heard]
    for _ in range(50 if changed else 0):
        tried = answers(dice, sources, [one.threshold for one in moved])
        above, below = (run(side, tried) for side in books.sides)
        if above.denied is not None:
            assert below.denied is not None, text
            assert (below.answers, below.position) <= (above.answers, above.position), text
    for _ in range(20):
        scores = {spec.name: dice.choice([0, 0.5, 0.6, 0.65, 0.9, 0.95, 1]) for spec in child.cost_models}
        if parent.prompt and evaluate(parent.prompt.cost, scores) > parent.prompt.threshold:
            assert child.prompt
            assert evaluate(child.prompt.cost, scores) > child.prompt.threshold
            assert HARSHER.index(child.prompt.on_exceed) >= HARSHER.index(parent.prompt.on_exceed)
    old, new = rules_of(parent), rules_of(child)
    for tool in ("pay", "pay_some", "pay_all", "read", "read_all", "write", "prune"):
        for amount in (5, 101):
            call = ToolCall(tool, {"amount": amount}, "1")
            assert old is None or not old.broken_by(call) or (new is not None and new.broken_by(call)), (text, tool)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_comparison_of_meanings_finds_nothing_looser(data: st.DataObject, rich: Path) -> None:
    name, parent, form = data.draw(st.sampled_from(parents(rich)))
    child, _ = compile_text(json.dumps(data.draw(children(form, name))), "child.yaml", warn=False)
    if child is not None:
        assert compare(parent, child).looser is None
