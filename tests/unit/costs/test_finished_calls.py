"""Every call of a tool is marked once, at the piece that completes it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ig_guardrail.costs.calls.finished import finished_calls
from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.errors import ModelError
from ig_guardrail.text.calls import CLOSE, OPEN, format_call
from ig_guardrail.types import CostModelSpec, Piece, Prompt
from tests.toys import LetterCost

PAY, READ = format_call("pay", {"amount": 5, "note": CLOSE}), format_call("read", {})


def spec(tool: str, **options: Any) -> CostModelSpec:
    return CostModelSpec("calls", "calls", ("hte",), {"tool": tool, **options}, timeout_s=1.0)


def marks(tool: str, *texts: str) -> list[float]:
    """The score after each piece."""
    one = finished_calls(spec(tool), {})
    state, scores = one.start(Prompt((), (1,))), []
    for text in texts:
        ((state, (score,)),) = one.advance([(state, Piece(text))])
        scores.append(score)
    return scores


def test_a_call_is_marked_where_it_ends() -> None:
    assert marks("pay", "I pay. ", PAY[:-3], PAY[-3:], PAY, READ, "") == [0, 0, 1, 1, 0, 0]


def test_words_about_calls_are_no_calls() -> None:
    assert marks("*", OPEN, " pay ", CLOSE, "pay") == [0, 0, 0, 0]


def test_a_cost_model_scores_the_call_and_not_what_stands_around_it() -> None:
    rude = compile_patterns(["blockhead"], 9, "rude", ("hte",))
    one = finished_calls(spec("pay", by="rude"), {"rude": rude})
    scores = []
    for text in ("You blockhead. ", PAY, format_call("pay", {"note": "blockhead"}), " blockhead"):
        ((_, (score,)),) = one.advance([(one.start(Prompt((), (1,))), Piece(text))])
        scores.append(score)
    assert scores == [0, 0, 1, 0]
    assert one.sha256 != finished_calls(spec("pay"), {}).sha256


def test_a_cost_model_that_reads_hidden_states_cannot_score_calls() -> None:
    with pytest.raises(ModelError, match="cost model 'deep' reads hidden states"):
        finished_calls(spec("pay", by="deep"), {"deep": LetterCost("deep", layers=(3,))})


@given(st.lists(st.sampled_from([PAY, READ]), max_size=4), st.lists(st.integers(0, 400), max_size=12))
def test_charged_by_the_character_no_call_is_missed_or_counted_twice(calls: list[str], cuts: list[int]) -> None:
    text = "".join(calls)
    assert sum(marks("p*", *text)) == calls.count(PAY)
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert bool(sum(marks("p*", *pieces))) == (PAY in calls)
