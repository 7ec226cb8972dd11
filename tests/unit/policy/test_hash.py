"""The normal form: the same for all texts that mean the same, another for every number that differs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.policy import compile_text
from tests.examples import examples
from tests.unit.policy.texts import VALID, compiled, edited

DATA: dict[str, Any] = yaml.safe_load(VALID)
POLICY = compiled(VALID)


def dumped(data: object) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def shuffled(value: Any, draw: Any) -> Any:
    """The same data with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = draw(st.permutations(list(value)))
        return {key: shuffled(value[key], draw) for key in keys}
    return [shuffled(item, draw) for item in value] if isinstance(value, list) else value


def test_the_hash_is_that_of_the_normal_form() -> None:
    assert hashlib.sha256(POLICY.normal_form.encode()).hexdigest() == POLICY.sha256
    form = json.loads(POLICY.normal_form)
    assert json.dumps(form, sort_keys=True, separators=(",", ":")) == POLICY.normal_form


def test_the_normal_form_has_every_default_and_no_alias_or_preset() -> None:
    form = json.loads(POLICY.normal_form)
    assert form["budgets"][0] == {
        "id": "harmful-help", "hazards": ["iwp", "ncr", "vcr"], "cost": "max(help, words)",
        "threshold": 0.5, "weight": 1.0, "budget": 0.05, "discount": 1.0, "accumulate": "max", "every": 16,
        "mode": "enforce", "scope": "response", "tool": "*", "decay": 1.0, "window": 0,
    }  # fmt: skip
    assert form["cost_models"]["words"]["hazards"] == ["hte", "ncr"]
    assert "preset" not in form["search"]
    assert form["search"]["restart"] is None


@settings(max_examples=examples(50), deadline=None)
@given(st.data())
def test_the_order_of_keys_does_not_matter(data: st.DataObject) -> None:
    assert compiled(dumped(shuffled(DATA, data.draw))) == POLICY


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, VALID.count("\n") - 1), st.from_regex(r"#[ a-z:\[{'\"]{0,20}", fullmatch=True)))
)
def test_comments_do_not_matter(comments: list[tuple[int, str]]) -> None:
    rows = VALID.splitlines()
    for line, comment in comments:
        rows[line] = f"{rows[line]}  {comment}" if "#" not in rows[line] else rows[line]
    assert compiled("\n".join(rows)) == POLICY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    every: 16\n", ""),
        (
            "    every: 16\n",
            "    every: 16\n    weight: 1\n    discount: 1.0\n    scope: response\n    mode: enforce\n",
        ),
        ("taxonomy: ailuminate-1.0\n", ""),
        ("output: {on_exceed: [search, end]}\n", ""),
        ("search:\n", "search:\n  strategy: inference_guard\n  block: 16\n  retries: 2\n  hold: 16\n  penalty: 3\n"),
        ("allow_unguarded: false\n", ""),
        ("model: words, ", "model: words, timeout_ms: 2000, on_error: closed, "),
        ("hazards: [x.insult, hte]", "hazards: [x.insult, hte]"),
        ("hazards: [hte, S2]", "hazards: [S10, ncr]"),
        ("    threshold: 0.5\n", "    threshold: 5.0e-1\n"),
        ('"max(help, words)"', "  max( help,words )  "),
        ('"Be kind."', ">-\n    Be\n    kind."),
    ],
)
def test_another_spelling_of_the_same_policy_has_the_same_hash(old: str, new: str) -> None:
    assert compiled(edited((old, new))).sha256 == POLICY.sha256


NUMBERS = [
    ("budgets", 0, "threshold"), ("budgets", 0, "budget"), ("budgets", 1, "weight"), ("prompt", "threshold"),
    ("search", "trigger"),
]  # fmt: skip


@settings(max_examples=examples(40), deadline=None)
@given(st.sampled_from(NUMBERS), st.floats(0.61, 0.99))
def test_a_number_that_differs_shows_in_the_hash(path: tuple[str | int, ...], value: float) -> None:
    data: Any = yaml.safe_load(VALID)
    part = data
    for step in path[:-1]:
        part = part[step]
    same = part[path[-1]] == value
    part[path[-1]] = value
    text = dumped(data)
    policy = compiled(text)
    assert (policy.sha256 == POLICY.sha256) == same
    assert policy == compiled(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: support-bot", "name: support-bots"),
        ("1.2.3", "1.2.4"),
        ("help: {kind: latent, head: harmful-help", "help: {kind: latent, head: other-help"),
        ("longest_match: 32", "longest_match: 33"),
        ("mode: shadow", "mode: enforce"),
        ('"max(help, words)"', '"min(help, words)"'),
        ('"Be kind."', '"Be kind!"'),
        ("on_exceed: search", "on_exceed: observe"),
        ("allow_unguarded: false", "allow_unguarded: true"),
        ("prompt: {cost: words, threshold: 0.8, on_exceed: search}\n", ""),
    ],
)
def test_every_change_of_meaning_shows_in_the_hash(old: str, new: str) -> None:
    assert compiled(edited((old, new))).sha256 != POLICY.sha256


def test_the_hash_does_not_depend_on_where_the_file_is() -> None:
    there, _ = compile_text(VALID, "/elsewhere/p.yaml")
    assert there is not None
    assert there.sha256 == POLICY.sha256
    tone = next(spec for spec in there.cost_models if spec.name == "tone")
    assert tone.options == {"head": "/elsewhere/heads/tone"}


def test_minus_zero_is_zero() -> None:
    zero = compiled(edited(("budget: 0.05", "budget: 0")))
    assert compiled(edited(("budget: 0.05", "budget: -0.0"))).sha256 == zero.sha256
