"""Speculative decoding towards a fair law: what is drawn has exactly that law, whatever the draft's is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.search.drawing.dice import drawn, uniform
from ig_guardrail.search.fairness.contexts import VerifiedToken
from ig_guardrail.search.fairness.token_verifier import TokenVerifier, normal, speculative, target
from ig_guardrail.types import Node
from tests.unit.search.clerks import END, FAIR, SWAP, answer, rail

TOKENS = (" works", " idles", " ann")
CRITICAL = 13.8  # chi-square, two degrees of freedom, one in a thousand

masses = st.lists(st.floats(0.01, 1), min_size=4, max_size=4).map(lambda values: normal(dict(enumerate(values))))


def toy(asked: str, said: str) -> Mapping[str, float]:
    """A draft, a verifier, and the verifier asked about Bob; three tokens each."""
    if said:
        return {END: 1.0}
    if FAIR not in asked:
        return dict(zip(TOKENS, (0.6, 0.3, 0.1), strict=True))
    if "ann" in asked:
        return dict(zip(TOKENS, (0.2, 0.5, 0.3), strict=True))
    return {**dict(zip(TOKENS, (0.25, 0.1, 0.05), strict=True)), " bob": 0.6}


def fair_law(alpha: float) -> dict[str, float]:
    """q~ by its definition: " ann" is " bob" in the other lane."""
    own, other = (0.2, 0.5, 0.3), (0.25, 0.1, 0.6)
    tilted = [q * math.exp(-alpha * abs(math.log(q / p))) for q, p in zip(own, other, strict=True)]
    return dict(zip(TOKENS, [mass / sum(tilted) for mass in tilted], strict=True))


def chi_square(counts: Mapping[object, int], law: Mapping[object, float]) -> float:
    whole = sum(counts.values())
    assert set(counts) <= set(law)
    return sum((counts.get(token, 0) - whole * p) ** 2 / (whole * p) for token, p in law.items())


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_answers_have_the_fair_law(alpha: float) -> None:
    one, search = rail(toy), TokenVerifier((SWAP,), alpha)
    counts = Counter(answer(one, search, tokens=1, seed=seed).text for seed in range(3_000))
    assert chi_square(counts, fair_law(alpha)) < CRITICAL
    if alpha:
        assert chi_square(counts, fair_law(0.0)) > 10 * CRITICAL


@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("draft", [(0.6, 0.3, 0.1), (0.0, 0.0, 1.0), (0.2, 0.5, 0.3)])
def test_twenty_thousand_draws_have_the_law_of_the_target(draft: tuple[float, ...], alpha: float) -> None:
    law, given_ = dict(enumerate(fair_law(alpha).values())), {i: p for i, p in enumerate(draft) if p}
    throws = ([uniform(seed, 7, throw) for throw in range(3)] for seed in range(20_000))
    assert chi_square(Counter(speculative(given_, law, one) for one in throws), law) < CRITICAL


@given(masses, masses)
def test_the_law_is_exact_by_arithmetic(draft: dict[int, float], goal: dict[int, float]) -> None:
    """kept(c) = min(d, q~), and the rest goes where q~ is above d."""
    refused = sum(max(0.0, draft[token] - goal[token]) for token in draft)
    for token in goal:
        above = max(0.0, goal[token] - draft[token])
        assert min(draft[token], goal[token]) + (refused and above) == pytest.approx(goal[token])
    assert sum(max(0.0, goal[token] - draft[token]) for token in goal) == pytest.approx(refused)


@given(masses, masses, st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3))
def test_a_draft_that_is_not_above_its_due_is_always_kept(
    draft: dict[int, float], goal: dict[int, float], numbers: tuple[float, float, float]
) -> None:
    token = drawn(draft, numbers[0])
    if draft[token] <= goal[token]:
        assert speculative(draft, goal, numbers) == token
    else:
        kept = numbers[1] * draft[token] < goal[token]
        assert (speculative(draft, goal, numbers) == token) == kept


def test_tokens_of_unknown_gap_are_not_in_the_target() -> None:
    node = Node(1, 1, None, (), 0, "", (), 0)
    choices = [VerifiedToken(3, math.log(0.9), math.inf, node), VerifiedToken(5, math.log(0.1), 0.2, node)]
    assert target(choices, 0.0) == {5: 1.0}
    assert target(choices[:1], 1.0) == {}


def test_an_answer_without_a_fair_token_ends() -> None:
    def law(asked: str, said: str) -> Mapping[str, float]:
        return {" works": 1.0} if "ann" in asked else {" idles": 1.0}

    assert answer(rail(law), TokenVerifier((SWAP,))).verdict.outcome == "refused"


def test_answers_repeat_with_their_seed_and_end_by_themselves() -> None:
    one, search = rail(toy), TokenVerifier((SWAP,))
    first = [answer(one, search, seed=seed) for seed in range(20)]
    assert [receipt.text for receipt in first] == [answer(one, search, seed=seed).text for seed in range(20)]
    assert {receipt.verdict.finish for receipt in first} == {"stop"}
    assert len({receipt.text for receipt in first}) == 3
