"""Looking for patterns once is bounded work: what could take long is refused before anything is asked of a model."""

from __future__ import annotations

import json

import pytest

from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.errors import ModelError
from ig_guardrail.policy import compile_text
from ig_guardrail.text.re2 import MOST_STEPS, reaching, steps_of
from ig_guardrail.types import Piece, Prompt
from tests.golden.conversations import POLITE

HEAVY = {
    "200 with long gaps": ([f"(?s)a.{{0,900}}b{i}" for i in range(200)], 4096),
    "200 with short gaps": ([f"(?s)a.{{0,90}}b{i}" for i in range(200)], 4096),
    "nested repetitions": ([f"((a{i}{{1,30}}){{1,30}}){{1,1}}" for i in range(200)], 4096),
    "a large class": ([r"\pL{1,90}b"], 4096),
}
LIGHT = {
    "200 words": ([f"(?i)word{i}" for i in range(200)], 24),
    "200 lists of words": (["|".join(f"{chr(97 + i % 26)}{n}ord{i}" for n in range(80)) for i in range(200)], 32),
    "an address": ([r"(?i)[a-z0-9._%+-]{1,64}@[a-z0-9.-]{1,190}\.[a-z]{2,20}"], 320),
    "one long gap": (["(?s)begin.{0,900}end"], 1000),
}


def checked(patterns: list[str], longest: int) -> list[str]:
    old = r"patterns: ['(?i)\bblockhead'], longest_match: 9"
    assert old in POLITE
    text = POLITE.replace(old, f"patterns: {json.dumps(patterns)}, longest_match: {longest}")
    return [f"{fault.code} {fault.path}" for fault in compile_text(text, "p.yaml")[1] if fault.severity == "error"]


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_too_much_work_is_refused_with_what_to_do(name: str) -> None:
    patterns, longest = HEAVY[name]
    assert checked(patterns, longest) == ["P041 cost_models.rude.patterns"]
    with pytest.raises(ModelError, match="too much work for one scoring") as raised:
        compile_patterns(patterns, longest, "rude", ("hte",))
    assert "lower longest_match" in raised.value.fix


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_patterns_as_policies_have_them_are_taken(name: str) -> None:
    patterns, longest = LIGHT[name]
    assert checked(patterns, longest) == []
    assert compile_patterns(patterns, longest, "rude", ("hte",)).longest_match == longest


def test_the_work_of_a_scoring_grows_with_the_window_and_the_patterns() -> None:
    one = reaching("(?s)a.{0,90}b")
    assert steps_of([one] * 3, 64) == 3 * steps_of([one], 64)
    assert steps_of([one], 4096) > 7 * steps_of([one], 64)
    assert 0 < steps_of([one], 64) < MOST_STEPS


def test_matches_that_are_all_too_long_are_no_matches() -> None:
    model = compile_patterns(["(?s)a.{20}"], 20, "codes", ("prv",))
    state = model.start(Prompt((), ()))
    for _ in range(40):
        ((state, (score,)),) = model.advance([(state, Piece("a" * 64))])
        assert score == 0.0


def test_a_short_match_among_long_ones_is_found_wherever_it_ends() -> None:
    model = compile_patterns(["a.*b"], 4, "codes", ("prv",))
    for place in range(3, 60):
        text = "a" + "-" * 9 + "b" * 3 + "-" * (place - 3) + "a-b" + "-" * 9 + "b"
        for stop in range(0, len(text), 7):
            state, found = model.start(Prompt((), ())), []
            for piece in (text[:stop], text[stop:]):
                ((state, (score,)),) = model.advance([(state, Piece(piece))])
                found.append(score)
            assert max(found) == 1.0
