"""A match that depends on what follows it is judged when that is known, and nothing of it is shown before."""

from __future__ import annotations

import json
import os
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.pattern import compile_patterns
from ig_guardrail.drive.request import GenerationRequest
from ig_guardrail.policy import compile_text
from ig_guardrail.types import CompiledPolicy, Message, Piece, Prompt, Receipt, Sampling
from tests.golden.conversations import scripted_guardrail

RUNS = int(os.environ.get("IG_STREAMS", "200"))
POLICY = """\
apiVersion: ig-guardrail/v1
kind: SafetyPolicy
metadata: {{name: ends, version: 1.0.0, owners: [tests@example.org]}}
cost_models:
  codes: {{kind: pattern, hazards: [prv], patterns: {patterns}, longest_match: {longest}, timeout_ms: 60000}}
budgets:
  - {{id: secrets, hazards: [prv], cost: codes, threshold: 0.5, budget: 0, every: {every}}}
output: {{on_exceed: [end]}}
search: {{strategy: cut, block: {every}, hold: 0}}
messages: {{refusal: {{en: "No."}}, closing: {{en: "Stop."}}}}
"""


@cache
def policy(pattern: str, longest: int, every: int) -> CompiledPolicy:
    text = POLICY.format(patterns=json.dumps([pattern]), longest=longest, every=every)
    compiled, faults = compile_text(text, "ends.yaml")
    assert compiled is not None, faults
    return compiled


def answered(tokens: list[str], pattern: str, longest: int, every: int) -> tuple[str, Receipt]:
    """What was shown of an answer that is made of these tokens, message apart, and its receipt."""
    guardrail = scripted_guardrail({(0, 0): tokens}, policy(pattern, longest, every))
    chunks = list(
        guardrail.stream(GenerationRequest((Message("user", "Go."),), Sampling(seed=1, max_tokens=len(tokens) + 8)))
    )
    receipt = chunks[-1].receipt
    assert receipt is not None
    shown = "".join(chunk.text for chunk in chunks)
    return shown.removesuffix(receipt.message).removesuffix("\n\n"), receipt


CASES = [
    (r"foo\B", 3, ["foo", "bar"], True),
    (r"foo\B", 3, ["foo", " bar"], False),
    (r"foo\b", 3, ["foo", "bar"], False),
    (r"foo\b", 3, ["foo", " bar"], True),
    (r"foo\b", 3, ["foo"], True),
    (r"foo$", 3, ["foo", " bar"], False),
    (r"foo$", 3, ["foo"], True),
    (r"(?m)foo$", 3, ["foo", "\nbar"], True),
    (r"(?m)foo$", 3, ["foo", "d"], False),
    (r"foo \b", 4, ["foo ", "bar"], True),
    (r"foo \b", 4, ["foo ", " bar"], False),
    (r"foo \B", 4, ["foo ", "", " x"], True),
    (r"foo\z", 3, ["foo", "d"], False),
    (r"[^a]o\b", 2, ["fo", "\u0301x"], True),
    (r"(?i)\bfoo\b", 3, ["FOO", "d"], False),
    (r"a.{0,4}o\b", 4, ["a  o", "o"], False),
]


@pytest.mark.parametrize(("pattern", "longest", "pieces", "denied"), CASES)
def test_what_follows_decides(pattern: str, longest: int, pieces: list[str], denied: bool) -> None:
    model = compile_patterns([pattern], longest, "codes", ("prv",))
    state, found = model.start(Prompt((), ())), []
    for index, text in enumerate(pieces):
        ((state, (score,)),) = model.advance([(state, Piece(text, ended=index == len(pieces) - 1))])
        found.append(score)
    assert max(found) == float(denied)


PARTS = ["foo", "bar", "o", " ", "\n", "é", "\u0301", "\u200b" * 9, "\u0430", "f"]


@settings(max_examples=RUNS * 2, deadline=None)
@given(
    st.sampled_from(sorted({(pattern, longest) for pattern, longest, *_ in CASES})),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=12).map("".join),
    st.lists(st.integers(1, 40), max_size=8),
)
def test_any_cut_denies_exactly_what_the_whole_text_denies(rule: tuple[str, int], said: str, cuts: list[int]) -> None:
    model = compile_patterns([rule[0]], rule[1], "codes", ("prv",))
    state, found, last = model.start(Prompt((), ())), [], 0
    for end in [*sorted(min(cut, len(said)) for cut in cuts), len(said)]:
        ((state, (score,)),) = model.advance([(state, Piece(said[last:end]))])
        found.append(score)
        last = end
    ((_, (score,)),) = model.advance([(state, Piece("", ended=True))])
    ((_, (whole,)),) = model.advance([(model.start(Prompt((), ())), Piece(said, ended=True))])
    assert max(*found, score) == whole


SECRETS = {  # a pattern, its longest match, what it matches, and what may stand behind that
    "word": (r"\bcodeword\b", 8, "codeword", " is"),
    "word that goes on": (r"\bcodeword\B", 8, "codeword", "s are"),
    "line": (r"(?m)^code: .{1,8}$", 14, "code: 1234-56", "\nand"),
    "accent": (r"(?i)café", 4, "cafe\u0301", "x"),
    "space": (r"key \b", 4, "key ", "word"),
}
HIDDEN = ["", "\u200b", "\u200d" * 50, "\u00ad" * 7, "\U000e0041" * 20]


@pytest.mark.slow
@settings(max_examples=RUNS, deadline=None)
@given(st.data())
def test_nothing_of_a_match_is_shown_before_it_is_denied(data: st.DataObject) -> None:
    pattern, longest, secret, behind = SECRETS[data.draw(st.sampled_from(sorted(SECRETS)))]
    hidden = data.draw(st.sampled_from(HIDDEN))
    before = "\n" + data.draw(st.sampled_from(["", "zz\n", "zz ää z\n"]))
    said = before + hidden.join(secret) + behind + " zz" * data.draw(st.integers(0, 9))
    cuts = sorted(set(data.draw(st.lists(st.integers(1, len(said)), max_size=30))) | {len(said)})
    tokens = [said[start:end] for start, end in pairwise([0, *cuts])]
    shown, receipt = answered(tokens, pattern, longest, data.draw(st.sampled_from([1, 2, 4])))
    assert receipt.verdict.outcome in ("refused", "ended")
    assert receipt.fired == {"codes": (0,)}
    assert before.startswith(shown)


def test_an_answer_of_characters_that_nobody_sees_is_held_until_it_ends() -> None:
    said = ["a", *["\u200b" * 40] * 20]
    shown, receipt = answered(said, "abcd", 4, 2)
    assert (shown, receipt.verdict.outcome) == ("".join(said), "completed")
    shown, _ = answered([*said, "bcd"], "abcd", 4, 2)
    assert shown == ""
