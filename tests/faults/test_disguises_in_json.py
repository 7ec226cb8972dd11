"""Disguises inside JSON and calls: escapes and characters that nobody sees together hide nothing and show nothing."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.calls.decoded import fired_rules, read_decoded
from ig_guardrail.costs.calls.finished import finished_calls
from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.text.calls import format_call
from ig_guardrail.types import CostModelSpec, Piece, Prompt
from tests.faults.test_disguises import DISGUISES, RUNS, cut
from tests.faults.test_ends_of_matches import answered

PROMPT = Prompt((), ())


def escaped(text: str, dice: Random) -> str:
    return "".join(f"\\u{ord(c):04x}" if ord(c) < 65536 and dice.random() < 0.5 else json.dumps(c)[1:-1] for c in text)


@settings(max_examples=RUNS, deadline=None)
@given(st.sampled_from(list(DISGUISES)), st.randoms(use_true_random=False), st.lists(st.integers(0, 900), max_size=8))
def test_a_disguised_text_is_denied_in_json_however_it_is_escaped(disguise: str, dice: Random, cuts: list[int]) -> None:
    said = '{"a": ["%s"], "b": 1}' % escaped(f"so {DISGUISES[disguise]('banana split')} it is", dice)  # noqa: UP031
    model = read_decoded(compile_patterns(["(?i)banana split"], 12, "codes", ("prv",), names=["dessert"]))
    state, found, fired = model.start(PROMPT), [], set()
    pieces = cut(said, cuts)
    for index, text in enumerate(pieces):
        ((state, (score,)),) = model.advance([(state, Piece(text, ended=index == len(pieces) - 1))])
        found.append(score)
        fired |= set(fired_rules(model, state))
    assert max(found) == 1.0
    assert fired == {"dessert"}


@pytest.mark.slow
@settings(max_examples=RUNS, deadline=None)
@given(st.sampled_from(["\u200b", "\u00ad", "\u0336", "\U000e0041"]), st.randoms(use_true_random=False), st.data())
def test_nothing_of_a_match_in_json_is_shown_before_it_is_denied(
    hidden: str, dice: Random, data: st.DataObject
) -> None:
    before = '{"a": "zz '
    said = before + escaped((hidden * dice.randrange(9)).join("codeword"), dice) + ' zz", "b": 1}'
    cuts = sorted({*data.draw(st.lists(st.integers(1, len(said)), max_size=40)), len(said)})
    tokens = [said[start:end] for start, end in pairwise([0, *cuts])]
    shown, receipt = answered(tokens, r"\bcodeword\b", 8, data.draw(st.sampled_from([1, 2, 4])))
    assert receipt.verdict.outcome in ("refused", "ended")
    assert before.startswith(shown)


@pytest.mark.parametrize("disguise", ["none", "zero width", "look-alikes"])
def test_a_budget_for_calls_names_the_pattern_that_an_argument_matched(disguise: str) -> None:
    rude = compile_patterns(["sudo", "codeword"], 8, "rude", ("hte",), names=[None, "word"])
    model = finished_calls(CostModelSpec("c", "calls", ("hte",), {"tool": "*", "by": "rude"}, 2.0), {"rude": rude})
    call = format_call("run", {"cmd": DISGUISES[disguise]("codeword")})
    ((state, (score,)),) = model.advance([(model.start(PROMPT), Piece(call, ended=True))])
    assert (score, model.fired(state)) == (1.0, ("word",))
