"""The search against brute force on small token trees: the optimum, a safe path where there is one, else a refusal."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.rewards.values import Values
from tests.examples import examples
from tests.trees import LETTERS, ExactSafety, ExactValue, PartialValue, Toy, solve, toys


@settings(max_examples=examples(150), deadline=None)
@given(toys((1, 2)))
def test_on_one_block_trees_the_search_returns_the_optimum(toy: Toy) -> None:
    receipt = solve(toy, Values(reward=PartialValue(toy)), mode="always", block=toy.depth, hold=0)
    best = toy.best()
    if best is None:
        assert receipt.verdict.outcome == "refused"
    else:
        assert toy.value[receipt.text] == best


@settings(max_examples=examples(150), deadline=None)
@given(toys((2, 3, 4)), st.sampled_from([1, 2]), st.sampled_from([0, 1, 16]), st.sampled_from([1, 3]))
def test_with_the_exact_value_as_critic_the_search_returns_the_optimum(
    toy: Toy, block: int, hold: int, beams: int
) -> None:
    values = Values(reward=ExactValue(toy), critic=ExactSafety(toy))
    receipt = solve(toy, values, mode="always", block=block, hold=hold, beams=beams, candidates=LETTERS**2 * beams)
    best = toy.best()
    if best is None:
        assert receipt.verdict.outcome in ("refused", "ended")
    else:
        assert toy.value[receipt.text] == best


@settings(max_examples=examples(300), deadline=None)
@given(
    toys((2, 3, 4)),
    st.sampled_from(["always", "on_risk"]),
    st.sampled_from([1, 2]),
    st.sampled_from([0, 1, 2, 16]),
    st.sampled_from([1, 2]),
)
def test_a_safe_path_is_found_whenever_one_descends_from_what_was_shown(
    toy: Toy, mode: str, block: int, hold: int, beams: int
) -> None:
    one = beams if mode == "always" else 1
    receipt = solve(toy, Values(), mode=mode, block=block, hold=hold, beams=one, candidates=LETTERS**block * one)
    outcome = receipt.verdict.outcome
    if outcome == "completed":
        assert toy.safe(receipt.text)
        return
    shown = receipt.text[: receipt.text.rindex("[")].removesuffix("\n\n")
    assert toy.safe(shown)
    assert toy.best(shown) is None, f"a safe path under {shown!r} was missed"
    assert outcome == ("ended" if shown else "refused")


@settings(max_examples=examples(100), deadline=None)
@given(toys((2, 3)))
def test_where_no_path_is_safe_there_is_a_refusal(toy: Toy) -> None:
    hopeless = replace(toy, harm={**toy.harm, **dict.fromkeys(toy.leaves(), 1.0)})
    receipt = solve(hopeless, Values(), mode="on_risk", block=1, hold=16)
    assert receipt.verdict.outcome == "refused"
    assert receipt.fallbacks == ("refusal",)
