"""What the drive does not take from a strategy: forged nodes, and patience without end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.engine.scripted.engine import ScriptedEngine
from ig_guardrail.engine.scripted.script import Vocabulary
from ig_guardrail.errors import GenerationFailed
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import (
    Append,
    Commit,
    CostEstimate,
    Denied,
    Draw,
    Edit,
    Extend,
    Node,
    Sampling,
    Score,
    SearchSettings,
    Twin,
)
from tests.toys import LetterCost, Letters, ask, guardrail, letters, toy_budget, toy_policy

SAMPLING = Sampling(max_tokens=12, temperature=1.0, top_p=1.0)


def rail(retries: int = 2):  # type: ignore[no-untyped-def]
    search = SearchSettings(block=4, hold=0, retries=retries, shortest=0)
    return guardrail(letters((1, 0, 1, 0)), toy_policy([toy_budget("b")], search), {"level": LetterCost("level")})


def test_a_node_with_changed_text_is_not_believed() -> None:
    def forging(root: Node, ctx: SearchContext) -> Search:
        (child,) = yield Extend((Draw(root),), 4)
        yield Commit(replace(child, text="bbbb"))

    one = rail()
    with pytest.raises(GenerationFailed, match="a strategy named a node that the engine did not make") as failure:
        list(one.stream(ask(SAMPLING, forging)))
    assert failure.value.receipt.text == ""
    assert one.engine.live_nodes() == 0


def test_what_another_model_says_by_the_same_numbers_is_not_charged_for_ours() -> None:
    """Tokens 1, 1, 1, 1 are "bbbb" of the model that decodes, and "aaaa" of the one beside it."""

    def scoring(root: Node, ctx: SearchContext) -> Search:
        twin = yield Twin(root, Edit("Be kind."), "verifier")
        (theirs,) = yield Append(((twin, "aaaa"),))
        (ours,) = yield Append(((root, "bbbb"),))
        assert ours.ids == theirs.ids
        costs.extend((yield Score((theirs, ours))))
        yield Commit(ours)

    costs: list[CostEstimate] = []
    one = rail()
    one.verifier = ScriptedEngine(Letters(Vocabulary("cab"), [(0, 1.0)]))
    *_, last = one.stream(ask(SAMPLING, scoring))
    assert last.receipt is not None
    assert [cost.within for cost in costs] == [True, False]
    assert (last.receipt.verdict.outcome, last.receipt.charges) == ("refused", ())


@pytest.mark.parametrize("retries", [0, 2, 5])
def test_a_strategy_is_stopped_after_one_denial_more_than_its_retries(retries: int) -> None:
    denials: list[Denied] = []

    def stubborn(root: Node, ctx: SearchContext) -> Search:
        (bad,) = yield Append(((root, "bbbb"),))
        while len(denials) < 100:
            denials.append((yield Commit(bad)))

    *_, last = rail(retries).stream(ask(SAMPLING, stubborn))
    assert last.receipt is not None
    assert last.receipt.verdict.outcome == "refused"
    assert denials[: retries + 1] == [Denied("budget", "b", 4)] * len(denials)
    assert len(denials) in (retries, retries + 1)
