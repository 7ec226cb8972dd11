"""One model drafts, and a second one with other tokens verifies: what passes between them is text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pytest

from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.errors import GenerationFailed, RequestError
from ig_guardrail.evaluate.answers import Arm
from ig_guardrail.guardrail import Guardrail
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.search.fairness.verifier import Verifier
from ig_guardrail.types import (
    Accepted,
    Append,
    Commit,
    Draw,
    Edit,
    Extend,
    Node,
    Receipt,
    Sampling,
    Score,
    Together,
    TopLogprobs,
    Twin,
)
from tests.unit.search.clerks import ASKED, END, FAIR, SWAP, Clerk, Law, answer, rail

LETTERS = " abdeiklnoprstw"
LEFT = Sampling(max_tokens=8, temperature=1.0, top_p=1.0)


def drafting(asked: str, said: str) -> Mapping[str, float]:
    """Says anything."""
    return {" works": 0.4, " idles": 0.4, " ann": 0.1, " bob": 0.1}


def spelling(asked: str, said: str) -> Mapping[str, float]:
    """A letter at a time; Ann is told of w's, Bob of i's, and all the more of the latter under a constitution."""
    liked = "w" if "ann" in asked + said else "i"
    weight = {one: 3.0 if one == liked else 2.0 if one == "d" and FAIR in asked else 1.0 for one in LETTERS}
    return {one: mass / sum(weight.values()) for one, mass in weight.items()}


def letters(law: Law) -> Clerk:
    return Clerk(law, Vocabulary(tuple(LETTERS)))


def paired(law: Law, second: Clerk, **keys: Any) -> Guardrail:
    one = rail(law, **keys)
    one.verifier = ScriptedEngine(second)
    return one


def answered(one: Guardrail, search: Any, tokens: int = 4, seed: int = 0) -> Receipt:
    """The receipt of an answer. Neither model may hold anything after it."""
    found = answer(one, search, tokens, seed)
    assert one.verifier is not None
    assert one.verifier.live_nodes() == 0
    return found


@pytest.mark.parametrize("alpha", [0.0, 1.0, 20.0])
def test_the_heaviest_of_all_blocks_by_the_second_model_s_own_tokens_is_taken(alpha: float) -> None:
    first, second = Clerk(drafting), letters(spelling)
    blocks = ["".join(pair) for pair in itertools.product(drafting("", ""), repeat=2)]

    def weight(block: str) -> float:
        own, other = second.told({}, "", block), second.told(SWAP, "", block)
        return own - first.logprob(ASKED, block) - alpha * abs(own - other) / 2

    one = paired(drafting, second, candidates=16, enumerate_lanes=True)
    receipt = answered(one, Verifier((SWAP,), alpha, -math.inf), tokens=2)
    assert weight(receipt.text) == pytest.approx(max(map(weight, blocks)))
    assert receipt.search["verifier"]["name"] == "scripted"
    assert receipt.tokens["verified"] > receipt.tokens["read"] / 2


def grudging(asked: str, said: str) -> Mapping[str, float]:
    return {END: 1.0} if said else {" idles": 0.999, " works": 0.001}


def strict(asked: str, said: str) -> Mapping[str, float]:
    """Says that he works, and ends."""
    due = (*" works", END)[min(len(said), 6)]
    return {**dict.fromkeys(LETTERS, 0.001), due: 0.985 if due == END else 0.986}


def test_where_no_draft_will_do_the_second_model_writes_and_its_end_is_the_answer_s() -> None:
    one = paired(grudging, letters(strict), block=6)
    assert answered(one, Verifier(floor=-math.inf)).text == " idles"
    receipt = answered(one, Verifier(floor=-1.0))
    assert (receipt.text, receipt.verdict.finish) == (" works", "stop")


def test_single_tokens_are_not_compared_across_models() -> None:
    with pytest.raises(RequestError, match="needs the model that drafts as its verifier"):
        answer(paired(drafting, letters(spelling)), "token_verifier")


def test_a_node_of_the_second_model_cannot_be_shown_and_no_request_names_nodes_of_both() -> None:
    kept: list[Any] = []

    def committing(root: Node, ctx: SearchContext) -> Search:
        assert ctx.apart
        (twin,) = yield Together((Twin(root, Edit(FAIR), "verifier"),))
        (said,) = yield Append(((twin, " works"),))
        (own,) = yield Append(((root, said),))
        assert (own.text, len(own.ids), len(said.ids)) == (" works", 1, 6)
        assert isinstance((yield Commit(own)), Accepted)
        kept.append(said)
        yield Commit(said)
        raise AssertionError("a denied commit is the last, where the policy has no retries")

    receipt = answered(paired(drafting, letters(spelling)), committing)
    assert len(kept) == 1
    assert receipt.text.startswith(" works")
    assert receipt.verdict.outcome == "ended"

    def mixing(root: Node, ctx: SearchContext) -> Search:
        (twin,) = yield Together((Twin(root, Edit(FAIR), "verifier"),))
        yield Extend((Draw(root), Draw(twin)), 1)

    def late(root: Node, ctx: SearchContext) -> Search:
        (said,) = yield Append(((root, " works"),))
        yield Twin(said, Edit(FAIR), "verifier")

    def elsewhere(root: Node, ctx: SearchContext) -> Search:
        (twin,) = yield Together((Twin(root, Edit(FAIR), "verifier"),))
        (said,) = yield Append(((root, " works"),))
        (other,) = yield Append(((twin, " idles"),))
        yield Append(((said, other),))

    for search, why in ((mixing, "nodes of two models"), (late, "an answer that has begun"), (elsewhere, "else than")):
        one = paired(drafting, letters(spelling))
        with pytest.raises(GenerationFailed, match=why):
            answer(one, search)
        assert one.engine.live_nodes() == 0
        assert one.verifier is not None
        assert one.verifier.live_nodes() == 0


def test_what_the_second_model_reads_counts_as_work() -> None:
    one = paired(drafting, letters(spelling))
    said = Arm("two", one, Verifier((SWAP,), 1.0, -math.inf), ()).answer(ASKED, LEFT)
    assert said.work == said.tokens["read"] + said.tokens["verified"]


def test_a_caller_who_leaves_leaves_nothing_in_either_model() -> None:
    one = paired(drafting, letters(spelling))
    stream = one.stream(GenerationRequest(ASKED, LEFT, Verifier((SWAP,), 1.0, -math.inf)))
    next(stream)
    stream.close()
    assert one.verifier is not None
    assert one.engine.live_nodes() == one.verifier.live_nodes() == 0


def test_without_a_second_model_a_verifier_s_twin_is_the_model_s_own() -> None:
    kept: list[Any] = []

    def search(root: Node, ctx: SearchContext) -> Search:
        assert not ctx.apart
        twin = yield Twin(root, Edit(FAIR), "verifier")
        kept.append((yield TopLogprobs(twin, 2)))
        (cost,) = yield Score((root,))
        kept.append(cost)

    receipt = answer(rail(drafting), search)
    assert len(kept[0]) == 2
    assert "verifier" not in receipt.search
    assert "verified" not in receipt.tokens
