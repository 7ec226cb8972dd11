"""What the drive does not take from a strategy: forged nodes, and patience without end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ig_guardrail.errors import GenerationFailed
from ig_guardrail.search.base import Search, SearchContext
from ig_guardrail.types import Append, Commit, Denied, Draw, Extend, Node, Sampling, SearchSettings
from tests.toys import LetterCost, ask, guardrail, letters, toy_budget, toy_policy

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
