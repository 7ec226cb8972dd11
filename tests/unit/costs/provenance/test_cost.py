"""The cost of reciting: what the definition says, the same however an answer is cut, and never without its tokens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ig_guardrail.costs.base import CostModel, Sourced
from ig_guardrail.costs.provenance.cost import Contrast
from ig_guardrail.errors import CostFailure
from ig_guardrail.types import Piece, Prompt, QuotedSource
from tests.examples import examples
from tests.unit.costs.provenance.corpora import cost, indexed, longest_suffix

PROMPT = Prompt((), ())
SECRET = list(range(20, 40))
TOKENS = st.integers(0, 2)
DOCUMENTS = st.lists(st.lists(TOKENS, min_size=1, max_size=10), min_size=1, max_size=3)


def scores(model: CostModel, *pieces: list[int]) -> list[float]:
    state, found = model.start(PROMPT), []
    for ids in pieces:
        ((state, (score,)),) = model.advance([(state, Piece("x" * len(ids), tuple(ids)))])
        found.append(score)
    return found


@settings(max_examples=examples(200), deadline=None)
@given(
    DOCUMENTS,
    DOCUMENTS,
    st.lists(TOKENS, min_size=1, max_size=14),
    st.builds(Contrast, st.integers(0, 3), st.integers(1, 4), st.integers(1, 6)),
)
def test_a_score_is_the_contrast_of_the_longest_suffixes(
    unsafe: list[list[int]], reference: list[list[int]], text: list[int], contrast: Contrast
) -> None:
    found = scores(cost(indexed(*unsafe), indexed(*reference), contrast), *([token] for token in text))
    for position, score in enumerate(found, start=1):
        u, r = (longest_suffix(corpus, text[:position], contrast.hard) for corpus in (unsafe, reference))
        graded = min(1.0, max(0, u - max(r, contrast.common)) / contrast.norm)
        assert score == (1.0 if u == contrast.hard and r < contrast.hard else graded)


@settings(max_examples=examples(100), deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.lists(TOKENS, min_size=2, max_size=14), st.data())
def test_a_piece_scores_the_worst_of_its_tokens_wherever_it_was_cut(
    unsafe: list[list[int]], reference: list[list[int]], text: list[int], data: st.DataObject
) -> None:
    model = cost(indexed(*unsafe), indexed(*reference), Contrast(1, 2, 5))
    cut = data.draw(st.integers(1, len(text) - 1))
    single = scores(model, *([token] for token in text))
    assert scores(model, text[:cut], text[cut:]) == [max(single[:cut]), max(single[cut:])]


def test_what_the_reference_has_as_well_is_free() -> None:
    both = cost(indexed(SECRET), indexed([7, *SECRET, 8]))
    assert set(scores(both, *([token] for token in SECRET))) == {0.0}


def test_a_run_that_only_begins_in_the_reference_costs_from_where_it_goes_on() -> None:
    model = cost(indexed(SECRET), indexed(SECRET[:9], [7]))
    found = scores(model, *([token] for token in SECRET[:12]))
    assert found == [0.0] * 9 + [4 / 8, 5 / 8, 1.0]  # the reference has nothing of what ends past its end


def test_a_source_names_the_document_and_its_characters() -> None:
    model = cost(indexed([1, 2], [9, *SECRET]), indexed([5]))
    assert isinstance(model, Sourced)
    ((state, _),) = model.advance([(model.start(PROMPT), Piece("x", (3, *SECRET[:8])))])
    assert model.source(state) == QuotedSource("d1", 2, 18)
    ((state, _),) = model.advance([(state, Piece("x", (3,)))])
    assert model.source(state) is None


def test_text_without_tokens_is_a_failure_and_no_pass() -> None:
    model = cost(indexed(SECRET), indexed([5]))
    with pytest.raises(CostFailure, match="without its tokens"):
        model.advance([(model.start(PROMPT), Piece("a prompt", ended=True))])
    ((state, _),) = model.advance([(model.start(PROMPT), Piece("", (1,)))])
    with pytest.raises(CostFailure, match="without its tokens"):
        model.advance([(state, Piece("more"))])
    ((_, (score,)),) = model.advance([(state, Piece("\N{REPLACEMENT CHARACTER}", ended=True))])
    assert score == 0.0


def test_another_corpus_or_another_measure_is_another_cost_model() -> None:
    one, two = indexed(SECRET), indexed([5])
    made = [cost(one, two), cost(two, one), cost(one, two, Contrast(hard=11)), cost(one, indexed([5], language="2"))]
    assert len({model.sha256 for model in made}) == len(made)
