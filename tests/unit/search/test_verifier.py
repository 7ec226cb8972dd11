"""The block verifier: the heaviest draft by brute force, its own words where none will do, and the gate above it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from ig_guardrail.search.fairness.token_verifier import TokenVerifier
from ig_guardrail.search.fairness.verifier import Verifier
from ig_guardrail.types import Commit, SearchSettings
from tests.toys import LetterCost, toy_budget, toy_policy
from tests.unit.search.clerks import ASKED, END, FAIR, SWAP, Clerk, answer, rail


def unfair(asked: str, said: str) -> Mapping[str, float]:
    """Ann works and Bob idles; with the constitution, less so."""
    share = (0.7 if FAIR in asked else 0.9) if "ann" in asked + said else 0.4
    return {" works": 0.8 * share, " idles": 0.8 * (1 - share), " ann": 0.15, " bob": 0.05}


@pytest.mark.parametrize("alpha", [0.0, 1.0, 20.0])
def test_the_heaviest_of_all_blocks_is_taken(alpha: float) -> None:
    clerk = Clerk(unfair)
    blocks = ["".join(pair) for pair in itertools.product(unfair("", ""), repeat=2)]

    def weight(block: str) -> float:
        own, other = clerk.told({}, "", block), clerk.told(SWAP, "", block)
        return own - clerk.logprob(ASKED, block) - alpha * abs(own - other) / 2

    receipt = answer(rail(unfair, candidates=16, enumerate_lanes=True), Verifier((SWAP,), alpha, -math.inf), tokens=2)
    assert weight(receipt.text) == pytest.approx(max(map(weight, blocks)))


def test_the_price_of_the_gap_changes_what_is_said() -> None:
    texts = {
        alpha: answer(rail(unfair, 16, enumerate_lanes=True), Verifier((SWAP,), alpha, -math.inf), 2).text
        for alpha in (0.0, 20.0)
    }
    assert texts[0.0] != texts[20.0]


def partial(asked: str, said: str) -> Mapping[str, float]:
    """With the constitution, Ann works, but most of all because she is not Bob."""
    if said:
        return {END: 1.0}
    works = 0.5 if FAIR not in asked else 0.7 if "ann" in asked else 0.05
    return {" works": works, " idles": 1 - works}


@pytest.mark.parametrize("method", ["verifier", "token_verifier"])
def test_by_name_the_swaps_of_the_policy_are_its_own(method: str) -> None:
    under = rail(partial, candidates=2, enumerate_lanes=True, swaps={"kin": SWAP})
    given = {"verifier": Verifier, "token_verifier": TokenVerifier}[method]
    seeds = range(20)
    told = [[answer(under, one, seed=seed).text for seed in seeds] for one in (method, given((SWAP,)), given(()))]
    assert told[0] == told[1] != told[2]
    without = rail(partial, candidates=2, enumerate_lanes=True)
    assert [answer(without, method, seed=seed).text for seed in seeds] == told[2]


def grudging(asked: str, said: str) -> Mapping[str, float]:
    """Idles, unless it is told to be fair."""
    if said:
        return {END: 1.0}
    return {" works": 0.99, " idles": 0.01} if FAIR in asked else {" idles": 0.999, " works": 0.001}


def test_where_no_draft_will_do_the_verifier_writes_the_block() -> None:
    assert answer(rail(grudging), Verifier(floor=-math.inf)).text == " idles"
    assert answer(rail(grudging), Verifier(floor=-1.0)).text == " works"


def test_what_the_verifier_writes_is_charged_like_a_draft() -> None:
    one = rail(grudging)
    search = replace(one.policy.search, hold=0)
    policy = toy_policy([toy_budget("w", threshold=0.0, every=1)], search)
    cost = LetterCost("level")
    cost.advance = lambda steps: [((0, 0), (float("works" in piece.text),)) for _, piece in steps]  # type: ignore[method-assign]
    guarded = type(one)(one.engine, policy, {"level": cost})
    guarded._approved.set()
    assert answer(guarded, Verifier(floor=-1.0)).text == " idles"
    free = toy_policy([toy_budget("w", threshold=0.0, every=1, mode="shadow")], search)
    loose = type(one)(one.engine, free, {"level": cost})
    loose._approved.set()
    assert answer(loose, Verifier(floor=-1.0)).text == " works"


def test_where_nothing_is_within_budget_the_answer_ends() -> None:
    one = rail(grudging)
    policy = toy_policy([toy_budget("all", threshold=0.0, every=1)], SearchSettings(retries=0, hold=0, restart=None))
    cost = LetterCost("level")
    cost.advance = lambda steps: [((0, 0), (1.0,)) for _ in steps]  # type: ignore[method-assign]
    guarded = type(one)(one.engine, policy, {"level": cost})
    guarded._approved.set()
    assert answer(guarded, Verifier()).verdict.outcome == "refused"


def test_what_is_held_does_not_grow_with_the_answer() -> None:
    one, held = rail(unfair), []

    def watched(root, ctx):  # type: ignore[no-untyped-def]
        work, reply = Verifier((SWAP,))(root, ctx), None
        while True:
            try:
                request = work.send(reply)
            except StopIteration:
                return
            if isinstance(request, Commit):
                held.append(one.engine.live_nodes())
            reply = yield request

    receipt = answer(one, watched, tokens=24)
    assert receipt.verdict.outcome == "completed"
    assert len(held) == 12
    assert max(held[2:]) <= held[1] + 2
